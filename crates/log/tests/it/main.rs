//! The log, tested from outside: everything here is files and the public interface.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

mod appending;
mod concurrent;
mod corpus;
mod damage;
mod harness;
mod model;
mod places;
mod reading;

#[path = "../../../../fuzz/properties/log_reader.rs"]
mod property;

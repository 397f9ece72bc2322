//! The samples of every server, and a million generated lines.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod corpus;
mod generated;
mod samples;

#[path = "../../../../fuzz/properties/access_log.rs"]
mod property;

//! The product from outside: the binary, with real Kafka and real Flink.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod cli;
mod embedded;
mod harness;
mod kills;
mod pipeline;
mod recount;

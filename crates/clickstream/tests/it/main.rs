//! The product from outside: the binary, with real Kafka and real Flink.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod chaos;
mod cli;
mod collector;
mod differential;
mod embedded;
mod feed;
mod harness;
mod kafka;
mod kills;
mod numbers;
mod pipeline;
mod plan;
mod recount;
mod replay;
mod resume;
mod serve;
mod trace;

//! The product from outside: the binary, with real Kafka and real Flink.

mod cli;
mod harness;
mod kills;
mod pipeline;
mod recount;

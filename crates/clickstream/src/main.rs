//! `clickstream`: real-time clickstream analytics on Kafka and Flink, started by one command.
fn main() {}

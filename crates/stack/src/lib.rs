//! Kafka and Flink as supervised local processes, and the SQL job that runs on them.

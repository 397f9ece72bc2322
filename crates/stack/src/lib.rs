//! Apache Kafka and Apache Flink as local processes that start, heal and stop with us, and the Flink SQL job they run.
//!
//! | module | does |
//! |---|---|
//! | [`stack`] | the whole: start, watch, stop |
//! | [`java`], [`provision`] | finds Java and Maven; fetches the runtimes |
//! | [`layout`], [`lock`], [`ports`] | the data directory, one `up` in it, free ports |
//! | [`memory`], [`class_archive`] | how much memory each JVM gets; the classes it need not load again |
//! | [`supervisor`], [`rotating_log`], [`background`] | one process: started, logged, started again; which of its threads come first |
//! | [`kafka`] | the broker, the topics |
//! | [`flink`] | the cluster, its REST interfaces, its checkpoints |
//! | [`job`] | the SQL, its plan, where it resumes, its life |
//!
//! The SQL itself is in `sql/`, one file per metric.

pub mod background;
pub mod class_archive;
pub mod error;
pub mod flink;
pub mod java;
pub mod job;
pub mod kafka;
pub mod layout;
pub mod lock;
pub mod memory;
pub mod observer;
pub mod ports;
pub mod provision;
pub mod rotating_log;
pub mod stack;
pub mod supervisor;

pub use error::StackError;
pub use stack::{Stack, StackConfig};

//! The log that events go into, as far as the collector knows it.

pub use futures_util::future::BoxFuture;

/// A record for the events topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// What its partition is chosen by; any will do where there is none.
    pub key: Option<String>,
    /// Its value.
    pub value: Vec<u8>,
}

/// Why records are not in the log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IntakeError {
    /// There is no room at the moment; some of them may be in the log.
    #[error("the log takes no more at the moment")]
    Full,
    /// They will not be in the log, or it is not known whether they are.
    #[error("the log did not take them: {0}")]
    Failed(String),
}

/// Takes records. Whoever runs the collector brings one: a Kafka producer, a log in files, a list in a test.
pub trait Intake: Send + Sync {
    /// Appends records, in this order where their keys are the same. Resolves when **all** of them are acknowledged by the log,
    /// so that none is lost any more.
    ///
    /// What is appended first, by the order of the calls, stands first in its partition, whenever the answers are awaited.
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<(), IntakeError>>;
}

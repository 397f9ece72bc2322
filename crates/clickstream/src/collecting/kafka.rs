//! Into Kafka.
//!
//! By the producer that sends the heartbeats, and not by one of its own: after the broker was away, heartbeats of another producer
//! could arrive first, and everything that waited here would be late.

use clickstream_collector::{BoxFuture, Intake, IntakeError, Record};
use clickstream_traffic::Producer;

/// Sends records by this producer.
pub struct Producing(pub Producer);

impl Intake for Producing {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<(), IntakeError>> {
        let answer =
            self.0.append(records.iter().map(|record| (record.key.as_deref(), record.value.as_slice())));
        Box::pin(async move {
            match answer.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "events of the collector were not delivered");
                    // a full queue, or minutes without an acknowledgement: it will be better later
                    Err(IntakeError::Full)
                }
                Err(_) => Err(IntakeError::Failed("the producer has gone away".into())),
            }
        })
    }
}

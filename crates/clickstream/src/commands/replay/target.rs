//! Where events go: into a running Kafka, or into the embedded engine of this process.

use std::time::Duration;

use clickstream_event::Timestamp;
use clickstream_event::event::encode_heartbeat;
use clickstream_traffic::producer::now_us;
use clickstream_traffic::{EventSink, Producer, ProducerError};

use crate::embedded::inlet::Inlet;

/// Takes events.
pub enum Target {
    /// Of this process.
    Embedded(Inlet),
    /// Of others.
    Kafka(Producer),
}

impl Target {
    /// Sends an event; waits while there is no room.
    pub async fn send(&self, key: &str, value: &[u8]) -> Result<(), ProducerError> {
        match self {
            Self::Embedded(inlet) => inlet.send(key, value, now_us(), None).await,
            Self::Kafka(producer) => producer.send(key, value, now_us(), None).await,
        }
    }

    /// Waits until everything sent is in the log.
    pub async fn flush(&self) -> Result<(), ProducerError> {
        const PATIENCE: Duration = Duration::from_secs(60);
        match self {
            Self::Embedded(inlet) => inlet.flush(PATIENCE).await,
            Self::Kafka(producer) => producer.flush(PATIENCE).await,
        }
    }

    /// Sends a heartbeat as of `at` into every partition: those that are silent in the log of the past hold nothing back.
    pub fn beat(&self, site: &str, at: Timestamp) {
        let mut value = Vec::new();
        encode_heartbeat(site, at, &mut value);
        match self {
            Self::Embedded(inlet) => {
                (0..inlet.partitions()).for_each(|partition| inlet.beat(partition, &value, now_us()));
            }
            Self::Kafka(producer) => {
                (0..producer.partitions()).for_each(|partition| producer.beat(partition, &value));
            }
        }
    }

    /// Why events were lost, if any were.
    pub fn lost(&self) -> Option<String> {
        match self {
            Self::Embedded(_) => None,
            Self::Kafka(producer) => match producer.counts().failed {
                0 => None,
                n => Some(format!(
                    "{n} events were not delivered: {}",
                    producer.last_error().unwrap_or_default()
                )),
            },
        }
    }
}

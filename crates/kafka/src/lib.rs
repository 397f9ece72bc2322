//! What all clients of Kafka share: how they are made ([`client`]), and how partitions are asked what they hold ([`offsets`]).

pub mod offsets;
mod zeroed;

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

/// The configuration every client begins with.
///
/// Its library is silent: what goes wrong comes back as errors, and a broker that is away would fill the terminal.
pub fn client(servers: &str) -> ClientConfig {
    zeroed::switch_on();
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", servers)
        // a broker that comes back is noticed at once
        .set("reconnect.backoff.max.ms", "500")
        .set_log_level(RDKafkaLogLevel::Emerg);
    config
}

/// The id of the cluster that answers there: offsets mean something only together with it.
pub fn cluster_id(servers: &str, within: Duration) -> KafkaResult<String> {
    let consumer: BaseConsumer = client(servers).create()?;
    let id = consumer.client().fetch_cluster_id(within);
    id.ok_or(KafkaError::MetadataFetch(RDKafkaErrorCode::OperationTimedOut))
}

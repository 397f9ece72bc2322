//! What all clients of Kafka share: how they are made ([`client`]), and how partitions are asked what they hold ([`offsets`]).

pub mod offsets;
mod zeroed;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

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

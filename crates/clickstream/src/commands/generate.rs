//! `clickstream generate`: sample traffic alone.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clickstream_stack::kafka::{broker, topics};
use clickstream_traffic::{Generator, Producer};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::console::steps::Steps;

use super::interrupted;

/// Sends traffic until it is stopped.
pub async fn run(config: Config) -> Result<ExitCode> {
    let kafka = config
        .stack
        .external_kafka
        .clone()
        .unwrap_or_else(|| format!("127.0.0.1:{}", config.stack.kafka_port));
    let steps = Steps::new(config.json);
    broker::wait_ready(&kafka, Duration::from_secs(5), || None).await?;
    let partitions = topics::ensure(&kafka, config.stack.topics, &steps).await?;
    let producer = Producer::connect(&kafka, partitions)?;
    producer.warm_up(config.generator.sites.first().map_or("", String::as_str)).await?;
    let mut generator = config.generator.clone();
    generator.duration = config.duration;
    steps.line(&format!("sending {} events/s to {kafka}; Ctrl-C stops", generator.rate));
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(Generator::new(generator, producer.clone()).run(shutdown.clone()));
    let stop = async {
        interrupted().await;
        shutdown.cancel();
        std::future::pending::<()>().await;
    };
    let report = async {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let (counts, latency) = (producer.counts(), producer.latency(true));
            if config.json {
                say!(
                    "{}",
                    serde_json::json!({ "type": "stats", "sent": counts.sent, "acknowledged": counts.acknowledged, "failed": counts.failed, "log_latency_p99_ms": latency.p99 })
                );
            } else {
                steps.line(&format!(
                    "{} sent, {} acknowledged, Kafka p99 {:.0} ms",
                    counts.sent, counts.acknowledged, latency.p99
                ));
            }
        }
    };
    let sent = tokio::select! {
        sent = running => sent??,
        () = stop => unreachable!("it waits for the generator"),
        () = report => unreachable!("it reports for ever"),
    };
    let counts = producer.counts();
    steps.line(&format!("{sent} records sent, {} acknowledged by Kafka", counts.acknowledged));
    if counts.failed > 0 {
        bail!("{} events were not delivered: {}", counts.failed, producer.last_error().unwrap_or_default());
    }
    Ok(ExitCode::SUCCESS)
}

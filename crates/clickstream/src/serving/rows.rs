//! Brings rows to the store.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use clickstream_event::topic;
use clickstream_serve::{Feed, Position, Store};
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::logs::embedded::EmbeddedLog;
use crate::logs::{Bounds, Log};

/// Of rows that an earlier run did not read, so many per partition are read: the store forgets older ones anyway.
const MISSED: i64 = 200_000;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Pause after Kafka did not answer.
const RETRY: Duration = Duration::from_millis(500);

fn topics() -> impl Iterator<Item = &'static str> {
    topic::RESULTS.into_iter().chain([topic::DEAD_LETTERS])
}

/// The first offset to read of what a partition holds.
fn start(positions: &HashMap<(String, i32), i64>, topic: &str, partition: i32, low: i64, high: i64) -> i64 {
    match positions.get(&(topic.to_owned(), partition)) {
        // beyond the end: the topic was made anew
        Some(next) if *next <= high => (*next).max(low).max(high - MISSED),
        _ => low.max(high - MISSED),
    }
}

fn positions(store: &Store) -> HashMap<(String, i32), i64> {
    let read = store.positions().unwrap_or_default();
    read.into_iter().map(|Position { topic, partition, next }| ((topic, partition), next)).collect()
}

/// Reads the result topics of a Kafka until `shutdown`.
pub async fn of_kafka(kafka: &str, store: &Store, feed: &Feed, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        match read_kafka(kafka, store, feed, shutdown).await {
            Ok(()) => return,
            Err(error) => tracing::info!(%error, "results cannot be read for the dashboard at the moment"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn read_kafka(
    kafka: &str,
    store: &Store,
    feed: &Feed,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", "clickstream-serve")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.wait.max.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set("auto.offset.reset", "earliest")
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
        .create()?;
    let known = positions(store);
    let consumer = tokio::task::spawn_blocking(move || -> anyhow::Result<StreamConsumer> {
        let mut assignment = TopicPartitionList::new();
        for name in topics() {
            let metadata = consumer.fetch_metadata(Some(name), Duration::from_secs(10))?;
            for partition in metadata.topics().iter().flat_map(|t| t.partitions()) {
                let (low, high) = consumer.fetch_watermarks(name, partition.id(), Duration::from_secs(10))?;
                let from = start(&known, name, partition.id(), low, high);
                assignment.add_partition_offset(name, partition.id(), Offset::Offset(from))?;
            }
        }
        consumer.assign(&assignment)?;
        Ok(consumer)
    })
    .await??;
    loop {
        let message = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            message = consumer.recv() => message,
        };
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "result topics cannot be read at the moment");
                continue;
            }
        };
        if let Some(payload) = message.payload() {
            let position = Some((message.partition(), message.offset()));
            if feed.row(message.topic(), position, payload.to_vec()).await.is_err() {
                return Ok(());
            }
        }
    }
}

/// Reads the result topics in files until `shutdown`.
pub fn of_files(dir: &Path, store: &Store, feed: &Feed, shutdown: &CancellationToken) {
    let log = EmbeddedLog::new(dir);
    let known = positions(store);
    let mut read: HashMap<&'static str, Vec<i64>> = HashMap::new();
    while !shutdown.is_cancelled() {
        for name in topics() {
            let Ok(bounds) = log.bounds(name) else { continue };
            let from = read.entry(name).or_insert_with(|| {
                let starts = bounds.0.iter().enumerate();
                starts.map(|(n, (low, high))| start(&known, name, n as i32, *low, *high)).collect()
            });
            let part = from.iter().zip(&bounds.0).map(|(from, (low, high))| ((*from).max(*low), *high));
            let part = Bounds(part.collect());
            if part.len() == 0 {
                continue;
            }
            let outcome = log.read(name, &part, &mut |record| {
                if let Some(value) = record.value {
                    feed.row_blocking(name, Some((record.partition, record.offset)), value.to_vec())?;
                }
                Ok(())
            });
            match outcome {
                Ok(()) => *from = part.0.iter().map(|(_, high)| *high).collect(),
                Err(error) if error.is::<clickstream_serve::Stopped>() => return,
                Err(error) => {
                    tracing::debug!(%error, "results cannot be read for the dashboard at the moment")
                }
            }
        }
        std::thread::sleep(LOOK);
    }
}

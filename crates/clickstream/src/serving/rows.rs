//! Brings rows to the store.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use clickstream_event::topic;
use clickstream_serve::{Feed, Position, Store};
use rdkafka::message::Message;
use tokio_util::sync::CancellationToken;

use crate::logs::embedded::EmbeddedLog;
use crate::logs::{Bounds, Log};
use crate::results::{next, open_topics};

/// Of rows that an earlier run did not read, so many per partition are read: the store forgets older ones anyway.
const MISSED: i64 = 200_000;
/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Pause after Kafka did not answer.
const RETRY: Duration = Duration::from_millis(500);

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
    loop {
        let known = positions(store);
        let from = move |topic: &str, partition, (low, high)| start(&known, topic, partition, low, high);
        let topics = open_topics(kafka, "clickstream-serve", from).await?;
        let appeared = topics.appeared(kafka);
        tokio::pin!(appeared);
        loop {
            let message = tokio::select! {
                message = next(&topics.consumer, shutdown) => message,
                // all are opened anew; a row that is read twice is the same row
                _ = &mut appeared => break,
            };
            let Some(message) = message else { return Ok(()) };
            if let Some(payload) = message.payload() {
                let position = Some((message.partition(), message.offset()));
                if feed.row(message.topic(), position, payload).await.is_err() {
                    return Ok(());
                }
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
        for name in topic::written() {
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
                    feed.row_blocking(name, Some((record.partition, record.offset)), value)?;
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

//! Where the job takes up the log again.
//!
//! From the newest checkpoint, if the job is the same and its state has not expired meanwhile. Otherwise from the log:
//! let `T0` be the start of the first window to be written. Every event in that window and all later ones has event time
//! ≥ `T0`, and as event time is never later than arrival, it stands at or after the first record that arrived at `T0`. Reading
//! from there,
//! - lateness is decided as before: what makes such an event late has an even later event time, so it is read too;
//! - duplicates are found as before: copies of an event have its event time;
//! - an event whose user was last seen before `T0` counts as that user's first, as it is in every window from `T0` on.
//!
//! So the rows of all windows that start at `T0` or later are the very rows an undisturbed job would have written.

use std::time::{Duration, Instant};

use clickstream_event::{Timestamp, Windows, topic};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Deserialize;

use crate::error::{Result, StackError};
use crate::job::template::Start;

/// How long state outlives the window (or the dedup horizon): time enough to notice a failure, restart, and catch up.
pub const SLACK: Duration = Duration::from_secs(60);
/// A checkpoint older than this is not resumed from: part of [`SLACK`] is needed to start and catch up.
pub const MAX_CHECKPOINT_AGE: Duration = Duration::from_secs(40);

#[derive(Deserialize)]
struct WindowEnd {
    window_end: Timestamp,
}

/// Where a job without usable checkpoint begins: after the last window in the result topic, or as far back as the log goes.
pub fn replay_start(kafka: &str, windows: Windows) -> Result<Start> {
    let fail = |why: String| StackError::NotReachable { what: "Kafka", address: kafka.into(), why };
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", "clickstream-resume")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .map_err(|e| fail(e.to_string()))?;
    // of topics that were just created, or a broker that just came back, leaders are not known at once
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match last_window_end(&consumer).and_then(|written| Ok((written, log_start(&consumer)?))) {
            Ok((written, whole_from)) => return Ok(decide(windows, written, whole_from)),
            Err(error) if Instant::now() > deadline => return Err(fail(error.to_string())),
            Err(error) => {
                tracing::debug!(%error, "the log cannot be looked at yet");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// The decision itself: `written` is the end of the last window written, `whole_from` the time from which on the log is
/// whole where its head is gone.
pub fn decide(windows: Windows, written: Option<Timestamp>, whole_from: Option<Timestamp>) -> Start {
    let after_written =
        written.map(|end| windows.first_start_at(Timestamp(end.0 - windows.size_ms() - REWRITTEN_MS)));
    let after_cut = whole_from.map(|at| windows.first_start_at(at));
    match after_written.max(after_cut) {
        Some(start) => Start::At(start.0),
        None => Start::Earliest,
    }
}

/// Windows that ended this long before the last one are written again: of these a crash may have kept some rows back.
const REWRITTEN_MS: i64 = 20_000;

const PATIENCE: Duration = Duration::from_secs(10);

fn last_window_end(consumer: &BaseConsumer) -> Result<Option<Timestamp>, rdkafka::error::KafkaError> {
    let mut newest = None;
    for (partition, low, high) in partitions(consumer, topic::SITE_METRICS)? {
        // the last records of the partition: the newest window is among them unless there are very many sites
        let from = (high - 64).max(low);
        for payload in read(consumer, topic::SITE_METRICS, partition, from, high)?
            .iter()
            .filter_map(|(_, p)| p.as_deref())
        {
            if let Ok(WindowEnd { window_end }) = serde_json::from_slice(payload) {
                newest = newest.max(Some(window_end));
            }
        }
    }
    Ok(newest)
}

/// The latest arrival among the first records of partitions whose head retention has cut, if there are any.
fn log_start(consumer: &BaseConsumer) -> Result<Option<Timestamp>, rdkafka::error::KafkaError> {
    let mut start = None;
    for (partition, low, high) in partitions(consumer, topic::EVENTS)? {
        if low > 0 && high > low {
            for (arrival, _) in read(consumer, topic::EVENTS, partition, low, low + 1)? {
                start = start.max(Some(arrival));
            }
        }
    }
    Ok(start)
}

fn partitions(
    consumer: &BaseConsumer,
    topic: &str,
) -> Result<Vec<(i32, i64, i64)>, rdkafka::error::KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
    let ids: Vec<i32> =
        metadata.topics().iter().flat_map(|t| t.partitions().iter().map(|p| p.id())).collect();
    ids.into_iter()
        .map(|id| consumer.fetch_watermarks(topic, id, PATIENCE).map(|(low, high)| (id, low, high)))
        .collect()
}

type Arrived = (Timestamp, Option<Vec<u8>>);

fn read(
    consumer: &BaseConsumer,
    topic: &str,
    partition: i32,
    from: i64,
    to: i64,
) -> Result<Vec<Arrived>, rdkafka::error::KafkaError> {
    let mut records = Vec::new();
    if from >= to {
        return Ok(records);
    }
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(from))?;
    consumer.assign(&assignment)?;
    while let Some(message) = consumer.poll(PATIENCE) {
        match message {
            Ok(message) => {
                let arrival = Timestamp(message.timestamp().to_millis().unwrap_or(0));
                records.push((arrival, message.payload().map(<[u8]>::to_vec)));
                if message.offset() + 1 >= to {
                    break;
                }
            }
            Err(rdkafka::error::KafkaError::PartitionEOF(_)) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn begins_after_what_was_written_and_after_what_was_cut() {
        let windows = Windows::new(30_000, 10_000).unwrap();
        assert_eq!(decide(windows, None, None), Start::Earliest);
        // windows that end after 80 s are written, some of them again
        assert_eq!(decide(windows, Some(Timestamp(100_000)), None), Start::At(50_000));
        assert_eq!(decide(windows, Some(Timestamp(100_000)), Some(Timestamp(95_001))), Start::At(100_000));
        assert_eq!(decide(windows, None, Some(Timestamp(95_001))), Start::At(100_000));
        // a window that was changed: 45 s is no multiple of its slide
        let windows = Windows::new(40_000, 20_000).unwrap();
        assert_eq!(decide(windows, Some(Timestamp(105_000)), None), Start::At(60_000));
    }
}

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
//! So the rows of all windows that start at `T0` or later are the very rows an undisturbed job would have written, as far as they
//! depend on the window's events alone. Some depend on what was before, so reading begins earlier, at `T1`:
//! - whether a user is a labelled bot at `T0` was decided by flags within a window before, each of which looked back a
//!   window (or the few seconds of the fast rules) in its turn;
//! - a minute with an unusual user may have begun a minute before `T0`, and a purchase looks back a window;
//! - a slide is compared with those before it;
//! - a session that closes after `T0` may have begun long before. Reading begins [`SESSION_GAPS`] session gaps early. What began less
//!   than a gap after `T1` may have begun before it, so it is left out: of sessions that last longer than all that, rows are
//!   missing after a replay. (No time is early enough for every session; a checkpoint has them all.)
//!
//! Where retention has cut the log, what was before the cut does not exist: neither for the job nor for whoever recounts.

use std::time::{Duration, Instant};

use clickstream_event::{Timestamp, Windows, detection, topic};
use clickstream_kafka::offsets;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use crate::error::{Result, StackError};
use crate::job::template::{JobParameters, Replay, Start};

/// How long state outlives the window (or the dedup horizon): time enough to notice a failure, restart, and catch up.
pub const SLACK: Duration = Duration::from_secs(60);
/// A checkpoint older than this is not resumed from: part of [`SLACK`] is needed to start and catch up.
pub const MAX_CHECKPOINT_AGE: Duration = Duration::from_secs(40);

#[derive(Deserialize)]
struct WindowEnd {
    window_end: Timestamp,
}

/// Where a job without usable checkpoint begins: after the last window in the result topic, or as far back as the log goes.
pub fn replay_start(parameters: &JobParameters) -> Result<Start> {
    let JobParameters { kafka, windows, session_gap_ms, .. } = parameters;
    let fail = |why: String| StackError::NotReachable { what: "Kafka", address: kafka.clone(), why };
    let consumer: BaseConsumer = clickstream_kafka::client(kafka)
        .set("group.id", "clickstream-resume")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .map_err(|e| fail(e.to_string()))?;
    // of topics that were just created, or a broker that just came back, leaders are not known at once
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match last_window_end(&consumer).and_then(|written| Ok((written, log_start(&consumer)?))) {
            Ok((written, whole_from)) => return Ok(decide(*windows, *session_gap_ms, written, whole_from)),
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
pub fn decide(
    windows: Windows,
    session_gap_ms: i64,
    written: Option<Timestamp>,
    whole_from: Option<Timestamp>,
) -> Start {
    let after_written =
        written.map(|end| windows.first_start_at(Timestamp(end.0 - windows.size_ms() - REWRITTEN_MS)));
    let after_cut = whole_from.map(|at| windows.first_start_at(at));
    let Some(Timestamp(emit_from)) = after_written.max(after_cut) else { return Start::Earliest };
    let read_from = (emit_from - looked_back_ms(windows, session_gap_ms)).max(0);
    let known_from = whole_from.map_or(read_from, |at| at.0.max(read_from));
    Start::At(Replay { read_from, emit_from, sessions_from: known_from + session_gap_ms })
}

/// How long before the first window to be written reading begins.
fn looked_back_ms(windows: Windows, session_gap_ms: i64) -> i64 {
    let window_ms = windows.size_ms();
    let labels = window_ms + window_ms.max(detection::FAST_MS).max(detection::REPEATED_MS);
    let minutes = detection::UNUSUAL_MS + window_ms;
    let baseline = (i64::from(detection::BASELINE_SLIDES) + 1) * windows.slide_ms();
    let sessions = (SESSION_GAPS * session_gap_ms).min(LONGEST_SESSION_MS.max(2 * session_gap_ms));
    labels.max(minutes).max(baseline).max(sessions)
}

/// Reading begins so many session gaps before the first window to be written, for sessions that go on …
const SESSION_GAPS: i64 = 10;
/// … but, unless two gaps are longer, not more than an hour: a replay must come to its end.
const LONGEST_SESSION_MS: i64 = 3_600_000;

/// Windows that ended this long before the last one are written again: of these a crash may have kept some rows back.
const REWRITTEN_MS: i64 = 20_000;

const PATIENCE: Duration = Duration::from_secs(10);

fn last_window_end(consumer: &BaseConsumer) -> Result<Option<Timestamp>, rdkafka::error::KafkaError> {
    let mut newest = None;
    for (partition, low, high) in offsets::held(consumer, topic::SITE_METRICS, PATIENCE)? {
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
    for (partition, low, high) in offsets::held(consumer, topic::EVENTS, PATIENCE)? {
        if low > 0 && high > low {
            for (arrival, _) in read(consumer, topic::EVENTS, partition, low, low + 1)? {
                start = start.max(Some(arrival));
            }
        }
    }
    Ok(start)
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
        let gap = 5_000;
        let decide = |windows, written: Option<i64>, cut: Option<i64>| {
            super::decide(windows, gap, written.map(Timestamp), cut.map(Timestamp))
        };
        let replay = |emit_from: i64, back: i64| {
            let read_from = emit_from - back;
            Start::At(Replay { read_from, emit_from, sessions_from: read_from + gap })
        };
        // the baseline of 30 slides looks back farthest
        let back = 310_000;
        assert_eq!(decide(windows, None, None), Start::Earliest);
        // windows that end after 980 s are written, some of them again
        assert_eq!(decide(windows, Some(1_000_000), None), replay(950_000, back));
        // nothing is known before the cut
        let cut = Replay { read_from: 690_000, emit_from: 1_000_000, sessions_from: 995_001 + gap };
        assert_eq!(decide(windows, Some(1_000_000), Some(995_001)), Start::At(cut));
        assert_eq!(decide(windows, None, Some(995_001)), Start::At(cut));
        // a window that was changed: 945 s is no multiple of its slide
        let windows = Windows::new(40_000, 20_000).unwrap();
        assert_eq!(decide(windows, Some(1_005_000), None), replay(960_000, 620_000));
        // long sessions
        assert_eq!(looked_back_ms(windows, 90_000), 900_000);
        assert_eq!(looked_back_ms(windows, 1_800_000), 3_600_000);
    }
}

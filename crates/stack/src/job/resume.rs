//! Where the job takes up the log again.
//!
//! From the newest checkpoint, if the job is the same and the outage was short enough to keep its state as much longer ([`super::pace`]).
//! Otherwise from the log:
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
//! - a session that closes after `T0` may have begun long before: the log is asked for the oldest that is open at `T0`
//!   ([`super::open_sessions`]), and reading begins no later than that.
//!
//! A replay must come to its end, so reading begins at most [`LONGEST_SESSION_MS`] (or two session gaps) before `T0`. Where a session goes
//! back beyond that, all that began less than a gap after `T1` are left out, for they may have begun before it: after a replay, rows are
//! missing of what sessions of more than an hour did. A checkpoint has them all.
//!
//! Where retention has cut the log, what was before the cut does not exist: neither for the job nor for whoever recounts.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use clickstream_event::{Rules, Timestamp, Windows, detection, topic};
use clickstream_kafka::offsets;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;

use crate::error::{Result, StackError};
use crate::job::open_sessions;
use crate::job::template::{JobParameters, Replay, Start};

/// How long state outlives the window (or the dedup horizon), as a rule: time enough to notice a failure, restart, and catch up.
pub const SLACK: Duration = Duration::from_secs(60);

/// Kafka gives a record, or says that there is none, within this time.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Deserialize)]
struct WindowEnd {
    window_end: Timestamp,
}

/// Where a job without usable checkpoint begins: after the last window in the result topic, or as far back as the log goes. What was
/// written for windows that ended after `sound_until` may be wrong, and is written again.
pub fn replay_start(parameters: &JobParameters, sound_until: Option<Timestamp>) -> Result<Start> {
    let JobParameters { kafka, windows, session_gap_ms, max_future_ms, .. } = parameters;
    let fail = |why: String| StackError::NotReachable { what: "Kafka", address: kafka.clone(), why };
    let consumer: BaseConsumer = clickstream_kafka::client(kafka)
        .set("group.id", "clickstream-resume")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        // a record that retention has just taken is an error, not a reason to go on somewhere else
        .set("auto.offset.reset", "error")
        .create()
        .map_err(|e| fail(e.to_string()))?;
    // of topics that were just created, or a broker that just came back, leaders are not known at once
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let found = || -> KafkaResult<Start> {
            let (written, whole_from) = (last_window_end(&consumer)?, log_start(&consumer)?);
            let written = written.map(|end| sound_until.map_or(end, |sound| end.min(sound)));
            let Some(emit_from) = emit_from(*windows, written, whole_from) else {
                return Ok(Start::Earliest);
            };
            let floor = emit_from - LONGEST_SESSION_MS.max(2 * session_gap_ms);
            let rules = Rules { max_future_ms: *max_future_ms };
            let oldest = open_sessions::oldest(&consumer, rules, *session_gap_ms, emit_from, floor)?;
            let sessions = OpenSessions { oldest, floor };
            Ok(Start::At(decide(*windows, *session_gap_ms, emit_from, whole_from, sessions)))
        };
        match found() {
            Ok(start) => return Ok(start),
            Err(error) if Instant::now() > deadline => return Err(fail(error.to_string())),
            Err(error) => {
                tracing::debug!(%error, "the log cannot be looked at yet");
                std::thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// The start of the first window to be written: `written` is the end of the last window written, `whole_from` the time from which on
/// the log is whole where its head is gone. Nothing, if all are to be.
fn emit_from(windows: Windows, written: Option<Timestamp>, whole_from: Option<Timestamp>) -> Option<i64> {
    let after_written =
        written.map(|end| windows.first_start_at(Timestamp(end.0 - windows.size_ms() - REWRITTEN_MS)));
    let after_cut = whole_from.map(|at| windows.first_start_at(at));
    after_written.max(after_cut).map(|start| start.0)
}

/// What the log says of sessions that are open when the first window to be written begins.
#[derive(Clone, Copy)]
struct OpenSessions {
    /// Where the oldest begins …
    oldest: i64,
    /// … unless that is here: then some may have begun earlier.
    floor: i64,
}

/// Where to begin, if windows are written that start at `emit_from` or later.
fn decide(
    windows: Windows,
    session_gap_ms: i64,
    emit_from: i64,
    whole_from: Option<Timestamp>,
    sessions: OpenSessions,
) -> Replay {
    let read_from = (emit_from - looked_back_ms(windows)).min(sessions.oldest.max(sessions.floor)).max(0);
    // a session whose beginning cannot be read is left out
    let cut = whole_from.map(|at| at.0).filter(|at| *at > read_from);
    let too_old = (sessions.oldest <= sessions.floor).then_some(read_from);
    let sessions_from = cut.max(too_old).map_or(read_from, |from| from + session_gap_ms);
    Replay { read_from, emit_from, sessions_from }
}

/// How long before the first window to be written reading begins, whatever sessions are open.
fn looked_back_ms(windows: Windows) -> i64 {
    let window_ms = windows.size_ms();
    let labels = window_ms + window_ms.max(detection::FAST_MS).max(detection::REPEATED_MS);
    let minutes = detection::UNUSUAL_MS + window_ms;
    let baseline = (i64::from(detection::BASELINE_SLIDES) + 1) * windows.slide_ms();
    labels.max(minutes).max(baseline)
}

/// Sessions are followed back no longer than this, unless two gaps are longer: a replay must come to its end.
const LONGEST_SESSION_MS: i64 = 3_600_000;

/// Windows that ended this long before the last one are written again: of these a crash may have kept some rows back.
const REWRITTEN_MS: i64 = 20_000;

fn last_window_end(consumer: &BaseConsumer) -> KafkaResult<Option<Timestamp>> {
    let held = offsets::held(consumer, topic::SITE_METRICS, PATIENCE)?;
    // the last records of each partition: the newest window is among them unless there are very many sites
    let tails = held.into_iter().map(|(partition, low, high)| (partition, (high - 64).max(low), high));
    let mut newest = None;
    read(consumer, topic::SITE_METRICS, tails, |_, row| {
        if let Ok(WindowEnd { window_end }) = serde_json::from_slice(row) {
            newest = newest.max(Some(window_end));
        }
    })?;
    Ok(newest)
}

/// The latest arrival among the first records of partitions whose head retention has cut, if there are any.
fn log_start(consumer: &BaseConsumer) -> KafkaResult<Option<Timestamp>> {
    let held = offsets::held(consumer, topic::EVENTS, PATIENCE)?;
    let heads = held.into_iter().filter(|(_, low, high)| *low > 0 && high > low);
    let mut start = None;
    read(
        consumer,
        topic::EVENTS,
        heads.map(|(partition, low, _)| (partition, low, low + 1)),
        |arrival, _| {
            start = start.max(Some(arrival));
        },
    )?;
    Ok(start)
}

/// Reads parts of partitions, each from one offset until another: for every record its arrival and its value.
pub(super) fn read(
    consumer: &BaseConsumer,
    topic: &str,
    parts: impl IntoIterator<Item = (i32, i64, i64)>,
    mut take: impl FnMut(Timestamp, &[u8]),
) -> KafkaResult<()> {
    let mut assignment = TopicPartitionList::new();
    let mut left = HashMap::new();
    for (partition, from, to) in parts.into_iter().filter(|(_, from, to)| from < to) {
        assignment.add_partition_offset(topic, partition, Offset::Offset(from))?;
        left.insert(partition, to);
    }
    consumer.assign(&assignment)?;
    while !left.is_empty() {
        match consumer.poll(PATIENCE) {
            None => return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut)),
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                left.remove(&partition);
            }
            Some(Err(error)) => return Err(error),
            Some(Ok(message)) => {
                let Some(to) = left.get(&message.partition()).copied() else { continue };
                if message.offset() < to {
                    let arrival = Timestamp(message.timestamp().to_millis().unwrap_or(0));
                    take(arrival, message.payload().unwrap_or_default());
                }
                if message.offset() + 1 >= to {
                    left.remove(&message.partition());
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: i64 = 5_000;

    fn start(
        windows: Windows,
        written: Option<i64>,
        cut: Option<i64>,
        oldest: Option<i64>,
    ) -> Option<Replay> {
        let cut = cut.map(Timestamp);
        let emit_from = emit_from(windows, written.map(Timestamp), cut)?;
        let floor = emit_from - LONGEST_SESSION_MS;
        let sessions = OpenSessions { oldest: oldest.unwrap_or(emit_from), floor };
        Some(decide(windows, GAP, emit_from, cut, sessions))
    }

    #[test]
    fn begins_after_what_was_written_and_after_what_was_cut() {
        let windows = Windows::new(30_000, 10_000).unwrap();
        assert_eq!(start(windows, None, None, None), None);
        // windows that end after 980 s are written, some of them again; the baseline of 30 slides looks back farthest
        let replay = Replay { read_from: 640_000, emit_from: 950_000, sessions_from: 640_000 };
        assert_eq!(start(windows, Some(1_000_000), None, None), Some(replay));
        // nothing is known before the cut
        let cut = Replay { read_from: 690_000, emit_from: 1_000_000, sessions_from: 995_001 + GAP };
        assert_eq!(start(windows, Some(1_000_000), Some(995_001), None), Some(cut));
        assert_eq!(start(windows, None, Some(995_001), None), Some(cut));
        // a cut that lies before what is read takes nothing away
        assert_eq!(start(windows, Some(1_000_000), Some(5_000), None), Some(replay));
        // a window that was changed: 945 s is no multiple of its slide
        let windows = Windows::new(40_000, 20_000).unwrap();
        let changed = Replay { read_from: 340_000, emit_from: 960_000, sessions_from: 340_000 };
        assert_eq!(start(windows, Some(1_005_000), None, None), Some(changed));
    }

    #[test]
    fn begins_with_the_oldest_session_that_is_open() {
        let windows = Windows::new(30_000, 10_000).unwrap();
        let end = 100_000_000;
        let emit_from = end - 50_000;
        // younger than what is read anyway
        let young = start(windows, Some(end), None, Some(emit_from - 200_000)).unwrap();
        assert_eq!((young.read_from, young.sessions_from), (emit_from - 310_000, emit_from - 310_000));
        let old = start(windows, Some(end), None, Some(emit_from - 3_000_000)).unwrap();
        assert_eq!((old.read_from, old.sessions_from), (emit_from - 3_000_000, emit_from - 3_000_000));
        // as old as is looked back, or older
        let floor = emit_from - LONGEST_SESSION_MS;
        let too_old = start(windows, Some(end), None, Some(floor - 7)).unwrap();
        assert_eq!((too_old.read_from, too_old.sessions_from), (floor, floor + GAP));
    }
}

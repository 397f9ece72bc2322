//! Where the log is read again after a stop of any kind.
//!
//! There is no state to restore: results are a function of the log, and the log is there. Let `end` be the end of the last
//! window that was written. The next window begins one slide after that one did, and what its rows look back to is known
//! ([`crate::proof::whole`]): two windows for labelled bots, a baseline for traffic, the beginning of every session that was open.
//! As event time is never later than arrival, all of it stands at or after the first record that arrived then. So that part of
//! the log is read again, and goes on where the results end. What is late, and what is a copy, is decided as before;
//! `clickstream_stack::job::resume` has the proof in full, for Flink's job.

use std::path::Path;

use anyhow::Result;
use clickstream_engine::Config;
use clickstream_event::{Timestamp, topic};
use clickstream_log::{LogError, Reader, bounds};

use super::results::{PROGRESS, Progress};
use crate::proof::whole::Whole;

/// Rows of each topic that are read at a start.
const CHECKED: u64 = 100_000;

/// The newest progress in a results log; none if there is no such log yet.
pub fn last_progress(dir: &Path) -> Result<Progress> {
    if !dir.join(PROGRESS).is_dir() {
        return Ok(Progress::default());
    }
    let range = bounds(dir, PROGRESS, 0)?;
    if range.is_empty() {
        return Ok(Progress::default());
    }
    let mut reader = Reader::open(dir, PROGRESS, 0, range.end - 1)?;
    let progress = reader.next()?.and_then(|record| serde_json::from_slice(record.value?).ok());
    Ok(progress.unwrap_or_default())
}

/// Rows that were written are gone.
#[derive(Debug, thiserror::Error)]
#[error("{topic} ends at offset {end}, and was written up to {written}")]
struct Lost {
    topic: &'static str,
    end: u64,
    written: u64,
}

/// Looks for damage, before more is written behind it: reads the newest rows of every result topic, and asks whether all are there
/// that were written before `last` was.
///
/// The kernel writes files in any order, so a power cut may leave the newest progress and take rows of before.
pub fn check(dir: &Path, last: &Progress) -> Result<()> {
    for topic in topic::written() {
        let range = bounds(dir, topic, 0)?;
        let written = last.ends.get(topic).copied().unwrap_or(0);
        if range.end < written {
            return Err(Lost { topic, end: range.end, written }.into());
        }
        let mut reader = Reader::open(dir, topic, 0, range.end.saturating_sub(CHECKED).max(range.start))?;
        while reader.next()?.is_some() {}
    }
    Ok(())
}

/// Whether results failed to open because they are damaged, so that they have to be computed again.
pub fn is_damage(error: &anyhow::Error) -> bool {
    error.is::<Lost>() || matches!(error.downcast_ref(), Some(LogError::Corrupt { .. }))
}

/// Where each partition of the events is read from, and from when on all events are known there (`None`: all are).
pub fn start(
    dir: &Path,
    partitions: u32,
    config: &Config,
    progress: &Progress,
) -> Result<(Vec<u64>, Option<Timestamp>)> {
    let Config { windows, session_gap_ms, .. } = *config;
    let from = progress.window_end.map(|end| {
        let rows = end.0 - windows.size_ms() - Whole::reach_ms(windows, session_gap_ms);
        let sessions = progress.oldest_session.map_or(i64::MAX, |first| first.0 - session_gap_ms);
        windows.first_start_at(Timestamp(rows.min(sessions) - windows.slide_ms()))
    });
    let mut offsets = Vec::new();
    let mut whole_from = None;
    for partition in 0..partitions {
        let range = bounds(dir, topic::EVENTS, partition)?;
        let mut reader = Reader::open(dir, topic::EVENTS, partition, range.start)?;
        if range.start > 0
            && let Some(first) = reader.next()?
        {
            // retention has cut the head
            whole_from = whole_from.max(Some(Timestamp(first.arrival_ms)));
        }
        let offset = match from {
            Some(from) => reader.seek_arrival(from.0)?,
            None => range.start,
        };
        if offset > range.start {
            whole_from = whole_from.max(from);
        }
        offsets.push(offset);
    }
    Ok((offsets, whole_from))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::path::PathBuf;
    use std::time::Duration;

    use clickstream_event::Windows;
    use clickstream_log::{Log, Options, Record};
    use clickstream_traffic::{Traffic, TrafficConfig};
    use tokio::sync::mpsc;

    use super::*;
    use crate::embedded::pipeline::{Pipeline, Settings, events_dir, results_dir};

    const SECONDS: usize = 20;
    const RATE: usize = 100;

    fn write_events(dir: &Path) {
        let log = Log::open(events_dir(dir), Options::default()).unwrap();
        let mut events = log.topic(topic::EVENTS, 1).unwrap();
        let start = Timestamp(1_795_583_043_000);
        let sites = vec!["shop".into()];
        let traffic = TrafficConfig {
            seed: 1,
            rate: RATE as f64,
            start,
            sites,
            bots: 0.2,
            unusual: 0.0,
            spikes: false,
        };
        let mut arrival_ms = start.0;
        for timed in Traffic::new(traffic).take(SECONDS * RATE) {
            let mut value = Vec::new();
            timed.event.encode(&mut value);
            arrival_ms = arrival_ms.max(timed.event.timestamp.0);
            events.append(0, &Record { arrival_ms, value: Some(&value), ..Record::default() }).unwrap();
        }
        events.append(0, &Record { arrival_ms, value: Some(b"no event"), ..Record::default() }).unwrap();
        events.commit().unwrap();
    }

    fn start_and_stop(dir: &Path) {
        let settings = Settings {
            dir: dir.to_owned(),
            partitions: 1,
            engine: Config { session_gap_ms: 2_000, ..Config::new(Windows::new(5_000, 1_000).unwrap()) },
            site: "shop".into(),
            retention: Duration::from_secs(3_600),
            heartbeats: false,
        };
        Pipeline::start(settings, mpsc::channel(1).0).unwrap().stop().unwrap();
    }

    type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

    /// Keys and values in every topic, as the last version has them.
    fn rows(dir: &Path) -> Vec<(&'static str, Rows)> {
        let of = |name| {
            let mut reader = Reader::open(results_dir(dir), name, 0, 0).unwrap();
            let mut rows = Rows::new();
            while let Some(record) = reader.next().unwrap() {
                rows.insert(record.key.unwrap_or_default().to_vec(), record.value.unwrap().to_vec());
            }
            rows
        };
        topic::written().map(|name| (name, of(name))).collect()
    }

    fn segment(dir: &Path, topic: &str) -> PathBuf {
        results_dir(dir).join(topic).join("0/00000000000000000000.log")
    }

    /// Cuts a topic's file to a length, of the one it has.
    fn cut(dir: &Path, topic: &str, length: impl Fn(u64) -> u64) {
        let file = File::options().write(true).open(segment(dir, topic)).unwrap();
        file.set_len(length(file.metadata().unwrap().len())).unwrap();
    }

    #[test]
    fn rows_that_a_power_cut_took_are_written_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write_events(dir);
        start_and_stop(dir);
        let written = rows(dir);
        let filled = |name: &str| written.iter().any(|(topic, rows)| *topic == name && !rows.is_empty());
        for name in [topic::PAGE_METRICS, topic::SESSIONS, topic::ANOMALIES, topic::DEAD_LETTERS] {
            assert!(filled(name), "{name} is a case");
        }
        for (n, name) in topic::written().enumerate().filter(|(_, name)| filled(name)) {
            // a file ends within a frame, or cleanly
            cut(dir, name, |length| if n % 2 == 0 { length - 1 } else { 0 });
            assert!(rows(dir) != written, "{name}");
            start_and_stop(dir);
            assert!(rows(dir) == written, "{name}");
        }
        let last = || bounds(results_dir(dir), PROGRESS, 0).unwrap().end;
        let before = last();
        start_and_stop(dir);
        assert_eq!(last(), before, "what is whole is not computed again");
        cut(dir, PROGRESS, |length| length - 1);
        start_and_stop(dir);
        assert!(rows(dir) == written, "rows may be newer than what is known of them");
    }

    #[test]
    fn a_progress_without_ends_is_that_of_a_former_version() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        write_events(dir);
        start_and_stop(dir);
        let last = last_progress(&results_dir(dir)).unwrap();
        assert!(last.window_end.is_some() && last.ends[topic::PAGE_METRICS] > 0);
        let mut old = serde_json::to_value(&last).unwrap();
        old.as_object_mut().unwrap().remove("ends");
        let value = old.to_string();
        {
            let log = Log::open(results_dir(dir), Options::default()).unwrap();
            let mut progress = log.topic(PROGRESS, 1).unwrap();
            progress.append(0, &Record { value: Some(value.as_bytes()), ..Record::default() }).unwrap();
            progress.commit().unwrap();
        }
        let read = last_progress(&results_dir(dir)).unwrap();
        assert_eq!(read, Progress { ends: BTreeMap::new(), ..last });
        let written = rows(dir);
        start_and_stop(dir);
        assert!(rows(dir) == written);
        assert_eq!(last_progress(&results_dir(dir)).unwrap(), read, "nothing was computed again");
    }
}

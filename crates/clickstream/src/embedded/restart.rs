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
use clickstream_log::{Reader, bounds};

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

/// Reads the newest rows of every result topic, so that damage is found before more is written behind it.
pub fn check(dir: &Path) -> Result<()> {
    for name in topic::written() {
        let range = bounds(dir, name, 0)?;
        let mut reader = Reader::open(dir, name, 0, range.end.saturating_sub(CHECKED).max(range.start))?;
        while reader.next()?.is_some() {}
    }
    Ok(())
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

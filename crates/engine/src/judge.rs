//! What becomes of each record: heartbeat, counted, duplicate, late or rejected. Decided by the log alone.

use std::fmt;

use clickstream_event::rows::DeadLetter;
use clickstream_event::{Reason, Rejection, Timestamp};
use serde::{Deserialize, Serialize};

use crate::engine::Config;
use crate::prepared::Prepared;
use crate::recent::Recent;

/// What became of a record. Every record is exactly one of these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Moved event time, counts nowhere.
    Heartbeat,
    /// Counts in all its windows.
    Counted,
    /// A copy of an event that counts.
    Duplicate,
    /// Came too late.
    Late(Lateness),
    /// No valid event.
    Rejected(Rejection),
}

/// By how much a record was too late.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lateness {
    /// Its event time.
    pub event_time: Timestamp,
    /// The highest event time of its partition so far.
    pub high_mark: Timestamp,
}

impl fmt::Display for Lateness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event time {}, high mark of the partition {}", self.event_time, self.high_mark)
    }
}

impl Verdict {
    /// The dead letter of a record that counts nowhere though it was meant to; `None` for all others.
    pub fn dead_letter(&self, partition: i32, offset: i64, value: Option<&[u8]>) -> Option<DeadLetter> {
        let (reason, detail) = match self {
            Self::Late(lateness) => (Reason::Late, lateness.to_string()),
            Self::Rejected(rejection) => (rejection.reason, rejection.detail.clone()),
            _ => return None,
        };
        Some(DeadLetter {
            reason: reason.name().to_owned(),
            detail: Some(detail),
            source_partition: partition,
            source_offset: offset,
            raw: value.map(clickstream_event::rows::raw_text),
        })
    }
}

/// The state that verdicts rest on: a high mark per partition, and the ids of recent events.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Judge {
    max_disorder_ms: i64,
    /// Highest event time per partition; `None` before its first valid record.
    high_marks: Vec<Option<i64>>,
    /// The lowest of them, once all are there; and whether it must be looked for again.
    lowest: Option<i64>,
    moved: bool,
    ids: Recent,
    first_arrival: Option<i64>,
    last_arrival: i64,
    newest_tick: u32,
}

/// Unit of time in which ids are remembered, in milliseconds.
const TICK_MS: i64 = 100;

impl Judge {
    /// Of a log with so many partitions.
    pub fn new(config: &Config, partitions: usize) -> Self {
        Self {
            max_disorder_ms: config.max_disorder_ms,
            high_marks: vec![None; partitions],
            lowest: None,
            moved: false,
            ids: Recent::new((config.dedup_horizon_ms / TICK_MS + 1) as u32),
            first_arrival: None,
            last_arrival: i64::MIN,
            newest_tick: 0,
        }
    }

    /// Reads ahead what judging will need; see [`Recent::warm`].
    #[inline]
    pub fn warm(&self, record: &Prepared<'_>) -> u32 {
        record.event.as_ref().map_or(0, |event| self.ids.warm(event.id))
    }

    /// Judges a valid record, the next of its partition.
    #[inline]
    pub fn judge(&mut self, partition: usize, arrival: Timestamp, record: &Prepared<'_>) -> Verdict {
        let ts = record.event_time.0;
        let mark = &mut self.high_marks[partition];
        let high_mark = mark.map_or(ts, |mark| mark.max(ts));
        if *mark != Some(high_mark) {
            // the lowest mark moves only with the mark that is the lowest
            self.moved |= mark.is_none() || *mark <= self.lowest;
            *mark = Some(high_mark);
        }
        if ts < high_mark - self.max_disorder_ms {
            return Verdict::Late(Lateness { event_time: Timestamp(ts), high_mark: Timestamp(high_mark) });
        }
        let Some(event) = &record.event else { return Verdict::Heartbeat };
        let first = *self.first_arrival.get_or_insert(arrival.0);
        if arrival.0 != self.last_arrival {
            self.last_arrival = arrival.0;
            // arrivals of several partitions need not be in order
            self.newest_tick = self.newest_tick.max(((arrival.0 - first).max(0) / TICK_MS) as u32);
        }
        match self.ids.first(event.id, self.newest_tick) {
            None => Verdict::Counted,
            Some(_) => Verdict::Duplicate,
        }
    }

    /// Event time up to which the log is complete: the minimum over all partitions of the high mark, less the allowed
    /// disorder, less one millisecond. `None` while a partition has no record.
    #[inline]
    pub fn watermark(&mut self) -> Option<Timestamp> {
        if self.moved {
            self.moved = false;
            self.lowest = self.high_marks.iter().copied().min().flatten();
        }
        Some(Timestamp(self.lowest? - self.max_disorder_ms - 1))
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.ids.bytes()
    }
}

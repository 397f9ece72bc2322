//! What there is to tell of an event, for people and as JSON.

use std::fmt;

use clickstream_engine::Verdict;
use clickstream_event::Timestamp;
use clickstream_event::rows::{Anomaly, DeadLetter};
use serde::Serialize;
use serde_json::Value;

use crate::proof::written::Compared;

/// The place of a record in the events topic; written as `2:18432`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Place {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

/// What became of a record.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Fate {
    /// Counts in all its windows.
    Counted,
    /// A copy of an event that counts.
    Duplicate {
        /// The one that counts; unknown if it is older than what the log still holds.
        of: Option<Place>,
    },
    /// Came too late.
    Late {
        /// The highest event time of its partition by then.
        high_mark: Timestamp,
        /// By so much it was behind that, in milliseconds.
        behind_ms: i64,
        /// So much would have been allowed.
        max_disorder_ms: i64,
    },
    /// No valid event.
    Rejected {
        /// For machines, as in the dead letter.
        reason: &'static str,
        /// For people.
        detail: String,
    },
    /// Moves event time, counts nowhere.
    Heartbeat,
}

/// A moment in the log: the arrival of a record, and which one.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Moment {
    /// When it arrived.
    pub at: Timestamp,
    /// The record.
    pub by: Place,
}

/// Another record with the same id.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Copy {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// When it arrived.
    pub arrival: Timestamp,
    /// Whether it is the one that counts.
    pub counted: bool,
}

/// The session of an event.
#[derive(Clone, Debug, Serialize)]
pub struct Visit {
    /// Its id.
    pub session_id: String,
    /// Its first event.
    pub start: Timestamp,
    /// Its last event; the last so far, of one that is open.
    pub end: Timestamp,
    /// Its events, or those so far.
    pub event_count: u64,
    /// From when on, in event time, it is closed: its last event and the session gap. Nothing while it is open.
    pub closed_at: Option<Timestamp>,
    /// Its row, once it is closed.
    pub row: Option<Standing>,
}

/// A row as the recount gives it, and as it stands in its topic now.
#[derive(Clone, Debug, Serialize)]
pub struct Standing {
    /// Both of them.
    #[serde(flatten)]
    pub rows: Compared,
    /// When it was written first.
    pub written: Option<Timestamp>,
    /// How long after it was settled, in milliseconds: after the end of its window.
    pub after_ms: Option<i64>,
    /// How often it was written again.
    pub written_again: u32,
}

/// A window that the event counts in.
#[derive(Clone, Debug, Serialize)]
pub struct Counted {
    /// First instant of the window.
    pub start: Timestamp,
    /// First instant after it.
    pub end: Timestamp,
    /// When the watermark passed its end; nothing if it has not yet.
    pub closed: Option<Moment>,
    /// Of one that is open: when it closes, if the log goes on as the clock does.
    pub closes_in_ms: Option<i64>,
    /// Its rows about the event's page, product (if it has one) and site.
    pub rows: Vec<Standing>,
}

/// A dead letter as it stands in its topic.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Letter {
    /// What it says.
    #[serde(flatten)]
    pub letter: DeadLetter,
    /// When it was written.
    pub written: Timestamp,
    /// How long after the record's arrival, in milliseconds.
    pub after_ms: i64,
}

/// The story of one record.
#[derive(Clone, Debug, Serialize)]
pub struct Trace {
    /// The log it stands in.
    pub log: String,
    /// Where.
    #[serde(flatten)]
    pub place: Place,
    /// Its key.
    pub key: Option<String>,
    /// When it arrived.
    pub arrival: Timestamp,
    /// What generated traffic says about it, which the pipeline never reads.
    pub truth: Option<String>,
    /// Its value: JSON as it stands there, or as a dead letter would carry it.
    pub event: Value,
    /// Its own timestamp, if it is an event.
    pub timestamp: Option<Timestamp>,
    /// The earlier of timestamp and arrival.
    pub event_time: Option<Timestamp>,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
    /// Other records with its id, in the order of arrival.
    pub copies: Vec<Copy>,
    /// When the watermark passed its event time.
    pub watermark_passed: Option<Moment>,
    /// Whether its user was a labelled bot at the time; nothing before the watermark has passed it.
    pub labelled_bot: Option<bool>,
    /// What was out of the ordinary about its user, as far as the recount reaches.
    pub anomalies: Vec<Anomaly>,
    /// Its session.
    pub session: Option<Visit>,
    /// The windows it counts in.
    pub windows: Vec<Counted>,
    /// Its dead letter, if it got one and that is written already.
    pub dead_letter: Option<Letter>,
    /// The last arrival that was read: up to then the log is known.
    pub read_to: Timestamp,
    /// Whether somebody writes to the log.
    pub live: bool,
}

impl Fate {
    /// As the engine says it; the engine does not keep which event a copy is one of.
    pub(super) fn of(verdict: &Verdict, max_disorder_ms: i64) -> Self {
        match verdict {
            Verdict::Counted => Self::Counted,
            Verdict::Duplicate => Self::Duplicate { of: None },
            Verdict::Heartbeat => Self::Heartbeat,
            Verdict::Late(lateness) => Self::Late {
                high_mark: lateness.high_mark,
                behind_ms: lateness.high_mark.0 - lateness.event_time.0,
                max_disorder_ms,
            },
            Verdict::Rejected(rejection) => {
                Self::Rejected { reason: rejection.reason.name(), detail: rejection.detail.clone() }
            }
        }
    }
}

//! What a proof found out, for people and as JSON.

use std::collections::BTreeMap;

use clickstream_engine::Verdict;
use clickstream_event::rows::DeadLetter;
use clickstream_event::{Timestamp, topic};
use serde::Serialize;

use super::SHOWN;
use super::reading::Place;
use super::row::Row;
use super::timing::TimingEvent;

/// Every record of a log is exactly one of these.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Balance {
    /// All.
    pub records: u64,
    /// Moved event time.
    pub heartbeats: u64,
    /// Counted.
    pub counted: u64,
    /// Copies.
    pub duplicates: u64,
    /// Late.
    pub late: u64,
    /// No valid events.
    pub rejected: u64,
}

impl Balance {
    /// Counts a verdict.
    pub fn count(&mut self, verdict: &Verdict) {
        self.records += 1;
        *match verdict {
            Verdict::Heartbeat => &mut self.heartbeats,
            Verdict::Counted => &mut self.counted,
            Verdict::Duplicate => &mut self.duplicates,
            Verdict::Late(_) => &mut self.late,
            Verdict::Rejected(_) => &mut self.rejected,
        } += 1;
    }
}

/// Rows of one topic.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct TopicReport {
    /// Equal to the recount.
    pub equal: u64,
    /// Different from it.
    pub differing: u64,
    /// In the recount only.
    pub missing: u64,
    /// In the topic only.
    pub unexpected: u64,
}

/// What is wrong with a row that is not there.
const MISSING: &str = "is missing";

/// One thing that is not as it must be.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// What is wrong.
    pub what: &'static str,
    /// The topic.
    pub topic: &'static str,
    /// Where the row stands, as partition and offset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_at: Option<(i32, i64)>,
    /// Where the row stood that was overwritten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_at: Option<(i32, i64)>,
    /// The row the recount gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<Row>,
    /// The row that stands there; filled in when it is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<serde_json::Value>,
    /// Partition and offset of the record that a dead letter is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<(i32, i64)>,
    /// The dead letter the recount gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub letter: Option<DeadLetter>,
}

impl Difference {
    fn new(what: &'static str, topic: &'static str) -> Self {
        Self {
            what,
            topic,
            found_at: None,
            before_at: None,
            expected: None,
            found: None,
            of: None,
            letter: None,
        }
    }

    fn at(what: &'static str, place: Place) -> Self {
        Self { found_at: Some((place.partition, place.offset)), ..Self::new(what, place.topic) }
    }

    pub(super) fn unreadable(place: Place) -> Self {
        Self::at("is no row", place)
    }

    pub(super) fn deleted(place: Place) -> Self {
        Self::at("deletes a row", place)
    }

    pub(super) fn unexpected(place: Place) -> Self {
        Self::at("should not be there", place)
    }

    pub(super) fn differs(expected: Option<Row>, place: Place) -> Self {
        Self { expected, ..Self::at("differs from the recount", place) }
    }

    pub(super) fn overwritten(before: Place, place: Place) -> Self {
        Self {
            before_at: Some((before.partition, before.offset)),
            ..Self::at("overwrites a row that said something else", place)
        }
    }

    pub(super) fn missing(row: Row) -> Self {
        let topic = row.topic();
        Self { expected: Some(row), ..Self::new(MISSING, topic) }
    }

    /// `of`: the record the letter is about.
    pub(super) fn forged_letter(of: (i32, i64)) -> Self {
        Self {
            of: Some(of),
            ..Self::new(
                "is about a record that counts, or is a heartbeat or a duplicate",
                topic::DEAD_LETTERS,
            )
        }
    }

    pub(super) fn letter(letter: DeadLetter) -> Self {
        Self { letter: Some(letter), ..Self::new("is missing or says something else", topic::DEAD_LETTERS) }
    }
}

/// What was found out.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// By topic.
    pub topics: BTreeMap<&'static str, TopicReport>,
    /// The first differences.
    pub differences: Vec<Difference>,
    /// What became of the records of the log.
    pub balance: Balance,
    /// First and last arrival in the log.
    pub log_from: Option<Timestamp>,
    /// Last arrival in the log.
    pub log_to: Option<Timestamp>,
    /// End of the first window that could be judged.
    pub from: Option<Timestamp>,
    /// End of the last one.
    pub to: Option<Timestamp>,
    /// End of the last one in which no row can be missing.
    pub complete_to: Option<Timestamp>,
    /// End of the newest window with a row that was found equal.
    pub proven_to: Option<Timestamp>,
    /// Rows the pipeline has still to write.
    pub pending: u64,
    /// Rows of windows that had not ended in the log yet when it was read.
    pub beyond: u64,
    /// Rows that are not judged because windows, or other settings, were others when they were written.
    pub other_settings: u64,
    /// The newest window of another shape.
    pub other_shape: Option<(Timestamp, Timestamp)>,
    /// Event time up to which the log is complete.
    pub watermark: Option<Timestamp>,
    /// Rows of windows before those that can be judged.
    pub before: u64,
    /// Rows written again with the same content, as after a restart.
    pub written_again: u64,
    /// Dead letters written again.
    pub letters_again: u64,
    /// Records in the result topics that are no rows.
    pub unreadable: u64,
    /// Records that delete rows.
    pub tombstones: u64,
    /// Rows that differ where timing decides.
    pub timing_rows: u64,
    /// Events whose counting timing decides.
    pub timing_event_count: u64,
    /// The first of them.
    pub timing_events: Vec<TimingEvent>,
}

impl Report {
    fn of(&mut self, topic: &'static str) -> &mut TopicReport {
        self.topics.entry(topic).or_default()
    }

    pub(super) fn checked(&mut self, topic: &'static str) {
        self.of(topic).equal += 1;
    }

    pub(super) fn differ(&mut self, topic: &'static str) {
        self.of(topic).differing += 1;
    }

    pub(super) fn missing(&mut self, topic: &'static str) {
        self.of(topic).missing += 1;
    }

    /// A row that was missing has come.
    pub(super) fn has_come(&mut self, row: &Row) {
        self.of(row.topic()).missing -= 1;
        let is_this = |missing: &Row| missing.topic() == row.topic() && missing.key() == row.key();
        self.differences.retain(|d| d.what != MISSING || !d.expected.as_ref().is_some_and(is_this));
    }

    pub(super) fn unexpected(&mut self, topic: &'static str) {
        self.of(topic).unexpected += 1;
    }

    pub(super) fn prove(&mut self, window_end: Timestamp) {
        self.proven_to = self.proven_to.max(Some(window_end));
    }

    pub(super) fn add(&mut self, difference: Difference) {
        if self.differences.len() < SHOWN {
            self.differences.push(difference);
        }
    }

    /// Rows and dead letters that equal the recount.
    pub fn equal(&self) -> u64 {
        self.topics.values().map(|topic| topic.equal).sum()
    }

    /// By how much the log is ahead of the window that ended at `proven_to`, in seconds.
    pub fn behind_s(&self, proven_to: Timestamp) -> i64 {
        self.watermark.map_or(0, |watermark| (watermark.0 - proven_to.0).max(0) / 1_000)
    }

    /// Rows and dead letters that do not.
    pub fn problems(&self) -> u64 {
        let of_topics: u64 = self.topics.values().map(|t| t.differing + t.missing + t.unexpected).sum();
        of_topics + self.unreadable
    }
}

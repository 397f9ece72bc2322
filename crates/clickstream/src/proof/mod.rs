//! The proof: a log and the rows that came of it, against a recount by the embedded engine.
//!
//! [`Proof`] takes records of the events topic and of the result topics in any order of the two, and compares row by row.
//! What it says rests on nothing but what stands in the topics. The best order is that of event time: then neither rows nor their
//! recount wait, see [`lockstep`].
//!
//! Three limits decide which rows it can speak of:
//! - **from**: rows that look further back than the log does (its head was cut by retention, or reading began later) cannot be
//!   recounted, see [`whole`], and windows before the first row of the present shape were counted otherwise. An event counts by its
//!   event time, which is never later than its arrival; so all events from the first arrival on are known. And what began before
//!   somebody changed the session gap, say, may have been counted with another: it is compared, but what differs refutes nothing.
//! - **to**: while the pipeline runs, the newest windows may be half written, and after a crash be written again; rows that are
//!   there are compared at once, but a row is only missing when it should have been written a minute ago.
//! - what **timing** decides: see [`timing`].

mod arrivals;
mod chunk;
pub mod content;
pub mod explain;
pub mod follow;
mod founds;
pub mod key;
mod lockstep;
pub mod narrow;
pub mod prove;
pub mod proven;
mod reading;
pub mod recounting;
pub mod report;
pub mod row;
pub mod timing;
pub mod trace;
pub mod whole;
pub mod written;

use std::collections::{BTreeMap, HashMap, HashSet};

use clickstream_engine::{Config, Engine};
use clickstream_event::result_row::{ResultRow, is_windowed, key_parts};
use clickstream_event::rows::DeadLetter;
use clickstream_event::{Timestamp, topic};

use arrivals::Arrivals;
use chunk::Chunk;
use content::Content;
use founds::Founds;
use key::{ByHash, RowKey};
use proven::Proven;
use reading::{Found, FoundLetter, Item, Place, Reading};
use report::{Difference, Report};
use row::{Row, TakeRow};
use timing::Timing;
use whole::Whole;

/// While the pipeline runs, what is missing may be on its way: after a crash it is written again from a checkpoint. Only what
/// is older than this, by the newest window written, is missing for good, in milliseconds.
pub const RECOVERY_MS: i64 = 60_000;

/// Missing rows that are remembered in case they come after all.
const LOST: usize = 200_000;

/// Differences that are kept for show.
const SHOWN: usize = 50;

/// Whether a record, as partition and offset, stands below the offset of its partition.
fn is_below((partition, offset): (i32, i64), ends: &[i64]) -> bool {
    ends.get(partition.max(0) as usize).is_some_and(|end| offset < *end)
}

impl TakeRow for Proof {
    fn take_row<R: ResultRow + Into<Row>>(&mut self, row: R) {
        self.recounted(row);
    }
}

/// A running comparison.
pub struct Proof {
    engine: Engine,
    config: Config,
    /// What can be recounted.
    whole: Whole,
    found: Founds,
    /// Rows of the recount that no row was found for yet.
    waiting: HashMap<RowKey, Row, ByHash>,
    /// Rows that were said to be missing: one that comes after all is not.
    lost: HashMap<RowKey, Row, ByHash>,
    /// Rows that were compared, for those that are written again later.
    proven: Proven,
    /// Other window starts that rows of sites have for a window end: the windows were of another shape then.
    other_starts: HashMap<Timestamp, HashSet<Timestamp>>,
    /// Lengths of such windows.
    other_sizes: HashSet<i64>,
    letters: HashMap<(i32, i64), FoundLetter>,
    expected_letters: BTreeMap<(i32, i64), DeadLetter>,
    /// Dead letters that were compared, for those that are written again later.
    proven_letters: HashMap<(i32, i64), FoundLetter>,
    /// Of records below these offsets, one per partition, dead letters are not remembered any more.
    forgotten: Vec<i64>,
    /// Records that may or may not have a dead letter: what would tell was removed with the head of the log, or not read.
    undecided: HashSet<(i32, i64)>,
    /// End of the first window of the right shape in the site metrics, and when all of them were written.
    first_written: Option<Timestamp>,
    arrivals: Arrivals,
    /// End of the newest window the recount has closed.
    closed_to: Option<Timestamp>,
    /// Looked for only where there is memory for it.
    timing: Option<Timing>,
    /// Since when results are counted with these settings, if they were counted with others before.
    settings_since: Option<Timestamp>,
    /// Records on their way to the engine.
    chunk: Chunk,
    report: Report,
}

impl Proof {
    /// Of a log with so many partitions, read from where windows are whole that begin at or after `whole_from` (all are, if
    /// `None`).
    pub fn new(config: Config, partitions: usize, whole_from: Option<Timestamp>, timing: bool) -> Self {
        Self {
            engine: Engine::new(config, partitions),
            config,
            whole: Whole::new(whole_from, config.windows, config.session_gap_ms),
            found: Founds::default(),
            waiting: HashMap::default(),
            lost: HashMap::default(),
            proven: Proven::default(),
            other_starts: HashMap::new(),
            other_sizes: HashSet::new(),
            letters: HashMap::new(),
            expected_letters: BTreeMap::new(),
            proven_letters: HashMap::new(),
            forgotten: vec![0; partitions],
            undecided: HashSet::new(),
            first_written: None,
            arrivals: Arrivals::default(),
            closed_to: None,
            timing: timing.then(|| Timing::new(config)),
            settings_since: None,
            chunk: Chunk::default(),
            report: Report::default(),
        }
    }

    /// The same where other settings held until then: by results that began before, nothing is refuted.
    pub fn with_settings_since(self, since: Option<Timestamp>) -> Self {
        Self { settings_since: since, ..self }
    }

    /// Whether what began then may have been counted with other settings, in part at least.
    fn had_other_settings(&self, began: Timestamp) -> bool {
        self.settings_since.is_some_and(|since| began < since)
    }

    /// What reads the records of the result topics for [`Proof::take`].
    fn reading(&self) -> Reading {
        Reading::new(self.config, self.whole.clone())
    }

    /// Compares what the engine has decided since the last time.
    fn take_recounted(&mut self) {
        // sessions first: which of them are whole says which windows are
        let sessions: Vec<_> = self.engine.sessions().collect();
        for session in sessions {
            self.whole.session(&session);
            self.recounted(session);
        }
        let anomalies: Vec<_> = self.engine.anomalies().collect();
        anomalies.into_iter().for_each(|anomaly| self.recounted(anomaly));
        let closed: Vec<_> = self.engine.closed().collect();
        for window in closed {
            self.closed_to = Some(window.end);
            row::each_of_window(window, self);
        }
    }

    /// Takes a record of a result topic.
    fn take(&mut self, item: Item) {
        match item {
            Item::Row(found, arrival) => self.row(found, arrival),
            Item::Tombstone(place, key) => self.tombstone(place, key),
            Item::Letter { at, found } => self.letter(at, found),
            Item::Unreadable(place) => {
                self.report.unreadable += 1;
                self.report.add(Difference::unreadable(place));
            }
        }
    }

    fn row(&mut self, found: Found, arrival: Timestamp) {
        let (name, place, in_shape) = (found.place.topic, found.place, found.in_shape);
        if name == topic::SITE_METRICS {
            let (start, end) = found.span;
            if in_shape {
                self.first_written = Some(self.first_written.map_or(end, |first| first.min(end)));
                self.arrivals.take(end, arrival);
            } else {
                self.other_starts.entry(end).or_default().insert(start);
                self.other_sizes.insert(end.0 - start.0);
                self.report.other_shape = Some((start, end)).max(self.report.other_shape);
            }
        }
        let key = found.slot.key;
        if let Some(same) = self.proven.said(found.slot, found.content.bits()) {
            if same && !found.misplaced {
                self.report.written_again += 1;
            } else if self.had_other_settings(found.span.0) {
                self.report.other_settings += 1;
            } else {
                self.report.differ(name);
                self.report.add(Difference::differs(None, place));
            }
            return;
        }
        match self.waiting.remove(&key).or_else(|| self.come_late(&key)) {
            Some(expected) => self.compare(expected, found),
            None => {
                if let Some(before) = self.found.insert(key, found)
                    && !before.deleted
                    && before.in_shape == in_shape
                {
                    if before.content.equals(&found.content) && before.misplaced == found.misplaced {
                        self.report.written_again += 1;
                    } else if self.had_other_settings(before.span.0) {
                        self.report.other_settings += 1;
                    } else {
                        // a row that was overwritten differently: one of the two is wrong, whichever it is
                        self.report.differ(name);
                        self.report.add(Difference::overwritten(before.place, place));
                    }
                }
            }
        }
    }

    /// A row that was said to be missing, and is not any more.
    fn come_late(&mut self, key: &RowKey) -> Option<Row> {
        let row = self.lost.remove(key)?;
        self.report.has_come(&row);
        Some(row)
    }

    fn tombstone(&mut self, place: Place, key: Option<RowKey>) {
        self.report.tombstones += 1;
        // the key names the row in the same fields as the row does
        if let Some(key) = key {
            self.proven.remove(key, is_windowed(place.topic));
            if let Some(found) = self.found.get_mut(key) {
                found.deleted = true;
            }
        }
        self.report.differ(place.topic);
        self.report.add(Difference::deleted(place));
    }

    fn letter(&mut self, at: (i32, i64), found: FoundLetter) {
        if self.undecided.contains(&at) {
            self.report.before += 1;
            return;
        }
        let forgotten = is_below(at, &self.forgotten);
        match (self.expected_letters.remove(&at), self.proven_letters.get(&at)) {
            (Some(expected), _) => self.compare_letter(&expected, found),
            (None, Some(before)) if *before == found => self.report.letters_again += 1,
            (None, None) if forgotten => self.report.letters_again += 1,
            (None, Some(_)) => {
                self.report.differ(topic::DEAD_LETTERS);
                self.report.add(Difference::forged_letter(at));
            }
            (None, None) => match self.letters.insert(at, found) {
                Some(before) if before != found => {
                    self.report.differ(topic::DEAD_LETTERS);
                    self.report.add(Difference::forged_letter(at));
                }
                Some(_) => self.report.letters_again += 1,
                None => {}
            },
        }
    }

    fn compare_letter(&mut self, expected: &DeadLetter, found: FoundLetter) {
        if found == FoundLetter::of(expected) {
            self.report.checked(topic::DEAD_LETTERS);
            self.proven_letters.insert((expected.source_partition, expected.source_offset), found);
        } else {
            self.report.differ(topic::DEAD_LETTERS);
            self.report.add(Difference::letter(expected.clone()));
        }
    }

    /// Whether a row was written when windows were of another shape. A row cannot say that of itself: its site's row must say so
    /// too.
    fn is_of_another_shape(&self, found: &Found) -> bool {
        let (start, end) = found.span;
        if !found.slot.windowed {
            // it does not say for what window it was found; nothing is said of what came before the first of this shape
            return self.first_written.is_none_or(|first| found.settled_at < first);
        }
        // a site may be silent in a window in which its last sessions closed: then the length must be one that was used
        let starts = self.other_starts.get(&end);
        !found.in_shape
            && starts.map_or_else(
                || self.other_sizes.contains(&(end.0 - start.0)),
                |starts| starts.contains(&start),
            )
    }

    /// Whether a row may rightly say something else than the recount, for it was written when settings were others.
    fn was_counted_otherwise(&self, found: &Found) -> bool {
        self.is_of_another_shape(found) || self.had_other_settings(found.span.0)
    }

    fn timing_touches(&self, row: &Row) -> bool {
        let reach_ms = self.whole.depends_on_ms(row.topic());
        self.timing.as_ref().is_some_and(|timing| timing.touches(row.site(), row.span(), reach_ms))
    }

    /// Takes a row of the recount. It becomes a [`Row`] only where it has to be kept.
    fn recounted<R: ResultRow + Into<Row>>(&mut self, row: R) {
        let key = RowKey::of(row.topic(), &key_parts(&row));
        let found = self.found.remove(key);
        let is_cut = self.whole.from().is_some();
        let row = match &found {
            Some(found) if !found.deleted && !is_cut && self.proves(&Content::of(&row), found) => return,
            _ => row.into(),
        };
        if is_cut && !self.whole.holds(&row) {
            // it may be right, but that cannot be told
            self.report.before += u64::from(found.is_some());
            return;
        }
        match found {
            Some(found) if !found.deleted => self.compare(row, found),
            _ => {
                self.waiting.insert(key, row);
            }
        }
    }

    /// Whether a row that was found says what was expected; then it is remembered.
    fn proves(&mut self, expected: &Content, found: &Found) -> bool {
        let same = found.content.equals(expected) && !found.misplaced;
        if same {
            self.proven.insert(found.slot, found.content.bits(), found.settled_at);
            self.report.checked(found.place.topic);
            if found.slot.windowed {
                self.report.prove(found.span.1);
            }
        }
        same
    }

    fn compare(&mut self, expected: Row, found: Found) {
        let topic = expected.topic();
        if self.proves(&expected.content(), &found) {
            // it is
        } else if self.was_counted_otherwise(&found) {
            self.report.other_settings += 1;
        } else if self.timing_touches(&expected) {
            self.report.timing_rows += 1;
        } else {
            self.report.differ(topic);
            self.report.add(Difference::differs(Some(expected), found.place));
        }
    }

    /// Judges what is missing and what should not be there in all windows that are settled.
    ///
    /// `all_written`: whether nothing is to come any more, so that the newest windows are whole too.
    pub fn settle(&mut self, all_written: bool) {
        self.flush();
        self.take_recounted();
        let slide = self.config.windows.slide_ms();
        let Some(newest) = self.arrivals.newest() else { return };
        let first = self.first_written.unwrap_or(newest);
        let by_now = || self.report.log_to.and_then(|now| self.arrivals.whole_to(now));
        let to = match all_written {
            true => newest,
            false => {
                Timestamp(newest.0 - slide.max(RECOVERY_MS)).min(by_now().unwrap_or(Timestamp(first.0 - 1)))
            }
        };
        // what was judged once stays so
        let to = self.report.complete_to.map_or(to, |before| before.max(to));
        let gap = self.config.session_gap_ms;
        let settled: Vec<RowKey> =
            self.waiting.iter().filter(|(_, row)| row.settled_at(gap) <= to).map(|(key, _)| *key).collect();
        for key in settled {
            let Some(row) = self.waiting.remove(&key) else { continue };
            let end = row.span().1;
            if is_windowed(row.topic()) && self.other_starts.contains_key(&end)
                || self.had_other_settings(row.span().0)
            {
                self.report.other_settings += 1;
            } else if row.settled_at(gap) < first {
                self.report.before += 1;
            } else if self.timing_touches(&row) {
                self.report.timing_rows += 1;
            } else {
                self.report.missing(row.topic());
                self.report.add(Difference::missing(row.clone()));
                if self.lost.len() < LOST {
                    self.lost.insert(key, row);
                }
            }
        }
        let closed = self.closed_to.unwrap_or_default();
        let mut found = std::mem::take(&mut self.found);
        found.retain(|found| {
            if self.was_counted_otherwise(found) {
                self.report.other_settings += 1;
            } else if found.settled_at > closed && (found.settled_at.0 % slide == 0 || !found.slot.windowed) {
                return true;
            } else if found.deleted {
                // counted when it was deleted
            } else if found.reached && !self.whole.may_be_cut(found.place.topic, found.span) {
                self.report.unexpected(found.place.topic);
                self.report.add(Difference::unexpected(found.place));
            } else {
                self.report.before += 1;
            }
            false
        });
        self.found = found;
        self.report.from = Some(first.max(self.whole.from().map_or(first, |from| {
            let windows = self.config.windows;
            Timestamp(windows.first_start_at(from).0 + windows.size_ms())
        })));
        self.report.to = Some(newest.min(closed));
        self.report.complete_to = Some(to.min(closed));
    }

    /// Judges dead letters, by the place of their records: one is missing if its record stands below `settled`, and one is
    /// unexpected if its record was read, that is stands in `read` (first offset, end), per partition.
    pub fn settle_letters(&mut self, settled: &[i64], read: &[(i64, i64)]) {
        let missing: Vec<(i32, i64)> =
            self.expected_letters.keys().filter(|at| is_below(**at, settled)).copied().collect();
        for at in missing {
            if let Some(letter) = self.expected_letters.remove(&at) {
                self.report.missing(topic::DEAD_LETTERS);
                self.report.add(Difference::letter(letter));
            }
        }
        let mut unexpected = Vec::new();
        self.letters.retain(|at, _| {
            let read =
                read.get(at.0.max(0) as usize).is_some_and(|(from, end)| (*from..*end).contains(&at.1));
            if read {
                unexpected.push(*at);
            }
            !read
        });
        for at in unexpected {
            self.report.unexpected(topic::DEAD_LETTERS);
            self.report.add(Difference::forged_letter(at));
        }
    }

    /// Forgets rows of windows that ended before a time, and dead letters of records below some offsets; a long-running proof
    /// calls it now and then. What of it is written again is not compared.
    pub fn forget(&mut self, before: Timestamp, below: &[i64]) {
        self.proven.forget(before);
        self.arrivals.forget(before);
        let gap = self.config.session_gap_ms;
        self.lost.retain(|_, row| row.settled_at(gap) >= before);
        self.found.retain(|found| found.settled_at >= before);
        self.proven_letters.retain(|at, _| !is_below(*at, below));
        self.undecided.retain(|at| !is_below(*at, below));
        self.forgotten = below.to_vec();
    }

    /// What was found out so far.
    pub fn report(&mut self) -> &Report {
        self.report.pending = self.waiting.len() as u64;
        self.report.watermark = self.engine.watermark();
        self.report.beyond = self.found.values().filter(|found| !found.deleted).count() as u64;
        if let Some(timing) = &self.timing {
            (self.report.timing_event_count, self.report.timing_events) = timing.events();
        }
        &self.report
    }
}

#[cfg(test)]
mod tests;

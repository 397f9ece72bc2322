//! The proof: a log and the rows that came of it, against a recount by the embedded engine.
//!
//! [`Proof`] takes records of the events topic and of the result topics in any order of the two, and compares row by row.
//! What it says rests on nothing but what stands in the topics.
//!
//! Three limits decide which rows it can speak of:
//! - **from**: rows that look further back than the log does (its head was cut by retention, or reading began later) cannot be
//!   recounted, see [`whole`], and windows before the first row of the present shape were counted otherwise. An event counts by its
//!   event time, which is never later than its arrival; so all events from the first arrival on are known.
//! - **to**: while the pipeline runs, the newest windows may be half written, and after a crash be written again; rows that are
//!   there are compared at once, but a row is only missing when it should have been written a minute ago.
//! - what **timing** decides: see [`timing`].

pub mod content;
pub mod explain;
pub mod follow;
pub mod prove;
pub mod report;
pub mod row;
pub mod timing;
pub mod whole;

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::Result;
use clickstream_engine::{Config, Engine, Verdict};
use clickstream_event::result_row::is_windowed;
use clickstream_event::rows::DeadLetter;
use clickstream_event::{Record, Timestamp, decode, topic};
use xxhash_rust::xxh3::xxh3_64;

use crate::logs::{Bounds, Log, LogRecord};
use content::Content;
use report::{Difference, Report};
use row::{Row, RowKey};
use timing::Timing;
use whole::Whole;

/// While the pipeline runs, what is missing may be on its way: after a crash it is written again from a checkpoint. Only what
/// is older than this, by the newest window written, is missing for good, in milliseconds.
pub const RECOVERY_MS: i64 = 60_000;

/// Differences that are kept for show.
const SHOWN: usize = 50;

/// Where a row stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The topic.
    pub topic: &'static str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

#[derive(Clone, Copy, Debug)]
struct Found {
    content: Content,
    place: Place,
    /// Whether it was a tombstone, which deletes the row.
    deleted: bool,
    /// Whether the record's key named another row.
    misplaced: bool,
    /// Whether its window has the shape the proof is for.
    in_shape: bool,
    /// First and last bound of its window.
    span: (Timestamp, Timestamp),
    /// From when on nothing can change it.
    settled_at: Timestamp,
    /// Whether the recount can speak of it, as far as is known when it is read.
    whole: bool,
    /// Whether its time is that of a sliding window.
    windowed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FoundLetter {
    reason: u64,
    raw: u64,
}

impl FoundLetter {
    fn of(letter: &DeadLetter) -> Self {
        Self {
            reason: xxh3_64(letter.reason.as_bytes()),
            raw: letter.raw.as_ref().map_or(0, |raw| xxh3_64(raw.as_bytes())),
        }
    }
}

/// Whether a record, as partition and offset, stands below the offset of its partition.
fn is_below((partition, offset): (i32, i64), ends: &[i64]) -> bool {
    ends.get(partition.max(0) as usize).is_some_and(|end| offset < *end)
}

/// A running comparison.
pub struct Proof {
    engine: Engine,
    config: Config,
    /// What can be recounted.
    whole: Whole,
    found: HashMap<RowKey, Found>,
    /// Rows of the recount that no row was found for yet.
    waiting: HashMap<RowKey, Row>,
    /// Rows that were compared, for those that are written again later: what they say, and when they are settled.
    proven: HashMap<RowKey, (u64, Timestamp)>,
    /// Other window starts that rows of sites have for a window end: the windows were of another shape then.
    other_starts: HashMap<Timestamp, HashSet<Timestamp>>,
    letters: HashMap<(i32, i64), FoundLetter>,
    expected_letters: BTreeMap<(i32, i64), DeadLetter>,
    /// Dead letters that were compared, for those that are written again later.
    proven_letters: HashMap<(i32, i64), FoundLetter>,
    /// Of records below these offsets, one per partition, dead letters are not remembered any more.
    forgotten: Vec<i64>,
    /// Records that may or may not have a dead letter: what would tell was removed with the head of the log, or not read.
    undecided: HashSet<(i32, i64)>,
    /// Ends of the first and the newest window of the right shape in the site metrics.
    first_written: Option<Timestamp>,
    newest_written: Option<Timestamp>,
    /// End of the newest window the recount has closed.
    closed_to: Option<Timestamp>,
    /// Looked for only where there is memory for it.
    timing: Option<Timing>,
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
            found: HashMap::new(),
            waiting: HashMap::new(),
            proven: HashMap::new(),
            other_starts: HashMap::new(),
            letters: HashMap::new(),
            expected_letters: BTreeMap::new(),
            proven_letters: HashMap::new(),
            forgotten: vec![0; partitions],
            undecided: HashSet::new(),
            first_written: None,
            newest_written: None,
            closed_to: None,
            timing: timing.then(|| Timing::new(config)),
            report: Report::default(),
        }
    }

    /// Reads a part of any topic.
    pub fn read(&mut self, log: &dyn Log, name: &'static str, part: &Bounds) -> Result<()> {
        log.read(name, part, &mut |record| {
            match name {
                topic::EVENTS => self.event(record),
                topic::DEAD_LETTERS => self.letter(record),
                _ => self.row(name, record),
            }
            Ok(())
        })
    }

    /// Takes a record of the events topic; those of a partition in order.
    fn event(&mut self, record: LogRecord<'_>) {
        let LogRecord { partition, offset, arrival, value, .. } = record;
        let mut undecided = false;
        let verdict = match decode(value.unwrap_or_default(), arrival, self.config.rules) {
            Ok(decoded) => {
                undecided = self.whole.from().is_some_and(|from| decoded.event_time() < from);
                if undecided {
                    // whether it was late cannot be told; no whole window holds it
                    let at = (partition, offset);
                    let found = self.letters.remove(&at).is_some();
                    self.report.before += u64::from(found);
                    if !found {
                        self.undecided.insert(at);
                    }
                }
                let verdict = self.engine.push_record(partition as usize, arrival, &decoded);
                if let (Some(timing), Record::Event(event, ts)) = (&mut self.timing, &decoded)
                    && matches!(verdict, Verdict::Counted | Verdict::Duplicate)
                {
                    timing.event(partition, offset, arrival, event, *ts);
                }
                verdict
            }
            Err(rejection) => Verdict::Rejected(rejection),
        };
        self.report.balance.count(&verdict);
        let begin = *self.report.log_from.get_or_insert(arrival);
        self.report.log_from = Some(begin.min(arrival));
        self.report.log_to = self.report.log_to.max(Some(arrival));
        if let Some(letter) = verdict.dead_letter(partition, offset, value)
            && !undecided
        {
            match self.letters.remove(&(partition, offset)) {
                Some(found) => self.compare_letter(&letter, found),
                None => {
                    self.expected_letters.insert((partition, offset), letter);
                }
            }
        }
        self.take_recounted();
    }

    /// Compares what the engine has decided since the last time.
    fn take_recounted(&mut self) {
        // sessions first: which of them are whole says which windows are
        let sessions: Vec<_> = self.engine.sessions().collect();
        for session in sessions {
            self.whole.session(&session);
            self.recounted(session.into());
        }
        let anomalies: Vec<_> = self.engine.anomalies().collect();
        anomalies.into_iter().for_each(|anomaly| self.recounted(anomaly.into()));
        if self.engine.has_closed() {
            let closed: Vec<_> = self.engine.closed().collect();
            for window in closed {
                self.closed_to = Some(window.end);
                row::of_window(window, &mut |row| self.recounted(row));
            }
        }
    }

    /// Takes a record of a result topic.
    fn row(&mut self, name: &'static str, record: LogRecord<'_>) {
        let place = Place { topic: name, partition: record.partition, offset: record.offset };
        let Some(value) = record.value else {
            return self.tombstone(place, record.key);
        };
        let Some(row) = Row::parse(name, value) else {
            self.report.unreadable += 1;
            self.report.add(Difference::unreadable(place));
            return;
        };
        let windows = self.config.windows;
        let (start, end) = row.span();
        let windowed = is_windowed(name);
        let in_shape = !windowed || (end.0 - start.0 == windows.size_ms() && end.0 % windows.slide_ms() == 0);
        if in_shape && matches!(row, Row::Site(_)) {
            self.first_written = Some(self.first_written.map_or(end, |first| first.min(end)));
            self.newest_written = self.newest_written.max(Some(end));
        } else if matches!(row, Row::Site(_)) {
            self.other_starts.entry(end).or_default().insert(start);
            self.report.other_shape = Some((start, end)).max(self.report.other_shape);
        }
        let found = Found {
            content: row.content(),
            place,
            deleted: false,
            misplaced: !row.has_key(record.key),
            in_shape,
            span: (start, end),
            settled_at: row.settled_at(self.config.session_gap_ms),
            whole: self.whole.holds(&row),
            windowed,
        };
        let key = row.key();
        if let Some((content, _)) = self.proven.get(&key) {
            if *content == found.content.bits() && !found.misplaced {
                self.report.written_again += 1;
            } else {
                self.report.differ(name);
                self.report.add(Difference::differs(None, place));
            }
            return;
        }
        match self.waiting.remove(&key) {
            Some(expected) => self.compare(key, expected, found),
            None => {
                if let Some(before) = self.found.insert(key, found)
                    && !before.deleted
                    && before.in_shape == in_shape
                {
                    if before.content.equals(&found.content) && before.misplaced == found.misplaced {
                        self.report.written_again += 1;
                    } else {
                        // a row that was overwritten differently: one of the two is wrong, whichever it is
                        self.report.differ(name);
                        self.report.add(Difference::overwritten(before.place, place));
                    }
                }
            }
        }
    }

    fn tombstone(&mut self, place: Place, key: Option<&[u8]>) {
        self.report.tombstones += 1;
        // the key names the row in the same fields as the row does
        let row = key.and_then(|key| row::named_by(place.topic, key));
        if let Some(key) = row {
            self.proven.remove(&key);
            if let Some(found) = self.found.get_mut(&key) {
                found.deleted = true;
            }
        }
        self.report.differ(place.topic);
        self.report.add(Difference::deleted(place));
    }

    /// Takes a record of the dead-letter topic.
    fn letter(&mut self, record: LogRecord<'_>) {
        let Some(letter) = record.value.and_then(|value| serde_json::from_slice::<DeadLetter>(value).ok())
        else {
            self.report.unreadable += 1;
            let place =
                Place { topic: topic::DEAD_LETTERS, partition: record.partition, offset: record.offset };
            self.report.add(Difference::unreadable(place));
            return;
        };
        let at = (letter.source_partition, letter.source_offset);
        if self.undecided.contains(&at) {
            self.report.before += 1;
            return;
        }
        let found = FoundLetter::of(&letter);
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
        if !found.windowed {
            // it does not say for what window it was found; nothing is said of what came before the first of this shape
            return self.first_written.is_none_or(|first| found.settled_at < first);
        }
        !found.in_shape && self.other_starts.get(&end).is_some_and(|starts| starts.contains(&start))
    }

    fn timing_touches(&self, row: &Row) -> bool {
        self.timing.as_ref().is_some_and(|timing| timing.touches(row.site(), row.span()))
    }

    /// Takes a row of the recount.
    fn recounted(&mut self, row: Row) {
        let key = row.key();
        if !self.whole.holds(&row) {
            // it may be right, but that cannot be told
            self.report.before += u64::from(self.found.remove(&key).is_some());
            return;
        }
        match self.found.remove(&key) {
            Some(found) if !found.deleted => self.compare(key, row, found),
            _ => {
                self.waiting.insert(key, row);
            }
        }
    }

    fn compare(&mut self, key: RowKey, expected: Row, found: Found) {
        let topic = expected.topic();
        if found.content.equals(&expected.content()) && !found.misplaced {
            self.proven.insert(key, (found.content.bits(), found.settled_at));
            self.report.checked(topic);
            if found.windowed {
                self.report.prove(found.span.1);
            }
        } else if self.is_of_another_shape(&found) {
            self.report.other_shapes += 1;
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
        let slide = self.config.windows.slide_ms();
        let Some(newest) = self.newest_written else { return };
        let to = if all_written { newest } else { Timestamp(newest.0 - slide.max(RECOVERY_MS)) };
        let first = self.first_written.unwrap_or(newest);
        let gap = self.config.session_gap_ms;
        let settled: Vec<RowKey> =
            self.waiting.iter().filter(|(_, row)| row.settled_at(gap) <= to).map(|(key, _)| *key).collect();
        for key in settled {
            let Some(row) = self.waiting.remove(&key) else { continue };
            let end = row.span().1;
            if is_windowed(row.topic()) && self.other_starts.contains_key(&end) {
                self.report.other_shapes += 1;
            } else if row.settled_at(gap) < first {
                self.report.before += 1;
            } else if self.timing_touches(&row) {
                self.report.timing_rows += 1;
            } else {
                self.report.missing(row.topic());
                self.report.add(Difference::missing(row));
            }
        }
        let closed = self.closed_to.unwrap_or_default();
        for (key, found) in std::mem::take(&mut self.found) {
            if self.is_of_another_shape(&found) {
                self.report.other_shapes += 1;
            } else if found.settled_at > closed && (found.settled_at.0 % slide == 0 || !found.windowed) {
                self.found.insert(key, found);
            } else if found.deleted {
                // counted when it was deleted
            } else if found.whole {
                self.report.unexpected(found.place.topic);
                self.report.add(Difference::unexpected(found.place));
            } else {
                self.report.before += 1;
            }
        }
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
        self.proven.retain(|_, (_, settled_at)| *settled_at >= before);
        self.found.retain(|_, found| found.settled_at >= before);
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

//! Events on their way to the engine: some dozens at a time, so that memory is read ahead for all of them at once.

use std::ops::Range;

use clickstream_engine::Verdict;
use clickstream_event::{Record, Timestamp, decode};

use super::Proof;
use crate::logs::LogRecord;

/// Records that are taken together.
const RECORDS: usize = 256;
/// Records that memory is read ahead for at once.
const AHEAD: usize = 64;

/// Records of the events topic, copied out of what lends them one by one; those of a partition in order.
#[derive(Default)]
pub(super) struct Chunk {
    bytes: Vec<u8>,
    records: Vec<Kept>,
}

struct Kept {
    partition: i32,
    offset: i64,
    arrival: Timestamp,
    /// Where its value is; `None` if it has none.
    value: Option<Range<usize>>,
}

impl Chunk {
    /// Takes one more.
    pub fn push(&mut self, record: LogRecord<'_>) {
        let from = self.bytes.len();
        let value = record.value.map(|value| {
            self.bytes.extend_from_slice(value);
            from..self.bytes.len()
        });
        let LogRecord { partition, offset, arrival, .. } = record;
        self.records.push(Kept { partition, offset, arrival, value });
    }

    /// Whether it is time to count them.
    pub fn is_full(&self) -> bool {
        self.records.len() >= RECORDS
    }

    /// Partitions and offsets.
    pub fn places(&self) -> impl Iterator<Item = (i32, i64)> {
        self.records.iter().map(|record| (record.partition, record.offset))
    }
}

impl Proof {
    /// Takes a record of the events topic; those of a partition in order.
    pub(super) fn event(&mut self, record: LogRecord<'_>) {
        self.chunk.push(record);
        if self.chunk.is_full() {
            self.flush();
        }
    }

    /// Counts the records that were taken.
    pub(super) fn flush(&mut self) {
        let mut chunk = std::mem::take(&mut self.chunk);
        self.count(&chunk);
        chunk.bytes.clear();
        chunk.records.clear();
        self.chunk = chunk;
    }

    /// Counts the records of a chunk.
    pub(super) fn count(&mut self, chunk: &Chunk) {
        chunk.records.chunks(AHEAD).for_each(|records| self.count_some(records, &chunk.bytes));
        // sessions and anomalies come with the next window: taking them one by one would cost the engine its batches
        if self.engine.has_closed() {
            self.take_recounted();
        }
    }

    fn count_some(&mut self, records: &[Kept], bytes: &[u8]) {
        let value = |record: &Kept| record.value.clone().map(|value| &bytes[value]);
        let preparer = self.engine.preparer();
        let decoded: Vec<_> = records
            .iter()
            .map(|record| {
                let decoded = decode(value(record).unwrap_or_default(), record.arrival, self.config.rules);
                decoded.map(|record| (preparer.prepare(&record), record))
            })
            .collect();
        self.engine.warm(decoded.iter().flatten().map(|(prepared, _)| prepared));
        for (kept, decoded) in records.iter().zip(decoded) {
            let Kept { partition, offset, arrival, .. } = *kept;
            let mut undecided = false;
            let verdict = match decoded {
                Ok((prepared, record)) => {
                    undecided = self.is_undecided((partition, offset), record.event_time());
                    let verdict = self.engine.push_prepared(partition as usize, arrival, &prepared);
                    if let (Some(timing), Record::Event(event, ts)) = (&mut self.timing, &record)
                        && matches!(verdict, Verdict::Counted | Verdict::Duplicate)
                    {
                        timing.event(partition, offset, arrival, event, *ts);
                    }
                    verdict
                }
                Err(rejection) => Verdict::Rejected(rejection),
            };
            self.judged((partition, offset), arrival, &verdict, value(kept), undecided);
        }
    }

    /// Whether it cannot be told of a valid record that it was late; then no whole window holds it.
    fn is_undecided(&mut self, at: (i32, i64), event_time: Timestamp) -> bool {
        let undecided = self.whole.from().is_some_and(|from| event_time < from);
        if undecided {
            self.report.before += u64::from(self.letters.remove(&at).is_some());
            // also where its letter is known: after a replay it comes once more
            self.undecided.insert(at);
        }
        undecided
    }

    /// Notes what became of a record.
    fn judged(
        &mut self,
        at: (i32, i64),
        arrival: Timestamp,
        verdict: &Verdict,
        value: Option<&[u8]>,
        undecided: bool,
    ) {
        let report = &mut self.report;
        report.balance.count(verdict);
        report.log_from = Some(report.log_from.map_or(arrival, |from| from.min(arrival)));
        report.log_to = report.log_to.max(Some(arrival));
        if undecided {
            return;
        }
        let Some(letter) = verdict.dead_letter(at.0, at.1, value) else { return };
        match self.letters.remove(&at) {
            Some(found) => self.compare_letter(&letter, found),
            None => {
                self.expected_letters.insert(at, letter);
            }
        }
    }
}

//! Events on their way to the engine: some dozens at a time, so that memory is read ahead for all of them at once.

use std::ops::Range;

use clickstream_engine::Verdict;
use clickstream_event::{Record, Timestamp, decode};

use super::Proof;
use crate::logs::LogRecord;

/// Records that are taken together.
const RECORDS: usize = 64;

/// Records, copied out of what lends them one by one.
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

impl Proof {
    /// Takes a record of the events topic; those of a partition in order.
    pub(super) fn event(&mut self, record: LogRecord<'_>) {
        let chunk = &mut self.chunk;
        let from = chunk.bytes.len();
        let value = record.value.map(|value| {
            chunk.bytes.extend_from_slice(value);
            from..chunk.bytes.len()
        });
        let LogRecord { partition, offset, arrival, .. } = record;
        chunk.records.push(Kept { partition, offset, arrival, value });
        if chunk.records.len() >= RECORDS {
            self.flush();
        }
    }

    /// Counts the records that were taken.
    pub(super) fn flush(&mut self) {
        let mut chunk = std::mem::take(&mut self.chunk);
        let value = |record: &Kept| record.value.clone().map(|value| &chunk.bytes[value]);
        let preparer = self.engine.preparer();
        let decoded: Vec<_> = chunk
            .records
            .iter()
            .map(|record| {
                let decoded = decode(value(record).unwrap_or_default(), record.arrival, self.config.rules);
                decoded.map(|record| (preparer.prepare(&record), record))
            })
            .collect();
        self.engine.warm(decoded.iter().flatten().map(|(prepared, _)| prepared));
        for (kept, decoded) in chunk.records.iter().zip(decoded) {
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
        chunk.bytes.clear();
        chunk.records.clear();
        self.chunk = chunk;
        // sessions and anomalies come with the next window: taking them one by one would cost the engine its batches
        if self.engine.has_closed() {
            self.take_recounted();
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

//! A log in files, as the embedded engine writes it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use clickstream_event::{Timestamp, topic};
use clickstream_log::{Place, Reader, RecordRef, bounds_since};
use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;

use super::{Bounds, Log, LogRecord, Partition, Take};
use crate::embedded::pipeline::{events_dir, results_dir};

/// The log of an embedded engine; it may be running. Clones share what they have seen.
///
/// It remembers how far it has looked: who asks twenty times a second for what is new reads that, not a segment from its beginning.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    dir: PathBuf,
    seen: Arc<Mutex<HashMap<(String, u32), Seen>>>,
}

/// Where one has got to in a partition.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Asking for the bounds.
    end: Option<Place>,
    /// Reading records.
    read: Option<Place>,
}

impl EmbeddedLog {
    /// In this directory.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), seen: Arc::default() }
    }

    fn dir_of(&self, name: &str) -> PathBuf {
        if name == topic::EVENTS { events_dir(&self.dir) } else { results_dir(&self.dir) }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<(String, u32), Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a partition to read this part of it.
    fn reading(&self, topic: &str, partition: usize, (low, high): (i64, i64)) -> Result<Reading> {
        let of = (topic.to_owned(), partition as u32);
        let place = self.seen().get(&of).and_then(|seen| seen.read);
        let reader = Reader::open_from(self.dir_of(topic), topic, partition as u32, low as u64, place)
            .with_context(|| format!("partition {partition} of {topic}"))?;
        Ok(Reading { reader, end: high, log: self.clone(), of })
    }
}

/// Reads a part of a partition; the next reading may go on where it ends.
struct Reading {
    reader: Reader,
    end: i64,
    log: EmbeddedLog,
    /// Topic and partition.
    of: (String, u32),
}

impl Reading {
    /// The next record; none at the end.
    fn next(&mut self) -> Result<Option<RecordRef<'_>>> {
        Ok(if self.reader.offset() as i64 >= self.end { None } else { self.reader.next()? })
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(place) = self.reader.place() {
            self.log.seen().entry(std::mem::take(&mut self.of)).or_default().read = Some(place);
        }
    }
}

/// A partition that is read: its next record's place and arrival.
struct Head {
    reading: Reading,
    partition: i32,
    arrival: i64,
    /// The next record, copied out: a reader lends one record at a time.
    record: Owned,
}

#[derive(Default)]
struct Owned {
    offset: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Head {
    /// Goes to the next record; `false` at the end.
    fn advance(&mut self) -> Result<bool> {
        let Some(record) = self.reading.next()? else { return Ok(false) };
        self.arrival = record.arrival_ms;
        self.record.offset = record.offset as i64;
        copy(record.key, &mut self.record.key);
        copy(record.value, &mut self.record.value);
        Ok(true)
    }
}

/// A partition on its own.
struct Single {
    reading: Reading,
    partition: i32,
}

impl Partition for Single {
    fn next(&mut self, take: &mut dyn FnMut(LogRecord<'_>)) -> Result<bool> {
        let Some(record) = self.reading.next()? else { return Ok(false) };
        take(LogRecord {
            partition: self.partition,
            offset: record.offset as i64,
            arrival: Timestamp(record.arrival_ms),
            key: record.key,
            value: record.value,
        });
        Ok(true)
    }
}

fn copy(from: Option<&[u8]>, to: &mut Option<Vec<u8>>) {
    match from {
        None => *to = None,
        Some(from) => {
            let to = to.get_or_insert_default();
            to.clear();
            to.extend_from_slice(from);
        }
    }
}

impl Log for EmbeddedLog {
    fn place(&self) -> String {
        self.dir.display().to_string()
    }

    /// The one who writes holds the data directory.
    fn is_live(&self, _: Timestamp, _: Timestamp) -> bool {
        self.dir.parent().is_some_and(|root| Lock::holder(&Layout::new(root)).is_some())
    }

    fn bounds(&self, topic: &str) -> Result<Bounds> {
        let dir = self.dir_of(topic);
        let Ok(partitions) = std::fs::read_dir(dir.join(topic)) else {
            bail!(
                "{} holds no topic {topic}: has `clickstream up --embedded` ever run there?",
                self.dir.display()
            );
        };
        let partitions = partitions.flatten().filter(|entry| entry.path().is_dir()).count() as u32;
        let range = |partition| -> Result<(i64, i64)> {
            let of = (topic.to_owned(), partition);
            let mut end = self.seen().get(&of).and_then(|seen| seen.end);
            let range = bounds_since(&dir, topic, partition, &mut end)?;
            self.seen().entry(of).or_default().end = end;
            Ok((range.start as i64, range.end as i64))
        };
        Ok(Bounds((0..partitions).map(range).collect::<Result<_>>()?))
    }

    fn read(&self, topic: &str, bounds: &Bounds, take: Take<'_>) -> Result<()> {
        let mut heads = Vec::new();
        for (partition, part) in bounds.0.iter().enumerate().filter(|(_, (low, high))| high > low) {
            let reading = self.reading(topic, partition, *part)?;
            let mut head =
                Head { reading, partition: partition as i32, arrival: 0, record: Owned::default() };
            if head.advance()? {
                heads.push(head);
            }
        }
        while let Some((n, _)) = heads.iter().enumerate().min_by_key(|(_, head)| head.arrival) {
            let head = &mut heads[n];
            // records of one batch arrived together: no need to look at the others in between
            let arrival = head.arrival;
            loop {
                let record = &head.record;
                take(LogRecord {
                    partition: head.partition,
                    offset: record.offset,
                    arrival: Timestamp(head.arrival),
                    key: record.key.as_deref(),
                    value: record.value.as_deref(),
                })?;
                if !head.advance()? {
                    heads.swap_remove(n);
                    break;
                }
                if head.arrival != arrival {
                    break;
                }
            }
        }
        Ok(())
    }

    fn open(&self, parts: &[(&'static str, Bounds)]) -> Result<Vec<(&'static str, Box<dyn Partition>)>> {
        let mut opened: Vec<(&'static str, Box<dyn Partition>)> = Vec::new();
        for (topic, bounds) in parts {
            for (partition, part) in bounds.0.iter().enumerate().filter(|(_, (low, high))| high > low) {
                let reading = self.reading(topic, partition, *part)?;
                opened.push((topic, Box::new(Single { reading, partition: partition as i32 })));
            }
        }
        Ok(opened)
    }

    fn offsets_at(&self, topic: &str, at: Timestamp) -> Result<Vec<i64>> {
        let bounds = self.bounds(topic)?;
        let mut offsets = Vec::new();
        for (partition, (low, _)) in bounds.0.iter().enumerate() {
            let mut reader = Reader::open(self.dir_of(topic), topic, partition as u32, *low as u64)?;
            offsets.push(reader.seek_arrival(at.0)? as i64);
        }
        Ok(offsets)
    }

    fn truth(&self, partition: i32, offset: i64) -> Result<Option<String>> {
        let mut reader =
            Reader::open(self.dir_of(topic::EVENTS), topic::EVENTS, partition as u32, offset as u64)?;
        let truth = reader.next()?.and_then(|record| record.truth);
        Ok(truth.map(|truth| String::from_utf8_lossy(truth).into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use clickstream_log::{Log as Writing, Options, Record};

    use super::*;

    fn append(dir: &Path, values: &[&str]) {
        let log = Writing::open(results_dir(dir), Options { sync: false, ..Options::default() }).unwrap();
        let mut topic = log.topic(topic::SITE_METRICS, 1).unwrap();
        for value in values {
            topic.append(0, &Record { value: Some(value.as_bytes()), ..Record::default() }).unwrap();
            topic.commit().unwrap();
        }
    }

    /// The values from `from` on, read in both ways.
    fn read(log: &EmbeddedLog, from: i64) -> Result<Vec<String>> {
        let bounds = Bounds(vec![(from, log.bounds(topic::SITE_METRICS)?.0[0].1)]);
        let text = |record: LogRecord<'_>| String::from_utf8(record.value.unwrap().to_vec()).unwrap();
        let (mut merged, mut single) = (Vec::new(), Vec::new());
        log.read(topic::SITE_METRICS, &bounds, &mut |record| {
            merged.push(text(record));
            Ok(())
        })?;
        for (_, mut partition) in log.open(&[(topic::SITE_METRICS, bounds)])? {
            while partition.next(&mut |record| single.push(text(record)))? {}
        }
        assert_eq!(merged, single);
        Ok(merged)
    }

    #[test]
    fn who_looks_again_reads_only_what_is_new() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        append(dir, &["a", "b", "c"]);
        let log = EmbeddedLog::new(dir);
        assert_eq!(read(&log, 0).unwrap(), ["a", "b", "c"]);
        append(dir, &["d"]);
        let segment = results_dir(dir).join(topic::SITE_METRICS).join("0/00000000000000000000.log");
        let mut bytes = std::fs::read(&segment).unwrap();
        // in the header of the second frame
        bytes[75] ^= 0xff;
        std::fs::write(&segment, &bytes).unwrap();
        assert_eq!(read(&log, 3).unwrap(), ["d"]);
        assert!(read(&EmbeddedLog::new(dir), 3).unwrap().is_empty(), "who begins stops there");
        assert!(read(&log, 1).is_err(), "what is asked for is read");
        // computed anew, as after damage
        std::fs::remove_dir_all(results_dir(dir)).unwrap();
        append(dir, &["a", "bb", "c", "d", "e"]);
        assert_eq!(read(&log, 0).unwrap(), ["a", "bb", "c", "d", "e"]);
        assert_eq!(read(&log, 4).unwrap(), ["e"]);
    }
}

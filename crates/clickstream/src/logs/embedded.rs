//! A log in files, as the embedded engine writes it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clickstream_event::{Timestamp, topic};
use clickstream_log::{LogError, Reader, bounds};
use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;

use super::{Bounds, Log, LogRecord, Partition, Take};
use crate::embedded::pipeline::{events_dir, results_dir};

/// The log of an embedded engine; it may be running.
#[derive(Clone, Debug)]
pub struct EmbeddedLog {
    dir: PathBuf,
}

impl EmbeddedLog {
    /// In this directory.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    fn dir_of(&self, name: &str) -> PathBuf {
        if name == topic::EVENTS { events_dir(&self.dir) } else { results_dir(&self.dir) }
    }
}

/// A partition that is read: its reader, its next record's place and arrival.
struct Head {
    reader: Reader,
    partition: i32,
    end: i64,
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
        if self.reader.offset() as i64 >= self.end {
            return Ok(false);
        }
        let Some(record) = self.reader.next()? else { return Ok(false) };
        self.arrival = record.arrival_ms;
        self.record.offset = record.offset as i64;
        copy(record.key, &mut self.record.key);
        copy(record.value, &mut self.record.value);
        Ok(true)
    }
}

/// A partition on its own.
struct Single {
    reader: Reader,
    partition: i32,
    end: i64,
}

impl Partition for Single {
    fn next(&mut self, take: &mut dyn FnMut(LogRecord<'_>)) -> Result<bool> {
        if self.reader.offset() as i64 >= self.end {
            return Ok(false);
        }
        let Some(record) = self.reader.next()? else { return Ok(false) };
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
        let ranges = (0..partitions).map(|partition| bounds(&dir, topic, partition));
        let ranges = ranges.map(|range| range.map(|range| (range.start as i64, range.end as i64)));
        Ok(Bounds(ranges.collect::<Result<_, LogError>>()?))
    }

    fn read(&self, topic: &str, bounds: &Bounds, take: Take<'_>) -> Result<()> {
        let mut heads = Vec::new();
        for (partition, (low, high)) in bounds.0.iter().enumerate().filter(|(_, (low, high))| high > low) {
            let reader = Reader::open(self.dir_of(topic), topic, partition as u32, *low as u64)
                .with_context(|| format!("partition {partition} of {topic}"))?;
            let mut head = Head {
                reader,
                partition: partition as i32,
                end: *high,
                arrival: 0,
                record: Owned::default(),
            };
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
            for (partition, (low, high)) in bounds.0.iter().enumerate().filter(|(_, (low, high))| high > low)
            {
                let reader = Reader::open(self.dir_of(topic), topic, partition as u32, *low as u64)
                    .with_context(|| format!("partition {partition} of {topic}"))?;
                opened.push((topic, Box::new(Single { reader, partition: partition as i32, end: *high })));
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

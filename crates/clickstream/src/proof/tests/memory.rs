//! A log in memory, whose results can be corrupted.

use std::collections::HashMap;

use clickstream_event::result_row::key_fields;
use clickstream_event::{Timestamp, topic};
use clickstream_recount::logs::Case;
use clickstream_recount::{Record, recount};
use serde_json::{Value, json};

use super::BEGIN;
use crate::logs::{Bounds, Log, LogRecord, Partition, Take};

/// A log in memory.
#[derive(Clone, Debug, Default)]
pub struct MemoryLog {
    pub topics: HashMap<&'static str, Vec<Vec<Record>>>,
    /// First offsets that are left, of the events.
    pub low: Vec<i64>,
    /// Whether the rows' disk is broken.
    pub broken: bool,
}

impl Log for MemoryLog {
    fn place(&self) -> String {
        "memory".into()
    }

    fn bounds(&self, topic: &str) -> anyhow::Result<Bounds> {
        let low = |n: usize| if topic == topic::EVENTS { self.low.get(n).copied().unwrap_or(0) } else { 0 };
        let partitions = self.topics[topic].iter().enumerate();
        Ok(Bounds(partitions.map(|(n, records)| (low(n), records.len() as i64)).collect()))
    }

    fn read(&self, topic: &str, bounds: &Bounds, take: Take<'_>) -> anyhow::Result<()> {
        let mut records: Vec<&Record> = self.topics[topic]
            .iter()
            .zip(&bounds.0)
            .flat_map(|(records, (low, high))| {
                records.iter().filter(move |record| (*low..*high).contains(&record.offset))
            })
            .collect();
        records.sort_by_key(|record| record.arrival);
        for record in records {
            take(lent(record))?;
        }
        Ok(())
    }

    fn open(
        &self,
        parts: &[(&'static str, Bounds)],
    ) -> anyhow::Result<Vec<(&'static str, Box<dyn Partition>)>> {
        let mut opened: Vec<(&'static str, Box<dyn Partition>)> = Vec::new();
        for (name, bounds) in parts {
            for (records, (low, high)) in self.topics[name].iter().zip(&bounds.0) {
                let part = records.iter().filter(|record| (*low..*high).contains(&record.offset));
                opened.push((name, Box::new(part.cloned().collect::<Vec<_>>().into_iter())));
            }
        }
        if self.broken {
            opened.push((topic::FUNNELS, Box::new(Broken)));
        }
        Ok(opened)
    }

    fn offsets_at(&self, topic: &str, at: Timestamp) -> anyhow::Result<Vec<i64>> {
        let offset = |records: &Vec<Record>| records.iter().position(|record| record.arrival >= at.0);
        Ok(self.topics[topic].iter().map(|r| offset(r).unwrap_or(r.len()) as i64).collect())
    }

    fn truth(&self, _: i32, _: i64) -> anyhow::Result<Option<String>> {
        Ok(None)
    }
}

pub fn lent(record: &Record) -> LogRecord<'_> {
    LogRecord {
        partition: record.partition,
        offset: record.offset,
        arrival: Timestamp(record.arrival),
        key: record.key.as_deref(),
        value: record.value.as_deref(),
    }
}

impl Partition for std::vec::IntoIter<Record> {
    fn next(&mut self, take: &mut dyn FnMut(LogRecord<'_>)) -> anyhow::Result<bool> {
        let Some(record) = Iterator::next(self) else { return Ok(false) };
        take(lent(&record));
        Ok(true)
    }
}

struct Broken;

impl Partition for Broken {
    fn next(&mut self, _: &mut dyn FnMut(LogRecord<'_>)) -> anyhow::Result<bool> {
        anyhow::bail!("the disk is broken")
    }
}

impl MemoryLog {
    /// The events of a case, and results as the recount of another log (or the same) gives them.
    pub fn new(case: &Case, counted: &[Record]) -> Self {
        let mut log = Self::default();
        for name in topic::written() {
            log.topics.insert(name, vec![Vec::new()]);
        }
        let mut events = vec![Vec::new(); case.shape.partitions];
        case.log.iter().for_each(|record| events[record.partition as usize].push(record.clone()));
        log.topics.insert(topic::EVENTS, events);
        let expected = recount(counted.to_vec(), case.shape);
        for name in topic::RESULTS {
            let mut rows: Vec<&Value> = expected.rows[name].values().collect();
            rows.sort_by_key(|row| row["window_end"].to_string());
            for row in rows {
                let mut row = row.clone();
                for field in ["revenue", "human_revenue"] {
                    if let Some(revenue) = row[field].as_f64() {
                        // the recount sums doubles
                        row[field] = json!((revenue * 10_000.0).round() / 10_000.0);
                    }
                }
                log.append(name, &row);
            }
        }
        for ((partition, offset), reason) in &expected.letters {
            let record = case.log.iter().find(|r| (r.partition, r.offset) == (*partition, *offset)).unwrap();
            let raw = clickstream_event::rows::raw_text(record.value.as_ref().unwrap());
            log.append(
                topic::DEAD_LETTERS,
                &json!({ "reason": reason, "detail": "", "source_partition": partition, "source_offset": offset, "raw": raw }),
            );
        }
        log
    }

    pub fn records(&mut self, name: &str) -> &mut Vec<Record> {
        &mut self.topics.get_mut(name).unwrap()[0]
    }

    pub fn append(&mut self, name: &'static str, row: &Value) {
        let key: serde_json::Map<String, Value> =
            key_fields(name).iter().map(|field| ((*field).to_owned(), row[*field].clone())).collect();
        let key = Some(Value::Object(key).to_string().into_bytes());
        self.put(name, key, Some(row.to_string().into_bytes()));
    }

    pub fn put(&mut self, name: &'static str, key: Option<Vec<u8>>, value: Option<Vec<u8>>) {
        let offset = self.records(name).len() as i64;
        self.records(name).push(Record { partition: 0, offset, arrival: BEGIN, key, value });
    }

    /// Rows of a topic that pass, as their index and content.
    pub fn rows(&mut self, name: &str, passes: impl Fn(&Value) -> bool) -> Vec<(usize, Value)> {
        let rows = self.records(name).iter().enumerate();
        rows.map(|(n, record)| (n, serde_json::from_slice(record.value.as_ref().unwrap()).unwrap()))
            .filter(|(_, row)| passes(row))
            .collect()
    }

    pub fn replace(&mut self, name: &str, n: usize, row: &Value) {
        self.records(name)[n].value = Some(row.to_string().into_bytes());
    }

    pub fn remove(&mut self, name: &str, n: usize) {
        self.records(name).remove(n);
        self.records(name).iter_mut().enumerate().for_each(|(n, record)| record.offset = n as i64);
    }
}

//! Reading a log as a whole: from Kafka, or from the files of the embedded engine.
//!
//! [`Log`] is what proofs need of either: the bounds of a topic, and its records. Records of the events topic come merged in
//! the order of their arrival, so that whoever counts them never has one partition far ahead of the others.

pub mod embedded;
pub mod kafka;

use std::ops::ControlFlow;

use clickstream_event::{Timestamp, topic};
use clickstream_stack::layout::Layout;

use crate::config::{Config, Engine};
use crate::run_state::RunState;

/// A record as it stands in a topic.
#[derive(Clone, Copy, Debug)]
pub struct LogRecord<'r> {
    /// Its partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// When the log took it.
    pub arrival: Timestamp,
    /// Its key.
    pub key: Option<&'r [u8]>,
    /// Its value.
    pub value: Option<&'r [u8]>,
}

/// The part of a topic that is read: per partition the first offset, and the first that is not read any more.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Bounds(pub Vec<(i64, i64)>);

impl Bounds {
    /// One record of a topic with so many partitions.
    pub fn one(partitions: usize, partition: i32, offset: i64) -> Self {
        let mut bounds = vec![(0, 0); partitions];
        if let Some(bound) = bounds.get_mut(partition.max(0) as usize) {
            *bound = (offset, offset + 1);
        }
        Self(bounds)
    }

    /// Records at most: fewer where a topic is compacted.
    pub fn len(&self) -> u64 {
        self.0.iter().map(|(low, high)| (high - low).max(0) as u64).sum()
    }
}

/// Takes records one by one; an error ends the reading.
pub type Take<'t> = &'t mut dyn FnMut(LogRecord<'_>) -> anyhow::Result<()>;

/// A log whose last record is younger than this may be being written, in milliseconds.
pub const LIVE_MS: i64 = 5_000;

/// One partition of a topic that is being read, up to a bound.
pub trait Partition: Send {
    /// Gives the next record; returns `false` at the end.
    fn next(&mut self, take: &mut dyn FnMut(LogRecord<'_>)) -> anyhow::Result<bool>;
}

/// A log that can be read from the outside, also while others write.
pub trait Log: Sync {
    /// Where it is, for people.
    fn place(&self) -> String;
    /// Whether somebody may be writing to it, judged by its last record.
    fn is_live(&self, last: Timestamp, now: Timestamp) -> bool {
        now.0 - last.0 < LIVE_MS
    }
    /// What a topic holds now.
    fn bounds(&self, topic: &str) -> anyhow::Result<Bounds>;
    /// Reads within bounds, partitions merged in the order of arrival.
    fn read(&self, topic: &str, bounds: &Bounds, take: Take<'_>) -> anyhow::Result<()>;
    /// Opens all partitions of several topics that hold anything within the bounds, each with the name of its topic.
    fn open(
        &self,
        parts: &[(&'static str, Bounds)],
    ) -> anyhow::Result<Vec<(&'static str, Box<dyn Partition>)>>;
    /// Per partition the first offset whose record arrived at `at` or later; the end where there is none.
    fn offsets_at(&self, topic: &str, at: Timestamp) -> anyhow::Result<Vec<i64>>;
    /// What generated traffic says about a record of the events in its `truth` header, if it says anything.
    fn truth(&self, partition: i32, offset: i64) -> anyhow::Result<Option<String>>;

    /// Of a part of a topic, what arrived at `at` or later.
    fn since(&self, topic: &str, part: &Bounds, at: Timestamp) -> anyhow::Result<Bounds> {
        // Kafka takes times before 1970 for something else
        let from = self.offsets_at(topic, at.max(Timestamp(0)))?;
        let since = |((low, high), from): (&(i64, i64), i64)| (from.clamp(*low, *high), *high);
        Ok(Bounds(part.0.iter().zip(from).map(since).collect()))
    }

    /// Of a part of a topic, what arrived before `at`.
    fn until(&self, topic: &str, part: &Bounds, at: Timestamp) -> anyhow::Result<Bounds> {
        let to = self.offsets_at(topic, at.max(Timestamp(0)))?;
        let until = |((low, high), to): (&(i64, i64), i64)| (*low, to.clamp(*low, *high));
        Ok(Bounds(part.0.iter().zip(to).map(until).collect()))
    }
}

/// Enough was read.
#[derive(Debug, thiserror::Error)]
#[error("enough was read")]
struct Enough;

/// Reads within bounds as [`Log::read`] does, until `take` has enough.
pub fn read_until(
    log: &dyn Log,
    topic: &str,
    part: &Bounds,
    take: &mut dyn FnMut(LogRecord<'_>) -> ControlFlow<()>,
) -> anyhow::Result<()> {
    let reading = log.read(topic, part, &mut |record| match take(record) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Enough.into()),
    });
    match reading {
        Err(error) if !error.is::<Enough>() => Err(error),
        _ => Ok(()),
    }
}

/// When the first of the events within the bounds arrived.
pub fn first_arrival(log: &dyn Log, events: &Bounds) -> anyhow::Result<Option<Timestamp>> {
    let heads = Bounds(events.0.iter().map(|(low, high)| (*low, (low + 1).min(*high))).collect());
    let mut first: Option<Timestamp> = None;
    log.read(topic::EVENTS, &heads, &mut |record| {
        first = Some(first.map_or(record.arrival, |first| first.min(record.arrival)));
        Ok(())
    })?;
    Ok(first)
}

/// The log that the configuration means: that of a Kafka that is named; else of the engine that runs, or ran last, in the
/// data directory.
pub fn open(config: &Config) -> anyhow::Result<Box<dyn Log + Send>> {
    let layout = Layout::new(&config.stack.data_dir);
    let embedded = match config.engine {
        Engine::Embedded => true,
        Engine::Flink => false,
        Engine::Auto => config.stack.external_kafka.is_none() && is_embedded(&layout),
    };
    if embedded {
        return Ok(Box::new(embedded::EmbeddedLog::new(&layout.embedded())));
    }
    Ok(Box::new(kafka::KafkaLog::new(&config.kafka_address())))
}

fn is_embedded(layout: &Layout) -> bool {
    match RunState::current(layout).engine.as_str() {
        "embedded" => true,
        "flink" => false,
        // nothing runs: Kafka could not be read, files can
        _ => {
            embedded::EmbeddedLog::new(&layout.embedded()).bounds(topic::EVENTS).is_ok()
                && !layout.kafka().exists()
        }
    }
}

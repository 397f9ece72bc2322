//! A proof that goes on while the pipeline runs.

use std::collections::HashMap;

use anyhow::{Result, bail};
use clickstream_engine::Config;
use clickstream_event::{Timestamp, topic};

use super::Proof;
use super::lockstep::comes_late;
use super::prove::whole_from;
use super::report::Report;
use crate::logs::{Bounds, Log};

/// Rows of windows that ended longer ago than this before the newest are forgotten, in milliseconds; a row that is written
/// again after that is not compared.
const REMEMBERED_MS: i64 = 600_000;

/// Reads on from where it stopped, each time it is asked.
pub struct Follower {
    log: Box<dyn Log + Send>,
    config: Config,
    proof: Proof,
    /// Per topic the offsets up to which it was read.
    read: HashMap<&'static str, Vec<i64>>,
    /// Where the events were read from.
    from: Vec<i64>,
    /// Offsets of the events that were settled one step ago.
    settled: Vec<i64>,
}

impl Follower {
    /// Proves windows that begin at or after `since`, or all that the log holds.
    pub fn new(
        log: Box<dyn Log + Send>,
        config: Config,
        since: Option<Timestamp>,
        timing: bool,
    ) -> Result<Self> {
        let bounds = log.bounds(topic::EVENTS)?;
        let mut from: Vec<i64> = bounds.0.iter().map(|(low, _)| *low).collect();
        if let Some(since) = since {
            let later = log.offsets_at(topic::EVENTS, since)?;
            from.iter_mut().zip(later).for_each(|(from, later)| *from = later.max(*from));
        }
        let skipped = since.filter(|_| from.iter().any(|from| *from > 0));
        let whole_from = skipped.max(whole_from(log.as_ref(), &bounds)?);
        let mut read = HashMap::from([(topic::EVENTS, from.clone())]);
        for name in topic::written() {
            let start = match since {
                Some(since) => log.offsets_at(name, since)?,
                None => log.bounds(name)?.0.iter().map(|(low, _)| *low).collect(),
            };
            read.insert(name, start);
        }
        let proof = Proof::new(config, bounds.0.len(), whole_from, timing);
        Ok(Self { log, config, proof, read, settled: from.clone(), from })
    }

    /// See [`Proof::with_settings_since`].
    pub fn with_settings_since(self, since: Option<Timestamp>) -> Self {
        Self { proof: self.proof.with_settings_since(since), ..self }
    }

    /// Reads what has come since the last step, and compares.
    pub fn step(&mut self) -> Result<&Report> {
        // rows first: every row stems from events that are in the log by then
        let parts = topic::written().map(|name| Ok((name, self.new_part(name)?)));
        let parts = parts.collect::<Result<Vec<_>>>()?;
        let mut partitions = self.log.open(&parts)?;
        partitions.sort_by_key(|(name, _)| comes_late(name));
        let reading = self.proof.reading();
        for (name, mut partition) in partitions {
            while partition.next(&mut |record| self.proof.take(reading.read(name, &record)))? {}
        }
        let bounds = self.new_part(topic::EVENTS)?;
        if bounds.0.len() != self.from.len() {
            let (now, before) = (bounds.0.len(), self.from.len());
            bail!(
                "{} has {now} partitions and had {before} when this proof began: begin it again",
                topic::EVENTS
            );
        }
        self.log.read(topic::EVENTS, &bounds, &mut |record| {
            self.proof.event(record);
            Ok(())
        })?;
        self.proof.settle(false);
        let read: Vec<(i64, i64)> =
            self.from.iter().zip(&bounds.0).map(|(from, (_, high))| (*from, *high)).collect();
        if let Some(to) = self.proof.report().complete_to {
            // a step later, as they may still be on their way
            self.proof.settle_letters(&self.settled, &read);
            self.settled = self.log.offsets_at(topic::EVENTS, to)?;
            let before = Timestamp(to.0 - self.config.windows.size_ms() - REMEMBERED_MS);
            self.proof.forget(before, &self.log.offsets_at(topic::EVENTS, before)?);
        }
        Ok(self.proof.report())
    }

    /// The part of a topic that was not read yet; it counts as read from now on.
    fn new_part(&mut self, name: &'static str) -> Result<Bounds> {
        let bounds = self.log.bounds(name)?;
        let read = self.read.entry(name).or_default();
        read.resize(bounds.0.len(), 0);
        let part = bounds.0.iter().zip(read.iter()).map(|((low, high), read)| ((*read).max(*low), *high));
        let part = Bounds(part.collect());
        *read = part.0.iter().map(|(from, high)| (*high).max(*from)).collect();
        Ok(part)
    }
}

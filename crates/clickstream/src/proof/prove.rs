//! One proof of everything that stands in a log now.

use std::time::Duration;

use anyhow::{Result, bail};
use clickstream_engine::Config;
use clickstream_event::{Timestamp, topic};

use super::Proof;
use super::report::Report;
use crate::logs::{Bounds, Log};

/// Events and rows are read side by side, so much at a time, so that rows wait no longer than that for their recount.
const STEP_MS: i64 = 300_000;

/// What the pipeline may still be writing for records of a log that is being written.
const WRITING: Duration = Duration::from_millis(1_500);

/// Reads events and results, recounts, compares.
pub fn prove(log: &dyn Log, config: Config, now: impl Fn() -> Timestamp) -> Result<Report> {
    let events = log.bounds(topic::EVENTS)?;
    if events.len() == 0 {
        bail!("{} holds no events yet: nothing to prove", log.place());
    }
    let last = ends(log, &events, |(low, high)| ((high - 1).max(low), high))?;
    let first = ends(log, &events, |(low, high)| (low, (low + 1).min(high)))?;
    let live = last.is_some_and(|last| log.is_live(last, now()));
    if live {
        std::thread::sleep(WRITING);
    }
    let whole_from = whole_from(log, &events)?;
    let mut proof = Proof::new(config, events.0.len(), whole_from, true);
    let names: Vec<&'static str> = topic::written().chain([topic::EVENTS]).collect();
    let all =
        names.iter().map(|name| if *name == topic::EVENTS { Ok(events.clone()) } else { log.bounds(name) });
    let limits: Vec<Bounds> = all.collect::<Result<_>>()?;
    let mut read: Vec<Vec<i64>> =
        limits.iter().map(|bounds| bounds.0.iter().map(|(low, _)| *low).collect()).collect();
    let mut to = first.map(|first| Timestamp(first.0 + STEP_MS));
    loop {
        // rows first: those that had been written by then stem from events that had arrived by then
        let until = to.filter(|to| Some(*to) <= last);
        for ((name, ends), read) in names.iter().zip(&limits).zip(&mut read) {
            let next = match until {
                Some(until) => log.offsets_at(name, until)?,
                None => Vec::new(),
            };
            let part = read.iter().zip(&ends.0).enumerate().map(|(n, (from, (_, high)))| {
                (*from, next.get(n).copied().unwrap_or(*high).clamp(*from, (*high).max(*from)))
            });
            let part = Bounds(part.collect());
            proof.read(log, name, &part)?;
            *read = part.0.iter().map(|(_, end)| *end).collect();
        }
        match until {
            Some(until) => to = Some(Timestamp(until.0 + STEP_MS)),
            None => break,
        }
    }
    proof.settle(!live);
    // when a window was written, the letters of all records that arrived before its end were
    let settled = match proof.report().complete_to {
        Some(to) => log.offsets_at(topic::EVENTS, to)?,
        None => Vec::new(),
    };
    // of a log whose head was cut, late records of the first moments cannot be told: their high mark is gone
    let from = match whole_from {
        Some(at) => log.offsets_at(topic::EVENTS, Timestamp(at.0 + config.max_disorder_ms))?,
        None => events.0.iter().map(|(low, _)| *low).collect(),
    };
    let read: Vec<(i64, i64)> = from.iter().zip(&events.0).map(|(from, (_, high))| (*from, *high)).collect();
    proof.settle_letters(&settled, &read);
    Ok(proof.report().clone())
}

/// Where retention has cut the head of partitions: from when on the log is whole, which is from the first record of each on.
pub(super) fn whole_from(log: &dyn Log, events: &Bounds) -> Result<Option<Timestamp>> {
    ends(log, events, |(low, high)| if low > 0 { (low, (low + 1).min(high)) } else { (0, 0) })
}

/// The latest arrival among the records of a part of each partition.
fn ends(
    log: &dyn Log,
    bounds: &Bounds,
    part: impl Fn((i64, i64)) -> (i64, i64),
) -> Result<Option<Timestamp>> {
    let part = Bounds(bounds.0.iter().map(|bound| part(*bound)).collect());
    let mut latest = None;
    log.read(topic::EVENTS, &part, &mut |record| {
        latest = latest.max(Some(record.arrival));
        Ok(())
    })?;
    Ok(latest)
}

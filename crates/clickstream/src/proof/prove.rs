//! One proof of everything that stands in a log now.

use std::ops::ControlFlow;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use clickstream_engine::Config;
use clickstream_event::{Timestamp, topic};

use super::Proof;
use super::chunk::Chunk;
use super::lockstep::Lockstep;
use super::report::Report;
use crate::logs::{Bounds, Log, read_until};

/// What the pipeline may still be writing for records of a log that is being written.
const WRITING: Duration = Duration::from_millis(1_500);
/// Chunks of events that are read ahead.
const CHUNKS_AHEAD: usize = 32;

/// Reads events and results, recounts, compares. What began before `settings_since` may have been counted with other settings.
pub fn prove(
    log: &dyn Log,
    config: Config,
    settings_since: Option<Timestamp>,
    now: impl Fn() -> Timestamp,
) -> Result<Report> {
    let events = log.bounds(topic::EVENTS)?;
    if events.len() == 0 {
        bail!("{} holds no events yet: nothing to prove", log.place());
    }
    let last = ends(log, &events, |(low, high)| ((high - 1).max(low), high))?;
    let live = last.is_some_and(|last| log.is_live(last, now()));
    if live {
        std::thread::sleep(WRITING);
    }
    let whole_from = whole_from(log, &events)?;
    let mut proof = Proof::new(config, events.0.len(), whole_from, true).with_settings_since(settings_since);
    let parts = topic::written().map(|name| Ok((name, log.bounds(name)?)));
    let rows = log.open(&parts.collect::<Result<Vec<_>>>()?)?;
    std::thread::scope(|scope| {
        let mut lockstep = Lockstep::start(scope, &proof, rows);
        // events are read beside the recount, too
        let (sender, chunks) = sync_channel(CHUNKS_AHEAD);
        let reader = scope.spawn(|| read_events(log, &events, sender));
        let counted = chunks.iter().try_for_each(|chunk| lockstep.events(&mut proof, &chunk));
        drop(chunks);
        let read = reader.join().map_err(|_| anyhow!("the reader of the events broke")).and_then(|read| read);
        lockstep.finish(&mut proof, read.and(counted))
    })?;
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

/// Reads the events in chunks until nobody takes them any more.
fn read_events(log: &dyn Log, events: &Bounds, chunks: SyncSender<Chunk>) -> Result<()> {
    let mut chunk = Chunk::default();
    read_until(log, topic::EVENTS, events, &mut |record| {
        chunk.push(record);
        match chunk.is_full() && chunks.send(std::mem::take(&mut chunk)).is_err() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    // whoever does not take it says why
    let _ = chunks.send(chunk);
    Ok(())
}

/// Where retention has cut the head of partitions: from when on the log is whole, which is after the first record of each: what
/// was cut may have arrived in the same millisecond.
pub(super) fn whole_from(log: &dyn Log, events: &Bounds) -> Result<Option<Timestamp>> {
    let first = ends(log, events, |(low, high)| if low > 0 { (low, (low + 1).min(high)) } else { (0, 0) })?;
    Ok(first.map(|arrival| Timestamp(arrival.0 + 1)))
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

//! Events and rows side by side, in event time: a thread reads the rows of the next windows while the recount closes those before.
//!
//! So what is held at a time is rows of a few slides, however long the log is, and however long after the events the rows were
//! written. A partition of a result topic is read until it gives a row that is settled later than asked for. Rows that are not in
//! that order are none the worse compared, they only wait.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};

use anyhow::{Result, anyhow};
use clickstream_event::{Timestamp, topic};

use super::chunk::Chunk;
use super::reading::{Item, Reading};
use super::{Proof, is_below};
use crate::logs::Partition;

/// Rows that travel together.
const BATCH: usize = 256;
/// Batches that may be under way.
const UNDER_WAY: usize = 128;
/// The least event time that is read at once, in milliseconds.
const STEP_MS: i64 = 5_000;

/// What is to be read: rows that are settled by a time, letters of records below these offsets.
struct Order {
    to: Timestamp,
    below: Vec<i64>,
}

enum Answer {
    Items(Vec<Item>),
    /// All that was ordered has been read.
    Done,
}

/// The rows' side of it, seen from the events' side.
pub(super) struct Lockstep<'scope> {
    orders: Sender<Order>,
    answers: Receiver<Answer>,
    thread: ScopedJoinHandle<'scope, Result<()>>,
    step_ms: i64,
    /// Rows that are settled by then are here.
    here: i64,
    /// Those that are settled by then will be, by the order that is under way.
    ordered: Option<i64>,
    /// Offsets below which events have been taken, per partition.
    taken: Vec<i64>,
}

impl<'scope> Lockstep<'scope> {
    /// Begins to read.
    pub fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        proof: &Proof,
        partitions: Vec<(&'static str, Box<dyn Partition>)>,
    ) -> Self {
        let (orders, ordered) = channel();
        let (sender, answers) = sync_channel(UNDER_WAY);
        let reading = proof.reading();
        let thread = scope.spawn(move || read(partitions, &reading, &ordered, &sender));
        let step_ms = proof.config.windows.slide_ms().max(STEP_MS);
        let taken = proof.forgotten.clone();
        Self { orders, answers, thread, step_ms, here: i64::MIN, ordered: None, taken }
    }

    /// Takes the next events.
    pub fn events(&mut self, proof: &mut Proof, chunk: &Chunk) -> Result<()> {
        for (partition, offset) in chunk.places() {
            if let Some(taken) = self.taken.get_mut(partition.max(0) as usize) {
                *taken = offset + 1;
            }
        }
        proof.count(chunk);
        let Some(Timestamp(now)) = proof.engine.watermark() else { return Ok(()) };
        if self.ordered.is_none() {
            self.order(now + self.step_ms);
        }
        // rows are here shortly before their windows close, and the next are under way
        while now + self.step_ms / 8 >= self.here {
            let before = self.ordered.unwrap_or(now);
            self.order((before + self.step_ms).max(now + self.step_ms));
            self.await_answer(proof)?;
            self.here = before;
        }
        Ok(())
    }

    /// Takes all that is left, unless reading the events has failed.
    pub fn finish(mut self, proof: &mut Proof, read: Result<()>) -> Result<()> {
        let outcome = read.and_then(|()| self.rest(proof));
        drop((self.orders, self.answers));
        // what went wrong with the rows is the cause, if anything did
        self.thread.join().map_err(|_| anyhow!("the reader of the rows broke"))?.and(outcome)
    }

    fn rest(&mut self, proof: &mut Proof) -> Result<()> {
        self.taken.iter_mut().for_each(|taken| *taken = i64::MAX);
        let under_way = usize::from(self.ordered.is_some());
        self.order(i64::MAX);
        (0..=under_way).try_for_each(|_| self.await_answer(proof))
    }

    fn order(&mut self, to: i64) {
        self.ordered = Some(to);
        // if the thread has ended, its answers say so
        let _ = self.orders.send(Order { to: Timestamp(to), below: self.taken.clone() });
    }

    /// Takes what the oldest order gives. An error of the thread ends the answers, and is told when it is waited for.
    fn await_answer(&mut self, proof: &mut Proof) -> Result<()> {
        loop {
            match self.answers.recv() {
                Ok(Answer::Items(items)) => items.into_iter().for_each(|item| proof.take(item)),
                Ok(Answer::Done) => return Ok(()),
                Err(_) => return Err(anyhow!("the rows cannot be read any more")),
            }
        }
    }
}

/// Rows of sites are read before all others: they tell what shape windows had.
pub(super) fn comes_late(name: &str) -> bool {
    name != topic::SITE_METRICS
}

/// A partition of a result topic.
struct Source {
    topic: &'static str,
    partition: Box<dyn Partition>,
    /// When the last row that it gave is settled, and the record that its last letter is about.
    settled_at: Timestamp,
    letter: (i32, i64),
    is_over: bool,
}

fn read(
    partitions: Vec<(&'static str, Box<dyn Partition>)>,
    reading: &Reading,
    orders: &Receiver<Order>,
    answers: &SyncSender<Answer>,
) -> Result<()> {
    let source = |(topic, partition)| Source {
        topic,
        partition,
        settled_at: Timestamp(i64::MIN),
        letter: (0, -1),
        is_over: false,
    };
    let mut sources: Vec<Source> = partitions.into_iter().map(source).collect();
    sources.sort_by_key(|source| comes_late(source.topic));
    for order in orders {
        for source in sources.iter_mut().filter(|source| !source.is_over) {
            let mut items = Vec::with_capacity(BATCH);
            while source.settled_at <= order.to
                && (source.letter.1 < 0 || order.to.0 == i64::MAX || is_below(source.letter, &order.below))
            {
                let (topic, settled_at, letter) = (source.topic, &mut source.settled_at, &mut source.letter);
                let more = source.partition.next(&mut |record| {
                    let item = reading.read(topic, &record);
                    match &item {
                        Item::Row(found, _) => *settled_at = found.settled_at,
                        Item::Letter { at, .. } => *letter = *at,
                        Item::Tombstone(..) | Item::Unreadable(_) => {}
                    }
                    items.push(item);
                })?;
                if !more {
                    source.is_over = true;
                    break;
                }
                if items.len() >= BATCH {
                    let full = std::mem::replace(&mut items, Vec::with_capacity(BATCH));
                    if answers.send(Answer::Items(full)).is_err() {
                        return Ok(());
                    }
                }
            }
            if answers.send(Answer::Items(items)).is_err() {
                return Ok(());
            }
        }
        if answers.send(Answer::Done).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

//! The thread that files rows.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use super::pending::{Batch, MANY, Pending};
use super::{Incoming, Shared};
use crate::frame::Frame;
use crate::kind::Kind;
use crate::store::{EventLimit, FrameMark, Store};

/// After its site's row a window is over, as far as a kind without rows is concerned.
const CLOSED_AFTER: Duration = Duration::from_millis(1_500);
/// How often to look for what is old.
const TIDY_EVERY: Duration = Duration::from_secs(1);
/// How often to count sessions and anomalies.
const COUNT_EVENTS_EVERY: Duration = Duration::from_secs(30);
/// Old ones are forgotten for so long, as long as nothing else is to do.
const FORGET_FOR: Duration = Duration::from_millis(200);
/// Frames wait for others that come within so long …
const GATHER: Duration = Duration::from_millis(8);
/// … but not longer than this: to wake every client for every frame takes longer than to write it.
const GATHER_AT_MOST: Duration = Duration::from_millis(20);
/// Pause after a refused write.
const RETRY_AFTER: Duration = Duration::from_millis(500);
/// Tries of the last write when the feed is stopped.
const LAST_TRIES: u32 = 4;

pub struct Filing {
    store: Store,
    shared: Arc<Shared>,
    pending: Pending,
    closing: Vec<(Instant, String, i64)>,
    /// Frames to be sent, and since when there are some.
    ready: Vec<Arc<Frame>>,
    ready_since: Instant,
    tidy_at: Instant,
    count_events_at: Instant,
    /// Up to where sessions and anomalies are to be forgotten.
    limits: Vec<EventLimit>,
    warned: Option<Instant>,
}

impl Filing {
    pub fn new(store: Store, shared: Arc<Shared>) -> Self {
        let now = Instant::now();
        Self {
            store,
            shared,
            pending: Pending::default(),
            closing: Vec::new(),
            ready: Vec::new(),
            ready_since: now,
            tidy_at: now + TIDY_EVERY,
            count_events_at: now + COUNT_EVENTS_EVERY,
            limits: Vec::new(),
            warned: None,
        }
    }

    pub fn run(mut self, queue: &Receiver<Option<Incoming>>) {
        match self.store.open_windows() {
            // the last process was killed before it closed them
            Ok(windows) => {
                let at = Instant::now() + CLOSED_AFTER;
                self.closing.extend(windows.into_iter().map(|(site, end)| (at, site, end)));
            }
            Err(error) => self.warn(&error.to_string()),
        }
        loop {
            let now = Instant::now();
            let next = self.pending.next_due().into_iter().chain(self.closing.first().map(|c| c.0));
            let next = next.chain([self.tidy_at]).min().unwrap_or(self.tidy_at);
            match queue.recv_timeout(next.saturating_duration_since(now)) {
                Ok(Some(row)) => {
                    self.take(row);
                    if self.take_more(queue).is_break() {
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(None) | Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = Instant::now();
            if let Some(batch) = self.pending.due(now, false) {
                self.write(&batch, u32::MAX);
            }
            self.close_windows(now);
            let now = Instant::now();
            let others = self.pending.next_due().is_some_and(|due| due <= now + GATHER);
            if !others || now >= self.ready_since + GATHER_AT_MOST {
                self.send();
            }
            if now >= self.tidy_at {
                self.tidy(now);
            }
        }
        while let Some(batch) = self.pending.due(Instant::now(), true) {
            self.write(&batch, LAST_TRIES);
        }
        self.send();
    }

    /// Takes all that is in the queue: which of it is written first is not a matter of who came first.
    fn take_more(&mut self, queue: &Receiver<Option<Incoming>>) -> ControlFlow<()> {
        while self.pending.len() < MANY {
            match queue.try_recv() {
                Ok(Some(row)) => self.take(row),
                Ok(None) => return ControlFlow::Break(()),
                Err(_) => break,
            }
        }
        ControlFlow::Continue(())
    }

    fn take(&mut self, Incoming { topic, position, row }: Incoming) {
        let place = position.map(|(partition, offset)| (topic, partition, offset));
        match row {
            Ok(row) => {
                if let Some(kind) = Kind::named(row.kind) {
                    self.shared.rows_of_kind[kind.index()].fetch_add(1, Ordering::Relaxed);
                }
                self.pending.take(row, place, Instant::now());
            }
            Err(error) => {
                self.shared.unfit.fetch_add(1, Ordering::Relaxed);
                self.warn(&format!("a record of {topic} is left out: {error}"));
                if let Some((topic, partition, offset)) = place {
                    self.pending.pass(topic, partition, offset);
                }
            }
        }
    }

    /// Writes until it succeeds: meanwhile the queue fills, and whoever brings rows waits.
    fn write(&mut self, batch: &Batch, tries: u32) {
        for _ in 0..tries {
            match self.store.write_part(&batch.rows, &batch.positions, !batch.silent) {
                Ok(marks) => {
                    let now = Instant::now();
                    for mark in marks.iter().filter(|mark| mark.kind.name == "site-metrics") {
                        self.closing.push((now + CLOSED_AFTER, mark.site.clone(), mark.high));
                    }
                    self.show(&marks);
                    return;
                }
                Err(error) => {
                    self.shared.failed_writes.fetch_add(1, Ordering::Relaxed);
                    self.warn(&error.to_string());
                    std::thread::sleep(RETRY_AFTER);
                }
            }
        }
    }

    fn close_windows(&mut self, now: Instant) {
        let due = self.closing.partition_point(|(at, _, _)| *at <= now);
        let windowed: Vec<&'static Kind> = Kind::windowed().collect();
        for (_, site, at) in self.closing.drain(..due).collect::<Vec<_>>() {
            match self.store.close_window(&site, at, &windowed) {
                Ok(marks) => self.show(&marks),
                Err(error) => self.warn(&error.to_string()),
            }
        }
    }

    /// Makes frames, to be sent soon.
    fn show(&mut self, marks: &[FrameMark]) {
        if self.ready.is_empty() {
            self.ready_since = Instant::now();
        }
        for mark in marks {
            match Frame::of_mark(&self.store, mark) {
                Ok(frame) => self.ready.push(frame),
                Err(error) => self.warn(&error.to_string()),
            }
        }
    }

    /// Sends all frames together: whoever is woken by the first finds the others there.
    fn send(&mut self) {
        for frame in self.ready.drain(..) {
            // without clients there is nobody to send to
            let _ = self.shared.frames.send(frame);
        }
    }

    fn tidy(&mut self, now: Instant) {
        self.tidy_at = now + TIDY_EVERY;
        let mut result = Ok(());
        // a little at a time: rows come first
        for _ in 0..4 {
            match self.store.tidy() {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => result = Err(error),
            }
        }
        if now >= self.count_events_at {
            self.count_events_at = now + COUNT_EVENTS_EVERY;
            match self.store.event_limits() {
                Ok(limits) => self.limits = limits,
                Err(error) => result = Err(error),
            }
        }
        let until = self.pending.next_due().into_iter().chain([now + FORGET_FOR]).min();
        while until.is_some_and(|until| Instant::now() < until)
            && let Some(limit) = self.limits.last()
        {
            match self.store.forget_events(limit) {
                Ok(true) => {}
                Ok(false) => drop(self.limits.pop()),
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        if let Err(error) = result {
            self.warn(&error.to_string());
        }
    }

    /// Says it, but not more than once a minute.
    fn warn(&mut self, message: &str) {
        if self.warned.is_none_or(|at| at.elapsed() > Duration::from_secs(60)) {
            self.warned = Some(Instant::now());
            tracing::warn!("{message}");
        }
    }
}

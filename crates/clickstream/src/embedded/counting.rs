//! The thread that counts what is in the log, and writes the rows.

use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};
use clickstream_engine::{Engine, Prepared, Verdict, Window};
use clickstream_event::rows::{Anomaly, Session};
use clickstream_event::{Timestamp, decode, topic};
use clickstream_log::{Log, Options};
use tokio::sync::mpsc;

use super::inlet::Batch;
use super::pipeline::{Figures, Settings, events_dir, results_dir};
use super::restart;
use super::results::Results;
use super::shards::{self, Counting};
use super::writing::{Committed, RETAIN_EVERY};
use crate::logs::embedded::EmbeddedLog;
use crate::logs::{Bounds, Log as _};
use crate::proof::row::{Row as ResultRow, of_window};
use crate::proof::whole::Whole;
use crate::results::{Arrived, Row};

/// Records that are prepared together.
const CHUNK: usize = 32;

/// Counts events, and writes rows.
pub struct Counter {
    settings: Settings,
    engine: Engine<Counting>,
    results: Results,
    /// Which rows can be computed from what was read.
    whole: Whole,
    /// The last arrival.
    now: i64,
    rows: mpsc::Sender<Arrived>,
    figures: Arc<Mutex<Figures>>,
    // the log holds its directory as long as its topics are used
    _log: Log,
}

impl Counter {
    /// Opens the results, and counts again what they need of the events up to `ends`. Says too when the last record of each
    /// partition arrived.
    pub fn open(
        settings: Settings,
        rows: mpsc::Sender<Arrived>,
        figures: Arc<Mutex<Figures>>,
        ends: &[u64],
    ) -> Result<(Self, Vec<i64>)> {
        let (events_dir, results_dir) = (events_dir(&settings.dir), results_dir(&settings.dir));
        // rows follow from the events, so they need not be on the disk when they can be read: what a power cut takes is found to be
        // missing, and computed again
        let options = || Options { sync: false, ..Options::default() };
        let opened = || -> Result<(Log, Results)> {
            let log = Log::open(&results_dir, options())?;
            let mut results = Results::open(&log)?;
            let last = restart::last_progress(&results_dir)?;
            restart::check(&results_dir, &last)?;
            results.go_on(last);
            Ok((log, results))
        };
        let (result_log, results) = match opened() {
            Err(error) if restart::is_damage(&error) => {
                // nothing is lost: they follow from the events
                tracing::warn!(why = %error, "the results are damaged, as after a power cut: computing them again");
                std::fs::remove_dir_all(&results_dir).context("cannot remove damaged results")?;
                opened()?
            }
            opened => opened?,
        };
        let progress = results.progress().clone();
        let (offsets, whole_from) =
            restart::start(&events_dir, settings.partitions, &settings.engine, &progress)?;
        let partitions = settings.partitions as usize;
        let mut counter = Self {
            engine: Engine::with_shards(
                settings.engine,
                partitions,
                shards::for_this_machine(settings.engine.windows.slices() as u32),
            ),
            results,
            whole: Whole::new(whole_from, settings.engine.windows, settings.engine.session_gap_ms),
            now: 0,
            rows,
            figures,
            _log: result_log,
            settings,
        };
        let last_arrivals = counter.replay(&offsets, ends)?;
        Ok((counter, last_arrivals))
    }

    /// When the last record arrived.
    pub fn now(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// Counts what the log holds from `offsets` on.
    fn replay(&mut self, offsets: &[u64], ends: &[u64]) -> Result<Vec<i64>> {
        let log = EmbeddedLog::new(&self.settings.dir);
        let mut last_arrivals = vec![0; ends.len()];
        let bounds = Bounds(offsets.iter().zip(ends).map(|(from, to)| (*from as i64, *to as i64)).collect());
        // a restart may begin before the end of what was written
        let mut written = self.results.progress().offsets.clone();
        written.resize(ends.len(), 0);
        let before = self.results.progress().watermark;
        log.read(topic::EVENTS, &bounds, &mut |record| {
            let verdict = self.engine.push(record.partition as usize, record.arrival, record.value);
            self.now = self.now.max(record.arrival.0);
            if let Some(slot) = last_arrivals.get_mut(record.partition as usize) {
                *slot = record.arrival.0;
            }
            if let Some(letter) = verdict.dead_letter(record.partition, record.offset, record.value) {
                self.results.letter(&letter, record.arrival)?;
            }
            if let Some(slot) = written.get_mut(record.partition as usize) {
                *slot = (*slot).max(record.offset as u64 + 1);
            }
            if self.write_rows(None)? {
                // the rows of hours are more than can be written at once
                let watermark = self.engine.watermark().max(before);
                self.results.commit(&written, watermark, Timestamp(self.now))?;
            }
            Ok(())
        })?;
        self.results.commit(ends, self.engine.watermark(), Timestamp(self.now))?;
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).replayed = bounds.len();
        Ok(last_arrivals)
    }

    /// Counts what comes until nothing more will. Batches that are done with go to `emptied`.
    pub fn run(&mut self, batches: &Receiver<Committed>, emptied: &SyncSender<Batch>) -> Result<()> {
        let mut last_retain = Instant::now();
        for committed in batches {
            self.now = committed.arrival.0;
            self.count(&committed)?;
            // where nobody needs it, its memory is given back
            let _ = emptied.try_send(committed.batch);
            if last_retain.elapsed() > RETAIN_EVERY {
                last_retain = Instant::now();
                let before = Timestamp(self.now - self.settings.retention.as_millis() as i64);
                self.results.retain(before)?;
            }
        }
        Ok(())
    }

    /// Counts what was committed.
    fn count(&mut self, committed: &Committed) -> Result<()> {
        let Committed { batch, beats, ends, arrival, at } = committed;
        let arrival = *arrival;
        // offsets of the batch's records count up to the ends; heartbeats stand behind them
        let mut next = ends.clone();
        batch.iter().for_each(|event| next[event.partition as usize] -= 1);
        beats.iter().for_each(|(partition, _)| next[*partition as usize] -= 1);
        let preparer = self.engine.preparer();
        let rules = self.settings.engine.rules;
        let values = batch.iter().map(|event| (event.partition, event.value));
        let values = values.chain(beats.iter().map(|(partition, value)| (*partition, value.as_slice())));
        let mut chunk: Vec<(u32, u64, &[u8], Result<Prepared<'_>, _>)> = Vec::with_capacity(CHUNK);
        let mut duplicates = 0;
        let mut values = values.peekable();
        while let Some((partition, value)) = values.next() {
            let offset = &mut next[partition as usize];
            let decoded = decode(value, arrival, rules).map(|record| preparer.prepare(&record));
            chunk.push((partition, *offset, value, decoded));
            *offset += 1;
            if chunk.len() < CHUNK && values.peek().is_some() {
                continue;
            }
            self.engine.warm(chunk.iter().filter_map(|(.., decoded)| decoded.as_ref().ok()));
            for (partition, offset, value, decoded) in chunk.drain(..) {
                let verdict = match decoded {
                    Ok(prepared) => self.engine.push_prepared(partition as usize, arrival, &prepared),
                    Err(rejection) => Verdict::Rejected(rejection),
                };
                duplicates += u64::from(verdict == Verdict::Duplicate);
                if let Some(letter) = verdict.dead_letter(partition as i32, offset as i64, Some(value))
                    && self.results.letter(&letter, arrival)?
                {
                    self.show(topic::DEAD_LETTERS, Row::Dead(letter));
                }
            }
        }
        self.write_rows(Some((ends, *at)))?;
        let watermark = self.engine.watermark();
        {
            let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
            figures.watermark = watermark;
            figures.duplicates += duplicates;
        }
        self.results.commit(ends, self.engine.watermark(), arrival)
    }

    /// Writes what the watermark has decided; `live` has the ends of the partitions, and when the record that closed windows was
    /// acknowledged. Gives whether a window was among it.
    fn write_rows(&mut self, live: Option<(&[u64], Instant)>) -> Result<bool> {
        // sessions first: which of them are whole says which windows are
        let sessions: Vec<Session> = self.engine.sessions().collect();
        for session in sessions {
            self.whole.session(&session);
            self.write(session.into(), live.is_some())?;
        }
        let anomalies: Vec<Anomaly> = self.engine.anomalies().collect();
        for anomaly in anomalies {
            self.write(anomaly.into(), live.is_some())?;
        }
        if !self.engine.has_closed() {
            return Ok(false);
        }
        let oldest_session = self.engine.oldest_session();
        let closed: Vec<Window> = self.engine.closed().collect();
        for window in closed {
            let end = window.end;
            let mut rows = Vec::new();
            of_window(window, &mut |row| rows.push(row));
            for row in &rows {
                self.append_row(row)?;
            }
            if self.results.progress().window_end < Some(end) {
                self.results.end_window(end, oldest_session);
            }
            let Some((ends, committed)) = live else { continue };
            self.results.commit(ends, self.engine.watermark(), Timestamp(self.now))?;
            let took = committed.elapsed().as_micros() as u64;
            self.figures.lock().unwrap_or_else(PoisonError::into_inner).fire_us.push(took);
            rows.into_iter().for_each(|row| self.show(row.topic(), row.into()));
        }
        Ok(true)
    }

    /// Appends a row and shows it.
    fn write(&mut self, row: ResultRow, live: bool) -> Result<()> {
        if self.append_row(&row)? && live {
            self.show(row.topic(), row.into());
        }
        Ok(())
    }

    /// Appends a row, unless it was written before a restart or cannot be known.
    fn append_row(&mut self, row: &ResultRow) -> Result<bool> {
        let gap = self.settings.engine.session_gap_ms;
        let new = self.results.progress().lacks(row, gap) && self.whole.holds(row);
        if new {
            self.results.row(row, Timestamp(self.now))?;
        }
        Ok(new)
    }

    fn show(&self, topic: &'static str, row: Row) {
        // nobody may be watching
        let _ = self.rows.blocking_send(Arrived { topic, at: Timestamp::now(), row });
    }
}

//! One thread that takes events, writes them to the log, counts them, and writes the rows.
//!
//! An event is acknowledged when it is on the disk; only then is it counted. So the rows never know more than the log does,
//! and a kill at any moment leaves a log from which the same rows follow.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clickstream_engine::{Config, Engine, Prepared, Verdict, Window};
use clickstream_event::event::encode_heartbeat;
use clickstream_event::rows::{Anomaly, Session};
use clickstream_event::{Timestamp, decode, topic};
use clickstream_log::{Log, LogError, Options, Record, Topic};
use clickstream_traffic::heartbeat::SILENCE_MS;
use tokio::sync::mpsc;

use super::inlet::{Batch, Inlet};
use super::restart;
use super::results::Results;
use super::shards::{self, Counting};
use crate::logs::embedded::EmbeddedLog;
use crate::logs::{Bounds, Log as _};
use crate::proof::row::{Row as ResultRow, of_window};
use crate::proof::whole::Whole;
use crate::results::{Arrived, Row};

/// Events are collected for so long before they are written together.
const LINGER: Duration = Duration::from_millis(4);
/// How often a partition is looked at for silence.
const CHECK: Duration = Duration::from_millis(25);
/// How often old segments are looked for.
const RETAIN_EVERY: Duration = Duration::from_secs(60);
/// Records that are prepared together.
const CHUNK: usize = 32;

/// What to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Directory of both logs.
    pub dir: PathBuf,
    /// Partitions of the events topic.
    pub partitions: u32,
    /// Windows and rules.
    pub engine: Config,
    /// Site of the heartbeats.
    pub site: String,
    /// How long records are kept.
    pub retention: Duration,
    /// Whether silent partitions get heartbeats by our clock. Whoever writes a log of the past sends them by its own.
    pub heartbeats: bool,
}

/// Figures of a running pipeline.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Why it ended, if it failed.
    pub failure: Option<String>,
    /// From the acknowledgement of the record that closed a window until its rows were written, in microseconds, newest last.
    pub fire_us: Vec<u64>,
    /// Records read again at the start.
    pub replayed: u64,
    /// Event time up to which everything is counted.
    pub watermark: Option<Timestamp>,
}

/// The running thread.
pub struct Pipeline {
    inlet: Inlet,
    figures: Arc<Mutex<Figures>>,
    thread: JoinHandle<()>,
}

/// The directory of the events of an embedded log.
pub fn events_dir(dir: &Path) -> PathBuf {
    dir.join("events")
}

/// The directory of its results.
pub fn results_dir(dir: &Path) -> PathBuf {
    dir.join("results")
}

impl Pipeline {
    /// Opens the log, catches up with it, and goes on. Rows go to `rows` too.
    pub fn start(settings: Settings, rows: mpsc::Sender<Arrived>) -> Result<Self> {
        let inlet = Inlet::new(settings.partitions);
        let figures = Arc::<Mutex<Figures>>::default();
        let mut worker = Worker::open(settings, rows, Arc::clone(&figures))?;
        let thread = std::thread::Builder::new().name("pipeline".into()).spawn({
            let (inlet, figures) = (inlet.clone(), Arc::clone(&figures));
            move || {
                if let Err(error) = worker.run(&inlet) {
                    let why = crate::explain(&error);
                    tracing::error!(%why, "the pipeline ended");
                    inlet.close(&why);
                    figures.lock().unwrap_or_else(PoisonError::into_inner).failure = Some(why);
                }
            }
        });
        Ok(Self { inlet, figures, thread: thread.context("no thread for the pipeline")? })
    }

    /// Where events go in.
    pub fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    /// Figures so far; the times of fires are given once.
    pub fn figures(&self) -> Figures {
        let mut figures = self.figures.lock().unwrap_or_else(PoisonError::into_inner);
        let fire_us = std::mem::take(&mut figures.fire_us);
        Figures { fire_us, ..figures.clone() }
    }

    /// Writes what was taken, and ends.
    pub fn stop(self) -> Result<()> {
        self.inlet.close("it is stopping");
        self.thread.join().map_err(|_| anyhow!("the pipeline broke"))?;
        match self.figures.lock().unwrap_or_else(PoisonError::into_inner).failure.take() {
            Some(why) => Err(anyhow!(why)),
            None => Ok(()),
        }
    }
}

struct Worker {
    settings: Settings,
    engine: Engine<Counting>,
    events: Topic,
    results: Results,
    /// Which rows can be computed from what was read.
    whole: Whole,
    /// When the last record of each partition arrived.
    last_arrival: Vec<i64>,
    /// Time never goes back in the log, whatever the machine's clock does.
    now: i64,
    rows: mpsc::Sender<Arrived>,
    figures: Arc<Mutex<Figures>>,
    // the logs hold their directories as long as their topics are used
    _logs: (Log, Log),
}

impl Worker {
    fn open(settings: Settings, rows: mpsc::Sender<Arrived>, figures: Arc<Mutex<Figures>>) -> Result<Self> {
        let (events_dir, results_dir) = (events_dir(&settings.dir), results_dir(&settings.dir));
        let event_log = Log::open(&events_dir, Options::default())?;
        let events = event_log.topic(topic::EVENTS, settings.partitions)?;
        // rows follow from the events, so they need not be on the disk when they can be read
        let options = || Options { sync: false, ..Options::default() };
        let opened = || -> Result<(Log, Results)> {
            let log = Log::open(&results_dir, options())?;
            let results = Results::open(&log, restart::last_progress(&results_dir)?)?;
            restart::check(&results_dir)?;
            Ok((log, results))
        };
        let (result_log, results) = match opened() {
            Err(error)
                if error
                    .downcast_ref::<LogError>()
                    .is_some_and(|e| matches!(e, LogError::Corrupt { .. })) =>
            {
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
        let mut worker = Self {
            engine: Engine::with_shards(
                settings.engine,
                partitions,
                shards::for_this_machine(settings.engine.windows.slices() as u32),
            ),
            events,
            results,
            whole: Whole::new(whole_from, settings.engine.windows, settings.engine.session_gap_ms),
            last_arrival: vec![0; partitions],
            now: 0,
            rows,
            figures,
            _logs: (event_log, result_log),
            settings,
        };
        worker.replay(&offsets)?;
        Ok(worker)
    }

    /// Counts what the log holds from `offsets` on.
    fn replay(&mut self, offsets: &[u64]) -> Result<()> {
        let log = EmbeddedLog::new(&self.settings.dir);
        let ends = self.events.ends().to_vec();
        let bounds = Bounds(offsets.iter().zip(&ends).map(|(from, to)| (*from as i64, *to as i64)).collect());
        // a restart may begin before the end of what was written
        let mut written = self.results.progress().offsets.clone();
        written.resize(ends.len(), 0);
        let before = self.results.progress().watermark;
        log.read(topic::EVENTS, &bounds, &mut |record| {
            let verdict = self.engine.push(record.partition as usize, record.arrival, record.value);
            self.now = self.now.max(record.arrival.0);
            if let Some(slot) = self.last_arrival.get_mut(record.partition as usize) {
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
        self.results.commit(&ends, self.engine.watermark(), Timestamp(self.now))?;
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).replayed = bounds.len();
        Ok(())
    }

    fn run(&mut self, inlet: &Inlet) -> Result<()> {
        let mut batch = Batch::default();
        let mut last_commit = Instant::now();
        let mut last_retain = Instant::now();
        while let Some(taken) = inlet.take(std::mem::take(&mut batch), last_commit, LINGER, CHECK) {
            batch = taken;
            self.now = self.now.max(Timestamp::now().0);
            let beats = self.append(&batch)?;
            if batch.len() > 0 || !beats.is_empty() {
                self.events.commit()?;
                last_commit = Instant::now();
                inlet.acknowledge(&mut batch, clickstream_traffic::producer::now_us());
                self.count(&batch, &beats, last_commit)?;
            }
            if last_retain.elapsed() > RETAIN_EVERY {
                last_retain = Instant::now();
                let before = Timestamp(self.now - self.settings.retention.as_millis() as i64);
                self.events.retain(before.0)?;
                self.results.retain(before)?;
            }
        }
        Ok(())
    }

    /// Appends a batch, and heartbeats where it left a partition silent; returns the heartbeats.
    fn append(&mut self, batch: &Batch) -> Result<Vec<(u32, Vec<u8>)>> {
        let now = self.now;
        for event in batch.iter() {
            let truth = event.truth.map(str::as_bytes);
            let key = (!event.key.is_empty()).then_some(event.key);
            let record = Record { arrival_ms: now, key, truth, value: Some(event.value) };
            self.events.append(event.partition, &record)?;
            self.last_arrival[event.partition as usize] = now;
        }
        let mut beats = Vec::new();
        for (partition, last) in self.last_arrival.iter_mut().enumerate() {
            if self.settings.heartbeats && now - *last >= SILENCE_MS {
                let mut value = Vec::new();
                encode_heartbeat(&self.settings.site, Timestamp(now), &mut value);
                let record = Record { arrival_ms: now, key: None, truth: None, value: Some(&value) };
                self.events.append(partition as u32, &record)?;
                *last = now;
                beats.push((partition as u32, value));
            }
        }
        Ok(beats)
    }

    /// Counts what was committed.
    fn count(&mut self, batch: &Batch, beats: &[(u32, Vec<u8>)], committed: Instant) -> Result<()> {
        let arrival = Timestamp(self.now);
        let ends = self.events.ends().to_vec();
        // offsets of the batch's records count up to the ends; heartbeats stand behind them
        let mut next = ends.clone();
        batch.iter().for_each(|event| next[event.partition as usize] -= 1);
        beats.iter().for_each(|(partition, _)| next[*partition as usize] -= 1);
        let preparer = self.engine.preparer();
        let rules = self.settings.engine.rules;
        let values = batch.iter().map(|event| (event.partition, event.value));
        let values = values.chain(beats.iter().map(|(partition, value)| (*partition, value.as_slice())));
        let mut chunk: Vec<(u32, u64, &[u8], Result<Prepared<'_>, _>)> = Vec::with_capacity(CHUNK);
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
                if let Some(letter) = verdict.dead_letter(partition as i32, offset as i64, Some(value))
                    && self.results.letter(&letter, arrival)?
                {
                    self.show(topic::DEAD_LETTERS, Row::Dead(letter));
                }
            }
        }
        self.write_rows(Some((&ends, committed)))?;
        let watermark = self.engine.watermark();
        self.figures.lock().unwrap_or_else(PoisonError::into_inner).watermark = watermark;
        self.results.commit(&ends, self.engine.watermark(), arrival)
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

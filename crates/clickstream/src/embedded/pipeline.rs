//! Two threads: one takes events and writes them to the log, the other counts them and writes the rows.
//!
//! An event is acknowledged when it is on the disk; only then is it counted. So the rows never know more than the log does,
//! and a kill at any moment leaves a log from which the same rows follow. While a batch is counted, the next one is on its way
//! to the disk.

use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clickstream_engine::Config;
use clickstream_event::{Timestamp, topic};
use clickstream_log::{Log, Options};
use tokio::sync::mpsc;

use super::counting::Counter;
use super::inlet::Inlet;
use super::writing::Writer;
use crate::results::Arrived;

/// Batches that are on the disk and wait to be counted, at most.
const AHEAD: usize = 2;

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
    /// Copies of events that count already, since the start.
    pub duplicates: u64,
}

/// What a thread does.
type Run = Box<dyn FnOnce(&Inlet) -> Result<()> + Send>;

/// The running threads.
pub struct Pipeline {
    inlet: Inlet,
    figures: Arc<Mutex<Figures>>,
    threads: [JoinHandle<()>; 2],
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
        let log = Log::open(events_dir(&settings.dir), Options::default())?;
        let events = log.topic(topic::EVENTS, settings.partitions)?;
        let (mut counter, last_arrivals) =
            Counter::open(settings.clone(), rows, Arc::clone(&figures), events.ends())?;
        let (committed, batches) = sync_channel(AHEAD);
        let (emptied, spare) = sync_channel(AHEAD + 1);
        let mut writer = Writer::new(settings, log, events, last_arrivals, counter.now());
        let spawn = |name: &str, run: Run| {
            let (inlet, figures) = (inlet.clone(), Arc::clone(&figures));
            let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
                if let Err(error) = run(&inlet) {
                    let why = crate::explain(&error);
                    tracing::error!(%why, "the pipeline ended");
                    inlet.close(&why);
                    figures.lock().unwrap_or_else(PoisonError::into_inner).failure.get_or_insert(why);
                }
            });
            thread.with_context(|| format!("no thread for the {name}"))
        };
        let threads = [
            spawn("log", Box::new(move |inlet| writer.run(inlet, &committed, &spare)))?,
            spawn("pipeline", Box::new(move |_| counter.run(&batches, &emptied)))?,
        ];
        Ok(Self { inlet, figures, threads })
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
        for thread in self.threads {
            thread.join().map_err(|_| anyhow!("the pipeline broke"))?;
        }
        match self.figures.lock().unwrap_or_else(PoisonError::into_inner).failure.take() {
            Some(why) => Err(anyhow!(why)),
            None => Ok(()),
        }
    }
}

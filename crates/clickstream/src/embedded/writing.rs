//! The thread that writes events to the log, several together (group commit), and tells their senders.

use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use anyhow::Result;
use clickstream_event::Timestamp;
use clickstream_event::event::encode_heartbeat;
use clickstream_log::{Log, Record, Topic};
use clickstream_traffic::EventSink;
use clickstream_traffic::heartbeat::SILENCE_MS;

use super::inlet::{Batch, Inlet};
use super::pipeline::Settings;

/// Events are collected for so long before they are written together.
const LINGER: Duration = Duration::from_millis(4);
/// How often a partition is looked at for silence.
const CHECK: Duration = Duration::from_millis(25);
/// How often old segments are looked for.
pub(super) const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// What was written together, and is to be counted.
pub struct Committed {
    /// The events.
    pub batch: Batch,
    /// Heartbeats, written behind them.
    pub beats: Vec<(u32, Vec<u8>)>,
    /// The ends of the partitions since.
    pub ends: Vec<u64>,
    /// When all of them arrived.
    pub arrival: Timestamp,
    /// When they were on the disk.
    pub at: Instant,
}

/// Writes the log of events.
pub struct Writer {
    settings: Settings,
    events: Topic,
    /// When the last record of each partition arrived.
    last_arrival: Vec<i64>,
    /// Time never goes back in the log, whatever the machine's clock does.
    now: i64,
    // the log holds its directory as long as its topic is used
    _log: Log,
}

impl Writer {
    /// Goes on with a log whose last records arrived then.
    pub fn new(settings: Settings, log: Log, events: Topic, last_arrival: Vec<i64>, now: Timestamp) -> Self {
        Self { settings, events, last_arrival, now: now.0, _log: log }
    }

    /// Writes what comes in, and hands it on to be counted, until the inlet is closed. `spare` brings batches that are done with.
    pub fn run(
        &mut self,
        inlet: &Inlet,
        committed: &SyncSender<Committed>,
        spare: &Receiver<Batch>,
    ) -> Result<()> {
        let mut last_commit = Instant::now();
        let mut last_retain = Instant::now();
        let mut empty = Batch::default();
        loop {
            // asked before the batch is taken: what is sent meanwhile, and stands in the next one, is due then or later
            let due = inlet.due().not_after(Timestamp(i64::MAX));
            let Some(mut batch) = inlet.take(empty, last_commit, LINGER, CHECK) else { break };
            self.now = self.now.max(Timestamp::now().0);
            let beats = self.append(&batch, due.min(Timestamp(self.now)))?;
            if batch.len() > 0 || !beats.is_empty() {
                let ends = self.events.commit()?.to_vec();
                last_commit = Instant::now();
                inlet.acknowledge(&mut batch, clickstream_traffic::producer::now_us());
                let written = Committed { batch, beats, ends, arrival: Timestamp(self.now), at: last_commit };
                if committed.send(written).is_err() {
                    // counting has failed, and said why
                    return Ok(());
                }
                empty = spare.try_recv().unwrap_or_default();
            } else {
                empty = batch;
            }
            if last_retain.elapsed() > RETAIN_EVERY {
                last_retain = Instant::now();
                self.events.retain(self.now - self.settings.retention.as_millis() as i64)?;
            }
        }
        Ok(())
    }

    /// Appends a batch, and heartbeats that tell the time `beat` where it left a partition silent; returns the heartbeats.
    fn append(&mut self, batch: &Batch, beat: Timestamp) -> Result<Vec<(u32, Vec<u8>)>> {
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
                encode_heartbeat(&self.settings.site, beat, &mut value);
                let record = Record { arrival_ms: now, key: None, truth: None, value: Some(&value) };
                self.events.append(partition as u32, &record)?;
                *last = now;
                beats.push((partition as u32, value));
            }
        }
        Ok(beats)
    }
}

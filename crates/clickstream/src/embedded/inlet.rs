//! The way of events into the log: collected in memory for a few milliseconds, then written together (group commit).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clickstream_traffic::due::Due;
use clickstream_traffic::{EventSink, ProducerError};
use hdrhistogram::Histogram;
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_64;

/// Bytes that wait at most; whoever sends more waits.
const MAX_BYTES: usize = 4 << 20;

/// Events that were sent together.
#[derive(Default)]
pub struct Batch {
    bytes: Vec<u8>,
    records: Vec<Waiting>,
    /// Who waits for some of them to be in the log.
    waiting: Vec<oneshot::Sender<()>>,
}

struct Waiting {
    key_end: usize,
    end: usize,
    partition: u32,
    made_at_us: i64,
    truth: Option<&'static str>,
}

/// An event of a batch.
#[derive(Clone, Copy)]
pub struct Sent<'b> {
    /// Its partition.
    pub partition: u32,
    /// Its key.
    pub key: &'b [u8],
    /// Its value.
    pub value: &'b [u8],
    /// What the generator knows about it.
    pub truth: Option<&'static str>,
}

impl Batch {
    /// The events, in the order they were sent.
    pub fn iter(&self) -> impl Iterator<Item = Sent<'_>> {
        let mut begin = 0;
        self.records.iter().map(move |record| {
            let key = &self.bytes[begin..record.key_end];
            let value = &self.bytes[record.key_end..record.end];
            begin = record.end;
            Sent { partition: record.partition, key, value, truth: record.truth }
        })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
        self.waiting.clear();
    }

    /// Adds a record.
    fn push(
        &mut self,
        partition: u32,
        key: &[u8],
        value: &[u8],
        made_at_us: i64,
        truth: Option<&'static str>,
    ) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.records.push(Waiting { key_end, end: self.bytes.len(), partition, made_at_us, truth });
    }
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Something was sent, or the inlet was closed.
    sent: Condvar,
    count: AtomicU64,
    acknowledged: AtomicU64,
    latency: Mutex<Option<Histogram<u64>>>,
    due: Due,
}

#[derive(Default)]
struct State {
    batch: Batch,
    closed: Option<String>,
}

/// Takes events from any thread. Cheap to clone.
#[derive(Clone)]
pub struct Inlet {
    shared: Arc<Shared>,
    partitions: u32,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inlet {
    /// Into a topic with so many partitions.
    pub fn new(partitions: u32) -> Self {
        let shared = Arc::<Shared>::default();
        *lock(&shared.latency) = Histogram::new_with_bounds(1, 3_600_000_000, 3).ok();
        Self { shared, partitions }
    }

    /// Waits for events, then until `linger` has passed since `since`, so that more come together; at most for `patience`.
    /// `None` once it is closed and empty. `empty` is an emptied batch to go on with.
    pub fn take(
        &self,
        mut empty: Batch,
        since: Instant,
        linger: Duration,
        patience: Duration,
    ) -> Option<Batch> {
        empty.clear();
        let deadline = Instant::now() + patience;
        let mut state = lock(&self.shared.state);
        loop {
            let full = state.batch.bytes.len() >= MAX_BYTES / 2 || state.closed.is_some();
            let now = Instant::now();
            let due = if state.batch.records.is_empty() { deadline } else { (since + linger).min(deadline) };
            if full || now >= due {
                break;
            }
            state = self.shared.sent.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0;
        }
        if state.batch.records.is_empty() && state.closed.is_some() {
            return None;
        }
        Some(std::mem::replace(&mut state.batch, empty))
    }

    /// The events of a batch are in the log.
    pub fn acknowledge(&self, batch: &mut Batch, now_us: i64) {
        for waiting in batch.waiting.drain(..) {
            // who has gone away meanwhile does not mind
            let _ = waiting.send(());
        }
        self.shared.acknowledged.fetch_add(batch.len() as u64, Ordering::Relaxed);
        if let Some(histogram) = lock(&self.shared.latency).as_mut() {
            for record in &batch.records {
                let _ = histogram.record((now_us - record.made_at_us).max(1) as u64);
            }
        }
    }

    /// Sends records, each with its key; the answer comes when all of them are in the log, and never if they will not be. All go
    /// together, or none: `Ok(None)` if there is no room at the moment.
    pub fn append<'r>(
        &self,
        records: impl ExactSizeIterator<Item = (&'r [u8], &'r [u8])>,
    ) -> Result<Option<oneshot::Receiver<()>>, ProducerError> {
        let now_us = clickstream_traffic::producer::now_us();
        let mut state = lock(&self.shared.state);
        if let Some(why) = &state.closed {
            return Err(ProducerError::Closed(why.clone()));
        }
        let batch = &mut state.batch;
        if batch.bytes.len() >= MAX_BYTES {
            return Ok(None);
        }
        let first = batch.records.is_empty();
        self.shared.count.fetch_add(records.len() as u64, Ordering::Relaxed);
        for (key, value) in records {
            batch.push(self.partition(key), key, value, now_us, None);
        }
        let (sender, receiver) = oneshot::channel();
        batch.waiting.push(sender);
        if first || batch.bytes.len() >= MAX_BYTES / 2 {
            self.shared.sent.notify_one();
        }
        Ok(Some(receiver))
    }

    fn partition(&self, key: &[u8]) -> u32 {
        (xxh3_64(key) % u64::from(self.partitions)) as u32
    }

    /// Takes no more events; says why to whoever sends some.
    pub fn close(&self, why: &str) {
        lock(&self.shared.state).closed.get_or_insert_with(|| why.to_owned());
        self.shared.sent.notify_all();
    }

    /// Partitions of the topic.
    pub fn partitions(&self) -> u32 {
        self.partitions
    }

    /// Sends a heartbeat into a partition.
    pub fn beat(&self, partition: u32, value: &[u8], now_us: i64) {
        let mut state = lock(&self.shared.state);
        state.batch.push(partition, b"", value, now_us, None);
        self.shared.count.fetch_add(1, Ordering::Relaxed);
        self.shared.sent.notify_one();
    }

    /// Events that are in the log.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// Time from an event's timestamp until it is in the log, 99th percentile in milliseconds, since the last call.
    pub fn latency_p99(&self) -> Option<f64> {
        let mut guard = lock(&self.shared.latency);
        let histogram = guard.as_mut().filter(|histogram| !histogram.is_empty())?;
        let p99 = histogram.value_at_quantile(0.99) as f64 / 1000.0;
        histogram.reset();
        Some(p99)
    }
}

impl EventSink for Inlet {
    fn due(&self) -> &Due {
        &self.shared.due
    }

    async fn send(
        &self,
        key: &str,
        value: &[u8],
        made_at_us: i64,
        truth: Option<&'static str>,
    ) -> Result<(), ProducerError> {
        let partition = self.partition(key.as_bytes());
        loop {
            {
                let mut state = lock(&self.shared.state);
                if let Some(why) = &state.closed {
                    return Err(ProducerError::Closed(why.clone()));
                }
                let batch = &mut state.batch;
                if batch.bytes.len() < MAX_BYTES {
                    batch.push(partition, key.as_bytes(), value, made_at_us, truth);
                    // the first wakes the log; it waits on its own for more
                    if batch.records.len() == 1 || batch.bytes.len() >= MAX_BYTES / 2 {
                        self.shared.sent.notify_one();
                    }
                    self.shared.count.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn flush(&self, patience: Duration) -> Result<(), ProducerError> {
        let deadline = Instant::now() + patience;
        loop {
            let missing = self.shared.count.load(Ordering::Relaxed) - self.acknowledged();
            if missing == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(ProducerError::Unflushed(missing));
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

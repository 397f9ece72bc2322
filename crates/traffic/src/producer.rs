//! The producer: idempotent, every copy acknowledged, nothing given up while the broker restarts.
//!
//! With `enable.idempotence` the broker drops what a retry sends twice, and keeps the order per partition. A full queue
//! makes the caller wait; nothing is dropped.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clickstream_event::event::encode_heartbeat;
use clickstream_event::{Event, Timestamp, topic};
use hdrhistogram::Histogram;
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer};
use tokio::sync::oneshot;

use crate::due::Due;

/// Where events go: Kafka, or another log of the same topics.
pub trait EventSink: Send + Sync {
    /// Sends one value under a key; waits while there is no room. `made_at_us` is the moment, in microseconds since the
    /// epoch, that the latency is measured from.
    fn send(
        &self,
        key: &str,
        value: &[u8],
        made_at_us: i64,
        truth: Option<&'static str>,
    ) -> impl Future<Output = Result<(), ProducerError>> + Send;

    /// Waits until everything sent is acknowledged.
    fn flush(&self, patience: Duration) -> impl Future<Output = Result<(), ProducerError>> + Send;

    /// When the next event is due: heartbeats into the same log stay behind it.
    fn due(&self) -> &Due;
}

/// What an event's partition is chosen by: all events of one key stand in one partition, in order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyStrategy {
    /// The page: page metrics need no exchange between tasks, but a popular page fills its partition.
    Page,
    /// The product, or the page where there is none.
    Product,
    /// The visitor.
    User,
    /// The visit.
    Session,
}

impl KeyStrategy {
    /// The key of an event.
    pub fn key<'e>(self, event: &'e Event<'_>) -> &'e str {
        match self {
            Self::Page => &event.page_url,
            Self::Product => event.product_id.as_deref().unwrap_or(&event.page_url),
            Self::User => &event.user_id,
            Self::Session => &event.session_id,
        }
    }
}

/// What became of the records sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Handed to the client library.
    pub sent: u64,
    /// Acknowledged by Kafka.
    pub acknowledged: u64,
    /// Given up after minutes of trying.
    pub failed: u64,
}

/// Time from an event's timestamp until Kafka acknowledged it, in milliseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Latency {
    /// Median.
    pub p50: f64,
    /// 95th percentile.
    pub p95: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Events measured.
    pub count: u64,
}

#[derive(Default)]
struct Shared {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    failed: AtomicU64,
    last_error: Mutex<Option<String>>,
    latency: Mutex<Option<Histogram<u64>>>,
    /// Per partition: when a record of ours was last acknowledged, in milliseconds since the epoch.
    active: Mutex<Vec<Arc<AtomicI64>>>,
    /// Per partition: whether a heartbeat is on its way.
    beating: Mutex<Vec<Arc<AtomicBool>>>,
    due: Due,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Callbacks of the client library.
pub struct Context {
    shared: Arc<Shared>,
}

/// What a record carries until it is acknowledged: when it was sent, in microseconds since the epoch, as measured against, and who
/// waits for it.
pub struct Sent {
    measured_from_us: i64,
    heartbeat: bool,
    together: Option<Arc<Together>>,
}

/// Records that somebody waits for together.
struct Together {
    left: AtomicUsize,
    failure: Mutex<Option<String>>,
    done: Mutex<Option<oneshot::Sender<Result<(), ProducerError>>>>,
}

impl Together {
    /// One of them is decided; the last tells how all ended.
    fn end(&self, failure: Option<String>) {
        if let Some(why) = failure {
            lock(&self.failure).get_or_insert(why);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1
            && let Some(done) = lock(&self.done).take()
        {
            let failure = lock(&self.failure).take();
            let _ = done.send(failure.map_or(Ok(()), |why| Err(ProducerError::Undelivered(why))));
        }
    }
}

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Sent>;

    fn delivery(&self, result: &DeliveryResult<'_>, sent: Box<Sent>) {
        let now_us = micros();
        let partition = match result {
            Ok(message) => message.partition(),
            Err((_, message)) => message.partition(),
        };
        if sent.heartbeat
            && let Some(flag) = lock(&self.shared.beating).get(partition.max(0) as usize)
        {
            flag.store(false, Ordering::Relaxed);
        }
        if let Some(together) = &sent.together {
            together.end(result.as_ref().err().map(|(error, _)| error.to_string()));
        }
        match result {
            Ok(_) => {
                if let Some(active) = lock(&self.shared.active).get(partition.max(0) as usize) {
                    active.store(now_us / 1000, Ordering::Relaxed);
                }
                if !sent.heartbeat {
                    self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                    if let Some(histogram) = lock(&self.shared.latency).as_mut() {
                        let _ = histogram.record((now_us - sent.measured_from_us).max(1) as u64);
                    }
                }
            }
            Err((error, _)) if !sent.heartbeat => {
                self.shared.failed.fetch_add(1, Ordering::Relaxed);
                tracing::error!(%error, "an event was not delivered");
                *lock(&self.shared.last_error) = Some(error.to_string());
            }
            Err(_) => {}
        }
    }
}

fn micros() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_micros() as i64)
}

/// Why a record could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum ProducerError {
    /// The client library refused the configuration or the record.
    #[error("Kafka's client refused to {what}: {source}")]
    Client {
        /// What was tried.
        what: &'static str,
        /// Its answer.
        source: KafkaError,
    },
    /// The log takes no events any more.
    #[error("the log takes no more events: {0}")]
    Closed(String),
    /// Kafka did not take some records that were sent together.
    #[error("Kafka did not take all of the events: {0}")]
    Undelivered(String),
    /// Kafka did not take everything before the deadline.
    #[error("{0} events were not acknowledged by Kafka in time; is the broker running?")]
    Unflushed(u64),
    /// All events are acknowledged, or there were none, but not all heartbeats.
    #[error("Kafka did not acknowledge heartbeats within {} ms; is the broker running, and may we write to {}?", .0.as_millis(), topic::EVENTS)]
    Heartbeats(Duration),
}

/// A connection that sends events and heartbeats. Cheap to clone.
#[derive(Clone)]
pub struct Producer {
    inner: Arc<ThreadedProducer<Context>>,
    shared: Arc<Shared>,
    partitions: i32,
}

impl Producer {
    /// Connects to `kafka`, whose events topic has `partitions`.
    pub fn connect(kafka: &str, partitions: i32) -> Result<Self, ProducerError> {
        let shared = Arc::new(Shared::default());
        *lock(&shared.active) = (0..partitions).map(|_| Arc::default()).collect();
        *lock(&shared.beating) = (0..partitions).map(|_| Arc::default()).collect();
        *lock(&shared.latency) = new_histogram();
        let inner = clickstream_kafka::client(kafka)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // keys lie where Java's producers would put them
            .set("partitioner", "murmur2_random")
            // each batch is a request of its own per partition; an event that waits this long is still early
            .set("linger.ms", "8")
            .set("compression.type", "lz4")
            .set("delivery.timeout.ms", "600000")
            .set("queue.buffering.max.messages", "1000000")
            .set("queue.buffering.max.kbytes", "524288")
            .set("topic.metadata.refresh.interval.ms", "10000")
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Error)
            .create_with_context(Context { shared: Arc::clone(&shared) })
            .map_err(|source| ProducerError::Client { what: "connect", source })?;
        Ok(Self { inner: Arc::new(inner), shared, partitions })
    }

    /// Sends a heartbeat into every partition and waits for all of them: connections and producer id are there now, and
    /// the first events will not wait for them until they are late.
    pub async fn warm_up(&self, site_id: &str) -> Result<(), ProducerError> {
        let mut value = Vec::new();
        encode_heartbeat(site_id, now(), &mut value);
        for partition in 0..self.partitions {
            self.beat(partition, &value);
        }
        self.flush(Duration::from_secs(10)).await
    }

    /// Events that are neither acknowledged nor given up. The counts may be of slightly different moments.
    fn outstanding(&self) -> u64 {
        let Counts { sent, acknowledged, failed } = self.counts();
        sent.saturating_sub(acknowledged.saturating_add(failed))
    }

    /// Sends records, each with its key, if it has one; the answer comes when **all** of them are acknowledged, or one was given up.
    /// They go the same way as heartbeats, so that none of these makes them late. Does not wait for room: a full queue is an error
    /// at once, and some of the records may be sent all the same.
    pub fn append<'r>(
        &self,
        records: impl ExactSizeIterator<Item = (Option<&'r str>, &'r [u8])>,
    ) -> oneshot::Receiver<Result<(), ProducerError>> {
        let (done, answer) = oneshot::channel();
        // one more, so that the last acknowledgement cannot come before the last record is sent
        let together = Arc::new(Together {
            left: AtomicUsize::new(records.len() + 1),
            failure: Mutex::default(),
            done: Mutex::new(Some(done)),
        });
        let measured_from_us = micros();
        for (key, value) in records {
            let sent =
                Box::new(Sent { measured_from_us, heartbeat: false, together: Some(Arc::clone(&together)) });
            let mut record: BaseRecord<'_, str, [u8], Box<Sent>> =
                BaseRecord::with_opaque_to(topic::EVENTS, sent).payload(value);
            record.key = key;
            match self.inner.send(record) {
                Ok(()) => {
                    self.shared.sent.fetch_add(1, Ordering::Relaxed);
                }
                Err((error, _)) => together.end(Some(error.to_string())),
            }
        }
        together.end(None);
        answer
    }

    /// Partitions of the events topic.
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// Sends a heartbeat into a partition, unless one is on its way there already.
    pub fn beat(&self, partition: i32, value: &[u8]) {
        let flag = lock(&self.shared.beating).get(partition as usize).cloned();
        let Some(flag) = flag else { return };
        if flag.swap(true, Ordering::Relaxed) {
            return;
        }
        let sent = Box::new(Sent { measured_from_us: 0, heartbeat: true, together: None });
        let record: BaseRecord<'_, str, [u8], Box<Sent>> =
            BaseRecord::with_opaque_to(topic::EVENTS, sent).partition(partition).payload(value);
        if self.inner.send(record).is_err() {
            flag.store(false, Ordering::Relaxed);
        }
    }

    /// When a record of ours was last acknowledged in each partition, in milliseconds since the epoch.
    pub(crate) fn active(&self) -> Vec<i64> {
        lock(&self.shared.active).iter().map(|at| at.load(Ordering::Relaxed)).collect()
    }

    /// What became of the events so far.
    pub fn counts(&self) -> Counts {
        Counts {
            sent: self.shared.sent.load(Ordering::Relaxed),
            acknowledged: self.shared.acknowledged.load(Ordering::Relaxed),
            failed: self.shared.failed.load(Ordering::Relaxed),
        }
    }

    /// The last delivery that was given up, if any was.
    pub fn last_error(&self) -> Option<String> {
        lock(&self.shared.last_error).clone()
    }

    /// Latency since the last call that had `reset` set.
    pub fn latency(&self, reset: bool) -> Latency {
        let mut guard = lock(&self.shared.latency);
        let Some(histogram) = guard.as_mut() else { return Latency::default() };
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1000.0;
        let latency = Latency { p50: at(0.5), p95: at(0.95), p99: at(0.99), count: histogram.len() };
        if reset {
            histogram.reset();
        }
        latency
    }
}

impl EventSink for Producer {
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
        let sent = Box::new(Sent { measured_from_us: made_at_us, heartbeat: false, together: None });
        let mut record = BaseRecord::with_opaque_to(topic::EVENTS, sent).key(key).payload(value);
        if let Some(truth) = truth {
            record = record.headers(OwnedHeaders::new().insert(Header { key: "truth", value: Some(truth) }));
        }
        loop {
            match self.inner.send(record) {
                Ok(()) => {
                    self.shared.sent.fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                Err((source, _)) => return Err(ProducerError::Client { what: "send an event", source }),
            }
        }
    }

    async fn flush(&self, patience: Duration) -> Result<(), ProducerError> {
        let inner = Arc::clone(&self.inner);
        match tokio::task::spawn_blocking(move || inner.flush(patience)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(match self.outstanding() {
                0 => ProducerError::Heartbeats(patience),
                events => ProducerError::Unflushed(events),
            }),
        }
    }
}

fn new_histogram() -> Option<Histogram<u64>> {
    Histogram::new_with_bounds(1, 3_600_000_000, 3).ok()
}

/// The present, for [`Producer::send`].
pub fn now_us() -> i64 {
    micros()
}

/// Milliseconds of [`now_us`] as a [`Timestamp`].
pub fn now() -> Timestamp {
    Timestamp(micros() / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kafka_that_is_away_is_told_as_what_it_is() {
        let producer = Producer::connect("127.0.0.1:1", 2).unwrap();
        let patience = Duration::from_millis(100);
        producer.beat(0, b"{}");
        let error = producer.flush(patience).await.unwrap_err().to_string();
        assert!(error.contains("heartbeats within 100 ms") && error.contains(topic::EVENTS), "{error}");
        producer.send("/", b"{}", now_us(), None).await.unwrap();
        let error = producer.flush(patience).await.unwrap_err();
        assert!(matches!(error, ProducerError::Unflushed(1)), "{error}");
    }
}

//! Sends the model's events to Kafka in real time.

use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use crate::inject::{Injections, Injector, Outgoing};
use crate::model::{Traffic, TrafficConfig};
use crate::pace::{self, Decision};
use crate::producer::{EventSink, KeyStrategy, ProducerError, now, now_us};

/// What to generate.
#[derive(Clone, Debug)]
pub struct GeneratorConfig {
    /// Seed of the visitors.
    pub seed: u64,
    /// Events per second.
    pub rate: f64,
    /// The sites.
    pub sites: Vec<String>,
    /// What an event's partition is chosen by.
    pub key: KeyStrategy,
    /// Shares of events to spoil.
    pub injections: Injections,
    /// Share of visits that are bots.
    pub bots: f64,
    /// Share of visits that are unusual users.
    pub unusual: f64,
    /// Whether there are spikes and drops of traffic.
    pub spikes: bool,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// Stop after this many events.
    pub max_events: Option<u64>,
}

/// Sends events until it is told to stop, or done.
pub struct Generator<S> {
    config: GeneratorConfig,
    sink: S,
}

struct Later(Outgoing);

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.0.at == other.0.at
    }
}
impl Eq for Later {}
impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Later {
    // the earliest first: BinaryHeap yields the greatest
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.at.cmp(&self.0.at)
    }
}

impl<S: EventSink> Generator<S> {
    /// A generator of `config`'s traffic.
    pub fn new(config: GeneratorConfig, sink: S) -> Self {
        Self { config, sink }
    }

    /// Runs; returns how many records were sent. Everything sent is acknowledged when it returns.
    pub async fn run(self, shutdown: CancellationToken) -> Result<u64, ProducerError> {
        let Self { config, sink } = self;
        let began = Instant::now();
        let mut traffic = Traffic::new(TrafficConfig {
            seed: config.seed,
            rate: config.rate,
            start: now(),
            sites: config.sites.clone(),
            bots: config.bots,
            unusual: config.unusual,
            spikes: config.spikes,
        });
        let mut injector = Injector::new(config.injections, config.seed);
        let mut copies: BinaryHeap<Later> = BinaryHeap::new();
        let mut value = Vec::with_capacity(512);
        let mut sent = 0u64;
        let mut produced = 0u64;
        'events: while let Some(mut timed) = traffic.next() {
            loop {
                if shutdown.is_cancelled()
                    || config.duration.is_some_and(|d| began.elapsed() >= d)
                    || config.max_events.is_some_and(|max| produced >= max)
                {
                    break 'events;
                }
                while copies.peek().is_some_and(|copy| copy.0.at <= now()) {
                    if let Some(Later(copy)) = copies.pop() {
                        send(&sink, config.key, &copy, &mut value).await?;
                        sent += 1;
                    }
                }
                match pace::decide(timed.at, now()) {
                    Decision::Send => break,
                    Decision::Wait(ms) => {
                        tokio::select! {
                            () = shutdown.cancelled() => break 'events,
                            () = tokio::time::sleep(Duration::from_millis(ms.clamp(1, 50) as u64)) => {}
                        }
                    }
                    Decision::Skip => {
                        // the visitor did it just now
                        let behind = now().0 - timed.at.0;
                        timed.at.0 += behind;
                        timed.event.timestamp.0 += behind;
                        traffic.skip_to(timed.at);
                        break;
                    }
                }
            }
            let (record, copy) = injector.apply(timed);
            send(&sink, config.key, &record, &mut value).await?;
            sent += 1;
            produced += 1;
            copies.extend(copy.map(Later));
            if produced.is_multiple_of(512) {
                // at rates beyond the clock's resolution this loop never waits: let others run
                tokio::task::yield_now().await;
            }
        }
        for Later(copy) in copies {
            send(&sink, config.key, &copy, &mut value).await?;
            sent += 1;
        }
        sink.flush(Duration::from_secs(5)).await?;
        Ok(sent)
    }
}

async fn send(
    sink: &impl EventSink,
    key: KeyStrategy,
    record: &Outgoing,
    value: &mut Vec<u8>,
) -> Result<(), ProducerError> {
    value.clear();
    match &record.raw {
        Some(raw) => value.extend_from_slice(raw),
        None => record.event.encode(value),
    }
    // the disorder of timestamps is ours, not Kafka's: latency is measured from the moment of sending
    sink.send(key.key(&record.event), value, now_us(), record.truth).await
}

//! Sends the model's events to Kafka in real time.

use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use clickstream_event::Timestamp;
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
        // the first event is due while its visitors are still being made up, which takes some tenths of a second at a cold start
        let start = now();
        let due = Announced(&sink);
        due.at(start);
        let mut traffic = Traffic::new(TrafficConfig {
            seed: config.seed,
            rate: config.rate,
            start,
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
            due.at(timed.at);
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
                        due.at(timed.at);
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
        drop(due);
        for Later(copy) in copies {
            send(&sink, config.key, &copy, &mut value).await?;
            sent += 1;
        }
        sink.flush(Duration::from_secs(5)).await?;
        Ok(sent)
    }
}

/// Tells when events are due; at its end, that there are no more.
struct Announced<'s, S: EventSink>(&'s S);

impl<S: EventSink> Announced<'_, S> {
    fn at(&self, due: Timestamp) {
        self.0.due().set(Some(due));
    }
}

impl<S: EventSink> Drop for Announced<'_, S> {
    fn drop(&mut self) {
        self.0.due().set(None);
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

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use clickstream_event::{Record, Rules, decode};

    use super::*;
    use crate::due::Due;
    use crate::model::DISORDER_MS;

    /// Keeps each event with what a heartbeat could have told by then.
    #[derive(Clone, Default)]
    struct Slow {
        due: Arc<Due>,
        sent: Arc<Mutex<Vec<(Timestamp, Timestamp)>>>,
    }

    impl EventSink for Slow {
        fn due(&self) -> &Due {
            &self.due
        }

        async fn send(
            &self,
            _: &str,
            value: &[u8],
            _: i64,
            _: Option<&'static str>,
        ) -> Result<(), ProducerError> {
            let Ok(Record::Event(_, timestamp)) = decode(value, now(), Rules::default()) else { panic!() };
            let number = {
                let mut sent = self.sent.lock().unwrap();
                sent.push((timestamp, self.due.not_after(now())));
                sent.len()
            };
            if number % 10 == 0 {
                // what comes next is overdue
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            Ok(())
        }

        async fn flush(&self, _: Duration) -> Result<(), ProducerError> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn no_heartbeat_overtakes_an_event_that_was_held_up() {
        let sink = Slow::default();
        let config = GeneratorConfig {
            seed: 1,
            rate: 300.0,
            sites: vec!["shop".into()],
            key: KeyStrategy::Page,
            injections: Injections::default(),
            bots: 0.0,
            unusual: 0.0,
            spikes: false,
            duration: None,
            max_events: Some(50),
        };
        Generator::new(config, sink.clone()).run(CancellationToken::new()).await.unwrap();
        let sent = sink.sent.lock().unwrap();
        assert!(sent.iter().all(|(timestamp, beat)| timestamp.0 >= beat.0 - DISORDER_MS), "{sent:?}");
        let overdue =
            sent.iter().filter(|(timestamp, _)| timestamp.0 < sent[sent.len() - 1].0.0 - 100).count();
        assert!(sent.len() == 50 && overdue > 10, "the sink was not slow enough to tell");
        let now = now();
        assert_eq!(sink.due.not_after(now), now, "nothing is due any more");
    }
}

//! The collector beside a running pipeline: what web sites send goes into the events topic.
//!
//! | module | does |
//! |---|---|
//! | [`kafka`] | into Kafka, by the producer that sends the heartbeats too |
//! | [`embedded`] | into the log in files |

pub mod embedded;
pub mod kafka;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clickstream_collector::{Collector, Intake, Options, seen};
use clickstream_event::{Record, Timestamp, decode, topic};
use clickstream_stack::StackError;
use clickstream_stack::layout::Layout;
use clickstream_stack::ports::{self, Wanted};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::logs::{Bounds, Log};

/// Events are taken here until it is stopped.
pub struct Collecting {
    url: String,
    collector: Collector,
    shutdown: CancellationToken,
    server: JoinHandle<()>,
}

/// Takes the port, before anything else is started; `None` where no collector is wanted.
pub async fn bind(config: &Config) -> Result<Option<TcpListener>, StackError> {
    let Some(port) = config.collector.as_ref().map(|collector| collector.port) else { return Ok(None) };
    ports::listen(Wanted { port, purpose: "the collector", flag: "collector-port" }).await.map(Some)
}

/// Where it is, for people.
pub fn shown(collecting: Option<&Collecting>) -> String {
    match collecting {
        Some(collecting) => format!("{} takes events of your site, and says how", collecting.url),
        None => "none (--no-collector)".into(),
    }
}

impl Collecting {
    /// Answers on `listener`, once the newest part of `log` is read: what stands there is not written again.
    pub fn start(
        config: &Config,
        layout: &Layout,
        listener: TcpListener,
        intake: Arc<dyn Intake>,
        log: Box<dyn Log + Send>,
    ) -> Result<Self> {
        let url = format!("http://{}", listener.local_addr()?);
        let collector = Collector::open(options(config), intake, &layout.collector())
            .context("the collector cannot keep its salt in the data directory")?;
        let shutdown = CancellationToken::new();
        let server = tokio::spawn({
            let (collector, shutdown) = (collector.clone(), shutdown.clone());
            async move {
                let restoring = tokio::task::spawn_blocking({
                    let collector = collector.clone();
                    move || restore(&collector, &*log)
                });
                match restoring.await {
                    Ok(Ok(records)) => tracing::info!(records, "the collector knows what stands in the log"),
                    Ok(Err(error)) => {
                        // the pipeline itself counts a second copy nowhere for two minutes
                        tracing::warn!(why = %crate::explain(&error), "the collector could not read the log");
                    }
                    Err(error) => tracing::warn!(%error, "the collector could not read the log"),
                }
                if let Err(error) = clickstream_collector::serve(listener, &collector, shutdown).await {
                    tracing::error!(%error, "the collector ended");
                }
            }
        });
        Ok(Self { url, collector, shutdown, server })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The collector itself, for its counts.
    pub fn collector(&self) -> Collector {
        self.collector.clone()
    }

    /// Takes no more requests; those that are open get an answer.
    pub async fn stop(self) {
        self.shutdown.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(4), self.server).await;
        let counts = self.collector.counts();
        tracing::info!(
            accepted = counts.accepted,
            repeated = counts.repeated,
            not_counted = counts.not_counted,
            rejected = ?counts.rejected,
            rate_limited = counts.rate_limited,
            overloaded = counts.overloaded,
            unauthorized = counts.unauthorized,
            bytes = counts.bytes,
            "the collector has stopped"
        );
    }
}

fn options(config: &Config) -> Options {
    let site = config.generator.sites.first().map_or("shop", String::as_str);
    let key = config.generator.key;
    let mut options = Options::new(site);
    if let Some(collector) = &config.collector {
        options.keys = collector.keys.clone();
        options.rate = collector.rate;
        options.time = collector.time;
    }
    options.urls = config.urls.clone();
    options.session_gap_ms = config.stack.job.session_gap_ms;
    options.rules.max_future_ms = config.stack.job.max_future_ms;
    options.key_of = Arc::new(move |event| key.key(event).to_owned());
    options
}

/// Brings what arrived in the last ten minutes; returns how many records that were.
fn restore(collector: &Collector, log: &dyn Log) -> Result<u64> {
    let from = Timestamp(Timestamp::now().0 - seen::MEMORY_MS);
    let lows = log.offsets_at(topic::EVENTS, from)?;
    let ends = log.bounds(topic::EVENTS)?;
    let bounds = Bounds(lows.into_iter().zip(ends.0).map(|(low, (_, high))| (low, high)).collect());
    // who wrote a record may have had other limits
    let rules = clickstream_event::Rules { max_future_ms: i64::MAX / 4 };
    log.read(topic::EVENTS, &bounds, &mut |record| {
        if let Some(Ok(Record::Event(event, _))) =
            record.value.map(|value| decode(value, record.arrival, rules))
        {
            collector.restore(&event, record.arrival);
        }
        Ok(())
    })?;
    Ok(bounds.len())
}

//! `chaos inject`: records that must not count, written among the true ones, and what became of them.
//!
//! | module | does |
//! |---|---|
//! | [`make`] | the records: of recent events, spoilt as the sample traffic does it |
//! | [`outcome`] | their dead letters, or the events that they are copies of |
//! | [`draw`] | the same for people |

mod draw;
mod make;
mod outcome;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clickstream_event::{Timestamp, topic};
use clickstream_traffic::producer::now_us;
use clickstream_traffic::{EventSink, Producer};
use serde_json::json;

use super::Up;
use crate::config::Config;
use crate::embedded::handed_in::{HandedIn, hand_in};
use crate::logs::{Bounds, Log};
use make::{Made, Maker};

/// What is wrong with the records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Too old for their place in the log.
    Late,
    /// Written a second time.
    Duplicate,
    /// No valid events.
    Malformed,
    /// Ahead of their arrival.
    Future,
}

/// Records that are written where nobody says how many.
pub const COUNT: u32 = 10;
/// An `up` has so long to take what is handed to it.
const PATIENCE: Duration = Duration::from_secs(10);

impl Kind {
    /// All, by the name they have on the command line, which the `truth` header says too.
    pub const ALL: [(&'static str, Self); 4] = [
        ("late", Self::Late),
        ("duplicate", Self::Duplicate),
        ("malformed", Self::Malformed),
        ("future", Self::Future),
    ];

    /// The kind of this name; the command line lets no other pass.
    pub fn of(name: &str) -> Self {
        Self::ALL.iter().find(|(known, _)| *known == name).map_or(Self::Late, |(_, kind)| *kind)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| *name)
    }
}

/// What was written.
struct Injected<'c> {
    config: &'c Config,
    log: &'c dyn Log,
    kind: Kind,
    /// Stands in every record.
    mark: String,
    records: Vec<Made>,
    /// What events and dead letters held before.
    events: Bounds,
    letters: Bounds,
}

/// Writes the records and tells what became of them; exit code 1 if that is not known of all.
pub async fn run(config: &Config, up: &Up, kind: Kind, count: u32) -> Result<ExitCode> {
    let log = crate::logs::open(config)?;
    let templates = tokio::task::block_in_place(|| make::recent_events(log.as_ref()))?;
    let (events, letters) = tokio::task::block_in_place(|| {
        anyhow::Ok((log.bounds(topic::EVENTS)?, log.bounds(topic::DEAD_LETTERS)?))
    })?;
    let mark = format!("chaos-{:x}", now_us());
    let site = config.generator.sites.first().map_or("shop", String::as_str);
    let maker = Maker { kind, mark: mark.clone(), site, job: &config.stack.job, templates };
    let records = if up.state.engine == "embedded" {
        into_files(up, || maker.make(count, Timestamp::now())).await?
    } else {
        into_kafka(config, up, events.0.len(), || maker.make(count, Timestamp::now())).await?
    };
    let injected = Injected { config, log: log.as_ref(), kind, mark, records, events, letters };
    if !config.json {
        say!("{}", draw::written(&injected));
    }
    let found = tokio::task::block_in_place(|| outcome::find(&injected))?;
    if config.json {
        let kind = kind.name();
        say!("{}", json!({ "action": "inject", "kind": kind, "mark": injected.mark, "outcome": found }));
    } else {
        crate::console::emit(&draw::outcome(&injected, &found));
    }
    Ok(ExitCode::from(u8::from(!found.complete)))
}

/// By a producer of our own, as `generate` does.
async fn into_kafka(
    config: &Config,
    up: &Up,
    partitions: usize,
    make: impl FnOnce() -> Vec<Made>,
) -> Result<Vec<Made>> {
    let kafka = up.state.components.iter().find(|component| component.name == "kafka");
    let kafka = kafka.map_or_else(|| config.kafka_address(), |component| component.address.clone());
    let producer = Producer::connect(&kafka, partitions as i32)?;
    // connections first: records are stamped when they can go
    producer.warm_up(config.generator.sites.first().map_or("shop", String::as_str)).await?;
    let records = make();
    for record in &records {
        producer.send(&record.key, &record.value, now_us(), record.truth).await?;
    }
    producer.flush(PATIENCE).await?;
    Ok(records)
}

/// By the process that writes the files: only one may.
async fn into_files(up: &Up, make: impl FnOnce() -> Vec<Made>) -> Result<Vec<Made>> {
    let records = make();
    let handed: Vec<HandedIn> = records
        .iter()
        .map(|record| HandedIn {
            key: record.key.clone(),
            value: record.value.clone(),
            truth: record.truth.map(str::to_owned),
        })
        .collect();
    let file = hand_in(&up.layout, &handed).context("nothing can be handed to `up` in its data directory")?;
    let deadline = Instant::now() + PATIENCE;
    while file.exists() {
        if Instant::now() > deadline {
            let _ = std::fs::remove_file(&file);
            bail!(
                "the `up` in {} did not take the records within {} s: is it an older version, or is it stopping?",
                up.layout.root().display(),
                PATIENCE.as_secs()
            );
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(records)
}

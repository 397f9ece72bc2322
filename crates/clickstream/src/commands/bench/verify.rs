//! How long `verify` takes for a log of the embedded engine, and how much memory.

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clickstream_event::{Timestamp, topic};
use clickstream_log::{Log, Options as LogOptions, Record};
use clickstream_stack::layout::Layout;
use clickstream_top::text::thousands;
use clickstream_traffic::{KeyStrategy, Traffic, TrafficConfig};
use serde_json::Value;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

use super::{Options, Scratch, machine};
use crate::config::{Config, time_text};
use crate::console::steps::Steps;
use crate::embedded::pipeline::{Pipeline, Settings, events_dir};

/// Events that are committed together.
const BATCH: usize = 10_000;
/// From an event to its arrival, in milliseconds.
const DELAY_MS: i64 = 5;

/// Makes a log as if `up --embedded` had run for as long as `--backlog` events at `--density` take, and has it proven.
pub fn measure(config: &Config, options: &Options, steps: &Steps) -> Result<String> {
    let dir = std::env::temp_dir().join(format!("clickstream-bench-verify-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let _scratch = (!options.keep).then(|| Scratch(dir.clone()));
    let layout = Layout::new(&dir);
    write_events(&layout.embedded(), config, options)?;
    steps.line("the events are written");
    let rows = count(&layout.embedded(), config)?;
    steps.line("the rows are written");
    let proof = prove(&dir, config)?;
    if options.keep {
        steps.line(&format!("the log stays in {}", dir.display()));
    }
    let windows = config.stack.job.windows;
    let mut out = String::new();
    let _ = write!(
        out,
        "# `clickstream verify`, measured on {}\n\n`clickstream bench verify`, version {}: {} events at {} per second of event time, window {} s, slide {} s, {} partitions; all topics, made by the embedded engine.\n\n\
         Machine: {}.\n\n\
         | verdict | events | rows and dead letters | took, s | events/s | CPU, s | most resident, MB | counting them at first, s |\n|---|---|---|---|---|---|---|---|\n\
         | {} | {} | {} | {:.1} | {} | {:.1} | {:.0} | {:.1} |\n",
        Timestamp::now().to_string().get(..10).unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
        thousands(options.backlog),
        options.density,
        windows.size_ms() / 1_000,
        windows.slide_ms() / 1_000,
        config.stack.topics.event_partitions,
        machine::describe(),
        proof.verdict,
        thousands(proof.events),
        thousands(proof.rows),
        proof.took.as_secs_f64(),
        thousands((proof.events as f64 / proof.took.as_secs_f64()) as u64),
        proof.cpu_s,
        proof.resident_mib,
        rows.as_secs_f64(),
    );
    Ok(out)
}

/// Writes the events with arrivals of their own time.
fn write_events(dir: &Path, config: &Config, options: &Options) -> Result<()> {
    let partitions = config.stack.topics.event_partitions as u32;
    let log = Log::open(events_dir(dir), LogOptions { sync: false, ..LogOptions::default() })?;
    let mut events = log.topic(topic::EVENTS, partitions)?;
    let span_ms = (options.backlog as f64 / options.density * 1_000.0) as i64;
    let traffic = Traffic::new(TrafficConfig {
        seed: 1,
        rate: options.density,
        start: Timestamp(Timestamp::now().0 - span_ms - 60_000),
        sites: vec!["shop".into()],
        bots: 0.01,
        unusual: 0.001,
        spikes: true,
    });
    let mut value = Vec::new();
    for (n, timed) in traffic.take(options.backlog as usize).enumerate() {
        value.clear();
        timed.event.encode(&mut value);
        let key = KeyStrategy::Page.key(&timed.event);
        let partition = (xxh3_64(key.as_bytes()) % u64::from(partitions)) as u32;
        let record = Record {
            arrival_ms: timed.event.timestamp.0 + DELAY_MS,
            key: Some(key.as_bytes()),
            truth: None,
            value: Some(&value),
        };
        events.append(partition, &record)?;
        if n % BATCH == BATCH - 1 {
            events.commit()?;
        }
    }
    events.commit()?;
    Ok(())
}

/// Has the rows written, as a start of `up --embedded` on this log does; gives how long it took.
fn count(dir: &Path, config: &Config) -> Result<Duration> {
    let settings = Settings {
        dir: dir.to_owned(),
        partitions: config.stack.topics.event_partitions as u32,
        engine: config.engine_config(),
        site: "shop".into(),
        retention: Duration::from_secs(u32::MAX.into()),
        heartbeats: false,
    };
    let began = Instant::now();
    Pipeline::start(settings, mpsc::channel(1).0)?.stop()?;
    Ok(began.elapsed())
}

struct Proof {
    verdict: String,
    events: u64,
    rows: u64,
    took: Duration,
    cpu_s: f64,
    resident_mib: f64,
}

/// Runs `verify` in a process of its own.
fn prove(dir: &Path, config: &Config) -> Result<Proof> {
    let windows = config.stack.job.windows;
    let mut child = Command::new(std::env::current_exe().context("where is this program?")?)
        .args(["verify", "--engine", "embedded", "--json", "--data-dir"])
        .arg(dir)
        .args(["--window", &time_text(windows.size_ms())])
        .args(["--slide", &time_text(windows.slide_ms())])
        .args(["--session-gap", &time_text(config.stack.job.session_gap_ms)])
        .stdout(Stdio::piped())
        .spawn()
        .context("`verify` does not start")?;
    let pid = child.id();
    let (mut cpu_s, mut resident_mib): (f64, f64) = (0.0, 0.0);
    // its one line fits into the pipe
    while child.try_wait()?.is_none() {
        if let Some(usage) = machine::usage("verify", pid) {
            cpu_s = cpu_s.max(usage.cpu_s);
            resident_mib = resident_mib.max(usage.resident_mib);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output()?;
    let Ok(line) = serde_json::from_slice::<Value>(&output.stdout) else {
        bail!("`verify` ended with {} and said nothing", output.status);
    };
    let topics = line["report"]["topics"].as_object();
    Ok(Proof {
        verdict: line["verdict"].as_str().unwrap_or("none").to_owned(),
        events: line["report"]["balance"]["records"].as_u64().unwrap_or(0),
        rows: topics.into_iter().flat_map(|all| all.values()).filter_map(|one| one["equal"].as_u64()).sum(),
        took: Duration::from_millis(line["took_ms"].as_u64().unwrap_or(0).max(1)),
        cpu_s,
        resident_mib,
    })
}

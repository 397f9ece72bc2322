//! The whole of `up --embedded`: generator, durable log, engine, rows.

use std::fmt::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use clickstream_event::Timestamp;
use clickstream_traffic::{Generator, GeneratorConfig};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Options, Scratch, machine};
use crate::config::Config;
use crate::console::steps::Steps;
use crate::embedded::pipeline::{Pipeline, Settings};
use crate::proof::row::Row as ResultRow;
use crate::results::Row;
use clickstream_top::text::thousands;

/// Measures every rate on a log of its own, and gives the report.
pub async fn measure(config: &Config, options: &Options, steps: &Steps) -> Result<String> {
    let windows = config.stack.job.windows;
    let date = Timestamp::now().to_string();
    let mut out = format!(
        "# The embedded engine as a whole, measured on {}\n\n`clickstream bench embedded`, version {}: window {} s, slide {} s, {} partitions; {:?} to warm up, {:?} measured. \
         Generator, log (synced to disk before an event is acknowledged), engine and rows in one process.\n\nMachine: {}.\n\n\
         | asked | events/s acknowledged | event → log, p99 ms | log → rows written: p50, p99, max ms | window end → row: p50, p95, max ms | first row after start, s | CPU cores | resident MB |\n|---|---|---|---|---|---|---|---|\n",
        date.get(..10).unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
        windows.size_ms() / 1_000,
        windows.slide_ms() / 1_000,
        config.stack.topics.event_partitions,
        options.warmup,
        options.measure,
        machine::describe(),
    );
    for rate in &options.rates {
        steps.line(&format!("{rate} events/s"));
        out.push_str(&rate_line(config, *rate, options).await?);
    }
    Ok(out)
}

async fn rate_line(config: &Config, rate: f64, options: &Options) -> Result<String> {
    let dir = std::env::temp_dir().join(format!("clickstream-bench-embedded-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let _scratch = Scratch(dir.clone());
    let settings = Settings {
        dir,
        partitions: config.stack.topics.event_partitions as u32,
        engine: config.engine_config(),
        site: "shop".into(),
        retention: Duration::from_secs(3_600),
        heartbeats: true,
    };
    let (rows, mut arrivals) = mpsc::channel(4_096);
    let began = Instant::now();
    let pipeline = Pipeline::start(settings, rows)?;
    let shutdown = CancellationToken::new();
    let generator = GeneratorConfig { rate, ..config.generator.clone() };
    let generator = tokio::spawn(Generator::new(generator, pipeline.inlet().clone()).run(shutdown.clone()));
    let mut first = None;
    let mut latencies = Vec::new();
    let end = Instant::now() + options.warmup + options.measure;
    let measure_from = Instant::now() + options.warmup;
    let mut start = None;
    let mut fires: Vec<u64> = Vec::new();
    let mut resident: f64 = 0.0;
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    loop {
        tokio::select! {
            Some(arrived) = arrivals.recv() => {
                if let Row::Result(row) = &arrived.row
                    && let ResultRow::Site(row) = &**row
                {
                    first.get_or_insert_with(|| began.elapsed());
                    if Instant::now() > measure_from {
                        latencies.push(arrived.at.0 - row.window_end.0);
                    }
                }
            }
            _ = tick.tick() => {
                let now = Instant::now();
                let figures = pipeline.figures();
                if let Some(why) = figures.failure {
                    anyhow::bail!("the pipeline ended: {why}");
                }
                let usage = machine::usage("clickstream", std::process::id());
                if now > measure_from {
                    fires.extend(figures.fire_us);
                    let acknowledged = pipeline.inlet().acknowledged();
                    let cpu = usage.as_ref().map_or(0.0, |usage| usage.cpu_s);
                    start.get_or_insert_with(|| {
                        let _ = pipeline.inlet().latency_p99();
                        (now, acknowledged, cpu)
                    });
                    resident = resident.max(usage.map_or(0.0, |usage| usage.resident_mib));
                }
                if now > end {
                    break;
                }
            }
        }
    }
    let (from, acknowledged, cpu) = start.unwrap_or((began, 0, 0.0));
    let took = from.elapsed().as_secs_f64();
    let achieved = (pipeline.inlet().acknowledged() - acknowledged) as f64 / took;
    let cores =
        (machine::usage("clickstream", std::process::id()).map_or(0.0, |usage| usage.cpu_s) - cpu) / took;
    let log_p99 = pipeline.inlet().latency_p99().unwrap_or(0.0);
    shutdown.cancel();
    arrivals.close();
    let _ = tokio::time::timeout(Duration::from_secs(10), generator).await;
    tokio::task::spawn_blocking(move || pipeline.stop()).await??;
    fires.sort_unstable();
    latencies.sort_unstable();
    let at = |list: &[u64], q: f64| {
        list.get(((list.len() as f64 * q) as usize).min(list.len().saturating_sub(1))).copied().unwrap_or(0)
            as f64
            / 1e3
    };
    let ms = |q: f64| {
        latencies
            .get(((latencies.len() as f64 * q) as usize).min(latencies.len().saturating_sub(1)))
            .copied()
            .unwrap_or(0)
    };
    let mut line = String::new();
    let _ = writeln!(
        line,
        "| {} | {} | {log_p99:.1} | {:.2}, {:.2}, {:.2} | {}, {}, {} | {:.1} | {cores:.2} | {resident:.0} |",
        thousands(rate as u64),
        thousands(achieved as u64),
        at(&fires, 0.5),
        at(&fires, 0.99),
        at(&fires, 1.0),
        ms(0.5),
        ms(0.95),
        ms(1.0),
        first.map_or(0.0, |first| first.as_secs_f64()),
    );
    Ok(line)
}

//! `clickstream up --embedded`: the same product in this process.

use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clickstream_collector::Collector;
use clickstream_event::{Timestamp, topic};
use clickstream_stack::StackError;
use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;
use clickstream_traffic::Generator;
use console::style;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::collecting::{self, Collecting};
use crate::config::{Config, last_up};
use crate::console::hints;
use crate::console::live::{Footer, Live, ProofState};
use crate::console::steps::Steps;
use crate::embedded::handed_in;
use crate::embedded::pipeline::{Pipeline, Settings};
use crate::logging;
use crate::logs::Log;
use crate::logs::embedded::EmbeddedLog;
use crate::memory;
use crate::results::Arrived;
use crate::run_state::RunState;
use crate::serving::pipeline::Reporter;
use crate::serving::{self, Serving};
use clickstream_top::text::thousands;

use super::watching::{Watching, every};
use super::{addresses, end_generator, facts, interrupted, over, proving, what_comes};

/// Runs until Ctrl-C, `down`, the end of `--duration`, or a failure.
pub async fn run(mut config: Config, instead_of: Option<StackError>) -> Result<ExitCode> {
    let steps = Steps::new(config.json);
    if let Some(error) = &instead_of {
        notice(&steps, error);
    }
    let layout = Layout::prepare(&config.stack.data_dir)?;
    // before its ports, which an `up` that runs here has taken
    let _lock = Lock::acquire(&layout)?;
    let dashboard = serving::bind(config.http_port).await?;
    let collector = collecting::bind(&config).await?;
    if instead_of.is_some() && layout.kafka().exists() && !layout.embedded().exists() {
        steps.line(&format!(
            "{} holds a Kafka log too; it stays as it is, and the embedded engine begins with a log of its own",
            layout.root().display()
        ));
    }
    logging::to_file(&layout.log_of("clickstream"), &config.log_level, config.log_json);
    if let Some(changed) = last_up::changed(&config, &layout) {
        steps.line(&changed);
    }
    config.settings_since = last_up::remember(&config, &layout, "embedded");
    let began = Instant::now();
    if let Ok(held) = EmbeddedLog::new(&layout.embedded()).bounds(topic::EVENTS)
        && held.len() > 0
        && held.0.len() != config.stack.topics.event_partitions as usize
    {
        // the order of a key's events hangs on it
        steps.line(&format!("the log has {} partitions and keeps them", held.0.len()));
        config.stack.topics.event_partitions = held.0.len() as i32;
    }
    let settings = Settings {
        dir: layout.embedded(),
        partitions: config.stack.topics.event_partitions as u32,
        engine: config.engine_config(),
        site: config.generator.sites.first().cloned().unwrap_or_default(),
        retention: Duration::from_secs(u64::from(config.stack.retention_hours) * 3_600),
        heartbeats: true,
    };
    memory::trim_regularly();
    let (rows, arrivals) = mpsc::channel(4_096);
    let pipeline = Pipeline::start(settings, rows)?;
    let mut serving = Serving::start(&config, &layout.serve().join(serving::STORE_OF_FILES), dashboard)?;
    serving.follow_files(&layout.embedded());
    let intake = Arc::new(collecting::embedded::Into(pipeline.inlet().clone()));
    let log = Box::new(EmbeddedLog::new(&layout.embedded()));
    let collector =
        collector.map(|listener| Collecting::start(&config, &layout, listener, intake, log)).transpose()?;
    let shown = [serving.url().to_owned(), collecting::shown(collector.as_ref())];
    welcome(&steps, &config, &layout, pipeline.figures().replayed, (began.elapsed(), shown));
    addresses(&steps, serving.url(), collector.as_ref().map(Collecting::url));
    let outcome =
        serve(&config, &layout, &pipeline, arrivals, &serving, collector.as_ref().map(Collecting::collector))
            .await;
    let stopping = Instant::now();
    RunState::embedded("stopping", &layout, serving.url()).write(&layout);
    if let Some(collector) = collector {
        collector.stop().await;
    }
    serving.stop().await;
    let stopped = tokio::task::spawn_blocking(move || pipeline.stop()).await;
    RunState::stopped(layout.root().to_owned()).write(&layout);
    let took = stopping.elapsed().as_secs_f64();
    let outcome = outcome.and(stopped.map_err(Into::into).flatten());
    steps.line(&match &outcome {
        Ok(()) => {
            format!(
                "{} stopped in {took:.1} s; the next `up --embedded` goes on from here",
                style("✓").green()
            )
        }
        Err(_) => format!("stopped in {took:.1} s"),
    });
    outcome.map(|()| ExitCode::SUCCESS)
}

/// What cannot be missed: this is not Kafka and Flink, and how to get there.
fn notice(steps: &Steps, error: &StackError) {
    let line = "━".repeat(72);
    steps.line(&format!(
        "{}\n{}\n{error}\n\nRunning on the embedded engine instead: the same events, topics and numbers, in this one\nprocess, without Kafka and Flink. `--engine flink` insists on them.\n{}",
        style(&line).yellow(),
        style("Kafka and Flink cannot run here").yellow().bold(),
        style(&line).yellow()
    ));
    if steps.is_json() {
        say!(
            "{}",
            serde_json::json!({ "type": "notice", "engine": "embedded", "message": error.to_string() })
        );
    }
}

fn welcome(
    steps: &Steps,
    config: &Config,
    layout: &Layout,
    replayed: u64,
    (took, [url, collector]): (Duration, [String; 2]),
) {
    steps.line(&format!(
        "{} the embedded engine runs{} ({:.1} s)",
        style("✓").green(),
        if replayed > 0 {
            format!(", after reading {} records of its log again", thousands(replayed))
        } else {
            String::new()
        },
        took.as_secs_f64()
    ));
    let rows = [
        ["Dashboard".to_owned(), url.clone()],
        ["Collector".to_owned(), collector],
        ["Events and results".to_owned(), layout.embedded().display().to_string()],
        ["Log of this process".to_owned(), layout.log_of("clickstream").display().to_string()],
    ];
    steps.line(&format!(
        "\n{}\n{}\nThis is one process on one machine. The same queries run as Flink SQL on Kafka\nwith `--engine flink`, and from there on a cluster with `--kafka` and `--flink`.\n{}\n",
        facts(rows),
        what_comes(config),
        hints::beside_up(config, &url),
    ));
}

async fn serve(
    config: &Config,
    layout: &Layout,
    pipeline: &Pipeline,
    arrivals: mpsc::Receiver<Arrived>,
    serving: &Serving,
    collector: Option<Collector>,
) -> Result<()> {
    let shutdown = CancellationToken::new();
    let inlet = pipeline.inlet().clone();
    let generator = config
        .generate
        .then(|| tokio::spawn(Generator::new(config.generator.clone(), inlet.clone()).run(shutdown.clone())));
    tokio::spawn(handed_in::run(layout.clone(), inlet, shutdown.clone()));
    let log = EmbeddedLog::new(&layout.embedded());
    let reporter = Reporter::new(config, "embedded", Box::new(log.clone()), collector);
    let proof = proving::start(config, Box::new(move || Box::new(log.clone())), shutdown.clone());
    let outcome = tokio::select! {
        outcome = show(config, layout, pipeline, arrivals, proof, (serving, reporter)) => outcome,
        () = interrupted() => Ok(()),
        () = over(config.duration) => Ok(()),
    };
    shutdown.cancel();
    end_generator(generator).await;
    outcome
}

/// Shows windows as they come and figures every second, until the pipeline fails.
async fn show(
    config: &Config,
    layout: &Layout,
    pipeline: &Pipeline,
    mut arrivals: mpsc::Receiver<Arrived>,
    proof: Arc<Mutex<ProofState>>,
    (serving, mut reporter): (&Serving, Reporter),
) -> Result<()> {
    let site = config.generator.sites.first().cloned().unwrap_or_default();
    let mut live = Live::new(config.json, site, config.view);
    let mut seen = Watching::new(proof, config.stack.job.session_gap_ms, Timestamp(i64::MIN));
    seen.footer.embedded = true;
    let mut tick = every(Duration::from_millis(50));
    let mut second = every(Duration::from_secs(1));
    let mut acknowledged = 0;
    loop {
        tokio::select! {
            Some(arrived) = arrivals.recv() => {
                if let Some(anomaly) = seen.take(arrived) {
                    live.anomaly(anomaly);
                }
            }
            _ = tick.tick() => {
                for window in seen.windows() {
                    live.window(window, &seen.footer);
                }
            }
            _ = second.tick() => {
                let figures = pipeline.figures();
                if let Some(why) = figures.failure {
                    bail!("the pipeline ended: {why}");
                }
                for us in figures.fire_us {
                    tracing::info!(us, "rows of a window written, counted from the acknowledgement of what closed it");
                }
                let seconds = seen.second();
                seen.footer.duplicates = Some(figures.duplicates);
                let inlet = pipeline.inlet();
                let now = inlet.acknowledged();
                let sends = config.generate || config.collector.is_some();
                seen.footer.events_per_second = sends.then(|| (now - acknowledged) as f64);
                acknowledged = now;
                if seconds.is_multiple_of(10) {
                    seen.footer.log_latency_p99 = inlet.latency_p99();
                }
                seen.footer.trouble = if sends { String::new() } else {
                    format!("no sample traffic and no collector: nothing can write to {} here", topic::EVENTS)
                };
                live.footer(&seen.footer);
                write_state(layout, serving.url(), &seen.footer);
                let components = [RunState::ourselves(layout.log_of("clickstream"), serving.url())];
                let reasons = seen.reasons();
                serving.status(reporter.report(&seen.footer, &components, reasons, figures.watermark));
                live.log_begins(reporter.log_begins());
            }
        }
    }
}

fn write_state(layout: &Layout, dashboard: &str, footer: &Footer) {
    let state = if footer.proof.problems == 0 { "running" } else { "degraded" };
    RunState::embedded(state, layout, dashboard).write(layout);
}

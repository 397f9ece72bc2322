//! `clickstream bench`: measures the real thing, at rates that are asked for, and reports in Markdown.
//!
//! Every rate runs on a stack of its own: broker, cluster, job and sample traffic as `up` starts them, on free ports and
//! in a new directory. First the window fills, then the figures are taken ([`steady`]). At the end a backlog is read as
//! fast as the job can ([`catch_up`]).
//!
//! `bench engine` measures the embedded engine alone ([`engine`]), `bench embedded` the whole of `up --embedded`
//! ([`embedded`]), `bench verify` how long a proof takes ([`verify`]), `bench detection` how well anomalies are found
//! ([`detection`]), `bench read` how fast results of a running pipeline are shown ([`read`]).

mod catch_up;
mod detection;
mod embedded;
mod engine;
mod machine;
mod read;
mod report;
mod steady;
mod verify;

pub use machine::usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ArgMatches;
use clickstream_stack::ports::free_port;
use clickstream_stack::{Stack, memory};

use crate::config::{Config, ConfigError};
use crate::console::emit;
use crate::console::steps::Steps;

use super::interrupted;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum What {
    /// Kafka, Flink and the job.
    Stack,
    /// The embedded engine alone.
    Engine,
    /// `up --embedded`.
    Embedded,
    /// `verify`.
    Verify,
    /// How well anomalies are found.
    Detection,
    /// REST and live stream of what runs.
    Read,
}

/// What to measure.
#[derive(Clone, Debug)]
pub struct Options {
    what: What,
    /// Whether `bench engine` measures other shapes than the default one, and cores.
    all_shapes: bool,
    rates: Vec<f64>,
    warmup: Duration,
    measure: Duration,
    backlog: u64,
    density: f64,
    seeds: u64,
    duration: Duration,
    clean: Duration,
    keep: bool,
    requests: u32,
    clients: usize,
    out: Option<PathBuf>,
}

impl Options {
    /// Reads the options that are no configuration keys.
    pub fn read(matches: &ArgMatches) -> Result<Self> {
        let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
        let wrong = |name: &str, why: &str| ConfigError(format!("--{name} is `{}`: {why}", text(name)));
        let time = |name: &str| {
            humantime::parse_duration(&text(name)).map_err(|_| wrong(name, "a time is needed, as 30s or 6m"))
        };
        let rates: Option<Vec<f64>> = text("rates")
            .split(',')
            .filter(|rate| *rate != "none")
            .map(|rate| rate.trim().parse().ok().filter(|r| (10.0..=1e6).contains(r)))
            .collect();
        Ok(Self {
            what: match text("what").as_str() {
                "engine" => What::Engine,
                "embedded" => What::Embedded,
                "verify" => What::Verify,
                "detection" => What::Detection,
                "read" => What::Read,
                _ => What::Stack,
            },
            all_shapes: text("shape") != "default",
            rates: rates.ok_or_else(|| {
                wrong("rates", "numbers from 10 to 1000000 separated by commas, or none, are needed")
            })?,
            warmup: time("warmup")?,
            measure: time("measure")?,
            backlog: text("backlog").parse().map_err(|_| wrong("backlog", "a whole number is needed"))?,
            density: text("density")
                .parse()
                .ok()
                .filter(|d| (10.0..=1e6).contains(d))
                .ok_or_else(|| wrong("density", "a number from 10 to 1000000 is needed"))?,
            seeds: matches.get_one::<u64>("seeds").copied().unwrap_or(20),
            duration: time("duration")?,
            clean: time("clean")?,
            keep: matches.get_flag("keep"),
            requests: matches.get_one::<u32>("requests").copied().unwrap_or(500),
            clients: matches.get_one::<u64>("clients").map_or(500, |clients| *clients as usize),
            out: matches.get_one::<PathBuf>("out").cloned(),
        })
    }
}

/// Measures, and writes the report.
pub async fn run(config: Config, options: Options) -> Result<ExitCode> {
    let steps = Arc::new(Steps::new(false));
    let all = async {
        match options.what {
            What::Stack => {}
            What::Engine => {
                let (config, options, steps) = (config.clone(), options.clone(), Arc::clone(&steps));
                // a run takes minutes: each line is shown as soon as it is known
                let say = move |line: &str| match options.out {
                    Some(_) => steps.line(line),
                    None => say!("{line}"),
                };
                let measure = move || engine::measure(&config, options.all_shapes, &mut { say });
                return Ok(tokio::task::spawn_blocking(measure).await?);
            }
            What::Detection => {
                let (config, options, steps) = (config.clone(), options.clone(), Arc::clone(&steps));
                return tokio::task::spawn_blocking(move || detection::measure(&config, &options, &steps))
                    .await?;
            }
            What::Verify => {
                let (config, options, steps) = (config.clone(), options.clone(), Arc::clone(&steps));
                return tokio::task::spawn_blocking(move || verify::measure(&config, &options, &steps))
                    .await?;
            }
            What::Embedded => return embedded::measure(&config, &options, &steps).await,
            What::Read => return read::measure(&config, &options, &steps).await,
        }
        let mut report = report::Report::new(&config, &options);
        for rate in &options.rates {
            steps.line(&format!(
                "{rate} events/s: {:?} to warm up, {:?} to measure",
                options.warmup, options.measure
            ));
            report.steady(steady::measure(&config, *rate, &options, &steps).await?);
        }
        if options.backlog > 0 {
            steps.line(&format!("catching up with {} events", options.backlog));
            // what was measured before took long: it is not lost to a catch-up that fails
            match catch_up::measure(&config, &options, &steps).await {
                Ok(catch_up) => report.catch_up(&catch_up),
                Err(error) => report.failure("Catch-up", &error),
            }
        }
        anyhow::Ok(report.text())
    };
    let text = tokio::select! {
        text = all => text?,
        () = interrupted() => anyhow::bail!("interrupted; nothing was written"),
    };
    match &options.out {
        Some(file) => {
            if let Some(dir) = file.parent() {
                std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
            }
            std::fs::write(file, &text).with_context(|| format!("cannot write {}", file.display()))?;
            steps.line(&format!("written to {}", file.display()));
        }
        // it has been shown line by line
        None if options.what == What::Engine => {}
        None => emit(&text),
    }
    Ok(ExitCode::SUCCESS)
}

/// A directory that goes with its owner.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Starts a stack for `rate` on free ports and in a directory of its own.
async fn start(config: &Config, rate: f64, steps: &Arc<Steps>) -> Result<(Stack, Scratch)> {
    let dir = std::env::temp_dir().join(format!("clickstream-bench-{}-{rate}", std::process::id()));
    let _ = std::fs::remove_dir_all(&dir);
    let mut stack = config.stack.clone();
    stack.data_dir.clone_from(&dir);
    (stack.kafka_port, stack.flink_port, stack.gateway_port) = (free_port(), free_port(), free_port());
    if config.auto_heap {
        stack.task_heap_mib =
            memory::task_heap(rate as u64, stack.job.windows.size_ms() as u64 / 1000, memory::machine_mib());
    }
    let scratch = Scratch(dir);
    let stack = Stack::start(stack, Arc::clone(steps) as _).await?;
    Ok((stack, scratch))
}

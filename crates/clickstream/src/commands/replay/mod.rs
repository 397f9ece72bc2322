//! `clickstream replay`: access logs become events.

mod input;
mod report;
mod run;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::ArgMatches;
use clickstream_event::{Timestamp, topic};
use clickstream_replay::{Format, Replay, Salt, Speed};
use clickstream_stack::kafka::{broker, topics};
use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;
use clickstream_traffic::Producer;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{Config, ConfigError, Engine, is_site_name, last_up, time_text};
use crate::console::hints;
use crate::console::steps::Steps;
use crate::embedded::pipeline::{Pipeline, Settings};
use crate::logging;
use crate::logs::Log as _;
use crate::logs::embedded::EmbeddedLog;
use crate::logs::kafka::KafkaLog;
use crate::run_state::RunState;
use crate::shell;

use super::{emit, interrupted};
use input::Inputs;
use run::{Outcome, Sending};
use target::Target;

/// What was asked for besides the configuration.
pub struct Options {
    files: Vec<PathBuf>,
    format: Format,
    site: Option<String>,
    speed: Speed,
    keep_time: bool,
    salt: Option<String>,
    reorder: Duration,
}

impl Options {
    /// Reads the options.
    pub fn read(matches: &ArgMatches) -> Result<Self, ConfigError> {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let keep_time = matches.get_flag("keep_time");
        let speed = match text("speed") {
            Some(speed) => speed.parse().map_err(ConfigError)?,
            None if keep_time => Speed::Max,
            None => Speed::Times(1.0),
        };
        let site = text("in_site");
        if site.as_deref().is_some_and(|site| !is_site_name(site)) {
            return Err(ConfigError("--site needs a name of up to 100 bytes".into()));
        }
        let reorder = text("reorder").unwrap_or_else(|| "5s".into());
        let reorder =
            humantime::parse_duration(&reorder).ok().filter(|time| time.as_secs() <= 3_600).ok_or_else(
                || ConfigError(format!("reorder is `{reorder}`: a time up to 1h is needed, as 5s")),
            )?;
        let files: Vec<PathBuf> =
            matches.get_many::<PathBuf>("files").into_iter().flatten().cloned().collect();
        if files.iter().filter(|file| file.as_os_str() == "-").count() > 1 {
            return Err(ConfigError("standard input (-) can be read once only".into()));
        }
        Ok(Self {
            files,
            format: text("format").map_or(Ok(Format::Auto), |text| text.parse()).map_err(ConfigError)?,
            site,
            speed,
            keep_time,
            salt: text("salt"),
            reorder,
        })
    }
}

/// Reads the files and sends what is in them.
pub async fn run(config: Config, options: Options) -> Result<ExitCode> {
    // nothing is written before all of them are there
    let inputs = Inputs::open(&options.files)?;
    let layout = Layout::new(&config.stack.data_dir);
    let running = RunState::current(&layout);
    let stop = CancellationToken::new();
    tokio::spawn({
        let stop = stop.clone();
        async move {
            interrupted().await;
            stop.cancel();
        }
    });
    if config.engine == Engine::Embedded && config.stack.external_kafka.is_none() {
        if running.state != "stopped" {
            return Err(ConfigError(in_use(&config, &running)).into());
        }
        return embedded(&config, &options, inputs, &stop).await;
    }
    if running.engine == "embedded" && config.stack.external_kafka.is_none() {
        return Err(ConfigError(in_use(&config, &running)).into());
    }
    kafka(&config, &options, inputs, &stop).await
}

/// What to do where another process has the log.
fn in_use(config: &Config, running: &RunState) -> String {
    let dir = config.stack.data_dir.display();
    let pid = running.components.iter().find_map(|component| component.pid).unwrap_or_default();
    if running.engine == "flink" {
        format!(
            "an `up` with Kafka and Flink runs in {dir} (process {pid}): leave out --embedded to send into its Kafka, or give this one its own --data-dir"
        )
    } else {
        format!(
            "the embedded engine that runs in {dir} (process {pid}) takes no events from outside: stop it first (`clickstream down --data-dir {dir}`) and replay with --embedded, give this one its own --data-dir, or use `up --engine flink`"
        )
    }
}

fn replay(config: &Config, options: &Options, layout: &Layout) -> Result<Replay> {
    let salt = match &options.salt {
        Some(text) => Salt::from_text(text),
        None => salt(layout)?,
    };
    let options = clickstream_replay::Options {
        format: options.format,
        site: options.site.clone(),
        urls: config.urls.clone(),
        session_gap_ms: config.stack.job.session_gap_ms,
        reorder_s: options.reorder.as_secs() as i64,
        clock: options.keep_time.then_some(Timestamp::now),
        max_future_ms: config.stack.job.max_future_ms,
        ..clickstream_replay::Options::default()
    };
    Ok(Replay::new(options, salt))
}

/// The key of visitors in this data directory: made once, so that a file that is sent twice has the same events.
fn salt(layout: &Layout) -> Result<Salt> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = layout.run().join("replay.salt");
    let mut bytes = [0; 16];
    if let Ok(kept) = std::fs::read(&path)
        && let Ok(kept) = <[u8; 16]>::try_from(kept)
    {
        return Ok(Salt::new(kept));
    }
    getrandom::fill(&mut bytes).context("no random bytes for the visitors' key; give one with --salt")?;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(&bytes))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Salt::new(bytes))
}

fn sending(config: &Config, options: &Options) -> Sending {
    let job = &config.stack.job;
    Sending {
        speed: options.speed,
        keep_time: options.keep_time,
        key: config.generator.key,
        beat: (job.windows.slide_ms(), job.max_disorder_ms + 1),
    }
}

/// How far past the last event time must come until everything is counted.
fn beyond(config: &Config, last: Timestamp) -> Timestamp {
    let job = &config.stack.job;
    let after =
        job.windows.size_ms().max(job.session_gap_ms) + job.windows.slide_ms() + job.max_disorder_ms + 1;
    // time is never ahead of the clock
    Timestamp(last.0 + after).min(Timestamp::now())
}

/// Counts in this process.
async fn embedded(
    config: &Config,
    options: &Options,
    inputs: Inputs,
    stop: &CancellationToken,
) -> Result<ExitCode> {
    let steps = Steps::new(config.json);
    let layout = Layout::prepare(&config.stack.data_dir)?;
    let lock = Lock::acquire(&layout)?;
    let held = EmbeddedLog::new(&layout.embedded()).bounds(topic::EVENTS).map_or(0, |bounds| bounds.len());
    if options.keep_time && held > 0 {
        return Err(ConfigError(format!(
            "{} holds events already, and among them all lines of the past would be late: keep the times in a log of their own (--embedded --data-dir NEW), or leave out --keep-time",
            layout.root().display()
        ))
        .into());
    }
    logging::to_file(&layout.log_of("clickstream"), &config.log_level, config.log_json);
    last_up::remember(config, &layout, "embedded");
    let mut replay = replay(config, options, &layout)?;
    let settings = Settings {
        dir: layout.embedded(),
        partitions: config.stack.topics.event_partitions as u32,
        engine: config.engine_config(),
        site: options.site.clone().or_else(|| config.generator.sites.first().cloned()).unwrap_or_default(),
        retention: Duration::from_secs(u64::from(config.stack.retention_hours) * 3_600),
        heartbeats: !options.keep_time,
    };
    // nobody watches the rows: they are in their topics
    let (rows, _) = mpsc::channel(1);
    let pipeline = Pipeline::start(settings, rows)?;
    RunState::embedded("running", &layout, "").write(&layout);
    let windows = config.stack.job.windows;
    steps.line(&format!(
        "counting in {}; windows of {} every {}; Ctrl-C stops",
        layout.root().display(),
        time_text(windows.size_ms()),
        time_text(windows.slide_ms())
    ));
    let target = Target::Embedded(pipeline.inlet().clone());
    let began = std::time::Instant::now();
    let outcome = run::run(inputs, &mut replay, &target, sending(config, options), stop).await;
    let mut outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => match pipeline.figures().failure {
            Some(why) => bail!("the pipeline ended: {why}"),
            None => return Err(error),
        },
    };
    if let Some(last) = outcome.last {
        if options.keep_time {
            target.beat(&outcome.site, beyond(config, last));
            target.flush().await?;
        } else {
            first_window(&pipeline, last, windows.slide_ms(), stop).await;
        }
    }
    // with it everything that was taken is counted and written
    tokio::task::spawn_blocking(move || pipeline.stop()).await??;
    outcome.took = began.elapsed();
    RunState::stopped(layout.root().to_owned()).write(&layout);
    drop(lock);
    let next = report::next_embedded(config, &outcome);
    finish(config, &replay, &outcome, &layout.root().display().to_string(), &next)
}

/// Waits until the first window that holds the last view has ended, so that there is something to see.
async fn first_window(pipeline: &Pipeline, last: Timestamp, slide_ms: i64, stop: &CancellationToken) {
    let end = Timestamp((last.0.div_euclid(slide_ms) + 1) * slide_ms);
    let mut tick = tokio::time::interval(Duration::from_millis(25));
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {
                let figures = pipeline.figures();
                if figures.watermark >= Some(end) || figures.failure.is_some() {
                    return;
                }
            }
        }
    }
}

/// Records in the events topic. One that was just made has no leaders for a moment.
async fn held(address: &str) -> Result<u64> {
    const ATTEMPTS: u32 = 40;
    for attempt in 1.. {
        let log = KafkaLog::new(address);
        match tokio::task::spawn_blocking(move || log.bounds(topic::EVENTS)).await? {
            Ok(bounds) => return Ok(bounds.len()),
            Err(error) if attempt == ATTEMPTS => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(250)).await,
        }
    }
    Ok(0)
}

/// Sends into a Kafka that runs.
async fn kafka(
    config: &Config,
    options: &Options,
    inputs: Inputs,
    stop: &CancellationToken,
) -> Result<ExitCode> {
    let steps = Steps::new(config.json);
    let address = config.kafka_address();
    let layout = Layout::prepare(&config.stack.data_dir)?;
    broker::wait_ready(&address, Duration::from_secs(5), || None).await.map_err(|error| {
        ConfigError(format!(
            "{error}; start `clickstream up` first, name another with --kafka, or count in this process with --embedded --data-dir NEW"
        ))
    })?;
    let partitions = topics::ensure(&address, config.stack.topics, &steps).await?;
    if options.keep_time {
        let held = held(&address).await?;
        if held > 0 {
            return Err(ConfigError(format!(
                "{} in Kafka at {address} holds events already, and among them all lines of the past would be late: keep the times in a log of their own (--embedded --data-dir NEW, or a Kafka whose topic is empty and where no `up` sends heartbeats), or leave out --keep-time",
                topic::EVENTS
            ))
            .into());
        }
    }
    let mut replay = replay(config, options, &layout)?;
    let producer = Producer::connect(&address, partitions)?;
    if !options.keep_time {
        producer.warm_up(options.site.as_deref().unwrap_or("web")).await?;
    }
    steps.line(&format!("sending to Kafka at {address}; Ctrl-C stops"));
    let target = Target::Kafka(producer);
    let outcome = run::run(inputs, &mut replay, &target, sending(config, options), stop).await?;
    if let Some(last) = outcome.last.filter(|_| options.keep_time) {
        target.beat(&outcome.site, beyond(config, last));
        target.flush().await?;
    }
    if let Some(why) = target.lost() {
        bail!(why);
    }
    let next = if options.keep_time {
        vec![report::up_again(config, &shell::option("--kafka", &address))]
    } else {
        vec![hints::about(config, "verify")]
    };
    finish(config, &replay, &outcome, &format!("Kafka at {address}"), &next)
}

fn finish(
    config: &Config,
    replay: &Replay,
    outcome: &Outcome,
    place: &str,
    next: &[String],
) -> Result<ExitCode> {
    let summary = replay.summary();
    if config.json {
        emit(&format!("{}\n", report::json(&summary, outcome, place)));
    } else {
        emit(&report::draw(&summary, outcome, place, next));
    }
    Ok(if report::failed(&summary, outcome) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

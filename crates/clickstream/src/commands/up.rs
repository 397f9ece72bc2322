//! `clickstream up`: starts everything, shows the results, and stops everything in order.

use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use clickstream_event::{Timestamp, topic};
use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;
use clickstream_stack::supervisor::{Component, State};
use clickstream_stack::{Stack, StackError, provision};
use clickstream_traffic::{Generator, Producer, heartbeat};
use console::style;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::collecting::{self, Collecting};
use crate::config::{Config, ConfigError, Engine, last_up};
use crate::console::hints;
use crate::console::live::{Footer, Live, ProofState};
use crate::console::steps::Steps;
use crate::logging;
use crate::logs::kafka::KafkaLog;
use crate::memory;
use crate::results::{self, Arrived};
use crate::run_state::{JobState, RunState};
use crate::serving::pipeline::Reporter;
use crate::serving::reporting::Reporting;
use crate::serving::{self, Serving};

use super::watching::{Watching, every};
use super::{
    addresses, end_generator, facts, interrupted, over, proving, traffic_failed, up_embedded, what_comes,
};

/// Runs until Ctrl-C, `down`, the end of `--duration`, or a failure that does not heal.
pub async fn run(mut config: Config) -> Result<ExitCode> {
    match choose_engine(&config)? {
        Choice::Flink => check_path(&config.stack.data_dir, is_utf8_locale())?,
        Choice::Embedded { instead_of } => return up_embedded::run(config, instead_of).await,
    }
    let steps = Arc::new(Steps::new(config.json));
    let layout = Layout::prepare(&config.stack.data_dir)?;
    // before its ports, which an `up` that runs here has taken; the stack takes the lock
    if let Some(holder) = Lock::holder(&layout) {
        return Err(StackError::Locked { path: layout.root().to_owned(), holder: holder.to_string() }.into());
    }
    let dashboard = serving::bind(config.http_port).await?;
    let collector = collecting::bind(&config).await?;
    logging::to_file(&layout.log_of("clickstream"), &config.log_level, config.log_json);
    let began = Instant::now();
    let starting = Stack::start(config.stack.clone(), Arc::clone(&steps) as _);
    let stack = tokio::select! {
        stack = starting => stack?,
        () = interrupted() => {
            steps.line("stopped while starting");
            return Ok(ExitCode::SUCCESS);
        }
    };
    if let Some(changed) = last_up::changed(&config, stack.layout()) {
        steps.line(&changed);
    }
    config.settings_since = last_up::remember(&config, stack.layout(), "flink");
    tracing::info!(took_ms = began.elapsed().as_millis() as u64, "everything runs");
    let store = match &config.stack.external_kafka {
        Some(kafka) => serving::store_of(kafka).await?,
        None => serving::STORE.to_owned(),
    };
    let mut serving = Serving::start(&config, &layout.serve().join(store), dashboard)?;
    serving.follow_kafka(stack.kafka_address().to_owned());
    let outcome = serve(&config, &stack, &serving, collector, &steps).await;
    steps.line("stopping …");
    let stopping = Instant::now();
    RunState {
        engine: "flink".into(),
        state: "stopping".into(),
        components: all_components(&stack, serving.url()),
        job: None,
        data_dir: layout.root().to_owned(),
    }
    .write(&layout);
    serving.stop().await;
    stack.stop().await;
    RunState::stopped(layout.root().to_owned()).write(&layout);
    let took = stopping.elapsed().as_secs_f64();
    steps.line(&match &outcome {
        Ok(()) => format!("{} stopped in {took:.1} s; the next `up` goes on from here", style("✓").green()),
        Err(_) => format!("stopped in {took:.1} s"),
    });
    outcome.map(|()| ExitCode::SUCCESS)
}

/// ASCII characters that stand for themselves in a class path, in SQL and in the address of a file, beside letters and digits. (Flink
/// writes a compiled plan to the address as it is encoded: to `my%20data` instead of `my data`.)
const IN_PATHS: &str = "/_-.~!$&()+,;=@";

/// Refuses a data directory whose path Java or Flink would read as something else.
fn check_path(data_dir: &Path, utf8_locale: bool) -> Result<(), ConfigError> {
    let path = data_dir.to_string_lossy();
    let is_misread = |c: &char| c.is_ascii() && !c.is_ascii_alphanumeric() && !IN_PATHS.contains(*c);
    if let Some(c) = path.chars().find(is_misread) {
        return Err(ConfigError(format!(
            "the path {path:?} holds {c:?}, which Java and Flink take for something else: choose another --data-dir, or --embedded"
        )));
    }
    if !path.is_ascii() && !utf8_locale {
        return Err(ConfigError(format!(
            "Java writes the path {path:?} in another way, as this terminal's locale is not UTF-8: set LC_ALL=C.UTF-8, choose another --data-dir, or --embedded"
        )));
    }
    Ok(())
}

/// Whether programs take file names for UTF-8.
fn is_utf8_locale() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    cfg!(target_os = "macos")
        || locale.is_some_and(|locale| locale.to_lowercase().replace('-', "").contains("utf8"))
}

enum Choice {
    Flink,
    /// The embedded engine; with why not Flink, where that would have been the first choice.
    Embedded {
        instead_of: Option<StackError>,
    },
}

/// Says at once what this machine lacks, before anything is created.
fn choose_engine(config: &Config) -> Result<Choice> {
    if config.engine == Engine::Embedded {
        if config.stack.external_kafka.is_some() || config.stack.external_flink.is_some() {
            return Err(ConfigError(
                "the embedded engine has a log of its own and uses no Kafka and no Flink: leave out --kafka and --flink, or use --engine flink".into(),
            )
            .into());
        }
        return Ok(Choice::Embedded { instead_of: None });
    }
    match provision::check(&config.stack) {
        Ok(()) => Ok(Choice::Flink),
        // who names a Kafka or a Flink does not want another engine
        Err(error)
            if config.engine == Engine::Auto
                && config.stack.external_kafka.is_none()
                && config.stack.external_flink.is_none() =>
        {
            Ok(Choice::Embedded { instead_of: Some(error) })
        }
        Err(error) => Err(error.into()),
    }
}

fn welcome(steps: &Steps, config: &Config, stack: &Stack, dashboard: &str, collector: Option<&Collecting>) {
    let rows = [
        ["Dashboard".to_owned(), dashboard.to_owned()],
        ["Collector".to_owned(), collecting::shown(collector)],
        ["Flink web UI".to_owned(), stack.flink_url().to_owned()],
        ["Kafka".to_owned(), stack.kafka_address().to_owned()],
        ["Results".to_owned(), format!("topics {}, …", topic::TOP_PAGES)],
        ["Data and logs".to_owned(), stack.layout().root().display().to_string()],
    ];
    steps.line(&format!(
        "\n{}\n{}\n{}\n",
        facts(rows),
        what_comes(config),
        hints::beside_up(config, dashboard),
    ));
}

async fn serve(
    config: &Config,
    stack: &Stack,
    serving: &Serving,
    listener: Option<TcpListener>,
    steps: &Steps,
) -> Result<()> {
    let shutdown = CancellationToken::new();
    let site = config.generator.sites.first().cloned().unwrap_or_default();
    let producer = Producer::connect(stack.kafka_address(), stack.partitions())?;
    tokio::select! {
        warmed = producer.warm_up(&site) => warmed?,
        // it waits some seconds for a Kafka that does not acknowledge
        () = interrupted() => return Ok(()),
    }
    let heartbeats = tokio::spawn(heartbeat::run(
        stack.kafka_address().to_owned(),
        producer.clone(),
        site.clone(),
        shutdown.clone(),
    ));
    memory::trim_regularly();
    let (rows, arrivals) = mpsc::channel(4096);
    let kafka = stack.kafka_address().to_owned();
    let following = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { results::follow(&kafka, rows, shutdown).await }
    });
    let mut generator = config.generate.then(|| {
        tokio::spawn(Generator::new(config.generator.clone(), producer.clone()).run(shutdown.clone()))
    });
    let log = KafkaLog::new(stack.kafka_address());
    let intake = Arc::new(collecting::kafka::Producing(producer.clone()));
    let collector = listener
        .map(|listener| Collecting::start(config, stack.layout(), listener, intake, Box::new(log.clone())))
        .transpose()?;
    welcome(steps, config, stack, serving.url(), collector.as_ref());
    addresses(steps, serving.url(), collector.as_ref().map(Collecting::url));
    let reporter =
        Reporter::new(config, "flink", Box::new(log.clone()), collector.as_ref().map(Collecting::collector));
    let proof = proving::start(config, Box::new(move || Box::new(log.clone())), shutdown.clone());
    let outcome = tokio::select! {
        outcome = show(config, stack, &producer, site, arrivals, proof, (serving, Reporting::new(reporter))) => outcome,
        () = stack.watch() => Ok(()),
        // by the same producer go the heartbeats, without which there are no results
        why = traffic_failed(&mut generator) => Err(why),
        () = interrupted() => Ok(()),
        () = over(config.duration) => Ok(()),
    };
    if let Some(collector) = collector {
        collector.stop().await;
    }
    shutdown.cancel();
    end_generator(generator).await;
    let _ = tokio::time::timeout(Duration::from_secs(1), heartbeats).await;
    let _ = tokio::time::timeout(Duration::from_secs(1), following).await;
    outcome
}

/// Shows windows as they come and figures every second, until a component fails for good. Waits for nothing on this thread: what else
/// can end `up` is polled by it too.
async fn show(
    config: &Config,
    stack: &Stack,
    producer: &Producer,
    site: String,
    mut arrivals: mpsc::Receiver<Arrived>,
    proof: Arc<Mutex<ProofState>>,
    (serving, mut reporting): (&Serving, Reporting),
) -> Result<()> {
    let mut live = Live::new(config.json, site, config.view);
    let mut seen = Watching::new(proof, config.stack.job.session_gap_ms, Timestamp::now());
    let mut tick = every(Duration::from_millis(50));
    let mut second = every(Duration::from_secs(1));
    let mut acknowledged = 0;
    let mut silence = Unacknowledged::default();
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
                if let Some(error) = stack.failure() {
                    return Err(error.into());
                }
                let seconds = seen.second();
                let counts = producer.counts();
                let sends = config.generate || config.collector.is_some();
                seen.footer.events_per_second = sends.then(|| (counts.acknowledged - acknowledged) as f64);
                acknowledged = counts.acknowledged;
                if seconds.is_multiple_of(10) {
                    let latency = producer.latency(true);
                    seen.footer.log_latency_p99 = (config.generate && latency.count > 0).then_some(latency.p99);
                }
                silence.see(counts.acknowledged, counts.sent.saturating_sub(counts.failed));
                let slide = Duration::from_millis(config.stack.job.windows.slide_ms() as u64);
                let silent_for = Some(seen.silent_for()).filter(|time| *time > slide * 2 + Duration::from_secs(5));
                let waits_for_events = !config.generate && seen.footer.lag == Some(0);
                seen.footer.trouble = trouble(stack, silent_for, waits_for_events, producer, &silence);
                live.footer(&seen.footer);
                write_state(stack, serving.url(), &seen.footer);
                // whether a Kafka of somebody else is there, its answer has to tell
                if stack.kafka_is_up() {
                    let told = stack.job().telemetry();
                    let components = all_components(stack, serving.url());
                    let (footer, reasons) = (seen.footer.clone(), seen.reasons());
                    reporting.begin(move |reporter| {
                        reporter.told(told.as_deref());
                        let watermark = told.and_then(|told| told.watermark);
                        reporter.report(&footer, &components, reasons, watermark)
                    });
                }
            }
            status = reporting.done() => {
                let lags = status.partitions.iter().map(|partition| partition.lag);
                // of a log that does not answer it is not known
                seen.footer.lag = lags.sum::<Option<i64>>().filter(|_| status.state != "unreachable");
                live.log_begins(reporting.log_begins());
                serving.status(status);
            }
        }
    }
}

/// Whether Kafka acknowledges what is sent.
#[derive(Default)]
struct Unacknowledged {
    acknowledged: u64,
    since: Option<Instant>,
    is_told: bool,
}

/// A broker that starts again is silent for less than this.
const PATIENCE: Duration = Duration::from_secs(10);

impl Unacknowledged {
    /// Takes how many records are acknowledged, of how many that were not given up.
    fn see(&mut self, acknowledged: u64, sent: u64) {
        if acknowledged != self.acknowledged || acknowledged >= sent {
            if std::mem::take(&mut self.is_told) {
                tracing::info!("Kafka acknowledges again");
            }
            (self.acknowledged, self.since) = (acknowledged, None);
        } else if self.since.get_or_insert_with(Instant::now).elapsed() > PATIENCE && !self.is_told {
            self.is_told = true;
            tracing::warn!(waiting = sent - acknowledged, "Kafka acknowledges nothing");
        }
    }

    /// For how long it has acknowledged nothing, if that is long.
    fn lasts(&self) -> Option<Duration> {
        self.since.map(|since| since.elapsed()).filter(|time| *time > PATIENCE)
    }
}

/// What is wrong at the moment, in one line; empty when all is well.
fn trouble(
    stack: &Stack,
    silent_for: Option<Duration>,
    waits_for_events: bool,
    producer: &Producer,
    silence: &Unacknowledged,
) -> String {
    for component in stack.components() {
        let doing = match component.state {
            State::Starting => "is starting again",
            State::Restarting => "died and is about to start again",
            _ => continue,
        };
        return format!("{} {doing} (restart {}); nothing is lost", component.name, component.restarts);
    }
    let job = stack.job().status();
    if job.state != "RUNNING" && job.state != "SUBMITTED" {
        let why = job.last_error.map_or(String::new(), |why| format!(": {why}"));
        return format!("the Flink job is {}{why}", job.state.to_lowercase());
    }
    if let Some(time) = silence.lasts() {
        return format!(
            "Kafka has acknowledged nothing for {} s, and is asked again and again: its log says why ({})",
            time.as_secs(),
            stack.layout().log_of("kafka").display()
        );
    }
    if let Some(behind) = job.behind {
        return format!(
            "the Flink job is slower than its input and {} s behind: results are right, but late; send less (--rate), or give it more cores",
            behind.as_secs()
        );
    }
    if producer.counts().failed > 0 {
        return format!(
            "{} events were not delivered: {}",
            producer.counts().failed,
            producer.last_error().unwrap_or_default()
        );
    }
    match silent_for.map(|time| time.as_secs()) {
        None => String::new(),
        Some(s) if waits_for_events => {
            format!("no events for {s} s: write some to {}, or try `clickstream generate`", topic::EVENTS)
        }
        Some(s) => {
            format!(
                "no results for {s} s: is a partition without events and heartbeats, or is the job catching up?"
            )
        }
    }
}

/// Those of the stack, and this process with the address of its dashboard.
fn all_components(stack: &Stack, dashboard: &str) -> Vec<Component> {
    let mut components = stack.components();
    components.push(RunState::ourselves(stack.layout().log_of("clickstream"), dashboard));
    components
}

fn write_state(stack: &Stack, dashboard: &str, footer: &Footer) {
    let layout = stack.layout();
    let components = all_components(stack, dashboard);
    let well = components.iter().all(|c| matches!(c.state, State::Ready | State::External))
        && footer.trouble.is_empty();
    let job = stack.job().status();
    RunState {
        engine: "flink".into(),
        state: if well { "running" } else { "degraded" }.into(),
        components,
        job: Some(JobState {
            id: job.id,
            state: job.state,
            resumed: job.resumed,
            last_error: job.last_error,
            waiting_for: Some(footer.trouble.clone()).filter(|why| !why.is_empty()),
        }),
        data_dir: layout.root().to_owned(),
    }
    .write(layout);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_flink_would_misread_are_refused() {
        for good in ["/home/ana/.local/share/clickstream", "data/x-1_2", "/tmp/größe"] {
            assert!(check_path(Path::new(good), true).is_ok(), "{good}");
        }
        for bad in ["/tmp/my data", "/tmp/it's", "/tmp/a:b", "/tmp/50%", "/tmp/a\nb"] {
            assert!(check_path(Path::new(bad), true).is_err(), "{bad}");
        }
        assert!(check_path(Path::new("/tmp/größe"), false).is_err());
    }
}

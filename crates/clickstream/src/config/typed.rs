//! The configuration as values with types, every one checked.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clickstream_collector::EventTime;
use clickstream_event::page_url::{Query, UrlRules};
use clickstream_event::{Rules, Timestamp, Windows};
use clickstream_stack::job::control::Execution;
use clickstream_stack::job::template::{JobParameters, UniqueUsers};
use clickstream_stack::kafka::topics::TopicPlan;
use clickstream_stack::{StackConfig, memory};
use clickstream_traffic::{GeneratorConfig, Injections, KeyStrategy};

use super::ConfigError;
use super::layers::Settings;
use crate::console::sections::View;

/// No setting needs a longer time, and times are added up.
const MAX_TIME: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

/// What computes the results.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Engine {
    /// Kafka and Flink, where Java and Maven are there.
    Auto,
    /// Kafka and Flink.
    Flink,
    /// All in this process.
    Embedded,
}

/// What takes events over HTTP.
#[derive(Clone, Debug)]
pub struct CollectorConfig {
    /// Its port.
    pub port: u16,
    /// Whose clock counts.
    pub time: EventTime,
    /// Keys with their sites.
    pub keys: Vec<(String, String)>,
    /// Events per second of one address, and of one site; 0 for no limit.
    pub rate: u32,
}

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// What computes the results.
    pub engine: Engine,
    /// The stack.
    pub stack: StackConfig,
    /// The sample traffic.
    pub generator: GeneratorConfig,
    /// Whether there is any.
    pub generate: bool,
    /// Whether the heap for the job's state follows from the rate.
    pub auto_heap: bool,
    /// How addresses from outside become pages.
    pub urls: UrlRules,
    /// What takes events over HTTP, if anything does.
    pub collector: Option<CollectorConfig>,
    /// Since when results are counted with these settings, if they were counted with others before in the same data directory.
    pub settings_since: Option<Timestamp>,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// Port of the dashboard.
    pub http_port: u16,
    /// How long the dashboard's store keeps results.
    pub history: Duration,
    /// How long with all windows and rows.
    pub history_detail: Duration,
    /// What the console shows.
    pub view: View,
    /// JSON lines instead of tables.
    pub json: bool,
    /// Detail of the log.
    pub log_level: String,
    /// Whether the log is JSON.
    pub log_json: bool,
}

impl Config {
    /// The data directory, if it is not the one that is taken where none is named.
    pub fn data_dir_given(&self) -> Option<&Path> {
        Some(self.stack.data_dir.as_path()).filter(|dir| *dir != default_data_dir())
    }

    /// Checks all settings.
    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        let read = Reader { settings };
        let rate: f64 = read.number("rate", 10.0, 1_000_000.0)?;
        let window = read.time("window")?;
        let slide = read.time("slide")?;
        let windows = Windows::new(millis(window), millis(slide)).map_err(|e| {
            let from = |key: &str| read.settings.get(key).source;
            ConfigError(format!("{e} (window from {}, slide from {})", from("window"), from("slide")))
        })?;
        let partitions = read.whole("partitions", 1, 1_000)? as i32;
        let parallelism = read.whole("parallelism", 1, 128)? as u32;
        if i64::from(parallelism) > i64::from(partitions) {
            return Err(ConfigError(format!(
                "parallelism {parallelism} exceeds the {partitions} partitions of the events topic: readers without a partition would hold back all results; use --parallelism {partitions} or less, or more --partitions"
            )));
        }
        let kafka = read.text("kafka");
        if let Some(kafka) = &kafka
            && !kafka.split(',').all(|server| {
                server
                    .rsplit_once(':')
                    .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
            })
        {
            return Err(read.wrong("kafka", "host:port is needed, as localhost:9092"));
        }
        let flink = match (read.url("flink")?, read.url("flink_gateway")?) {
            (None, None) => None,
            (Some(rest), Some(gateway)) => Some((rest, gateway)),
            (Some(_), None) => return Err(read.wrong("flink_gateway", "--flink needs --flink-gateway too, the SQL Gateway of that cluster, as http://localhost:8083")),
            (None, Some(_)) => return Err(read.wrong("flink", "--flink-gateway needs --flink too, the JobManager of that cluster, as http://localhost:8081")),
        };
        let ports = [read.port("kafka_port")?, read.port("flink_port")?, read.port("gateway_port")?];
        let http_port = read.whole("http_port", 0, 65_535)? as u16;
        if ports.contains(&http_port) {
            return Err(read.wrong("http_port", "Kafka, Flink or the SQL Gateway has that port"));
        }
        let collector = read.collector()?;
        if let Some(collector) = &collector
            && collector.port != 0
            && (ports.contains(&collector.port) || collector.port == http_port)
        {
            return Err(
                read.wrong("collector_port", "Kafka, Flink, the SQL Gateway or the dashboard has that port")
            );
        }
        if ports[0] == ports[1] || ports[1] == ports[2] || ports[0] == ports[2] {
            return Err(ConfigError(format!(
                "the ports of Kafka ({}), Flink ({}) and the SQL Gateway ({}) must differ",
                ports[0], ports[1], ports[2]
            )));
        }
        // windows are compared with those before them, and long ones need longer than the default
        let least = window * 2;
        let (mut history, mut history_detail) = (read.time("history")?, read.time("history_detail")?);
        if !settings.is_given("history") {
            history = history.max(least);
        }
        if !settings.is_given("history_detail") {
            history_detail = history_detail.max(least).min(history);
        }
        if history < least {
            return Err(
                read.wrong("history", "two windows at least are needed, or nothing could be compared")
            );
        }
        if history_detail < least || history_detail > history {
            return Err(read.wrong(
                "history_detail",
                "two windows at least are needed, or nothing could be compared, and no more than --history",
            ));
        }
        let mut retention = read.time("retention")?;
        if !settings.is_given("retention") {
            retention = retention.max(Duration::from_secs(least.as_secs().div_ceil(3600) * 3600));
        }
        if retention.as_secs() % 3600 != 0 {
            return Err(read.wrong("retention", "whole hours are needed, as 24h: Kafka counts in them"));
        }
        if retention < least || retention.as_secs() < 3600 {
            return Err(read.wrong(
                "retention",
                "at least one hour and two windows are needed, or a restart could not count whole windows",
            ));
        }
        let retention_hours = retention.as_secs().div_ceil(3600) as u32;
        let max_disorder =
            read.time_within("max_disorder", Duration::from_millis(1), Duration::from_secs(60))?;
        let checkpoint_interval =
            read.time_within("checkpoint_interval", Duration::from_secs(1), Duration::from_secs(20))?;
        let machine = memory::machine_mib();
        let task_heap_mib = match read.settings.get("taskmanager_heap").value.as_str() {
            "auto" => memory::task_heap(rate as u64, window.as_secs(), machine),
            _ => read.whole("taskmanager_heap", 256, machine as i64)? as u64,
        };
        let share = |key: &str| read.number(key, 0.0, 1.0);
        let injections = Injections {
            late: share("inject_late")?,
            duplicate: share("inject_duplicate")?,
            malformed: share("inject_malformed")?,
            future: share("inject_future")?,
        };
        if injections.late + injections.duplicate + injections.malformed + injections.future > 1.0 {
            return Err(ConfigError("the shares of late, duplicate, malformed and future events exceed 1 together: lower some --inject-…".into()));
        }
        let sites: Vec<String> = read
            .settings
            .get("site")
            .value
            .split(',')
            .map(|site| site.trim().to_owned())
            .filter(|site| !site.is_empty())
            .collect();
        if sites.is_empty() || !sites.iter().all(|site| is_site_name(site)) {
            return Err(read.wrong("site", "a name, or several separated by commas, is needed"));
        }
        if let Some(twice) = (1..sites.len()).find(|n| sites[..*n].contains(&sites[*n])) {
            return Err(read.wrong("site", &format!("`{}` stands there twice", sites[twice])));
        }
        let duration = read.optional_time("duration")?;
        let key = read.choice(
            "key",
            &[
                ("page", KeyStrategy::Page),
                ("product", KeyStrategy::Product),
                ("user", KeyStrategy::User),
                ("session", KeyStrategy::Session),
            ],
        )?;
        Ok(Self {
            engine: read.choice(
                "engine",
                &[("auto", Engine::Auto), ("flink", Engine::Flink), ("embedded", Engine::Embedded)],
            )?,
            stack: StackConfig {
                data_dir: read.text("data_dir").map_or_else(default_data_dir, PathBuf::from),
                external_kafka: kafka.clone(),
                external_flink: flink,
                kafka_port: ports[0],
                flink_port: ports[1],
                gateway_port: ports[2],
                retention_hours,
                topics: TopicPlan {
                    event_partitions: partitions,
                    result_partitions: read.whole("result_partitions", 1, 1_000)? as i32,
                    // a broker of our own is told so as a whole
                    retention_hours: kafka.is_some().then_some(retention_hours),
                },
                task_heap_mib,
                task_manager_options: read
                    .settings
                    .get("taskmanager_options")
                    .value
                    .split_whitespace()
                    .map(str::to_owned)
                    .collect(),
                job: JobParameters {
                    windows,
                    max_disorder_ms: millis(max_disorder),
                    max_future_ms: millis(read.time_within(
                        "max_future",
                        Duration::ZERO,
                        Duration::from_secs(3_000),
                    )?),
                    dedup_horizon_s: read
                        .time_within("dedup_horizon", Duration::from_secs(1), Duration::from_secs(86_400))?
                        .as_secs() as i64,
                    session_gap_ms: millis(read.time_within(
                        "session_gap",
                        Duration::from_secs(1),
                        Duration::from_secs(86_400),
                    )?),
                    kafka: String::new(),
                    unique_users: read.choice(
                        "unique_users",
                        &[("distance", UniqueUsers::Distance), ("textbook", UniqueUsers::Textbook)],
                    )?,
                },
                execution: Execution { parallelism, checkpoint_interval },
            },
            generator: GeneratorConfig {
                seed: read.whole("seed", 0, i64::MAX)? as u64,
                rate,
                sites,
                key,
                injections,
                bots: share("inject_bots")?,
                unusual: share("inject_unusual")?,
                spikes: read.truth("inject_spikes")?,
                duration: None,
                max_events: None,
            },
            generate: read.truth("generate")?,
            auto_heap: read.settings.get("taskmanager_heap").value == "auto",
            urls: UrlRules {
                host: read.truth("url_host")?,
                query: match read.text("url_query").as_deref() {
                    None => Query::Drop,
                    Some("*") => Query::All,
                    Some(names) => Query::Keep(
                        names
                            .split(',')
                            .map(|name| name.trim().to_owned())
                            .filter(|name| !name.is_empty())
                            .collect(),
                    ),
                },
                routes: read.truth("url_fragments")?,
                slash: read.truth("url_slash")?,
            },
            collector,
            settings_since: None,
            duration,
            history,
            history_detail,
            http_port,
            view: read.choice("view", &View::ALL)?,
            json: read.truth("json")?,
            log_level: read
                .choice(
                    "log_level",
                    &[
                        ("error", "error"),
                        ("warn", "warn"),
                        ("info", "info"),
                        ("debug", "debug"),
                        ("trace", "trace"),
                    ],
                )?
                .to_owned(),
            log_json: read.choice("log_format", &[("json", true), ("text", false)])?,
        })
    }
}

impl Config {
    /// The bootstrap servers: those of `--kafka`, or of the Kafka that `up` starts.
    pub fn kafka_address(&self) -> String {
        self.stack.external_kafka.clone().unwrap_or_else(|| format!("127.0.0.1:{}", self.stack.kafka_port))
    }

    /// The same windows and rules for the embedded engine.
    pub fn engine_config(&self) -> clickstream_engine::Config {
        let job = &self.stack.job;
        clickstream_engine::Config {
            windows: job.windows,
            max_disorder_ms: job.max_disorder_ms,
            dedup_horizon_ms: job.dedup_horizon_s * 1_000,
            session_gap_ms: job.session_gap_ms,
            rules: Rules { max_future_ms: job.max_future_ms },
            // nobody who writes events can know it
            seed: RandomState::new().hash_one(0),
        }
    }
}

/// Whether a site may have this name.
pub fn is_site_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 100 && !name.chars().any(char::is_control)
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// `clickstream/` in the user's data directory.
pub fn default_data_dir() -> PathBuf {
    let home = std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    // by its definition a path that is not absolute does not count
    let named = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = named.unwrap_or_else(|| home.join(".local/share"));
    base.join("clickstream")
}

struct Reader<'s> {
    settings: &'s Settings,
}

impl Reader<'_> {
    fn wrong(&self, key: &str, why: &str) -> ConfigError {
        let setting = self.settings.get(key);
        ConfigError(format!(
            "{} is `{}` (from {}): {why}",
            key.replace('_', "-"),
            setting.value,
            setting.source
        ))
    }

    fn text(&self, key: &str) -> Option<String> {
        Some(self.settings.get(key).value).filter(|text| !text.is_empty())
    }

    fn number(&self, key: &str, min: f64, max: f64) -> Result<f64, ConfigError> {
        match self.settings.get(key).value.parse::<f64>() {
            Ok(number) if number >= min && number <= max => Ok(number),
            _ => Err(self.wrong(key, &format!("a number from {min} to {max} is needed"))),
        }
    }

    fn whole(&self, key: &str, min: i64, max: i64) -> Result<i64, ConfigError> {
        match self.settings.get(key).value.parse::<i64>() {
            Ok(number) if number >= min && number <= max => Ok(number),
            _ => Err(self.wrong(key, &format!("a whole number from {min} to {max} is needed"))),
        }
    }

    fn port(&self, key: &str) -> Result<u16, ConfigError> {
        self.whole(key, 1, 65_535).map(|port| port as u16)
    }

    fn truth(&self, key: &str) -> Result<bool, ConfigError> {
        self.choice(key, &[("true", true), ("false", false)])
    }

    fn choice<T: Copy>(&self, key: &str, choices: &[(&str, T)]) -> Result<T, ConfigError> {
        let value = self.settings.get(key).value;
        choices.iter().find(|(name, _)| *name == value).map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
            self.wrong(key, &format!("one of {} is needed", names.join(", ")))
        })
    }

    fn collector(&self) -> Result<Option<CollectorConfig>, ConfigError> {
        let mut keys = Vec::new();
        let list = self.settings.get("collector_keys").value;
        for pair in list.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (site, key) = pair.split_once('=').unwrap_or_default();
            let (site, key) = (site.trim(), key.trim());
            if !is_site_name(site) || key.is_empty() || pair.chars().any(char::is_control) {
                return Err(
                    self.wrong("collector_keys", "pairs are needed, as shop=8fJ2kQ,blog=blog.example")
                );
            }
            if keys.iter().any(|(known, _)| known == key) {
                return Err(self.wrong("collector_keys", &format!("the key {key} opens two sites")));
            }
            keys.push((key.to_owned(), site.to_owned()));
        }
        let config = CollectorConfig {
            port: self.whole("collector_port", 0, 65_535)? as u16,
            time: self.choice(
                "collector_time",
                &[("arrival", EventTime::Arrival), ("client", EventTime::Client)],
            )?,
            keys,
            rate: self.whole("collector_rate", 0, 10_000_000)? as u32,
        };
        Ok(Some(config).filter(|_| matches!(self.truth("collector"), Ok(true))))
    }

    fn time(&self, key: &str) -> Result<Duration, ConfigError> {
        let time = humantime::parse_duration(&self.settings.get(key).value)
            .map_err(|_| self.wrong(key, "a time is needed, as 100ms, 10s, 5m or 1h"))?;
        if time > MAX_TIME {
            return Err(self.wrong(key, "a time of at most ten years is needed"));
        }
        Ok(time)
    }

    fn optional_time(&self, key: &str) -> Result<Option<Duration>, ConfigError> {
        if self.text(key).is_none() { Ok(None) } else { self.time(key).map(Some) }
    }

    fn time_within(&self, key: &str, min: Duration, max: Duration) -> Result<Duration, ConfigError> {
        let time = self.time(key)?;
        if time < min || time > max {
            let show = humantime::format_duration;
            return Err(self.wrong(key, &format!("a time from {} to {} is needed", show(min), show(max))));
        }
        Ok(time)
    }

    fn url(&self, key: &str) -> Result<Option<String>, ConfigError> {
        match self.text(key) {
            None => Ok(None),
            Some(url) if url.starts_with("http://") && url.len() > 7 => {
                Ok(Some(url.trim_end_matches('/').to_owned()))
            }
            Some(_) => Err(self.wrong(key, "a URL is needed, as http://localhost:8081")),
        }
    }
}

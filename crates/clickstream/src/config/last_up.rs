//! The settings of the last `up` in a data directory: what `verify` and `explain` take where nothing else is said, so that they
//! ask about the windows that were counted, and look into the log that was written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clickstream_event::Timestamp;
use clickstream_stack::layout::Layout;

use super::layers::Settings;
use super::typed::default_data_dir;
use super::{Config, ConfigError, time_text};

fn file(layout: &Layout) -> PathBuf {
    layout.run().join("settings.json")
}

/// Of the settings, those that decide what a row says.
const COUNTING: [&str; 6] = ["window", "slide", "max_disorder", "max_future", "dedup_horizon", "session_gap"];

/// Since when those are as they are: one more entry of the file.
const SINCE: &str = "counting_since";

type Remembered = BTreeMap<String, String>;

fn read(layout: &Layout) -> Option<Remembered> {
    serde_json::from_slice(&std::fs::read(file(layout)).ok()?).ok()
}

/// Writes down what `verify` must know of an `up` on `engine`, and says since when results are counted with its settings, if
/// they were counted with others before.
pub fn remember(config: &Config, layout: &Layout, engine: &str) -> Option<Timestamp> {
    let job = &config.stack.job;
    let settings = [
        ("window", time_text(job.windows.size_ms())),
        ("slide", time_text(job.windows.slide_ms())),
        ("max_disorder", time_text(job.max_disorder_ms)),
        ("max_future", time_text(job.max_future_ms)),
        ("dedup_horizon", time_text(job.dedup_horizon_s * 1_000)),
        ("session_gap", time_text(job.session_gap_ms)),
        ("kafka", if engine == "flink" { config.kafka_address() } else { String::new() }),
        ("engine", engine.to_owned()),
    ];
    let mut settings: Remembered = settings.into_iter().map(|(name, value)| (name.into(), value)).collect();
    let since = read(layout).and_then(|last| {
        let same = COUNTING.iter().all(|name| last.get(*name) == settings.get(*name));
        if same { since_of(&last) } else { Some(Timestamp::now()) }
    });
    settings.extend(since.map(|since| (SINCE.to_owned(), since.to_string())));
    if let Ok(text) = serde_json::to_vec_pretty(&settings) {
        let _ = std::fs::write(file(layout), text);
    }
    since
}

fn since_of(last: &Remembered) -> Option<Timestamp> {
    Timestamp::parse(last.get(SINCE)?)
}

/// Takes the settings of the last `up` for all keys that nobody has set, and says since when they hold, if others did before.
pub fn adopt(settings: &mut Settings) -> Option<Timestamp> {
    let data_dir = settings.get("data_dir").value;
    let data_dir = if data_dir.is_empty() { default_data_dir() } else { data_dir.into() };
    let layout = Layout::new(data_dir);
    let mut last = read(&layout)?;
    let since = since_of(&last);
    last.remove(SINCE);
    // who names a Kafka or an engine means another log
    let other_log = ["kafka", "kafka_port", "engine"].iter().any(|name| !is_default(settings, name));
    let mut all_adopted = !other_log;
    for (name, value) in last {
        if !is_default(settings, &name) || (other_log && matches!(name.as_str(), "kafka" | "engine")) {
            all_adopted &= settings.get(&name).value == value;
            continue;
        }
        settings.replace(&name, value, format!("the last `up` in {}", layout.root().display()));
    }
    since.filter(|_| all_adopted)
}

/// Refuses a data directory that somebody has named and no `up` has ever used: the Kafka at the default address, which would be
/// asked then, holds another log.
pub fn must_exist(settings: &Settings) -> Result<(), ConfigError> {
    let named = ["kafka", "kafka_port", "engine"].iter().any(|name| !is_default(settings, name));
    let data_dir = settings.get("data_dir").value;
    if named || is_default(settings, "data_dir") || read(&Layout::new(&data_dir)).is_some() {
        return Ok(());
    }
    Err(ConfigError(format!(
        "no `up` has run with --data-dir {data_dir} yet, so no log is known there: mend the path, or name a Kafka with --kafka"
    )))
}

fn is_default(settings: &Settings, name: &str) -> bool {
    settings.get(name).source == "default"
}

//! The settings of the last `up` in a data directory: what `verify` and `explain` take where nothing else is said, so that they
//! ask about the windows that were counted, and look into the log that was written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clickstream_stack::layout::Layout;

use super::keys::find;
use super::layers::Settings;
use super::typed::default_data_dir;
use super::{Config, time_text};

fn file(layout: &Layout) -> PathBuf {
    layout.run().join("settings.json")
}

/// What decides which rows a log has.
fn counting(config: &Config) -> [(&'static str, String); 6] {
    let job = &config.stack.job;
    [
        ("window", time_text(job.windows.size_ms())),
        ("slide", time_text(job.windows.slide_ms())),
        ("session_gap", time_text(job.session_gap_ms)),
        ("max_disorder", time_text(job.max_disorder_ms)),
        ("max_future", time_text(job.max_future_ms)),
        ("dedup_horizon", time_text(job.dedup_horizon_s * 1_000)),
    ]
}

/// The options that an `up` on the same log needs: `up` does not take over the settings of the last one, since it may change them.
pub fn options(config: &Config) -> Vec<String> {
    counting(config)
        .into_iter()
        .filter_map(|(name, value)| Some((find(name)?, value)))
        .filter(|(key, value)| key.default != value)
        .flat_map(|(key, value)| [format!("--{}", key.flag()), value])
        .collect()
}

/// Writes down what `verify` must know of an `up` on `engine`.
pub fn remember(config: &Config, layout: &Layout, engine: &str) {
    let mut settings = BTreeMap::from(counting(config));
    settings.insert("kafka", if engine == "flink" { config.kafka_address() } else { String::new() });
    settings.insert("engine", engine.to_owned());
    if let Ok(text) = serde_json::to_vec_pretty(&settings) {
        let _ = std::fs::write(file(layout), text);
    }
}

/// Takes the settings of the last `up` for all keys that nobody has set.
pub fn adopt(settings: &mut Settings) {
    let data_dir = settings.get("data_dir").value;
    let data_dir = if data_dir.is_empty() { default_data_dir() } else { data_dir.into() };
    let layout = Layout::new(data_dir);
    let Some(last) = std::fs::read(file(&layout))
        .ok()
        .and_then(|text| serde_json::from_slice::<BTreeMap<String, String>>(&text).ok())
    else {
        return;
    };
    // who names a Kafka or an engine means another log
    let other_log = ["kafka", "kafka_port", "engine"].iter().any(|name| !is_default(settings, name));
    for (name, value) in last {
        if !is_default(settings, &name) || (other_log && matches!(name.as_str(), "kafka" | "engine")) {
            continue;
        }
        settings.replace(&name, value, format!("the last `up` in {}", layout.root().display()));
    }
}

fn is_default(settings: &Settings, name: &str) -> bool {
    settings.get(name).source == "default"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_same_log() {
        let load = |arguments: &[&str]| {
            let matches = crate::cli::command()
                .try_get_matches_from([&["clickstream", "config"], arguments].concat())
                .unwrap();
            let settings = Settings::load(matches.subcommand().unwrap().1, std::iter::empty()).unwrap();
            options(&Config::from_settings(&settings).unwrap()).join(" ")
        };
        assert_eq!(load(&[]), "");
        let said = "--window 1h --slide 5m --session-gap 30m";
        assert_eq!(load(&said.split(' ').collect::<Vec<_>>()), said);
        let other = "--max-disorder 3s --dedup-horizon 1h";
        assert_eq!(load(&[&other.split(' ').collect::<Vec<_>>()[..], &["--window", "300s"]].concat()), other);
    }
}

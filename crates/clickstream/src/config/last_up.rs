//! The settings of the last `up` in a data directory: what `verify` and `explain` take where the command line says nothing else, so that they
//! ask about the windows that were counted, and look into the log that was written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clickstream_event::Timestamp;
use clickstream_stack::layout::Layout;

use super::keys::find;
use super::layers::Settings;
use super::typed::default_data_dir;
use super::{Config, ConfigError, time_text};

fn file(layout: &Layout) -> PathBuf {
    layout.run().join("settings.json")
}

/// Since when results are counted with these settings: one more entry of the file.
const SINCE: &str = "counting_since";

/// How long the log is kept: it fits the window of that `up`, and of the commands that take over the window none can be told another.
const RETENTION: &str = "retention";

type Remembered = BTreeMap<String, String>;

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

/// What is counted otherwise than by the last `up` or `replay` in the data directory, for people.
pub fn changed(config: &Config, layout: &Layout) -> Option<String> {
    let last = read(layout)?;
    let changes: Vec<String> = counting(config)
        .into_iter()
        .filter_map(|(name, value)| {
            let flag = find(name)?.flag();
            let before = last.get(name).filter(|before| **before != value)?;
            Some(format!("--{flag} {value} (was {before})"))
        })
        .collect();
    (!changes.is_empty()).then(|| {
        format!(
            "from now on {} counts with {}; rows that stand there already stay as they are, and `verify` asks for the new ones",
            layout.root().display(),
            changes.join(", ")
        )
    })
}

fn read(layout: &Layout) -> Option<Remembered> {
    serde_json::from_slice(&std::fs::read(file(layout)).ok()?).ok()
}

/// Writes down what `verify` must know of an `up` on `engine`, and says since when results are counted with its settings, if
/// they were counted with others before.
pub fn remember(config: &Config, layout: &Layout, engine: &str) -> Option<Timestamp> {
    let mut settings: Remembered =
        counting(config).into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    let since = read(layout).and_then(|last| {
        let same = settings.iter().all(|(name, value)| last.get(name) == Some(value));
        if same { since_of(&last) } else { Some(Timestamp::now()) }
    });
    settings.extend(since.map(|since| (SINCE.to_owned(), since.to_string())));
    settings.insert("kafka".into(), if engine == "flink" { config.kafka_address() } else { String::new() });
    settings.insert("engine".into(), engine.to_owned());
    settings.insert(RETENTION.into(), format!("{}h", config.stack.retention_hours));
    if let Ok(text) = serde_json::to_vec_pretty(&settings) {
        let _ = std::fs::write(file(layout), text);
    }
    since
}

fn since_of(last: &Remembered) -> Option<Timestamp> {
    Timestamp::parse(last.get(SINCE)?)
}

/// Takes over the settings of the last `up`, and says since when they hold, if others did before.
///
/// How events are counted only the command line may say otherwise: environment and file hold what the *next* `up` counts with, and
/// its results are not there yet. Of a log that the last `up` did not write nothing is known, so there they do count.
pub fn adopt(settings: &mut Settings) -> Option<Timestamp> {
    let data_dir = settings.get("data_dir").value;
    let data_dir = if data_dir.is_empty() { default_data_dir() } else { data_dir.into() };
    let layout = Layout::new(data_dir);
    let mut last = read(&layout)?;
    let since = since_of(&last);
    last.remove(SINCE);
    let other_log = is_other_log(settings, &last);
    let is_said =
        |settings: &Settings, name: &str| settings.is_flag(name) || (other_log && settings.is_given(name));
    let retention = last.remove(RETENTION).filter(|_| !is_said(settings, "window"));
    let source = format!("the last `up` in {}", layout.root().display());
    if let Some(retention) = retention.filter(|retention| !is_kept_longer(settings, retention)) {
        settings.replace(RETENTION, retention, source.clone());
    }
    let mut all_adopted = !other_log;
    for (name, value) in last {
        let names_log = matches!(name.as_str(), "kafka" | "engine");
        if is_said(settings, &name) || (other_log && names_log) {
            all_adopted &= names_log || settings.get(&name).value == value;
            continue;
        }
        settings.replace(&name, value, source.clone());
    }
    since.filter(|_| all_adopted)
}

/// Whether somebody has named a Kafka or an engine, wherever, and not that of the last `up`.
fn is_other_log(settings: &Settings, last: &Remembered) -> bool {
    let of_last = |name: &str| last.get(name).map_or("", String::as_str);
    let given = |name: &str| Some(settings.get(name).value).filter(|_| settings.is_given(name));
    let kafka = given("kafka").or_else(|| Some(format!("127.0.0.1:{}", given("kafka_port")?)));
    kafka.is_some_and(|kafka| kafka != of_last("kafka"))
        || given("engine").is_some_and(|engine| engine != "auto" && engine != of_last("engine"))
}

/// Whether somebody has set that the log is kept as long as this, or longer. What is no time is for the check of its key.
fn is_kept_longer(settings: &Settings, than: &str) -> bool {
    let time = humantime::parse_duration;
    let given = || time(&settings.get(RETENTION).value);
    settings.is_given(RETENTION) && time(than).is_ok_and(|than| given().map_or(true, |given| given >= than))
}

/// Refuses a data directory that somebody has named and no `up` has ever used: the Kafka at the default address, which would be
/// asked then, holds another log.
pub fn must_exist(settings: &Settings) -> Result<(), ConfigError> {
    let named = ["kafka", "kafka_port", "engine"].iter().any(|name| settings.is_given(name));
    let data_dir = settings.get("data_dir").value;
    if named || !settings.is_given("data_dir") || read(&Layout::new(&data_dir)).is_some() {
        return Ok(());
    }
    Err(ConfigError(format!(
        "no `up` has run with --data-dir {data_dir} yet, so no log is known there: mend the path, or name a Kafka with --kafka"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a command is given in options and in the environment.
    fn given(command: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Settings {
        let matches = crate::cli::command()
            .try_get_matches_from([&["clickstream", command], arguments].concat())
            .unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::load(matches.subcommand().unwrap().1, environment).unwrap()
    }

    fn config(arguments: &[&str]) -> Config {
        Config::from_settings(&given("config", arguments, &[])).unwrap()
    }

    #[test]
    fn whoever_takes_over_a_long_window_has_a_log_that_holds_two() {
        assert_eq!(config(&[]).stack.retention_hours, 24);
        let long = ["--window", "13h", "--slide", "1h"];
        assert_eq!(config(&long).stack.retention_hours, 26);
        assert_eq!(config(&long).stack.topics.retention_hours, None);
        assert_eq!(config(&["--kafka", "far:9092"]).stack.topics.retention_hours, Some(24));
        let short = given("config", &[&long[..], &["--retention", "24h"]].concat(), &[]);
        assert!(
            Config::from_settings(&short).unwrap_err().0.contains("retention is `24h` (from --retention)")
        );

        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(dir.path()).unwrap();
        let on = ["--data-dir", dir.path().to_str().unwrap()];
        let hours = |arguments: &[&str], environment: &[(&str, &str)]| {
            let mut settings = given("verify", &[&on[..], arguments].concat(), environment);
            adopt(&mut settings);
            Config::from_settings(&settings).unwrap().stack.retention_hours
        };
        remember(&config(&[&long[..], &["--retention", "48h"]].concat()), &layout, "embedded");
        assert_eq!(hours(&[], &[]), 48);
        assert_eq!(hours(&[], &[("CLICKSTREAM_RETENTION", "24h")]), 48, "which is not for that window");
        assert_eq!(hours(&[], &[("CLICKSTREAM_RETENTION", "72h")]), 72);
        remember(&config(&[]), &layout, "embedded");
        assert_eq!(hours(&long, &[]), 26);
    }

    #[test]
    fn only_the_command_line_counts_otherwise_than_the_last_up() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(dir.path()).unwrap();
        let on = ["--data-dir", dir.path().to_str().unwrap()];
        let adopted = |arguments: &[&str], environment: &[(&str, &str)]| {
            let mut settings = given("verify", &[&on[..], arguments].concat(), environment);
            let since = adopt(&mut settings);
            ["max_disorder", "kafka", "engine"].map(|name| settings.get(name).value).join(" ")
                + if since.is_some() { " since" } else { "" }
        };
        let file = [("CLICKSTREAM_MAX_DISORDER", "100ms")];
        assert_eq!(adopted(&[], &file), "100ms  auto", "nothing is remembered");
        remember(&config(&[]), &layout, "flink");
        remember(&config(&["--max-disorder", "5s"]), &layout, "flink");
        let last = "5s 127.0.0.1:9092 flink since";
        assert_eq!(adopted(&[], &[]), last);
        assert_eq!(adopted(&[], &file), last);
        assert_eq!(adopted(&["--max-disorder", "5s"], &file), last);
        assert_eq!(adopted(&["--max-disorder", "1s"], &file), "1s 127.0.0.1:9092 flink");
        // the same log, named
        let same = [file[0], ("CLICKSTREAM_KAFKA_PORT", "9092"), ("CLICKSTREAM_ENGINE", "flink")];
        assert_eq!(adopted(&[], &same), last);
        assert_eq!(adopted(&["--kafka", "127.0.0.1:9092"], &file), last);
        // another
        assert_eq!(adopted(&["--kafka", "far:9092"], &file), "100ms far:9092 auto");
        assert_eq!(adopted(&["--kafka", "far:9092"], &[]), "5s far:9092 auto");
        assert_eq!(adopted(&["--engine", "embedded"], &file), "100ms  embedded");
    }

    #[test]
    fn options_of_the_same_log() {
        let load = |arguments: &[&str]| options(&config(arguments)).join(" ");
        assert_eq!(load(&[]), "");
        let said = "--window 1h --slide 5m --session-gap 30m";
        assert_eq!(load(&said.split(' ').collect::<Vec<_>>()), said);
        let other = "--max-disorder 3s --dedup-horizon 1h";
        assert_eq!(load(&[&other.split(' ').collect::<Vec<_>>()[..], &["--window", "300s"]].concat()), other);

        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(dir.path()).unwrap();
        assert_eq!(changed(&config(&[]), &layout), None, "there was none");
        remember(&config(&["--window", "1h", "--slide", "5m"]), &layout, "embedded");
        assert_eq!(changed(&config(&["--slide", "5m", "--window", "1h"]), &layout), None);
        let said = changed(&config(&[]), &layout).unwrap();
        assert!(said.contains("--window 5m (was 1h), --slide 10s (was 5m);"), "{said}");
    }
}

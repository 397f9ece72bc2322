//! Where the value of each key comes from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::ConfigError;
use super::keys::{Form, KEYS, Key, find, nearest};

/// A value and where it comes from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Setting {
    /// The value as text; empty for none.
    pub value: String,
    /// `--flag`, `CLICKSTREAM_…`, a file, or `default`.
    pub source: String,
}

/// The value of every key, with its source.
#[derive(Clone, Debug, Default)]
pub struct Settings(pub BTreeMap<&'static str, Setting>);

/// File read when no other is named, if it exists.
const DEFAULT_FILE: &str = "clickstream.toml";

impl Settings {
    /// Puts the layers together: defaults, then the file, then the environment, then the command line.
    pub fn load(
        matches: &ArgMatches,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut settings = Self::default();
        for key in KEYS {
            settings.set(key, key.default.to_owned(), "default".into());
        }
        let mut from_environment = Vec::new();
        let mut file = matches.try_get_one::<PathBuf>("config").ok().flatten().cloned();
        for (name, value) in environment.filter(|(name, _)| name.starts_with("CLICKSTREAM_")) {
            if name == "CLICKSTREAM_CONFIG" {
                file = file.or_else(|| Some(value.into()));
                continue;
            }
            match KEYS.iter().find(|key| key.variable() == name) {
                Some(key) => from_environment.push((key, value, name)),
                None => {
                    let known: Vec<String> = KEYS.iter().map(Key::variable).collect();
                    return Err(unknown(
                        &format!("environment variable {name}"),
                        &name,
                        known.iter().map(String::as_str),
                    ));
                }
            }
        }
        let named = file.is_some();
        let file = file.unwrap_or_else(|| DEFAULT_FILE.into());
        if named || file.exists() {
            settings.read_file(&file)?;
        }
        for (key, value, name) in from_environment {
            settings.set(key, value, name);
        }
        for key in KEYS {
            if matches.try_contains_id(key.name).unwrap_or(false)
                && matches.value_source(key.name) == Some(ValueSource::CommandLine)
            {
                let value = match key.form {
                    Form::Value(_) => matches.get_one::<String>(key.name).cloned().unwrap_or_default(),
                    Form::Switch => "true".into(),
                    Form::NegativeSwitch => "false".into(),
                };
                settings.set(key, value, format!("--{}", key.flag()));
            }
        }
        if matches.try_get_one::<bool>("embedded").ok().flatten() == Some(&true)
            && let Some(key) = find("engine")
        {
            settings.set(key, "embedded".into(), "--embedded".into());
        }
        Ok(settings)
    }

    fn set(&mut self, key: &Key, value: String, source: String) {
        if let Some(known) = find(key.name) {
            self.0.insert(known.name, Setting { value, source });
        }
    }

    fn read_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let fail = |why: String| {
            ConfigError(format!("the configuration file {} cannot be used: {why}", path.display()))
        };
        let text = std::fs::read_to_string(path).map_err(|e| fail(e.to_string()))?;
        let table: toml::Table =
            text.parse().map_err(|e: toml::de::Error| fail(e.to_string().trim().to_owned()))?;
        for (name, value) in table {
            let Some(key) = find(&name) else {
                return Err(unknown(
                    &format!("key `{name}` in {}", path.display()),
                    &name,
                    KEYS.iter().map(|key| key.name),
                ));
            };
            let value = match value {
                toml::Value::String(text) => text,
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Float(number) => number.to_string(),
                toml::Value::Boolean(truth) => truth.to_string(),
                other => {
                    return Err(fail(format!(
                        "`{name}` is a {}, but a text, a number or true/false is needed",
                        other.type_str()
                    )));
                }
            };
            self.set(key, value, path.display().to_string());
        }
        Ok(())
    }

    /// Replaces the value of a key that there is.
    pub fn replace(&mut self, name: &str, value: String, source: String) {
        if let Some(key) = find(name) {
            self.set(key, value, source);
        }
    }

    /// The setting of a key.
    pub fn get(&self, name: &str) -> Setting {
        self.0.get(name).cloned().unwrap_or(Setting { value: String::new(), source: "default".into() })
    }

    /// Whether it stands on the command line.
    pub fn is_flag(&self, name: &str) -> bool {
        self.get(name).source.starts_with("--")
    }

    /// Whether somebody chose it, wherever.
    pub fn is_given(&self, name: &str) -> bool {
        self.get(name).source != "default"
    }
}

fn unknown<'c>(what: &str, name: &str, known: impl Iterator<Item = &'c str>) -> ConfigError {
    let hint = nearest(name, known).map_or_else(
        || "`clickstream config` lists all keys".into(),
        |near| format!("did you mean `{near}`?"),
    );
    ConfigError(format!("unknown {what}: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn load(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
        let matches =
            cli::command().try_get_matches_from([&["clickstream", "config"], arguments].concat()).unwrap();
        let (_, matches) = matches.subcommand().unwrap();
        Settings::load(matches, environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn the_plan_of_the_default_job_comes_with_the_program() {
        let config = crate::config::Config::from_settings(&load(&[], &[]).unwrap()).unwrap();
        assert!(
            clickstream_stack::job::shipped::has_plan_of(&config.stack.job),
            "the SQL has changed since its plan was compiled: run scripts/plan"
        );
    }

    #[test]
    fn flag_before_environment_before_file_before_default() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        std::fs::write(&file, "rate = 100\nslide = \"5s\"\nwindow = \"1m\"\n").unwrap();
        let file = file.to_str().unwrap();
        let settings = load(
            &["--config", file, "--rate", "300", "--no-generate"],
            &[("CLICKSTREAM_RATE", "200"), ("CLICKSTREAM_SLIDE", "2s"), ("HOME", "x")],
        )
        .unwrap();
        let of = |name: &str| (settings.get(name).value, settings.get(name).source);
        assert_eq!(of("rate"), ("300".into(), "--rate".into()));
        assert_eq!(of("slide"), ("2s".into(), "CLICKSTREAM_SLIDE".into()));
        assert_eq!(of("window"), ("1m".into(), file.into()));
        assert_eq!(of("partitions"), ("4".into(), "default".into()));
        assert_eq!(of("generate"), ("false".into(), "--no-generate".into()));
    }

    #[test]
    fn unknown_keys_are_refused_with_the_nearest_known_one() {
        let error = load(&[], &[("CLICKSTREAM_RTAE", "1")]).unwrap_err().0;
        assert!(error.contains("CLICKSTREAM_RATE"), "{error}");
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.toml");
        std::fs::write(&file, "windw = \"1m\"\n").unwrap();
        let error = load(&["--config", file.to_str().unwrap()], &[]).unwrap_err().0;
        assert!(error.contains("did you mean `window`"), "{error}");
        assert!(load(&["--config", "/does/not/exist"], &[]).is_err());
    }
}

//! `clickstream config`: the configuration in effect, with the source of each value.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::{Map, json};

use crate::config::Config;
use crate::config::layers::Settings;
use crate::console::emit;

use super::facts;

/// Prints all settings, after checking them.
pub fn run(settings: &Settings) -> Result<ExitCode> {
    let config = Config::from_settings(settings)?;
    if config.json {
        let all: Map<String, serde_json::Value> = settings
            .0
            .iter()
            .map(|(key, setting)| {
                ((*key).to_owned(), json!({ "value": setting.value, "source": setting.source }))
            })
            .collect();
        say!("{}", serde_json::to_string_pretty(&all)?);
        return Ok(ExitCode::SUCCESS);
    }
    let rows = settings.0.iter().map(|(key, setting)| {
        let value = match (*key, setting.value.as_str()) {
            ("data_dir", "") => config.stack.data_dir.display().to_string(),
            ("taskmanager_heap", "auto") => format!("auto: {} MB", config.stack.task_heap_mib),
            // where nobody gave it, it follows from the window
            ("retention", _) => format!("{}h", config.stack.retention_hours),
            (_, "") => "–".into(),
            (_, value) => value.into(),
        };
        [(*key).to_owned(), value, setting.source.clone()]
    });
    emit(&facts(std::iter::once(["key".into(), "value".into(), "from".into()]).chain(rows)));
    say!("\nFor the collector and access logs, {}.", config.urls.describe());
    Ok(ExitCode::SUCCESS)
}

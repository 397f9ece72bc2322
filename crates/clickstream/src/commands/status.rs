//! `clickstream status`: what runs.

use std::process::ExitCode;

use anyhow::Result;
use clickstream_stack::layout::Layout;

use crate::config::Config;
use crate::console::emit;
use crate::run_state::RunState;

use super::facts;

/// Prints what runs, for people or as JSON.
pub fn run(config: &Config) -> Result<ExitCode> {
    let layout = Layout::new(&config.stack.data_dir);
    let state = RunState::current(&layout);
    if config.json {
        say!("{}", serde_json::to_string_pretty(&state)?);
        return Ok(ExitCode::SUCCESS);
    }
    if state.state == "stopped" {
        say!("nothing runs in {}; start with `clickstream up`", config.stack.data_dir.display());
        return Ok(ExitCode::SUCCESS);
    }
    say!("{} ({}), data in {}", state.state, state.engine, state.data_dir.display());
    let header = ["component", "state", "process", "restarts", "address", "log"].map(String::from);
    let rows = state.components.iter().map(|component| {
        [
            component.name.clone(),
            serde_json::to_value(component.state)
                .ok()
                .and_then(|v| v.as_str().map(str::to_owned))
                .unwrap_or_default(),
            component.pid.map_or_else(|| "–".into(), |pid| pid.to_string()),
            component.restarts.to_string(),
            component.address.clone(),
            component.log.as_ref().map(|log| log.display().to_string()).unwrap_or_default(),
        ]
    });
    emit(&facts(std::iter::once(header).chain(rows)));
    if let Some(job) = &state.job {
        say!("Flink job {}: {}, {}", job.id.as_deref().unwrap_or("–"), job.state, job.resumed);
        if let Some(why) = &job.waiting_for {
            say!("no results: {why}");
        }
        if let Some(error) = &job.last_error {
            say!("last failure: {error}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

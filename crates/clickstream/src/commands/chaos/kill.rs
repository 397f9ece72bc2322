//! `chaos kill`: a component dies as hard as can be.

use std::process::ExitCode;

use anyhow::Result;
use clickstream_event::Timestamp;
use console::style;
use serde_json::json;

use super::component::Victim;
use super::recovery::{Expected, Healed, PATIENCE, Recovery};
use super::{Up, teller};
use crate::commands::{data_dir_option, interrupted};
use crate::config::{Config, time_text};

/// Kills it, waits until everything is back, and tells how long that took.
pub async fn run(config: &Config, up: &Up, name: &str) -> Result<ExitCode> {
    let victim = Victim::find(up, name)?;
    let mut recovery = Recovery::watch(up).await?;
    let said = teller(config);
    let at = Timestamp::now();
    victim.signal(libc::SIGKILL)?;
    if !config.json {
        say!("{} killed {} (process {}) at {}", style("✗").red(), style(name).bold(), victim.pid, at.clock());
    }
    // the job is in the memory of the one, and its tasks run in the other
    let expected = Expected { process: true, job: matches!(name, "jobmanager" | "taskmanager") };
    let healed = tokio::select! {
        healed = recovery.wait(&victim, at, expected, &said) => healed,
        () = interrupted() => {
            said("not waited for the end: `clickstream status` tells how it goes on");
            return Ok(ExitCode::SUCCESS);
        }
    };
    if config.json {
        say!(
            "{}",
            json!({ "action": "kill", "component": name, "pid": victim.pid, "at": at, "healed": healed })
        );
    }
    end(config, &healed, expected)
}

/// Says how it ended; exit code 1 if something has not come back.
pub fn end(config: &Config, healed: &Healed, expected: Expected) -> Result<ExitCode> {
    let missing = match healed {
        Healed { restarted: None, .. } if expected.process => "the process was not started again",
        Healed { job: None, .. } if expected.job => "the job does not run again",
        Healed { results: None, .. } => "no results have come again",
        _ => {
            if !config.json {
                say!(
                    "{} everything is back; `clickstream verify{}` proves that nothing is lost",
                    style("✓").green(),
                    data_dir_option(config)
                );
            }
            return Ok(ExitCode::SUCCESS);
        }
    };
    anyhow::bail!(
        "{missing} within {}: `clickstream status` says what is wrong, and where the logs are",
        time_text(PATIENCE.as_millis() as i64)
    )
}

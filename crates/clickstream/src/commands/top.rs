//! `clickstream top`: the results of a running `up`, full screen.

use std::process::ExitCode;

use anyhow::Result;
use clap::ArgMatches;
use clickstream_stack::layout::Layout;
use clickstream_top::state::Tab;
use clickstream_top::{Options, once, run as show};

use super::emit;
use crate::config::{Config, ConfigError};
use crate::run_state::RunState;

/// Columns and lines of a picture where no terminal says how many it has.
const SIZE: (u16, u16) = (100, 32);

/// Shows results until the user leaves; or one picture.
///
/// They are asked for at `--url`; else at `--http-port`, if it `is_port_given`; else where the `up` in the data directory shows them.
pub async fn run(config: &Config, is_port_given: bool, matches: &ArgMatches) -> Result<ExitCode> {
    let text = |name: &str| matches.get_one::<String>(name).cloned();
    let running = RunState::current(&Layout::new(&config.stack.data_dir)).dashboard();
    if let Some(dir) = config.data_dir_given()
        && running.is_none()
        && text("url").is_none()
        && !is_port_given
    {
        // whatever is at the usual port belongs to another directory
        let dir = dir.display();
        return Err(ConfigError(format!(
            "nothing runs in {dir}: start it with `clickstream up --data-dir {dir}`, or name a server with --url"
        ))
        .into());
    }
    let url = text("url")
        .or_else(|| running.filter(|_| !is_port_given))
        .unwrap_or_else(|| format!("http://127.0.0.1:{}", config.http_port));
    let tab = text("tab")
        .map_or(Some(Tab::default()), |name| {
            Tab::ALL.into_iter().find(|tab| tab.name().eq_ignore_ascii_case(&name))
        })
        .ok_or_else(|| ConfigError("no such tab".into()))?;
    let options = Options { url: url.trim_end_matches('/').to_owned(), site: text("in_site"), tab };
    let outcome = if matches.get_flag("once") {
        let (columns, lines) = size();
        once(options, columns, lines).await.map(|picture| emit(&picture))
    } else {
        show(options).await
    };
    match outcome {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) if error.is_setup() => Err(ConfigError(error.to_string()).into()),
        Err(error) => Err(error.into()),
    }
}

/// That of the terminal; of a pipe, as its user says it.
fn size() -> (u16, u16) {
    let term = console::Term::stdout();
    if let Some((lines, columns)) = term.size_checked() {
        return (columns, lines.saturating_sub(1));
    }
    let said = |name: &str| std::env::var(name).ok()?.parse().ok().filter(|n| (12..=500).contains(n));
    (said("COLUMNS").unwrap_or(SIZE.0), said("LINES").unwrap_or(SIZE.1))
}

//! `clickstream chaos`: breaks the pipeline that runs, on purpose, and tells how it heals.
//!
//! | module | does |
//! |---|---|
//! | [`component`] | which process is meant, and whether it is ours to harm |
//! | [`kill`], [`pause`] | a component dies, or stands still |
//! | [`recovery`] | what comes back, and after how long |
//! | [`inject`] | records that must not count, and what became of them |

mod component;
mod inject;
mod kill;
mod pause;
mod recovery;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::ArgMatches;
use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;

use crate::config::{Config, ConfigError};
use crate::run_state::RunState;
use crate::shell;

/// What is asked on the command line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Kill this component.
    Kill(String),
    /// Have this component stand still for so long.
    Pause(String, Duration),
    /// Write so many records of this kind.
    Inject(inject::Kind, u32),
}

/// The longest a component may stand still.
const MAX_PAUSE: Duration = Duration::from_secs(600);

impl Action {
    /// Reads the subcommand of `chaos` and its arguments.
    pub fn read(name: &str, matches: &ArgMatches) -> Result<Self, ConfigError> {
        let text = |name: &str| matches.get_one::<String>(name).cloned().unwrap_or_default();
        Ok(match name {
            "kill" => Self::Kill(text("component")),
            "pause" => {
                let time = humantime::parse_duration(&text("for"));
                let time =
                    time.ok().filter(|time| !time.is_zero() && *time <= MAX_PAUSE).ok_or_else(|| {
                        ConfigError(format!(
                            "--for is `{}`: a time of at most 10m is needed, as 5s",
                            text("for")
                        ))
                    })?;
                Self::Pause(text("component"), time)
            }
            _ => Self::Inject(
                inject::Kind::of(&text("kind")),
                matches.get_one::<u32>("count").copied().unwrap_or(inject::COUNT),
            ),
        })
    }
}

/// An `up` that is harmed.
struct Up {
    layout: Layout,
    pid: i32,
    state: RunState,
}

impl Up {
    /// The one that runs in the data directory.
    fn find(config: &Config) -> Result<Self, ConfigError> {
        let layout = Layout::new(&config.stack.data_dir);
        let dir = shell::option("--data-dir", &config.stack.data_dir.to_string_lossy());
        let Some(pid) = Lock::holder(&layout) else {
            return Err(ConfigError(format!(
                "nothing runs in {}, and chaos harms only what does: start it with `clickstream up {dir}`",
                config.stack.data_dir.display()
            )));
        };
        let state = RunState::current(&layout);
        if state.state == "starting" {
            return Err(ConfigError(format!(
                "`up` is still starting: wait until `clickstream status {dir}` says running"
            )));
        }
        Ok(Self { layout, pid, state })
    }
}

/// Tells how it goes on, where a person reads it.
fn teller(config: &Config) -> impl Fn(&str) {
    let json = config.json;
    move |text| {
        if !json {
            say!("  {text}");
        }
    }
}

/// Does it, and tells what came of it.
pub async fn run(config: &Config, action: Action) -> Result<ExitCode> {
    let up = Up::find(config)?;
    match action {
        Action::Kill(name) => kill::run(config, &up, &name).await,
        Action::Pause(name, time) => pause::run(config, &up, &name, time).await,
        Action::Inject(kind, count) => inject::run(config, &up, kind, count).await,
    }
}

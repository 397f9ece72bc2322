//! `clickstream purge`: deletes the data directory.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;

use crate::config::{Config, ConfigError};
use crate::console::hints;

/// Deletes what is ours in the data directory, after asking.
pub fn run(config: &Config, yes: bool) -> Result<ExitCode> {
    let layout = Layout::new(&config.stack.data_dir);
    let root = layout.root();
    if let Some(pid) = Lock::holder(&layout) {
        return Err(ConfigError(format!(
            "{} is in use by process {pid}: stop it first with `{}`",
            root.display(),
            hints::about(config, "down")
        ))
        .into());
    }
    let ours = layout.everything();
    if ours.is_empty() {
        say!("nothing to delete in {}", root.display());
        return Ok(ExitCode::SUCCESS);
    }
    if !yes {
        if !std::io::stdin().is_terminal() {
            return Err(ConfigError(
                "purge asks before it deletes, and there is no terminal to ask on: add --yes".into(),
            )
            .into());
        }
        print!("Delete all events, results, checkpoints and runtimes in {}? [y/N] ", root.display());
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if !matches!(answer.trim(), "y" | "Y" | "yes") {
            say!("nothing deleted");
            return Ok(ExitCode::SUCCESS);
        }
    }
    for dir in &ours {
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot delete {}", dir.display()))?;
    }
    // only if nothing of the user's is left in it
    let _ = std::fs::remove_dir(root);
    if !layout.everything().is_empty() {
        bail!("something in {} was created again meanwhile", root.display());
    }
    say!("deleted everything of clickstream in {}", root.display());
    Ok(ExitCode::SUCCESS)
}

//! `clickstream purge`: deletes the data directory.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clickstream_stack::StackError;
use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;

use crate::config::{Config, ConfigError};
use crate::console::hints;

/// Deletes what is ours in the data directory, after asking.
pub fn run(config: &Config, yes: bool) -> Result<ExitCode> {
    let layout = Layout::new(&config.stack.data_dir);
    let root = layout.root();
    let in_use = |holder: &str| {
        let down = hints::about(config, "down");
        ConfigError(format!("{} is in use by process {holder}: stop it first with `{down}`", root.display()))
    };
    if let Some(pid) = Lock::holder(&layout) {
        return Err(in_use(&pid.to_string()).into());
    }
    if layout.everything().is_empty() {
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
    match delete(&layout) {
        Err(error) => match error.downcast_ref() {
            Some(StackError::Locked { holder, .. }) => return Err(in_use(holder).into()),
            _ => return Err(error),
        },
        Ok(()) => say!("deleted everything of clickstream in {}", root.display()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Deletes everything, unless somebody works there: an `up` may have begun while the question waited for its answer.
fn delete(layout: &Layout) -> Result<()> {
    let (root, run) = (layout.root(), layout.run());
    std::fs::create_dir_all(&run).with_context(|| format!("cannot create {}", run.display()))?;
    let _lock = Lock::acquire(layout)?;
    let (last, mut ours): (Vec<_>, Vec<_>) = layout.everything().into_iter().partition(|dir| *dir == run);
    // the lock lies there, and must keep others out until nothing else is left
    ours.extend(last);
    for dir in &ours {
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot delete {}", dir.display()))?;
    }
    // only if nothing of the user's is left in it
    let _ = std::fs::remove_dir(root);
    if !layout.everything().is_empty() {
        bail!("something in {} was created again meanwhile", root.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_deleted_under_an_up() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("data");
        let layout = Layout::prepare(&root).unwrap();
        std::fs::create_dir_all(layout.kafka()).unwrap();
        // it began after purge had looked
        let up = Lock::acquire(&layout).unwrap();
        let error = delete(&layout).unwrap_err();
        assert!(matches!(error.downcast_ref(), Some(StackError::Locked { .. })), "{error}");
        assert!(layout.kafka().exists() && layout.runtime().exists());
        drop(up);
        delete(&layout).unwrap();
        assert!(!root.exists());
    }
}

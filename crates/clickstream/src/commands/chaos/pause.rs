//! `chaos pause`: a component stands still for a while, as in a long collection of garbage or on a machine that swaps.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clickstream_event::Timestamp;
use console::style;
use serde_json::json;

use super::component::Victim;
use super::kill;
use super::recovery::{Expected, Recovery};
use super::{Up, teller};
use crate::commands::{interrupted, length};
use crate::config::Config;

/// A process that was stopped; it goes on when this is dropped, in whatever way that comes about.
struct Stopped<'v>(&'v Victim);

impl<'v> Stopped<'v> {
    fn stop(victim: &'v Victim) -> Result<Self> {
        victim.signal(libc::SIGSTOP)?;
        Ok(Self(victim))
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        // one that has ended meanwhile needs nothing
        let _ = self.0.signal(libc::SIGCONT);
    }
}

/// Stops it, lets it go on after `time` or at Ctrl-C, and tells what came of it.
pub async fn run(config: &Config, up: &Up, name: &str, time: Duration) -> Result<ExitCode> {
    let victim = Victim::find(up, name)?;
    let mut recovery = Recovery::watch(up).await?;
    let said = teller(config);
    let at = Timestamp::now();
    let stopped = Stopped::stop(&victim)?;
    if !config.json {
        say!(
            "{} paused {} (process {}) at {} for {}; Ctrl-C lets it go on at once",
            style("‖").yellow(),
            style(name).bold(),
            victim.pid,
            at.clock(),
            humantime::format_duration(time)
        );
    }
    let in_time = tokio::select! {
        () = tokio::time::sleep(time) => true,
        () = interrupted() => false,
    };
    drop(stopped);
    let paused_ms = Timestamp::now().0 - at.0;
    said(&format!("went on after {}", length(paused_ms)));
    let expected = Expected { process: false, job: false };
    let healed = if in_time {
        tokio::select! {
            healed = recovery.wait(&victim, at, expected, &said) => Some(healed),
            () = interrupted() => None,
        }
    } else {
        None
    };
    if config.json {
        say!(
            "{}",
            json!({ "action": "pause", "component": name, "pid": victim.pid, "at": at, "paused_ms": paused_ms, "healed": healed })
        );
    }
    match healed {
        Some(healed) => kill::end(config, &healed, expected),
        None => Ok(ExitCode::SUCCESS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(pid: u32) -> Option<String> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some(stat.rsplit_once(')')?.1.split_whitespace().next()?.to_owned())
    }

    #[test]
    fn what_was_stopped_goes_on_whatever_happens() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let victim = Victim { name: "kafka".into(), pid: child.id() as i32 };
        let waits_for = |wanted: &dyn Fn(&str) -> bool| {
            let deadline = std::time::Instant::now() + Duration::from_secs(120);
            while state(child.id()).is_some_and(|state| !wanted(&state)) {
                assert!(std::time::Instant::now() < deadline, "{:?}", state(child.id()));
                std::thread::yield_now();
            }
        };
        let broken = std::panic::catch_unwind(|| {
            let _stopped = Stopped::stop(&victim).unwrap();
            waits_for(&|state| state == "T");
            panic!("on purpose");
        });
        assert!(broken.is_err());
        waits_for(&|state| state != "T");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

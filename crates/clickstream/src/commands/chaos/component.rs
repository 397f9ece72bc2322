//! The process of a component that runs: found by what `status` says, and harmed only if it is a child of that `up`.

use std::fs;

use anyhow::{Context, Result};
use clickstream_event::Timestamp;
use clickstream_stack::supervisor::State;

use super::Up;
use crate::config::ConfigError;

/// A component and its process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Victim {
    /// As `status` names it.
    pub name: String,
    /// Its process.
    pub pid: i32,
}

impl Victim {
    /// The component of this name, if it is the running `up` that runs it.
    pub fn find(up: &Up, name: &str) -> Result<Self, ConfigError> {
        let refuse = |why: String| Err(ConfigError(why));
        if up.state.engine == "embedded" {
            return refuse(format!(
                "the embedded engine is one process and has no {name}: `kill -9 {}` kills it as a whole, and the next `up --embedded` goes on with the same rows; `clickstream chaos inject` works here too",
                up.pid
            ));
        }
        let Some(component) = up.state.components.iter().find(|component| component.name == name) else {
            let names: Vec<&str> = up
                .state
                .components
                .iter()
                .map(|component| component.name.as_str())
                .filter(|name| *name != "clickstream")
                .collect();
            return refuse(format!("this `up` has no {name}: one of {} is needed", names.join(", ")));
        };
        if component.state == State::External {
            return refuse(format!(
                "{name} at {} is not ours: this `up` only uses it (--kafka or --flink), and chaos harms nothing that somebody else runs",
                component.address
            ));
        }
        let Some(pid) = component.pid.map(|pid| pid as i32) else {
            return refuse(format!(
                "{name} has no process at the moment, for it is being started again: try again when `clickstream status` says ready"
            ));
        };
        // what `status` says is up to a second old: by now the id may be somebody else's
        match parent(pid) {
            Some(parent) if parent != up.pid => {
                refuse(format!("process {pid} is no longer the {name} of this `up`: try again in a second"))
            }
            _ => Ok(Self { name: name.to_owned(), pid }),
        }
    }

    /// Sends a signal to the process.
    #[allow(unsafe_code)] // kill(2) has no safe wrapper in the standard library
    pub fn signal(&self, signal: libc::c_int) -> Result<()> {
        // SAFETY: a plain system call; the process was found to be a child of the `up` that we were told to harm.
        if unsafe { libc::kill(self.pid, signal) } == 0 {
            return Ok(());
        }
        Err(std::io::Error::last_os_error()).with_context(|| {
            format!("no signal could be sent to process {} ({}); is it another user's?", self.pid, self.name)
        })
    }
}

/// The fields of `/proc/<pid>/stat` after the program's name, which may hold anything; `None` where the system tells nothing.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(')')?.1.split_whitespace().map(str::to_owned).collect())
}

/// The process that started this one.
fn parent(pid: i32) -> Option<i32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// When a process was started, to ten milliseconds: `status` is written once a second only.
pub fn started_at(pid: i32, now: Timestamp) -> Option<Timestamp> {
    // clock ticks are 10 ms on every Linux that runs Java
    let since_boot_ms = stat(pid)?.get(19)?.parse::<i64>().ok()? * 10;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime_ms = uptime.split_whitespace().next()?.parse::<f64>().ok()? * 1e3;
    Some(Timestamp(now.0 - (uptime_ms as i64 - since_boot_ms).max(0)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use clickstream_stack::layout::Layout;
    use clickstream_stack::supervisor::Component;

    use super::*;
    use crate::run_state::RunState;

    fn up(engine: &str, components: &[(&str, Option<u32>, State)]) -> Up {
        let component = |(name, pid, state): &(&str, Option<u32>, State)| Component {
            name: (*name).to_owned(),
            pid: *pid,
            state: *state,
            restarts: 0,
            address: "127.0.0.1:9092".into(),
            log: None,
        };
        let state = RunState {
            engine: engine.into(),
            state: "running".into(),
            components: components.iter().map(component).collect(),
            job: None,
            data_dir: PathBuf::new(),
        };
        Up { layout: Layout::new("/nowhere"), pid: std::process::id() as i32, state }
    }

    #[test]
    fn only_children_of_this_up_are_harmed() {
        let refused = |up: &Up, name: &str| Victim::find(up, name).unwrap_err().0;
        let embedded = up("embedded", &[("clickstream", Some(1), State::Ready)]);
        assert!(refused(&embedded, "kafka").contains("embedded engine is one process"));
        let external =
            up("flink", &[("kafka", None, State::External), ("taskmanager", None, State::Restarting)]);
        assert!(refused(&external, "kafka").contains("is not ours"));
        assert!(refused(&external, "taskmanager").contains("started again"));
        assert!(refused(&external, "sql-gateway").contains("one of kafka, taskmanager"));
        if parent(1).is_some() {
            let stale = up("flink", &[("kafka", Some(1), State::Ready)]);
            assert!(refused(&stale, "kafka").contains("no longer the kafka"));
        }
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let ours = up("flink", &[("kafka", Some(child.id()), State::Ready)]);
        let victim = Victim::find(&ours, "kafka").unwrap();
        victim.signal(libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(victim.signal(libc::SIGKILL).is_err());
    }

    #[test]
    fn the_start_of_a_process_is_known() {
        let now = Timestamp::now();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        if let Some(at) = started_at(child.id() as i32, Timestamp::now()) {
            assert!((at.0 - now.0).abs() < 5_000, "{at} at {now}");
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

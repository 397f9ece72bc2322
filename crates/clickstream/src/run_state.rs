//! What runs: `up` writes it, `status` and `down` read it.

use std::path::PathBuf;

use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;
use clickstream_stack::supervisor::{Component, State};
use serde::{Deserialize, Serialize};

/// A running `up`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunState {
    /// `flink`.
    pub engine: String,
    /// `starting`, `running`, `degraded`, `stopping` or `stopped`.
    pub state: String,
    /// The processes.
    pub components: Vec<Component>,
    /// The Flink job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobState>,
    /// Where everything is kept.
    #[serde(default)]
    pub data_dir: PathBuf,
}

/// The job, as `status` shows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct JobState {
    /// Flink's id.
    pub id: Option<String>,
    /// Flink's word for its state.
    pub state: String,
    /// How it took up the log.
    pub resumed: String,
    /// Why it failed last.
    pub last_error: Option<String>,
    /// Why no results come, if none come.
    pub waiting_for: Option<String>,
}

impl RunState {
    /// The state of ourselves as a component; `address`: of the dashboard.
    pub fn ourselves(log: PathBuf, address: &str) -> Component {
        Component {
            name: "clickstream".into(),
            pid: Some(std::process::id()),
            state: State::Ready,
            restarts: 0,
            address: address.to_owned(),
            log: Some(log),
        }
    }

    /// The embedded engine runs, and how.
    pub fn embedded(state: &str, layout: &Layout, address: &str) -> Self {
        Self {
            engine: "embedded".into(),
            state: state.into(),
            components: vec![Self::ourselves(layout.log_of("clickstream"), address)],
            job: None,
            data_dir: layout.root().to_owned(),
        }
    }

    /// Nothing runs.
    pub fn stopped(data_dir: PathBuf) -> Self {
        Self { engine: "none".into(), state: "stopped".into(), components: Vec::new(), job: None, data_dir }
    }

    /// Address of the dashboard, if there is one.
    pub fn dashboard(self) -> Option<String> {
        let ours = self.components.into_iter().find(|component| component.name == "clickstream");
        ours.map(|component| component.address).filter(|address| !address.is_empty())
    }

    /// Writes the state where `status` looks for it; a reader never sees half of it.
    pub fn write(&self, layout: &Layout) {
        let file = layout.state_file();
        let temporary = file.with_extension("new");
        if let Ok(text) = serde_json::to_vec_pretty(self) {
            let _ = std::fs::write(&temporary, text).and_then(|()| std::fs::rename(&temporary, &file));
        }
    }

    /// The state of the `up` that runs now; what a dead one left behind does not count.
    pub fn current(layout: &Layout) -> Self {
        let Some(pid) = Lock::holder(layout) else { return Self::stopped(layout.root().to_owned()) };
        let read =
            || -> Option<Self> { serde_json::from_slice(&std::fs::read(layout.state_file()).ok()?).ok() };
        let is_of_holder = |state: &Self| {
            state.components.iter().any(|c| c.name == "clickstream" && c.pid.map(|p| p as i32) == Some(pid))
        };
        read().filter(is_of_holder).unwrap_or_else(|| {
            let ourselves = Component {
                pid: Some(pid as u32),
                state: State::Starting,
                ..Self::ourselves(layout.log_of("clickstream"), "")
            };
            Self {
                engine: "flink".into(),
                state: "starting".into(),
                components: vec![ourselves],
                job: None,
                data_dir: layout.root().to_owned(),
            }
        })
    }
}

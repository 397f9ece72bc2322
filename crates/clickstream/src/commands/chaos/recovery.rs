//! How a pipeline heals: the process that is started again, the job that runs again, the results that come again.
//!
//! Each is read where it stands: the process in what `status` says and in the system's own table, the job in Flink's REST interface,
//! results in their topic. Watching begins before anything is harmed, for Kafka cannot be asked once it is away.

use std::time::Duration;

use anyhow::Result;
use clickstream_event::{Timestamp, topic};
use clickstream_stack::flink::rest::Rest;
use clickstream_stack::supervisor::State;
use console::style;
use rdkafka::consumer::StreamConsumer;
use rdkafka::message::Message;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::Up;
use super::component::{Victim, started_at};
use crate::commands::length;
use crate::config::ConfigError;
use crate::proof::row::Row;
use crate::results::{next, open_topics};
use crate::run_state::RunState;

/// How long healing may take before it is called a failure.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// How often is looked.
const EVERY: Duration = Duration::from_millis(100);

/// A process that was started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Again {
    /// The new process.
    pub pid: i32,
    /// When it was started, after the harm, in milliseconds.
    pub after_ms: i64,
}

/// The job after the harm.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Job {
    /// Flink's id of it.
    pub id: String,
    /// When all of its tasks ran again, after the harm, in milliseconds; nothing if it never stopped running.
    pub after_ms: Option<i64>,
}

/// The first results after the harm.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Results {
    /// End of the first window that ended after the harm and was written.
    pub window_end: Timestamp,
    /// When it was written, after the harm, in milliseconds.
    pub after_ms: i64,
    /// The same after the end of the window.
    pub after_end_ms: i64,
}

/// What has come back so far.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Healed {
    /// The process, if it had to be started again.
    pub restarted: Option<Again>,
    /// The job.
    pub job: Option<Job>,
    /// The results.
    pub results: Option<Results>,
}

/// What must come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expected {
    /// Another process of the component.
    pub process: bool,
    /// Another run of the job: it cannot outlive what died.
    pub job: bool,
}

/// Watches a pipeline heal.
pub struct Recovery<'u> {
    up: &'u Up,
    rest: Option<Rest>,
    /// Windows that are written: their ends, and when.
    rows: mpsc::UnboundedReceiver<(Timestamp, Timestamp)>,
    reading: CancellationToken,
}

impl Drop for Recovery<'_> {
    fn drop(&mut self) {
        self.reading.cancel();
    }
}

impl<'u> Recovery<'u> {
    /// Begins to watch.
    pub async fn watch(up: &'u Up) -> Result<Self> {
        let address = |name: &str| {
            let mut all = up.state.components.iter();
            all.find(|component| component.name == name).map(|component| component.address.clone())
        };
        let refused = |why: String| {
            ConfigError(format!(
                "{why}, so nothing could be watched, and nothing was harmed: try again when `clickstream status` says running"
            ))
        };
        let kafka = address("kafka").ok_or_else(|| refused("`status` names no Kafka".into()))?;
        let opened = open_topics(&kafka, "clickstream-chaos", |_, _, (_, high)| high).await;
        let topics =
            opened.map_err(|error| refused(format!("Kafka at {kafka} does not answer ({error:#})")))?;
        let (sender, rows) = mpsc::unbounded_channel();
        let reading = CancellationToken::new();
        tokio::spawn(read(topics.consumer, sender, reading.clone()));
        Ok(Self { up, rest: address("jobmanager").map(Rest::new), rows, reading })
    }

    /// Waits until everything is back, and tells `said` of each thing when it comes. Gives what has come back within [`PATIENCE`].
    pub async fn wait(
        &mut self,
        victim: &Victim,
        harmed_at: Timestamp,
        expected: Expected,
        said: &dyn Fn(&str),
    ) -> Healed {
        let mut healed = Healed::default();
        let mut ready = !expected.process;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        let mut written = Vec::new();
        while tokio::time::Instant::now() < deadline {
            tokio::time::sleep(EVERY).await;
            if healed.restarted.is_none() {
                healed.restarted = self.restarted(victim, harmed_at);
                if let Some(again) = healed.restarted {
                    said(&format!("started again after {} as process {}", length(again.after_ms), again.pid));
                }
            }
            ready = ready || (healed.restarted.is_some() && self.is_ready(&victim.name));
            if healed.job.is_none()
                && let Some(job) = self.job_again(harmed_at).await
            {
                said(&format!(
                    "job {} again after {}",
                    style("RUNNING").green(),
                    length(job.after_ms.unwrap_or(0))
                ));
                healed.job = Some(job);
            }
            while let Ok(row) = self.rows.try_recv() {
                written.push(row);
            }
            if healed.results.is_none() && (healed.job.is_some() || !expected.job) {
                // what a job that is about to die has still written is no sign of health
                let from =
                    healed.job.as_ref().and_then(|job| job.after_ms).filter(|_| expected.job).unwrap_or(0);
                healed.results = first_results(&written, harmed_at, from);
                if let Some(results) = healed.results {
                    said(&format!(
                        "results again after {}: the window that ended at {} was written {} after its end",
                        length(results.after_ms),
                        results.window_end.clock(),
                        length(results.after_end_ms)
                    ));
                }
            }
            if ready && healed.results.is_some() {
                break;
            }
        }
        if healed.job.is_none() && !expected.job {
            healed.job = self.job_now().await;
            if healed.job.is_some() {
                said("the job never stopped RUNNING");
            }
        }
        healed
    }

    fn component(&self, name: &str) -> Option<clickstream_stack::supervisor::Component> {
        let state = RunState::current(&self.up.layout);
        state.components.into_iter().find(|component| component.name == name)
    }

    fn restarted(&self, victim: &Victim, harmed_at: Timestamp) -> Option<Again> {
        let pid = self.component(&victim.name)?.pid.map(|pid| pid as i32).filter(|pid| *pid != victim.pid)?;
        let now = Timestamp::now();
        let at = started_at(pid, now).unwrap_or(now);
        Some(Again { pid, after_ms: (at.0 - harmed_at.0).max(0) })
    }

    fn is_ready(&self, name: &str) -> bool {
        self.component(name).is_some_and(|component| component.state == State::Ready)
    }

    /// A job that came to run after the harm, once all of its tasks do.
    async fn job_again(&self, harmed_at: Timestamp) -> Option<Job> {
        let rest = self.rest.as_ref()?;
        let job = rest.jobs().await.ok()?.into_iter().find(|job| job.is_running())?;
        let details = rest.job(&job.id).await?;
        let running_since = details.pointer("/timestamps/RUNNING")?.as_i64()?;
        let after_ms = Timestamp::now().0 - harmed_at.0;
        (running_since > harmed_at.0).then_some(Job { id: job.id, after_ms: Some(after_ms) })
    }

    /// The job that runs.
    async fn job_now(&self) -> Option<Job> {
        let jobs = self.rest.as_ref()?.jobs().await.ok()?;
        let job = jobs.into_iter().find(|job| job.is_running())?;
        Some(Job { id: job.id, after_ms: None })
    }
}

/// The first window that ended after the harm, of those written `from_ms` after it or later.
fn first_results(written: &[(Timestamp, Timestamp)], harmed_at: Timestamp, from_ms: i64) -> Option<Results> {
    let is_new = |(end, at): &&(Timestamp, Timestamp)| *end > harmed_at && at.0 >= harmed_at.0 + from_ms;
    written.iter().filter(is_new).min_by_key(|(end, at)| (*at, *end)).map(|(end, at)| Results {
        window_end: *end,
        after_ms: at.0 - harmed_at.0,
        after_end_ms: at.0 - end.0,
    })
}

/// Reads the site's windows as they are written, until it is told to stop.
async fn read(
    consumer: StreamConsumer,
    rows: mpsc::UnboundedSender<(Timestamp, Timestamp)>,
    stop: CancellationToken,
) {
    while let Some(message) = next(&consumer, &stop).await {
        if message.topic() != topic::SITE_METRICS {
            continue;
        }
        let row = message.payload().and_then(|value| Row::parse(topic::SITE_METRICS, value));
        if let (Some(row), Some(at)) = (row, message.timestamp().to_millis())
            && rows.send((row.span().1, Timestamp(at))).is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_those_of_windows_that_ended_later() {
        let rows =
            [(90, 120), (110, 130), (120, 140), (120, 145)].map(|(end, at)| (Timestamp(end), Timestamp(at)));
        let first = |from| {
            first_results(&rows, Timestamp(100), from).map(|r| (r.window_end.0, r.after_ms, r.after_end_ms))
        };
        // a window that ended before the harm is no news, however late it is written
        assert_eq!(first(0), Some((110, 30, 20)));
        // what was written before the job ran again is none of its results
        assert_eq!(first(35), Some((120, 40, 20)));
        assert_eq!(first(50), None);
    }
}

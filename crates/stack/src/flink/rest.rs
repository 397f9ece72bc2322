//! The JobManager's REST interface: cluster readiness, jobs, their state and metrics.
//!
//! <https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/ops/rest_api/>

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Result, StackError};

/// A client of one JobManager.
#[derive(Clone, Debug)]
pub struct Rest {
    url: String,
    http: reqwest::Client,
}

/// The cluster at a glance.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Overview {
    /// TaskManagers that have registered.
    pub taskmanagers: u32,
    /// Task slots in all.
    #[serde(rename = "slots-total")]
    pub slots_total: u32,
}

/// A job at a glance.
#[derive(Clone, Debug, Deserialize)]
pub struct Job {
    /// Its id.
    #[serde(rename = "jid")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// `RUNNING`, `RESTARTING`, `FAILED`, `CANCELED`, …
    pub state: String,
    /// When it was submitted, in milliseconds since the epoch.
    #[serde(rename = "start-time")]
    pub start_time: i64,
    /// Its tasks.
    #[serde(default)]
    pub tasks: Tasks,
}

/// How many tasks of a job are in which state.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Tasks {
    /// All of them.
    pub total: u32,
    /// Those that run.
    pub running: u32,
}

impl Job {
    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        !matches!(self.state.as_str(), "FAILED" | "CANCELED" | "FINISHED")
    }
    /// Whether all of its tasks run.
    pub fn is_running(&self) -> bool {
        self.state == "RUNNING" && self.tasks.total > 0 && self.tasks.running == self.tasks.total
    }
}

#[derive(Deserialize)]
struct Jobs {
    jobs: Vec<Job>,
}

/// Why a job failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The innermost cause, in one line.
    pub cause: String,
    /// Whether it could not take over the state of its checkpoint: it will never be able to.
    pub of_restore: bool,
}

impl Rest {
    /// A client for the JobManager at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .no_proxy()
            .build()
            .unwrap_or_default();
        Self { url: url.into().trim_end_matches('/').to_owned(), http }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let fail = |e: reqwest::Error| StackError::NotReachable {
            what: "Flink's JobManager",
            address: self.url.clone(),
            why: root_cause(&e),
        };
        self.http
            .get(format!("{}{path}", self.url))
            .send()
            .await
            .map_err(fail)?
            .error_for_status()
            .map_err(fail)?
            .json()
            .await
            .map_err(fail)
    }

    /// The cluster.
    pub async fn overview(&self) -> Result<Overview> {
        self.get("/overview").await
    }

    /// All jobs it remembers, the newest first.
    pub async fn jobs(&self) -> Result<Vec<Job>> {
        let mut jobs = self.get::<Jobs>("/jobs/overview").await?.jobs;
        jobs.sort_by_key(|job| -job.start_time);
        Ok(jobs)
    }

    /// Why the job failed last, in one line.
    pub async fn last_exception(&self, job: &str) -> Option<String> {
        Some(self.last_failure(job).await?.cause)
    }

    /// How the job failed last.
    pub async fn last_failure(&self, job: &str) -> Option<Failure> {
        let answer: serde_json::Value =
            self.get(&format!("/jobs/{job}/exceptions?maxExceptions=1")).await.ok()?;
        let trace = answer.pointer("/exceptionHistory/entries/0/stacktrace")?.as_str()?;
        Some(Failure { cause: innermost_cause(trace), of_restore: trace.contains("Could not restore") })
    }

    /// Asks for the job's end and waits until it has ended.
    pub async fn cancel(&self, job: &str) -> Result<()> {
        let fail = |e: reqwest::Error| StackError::NotReachable {
            what: "Flink's JobManager",
            address: self.url.clone(),
            why: root_cause(&e),
        };
        self.http.patch(format!("{}/jobs/{job}?mode=cancel", self.url)).send().await.map_err(fail)?;
        for _ in 0..200 {
            let alive = self.jobs().await?.iter().any(|j| j.id == job && j.is_alive());
            if !alive {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(StackError::NotReachable {
            what: "the end of a Flink job",
            address: format!("{}/#/job/running/{job}", self.url),
            why: "it was asked to end 10 s ago and has not; it has to end before another takes its place"
                .into(),
        })
    }

    /// Begins a checkpoint of a kind; what it can be asked by, if Flink took the request.
    pub async fn begin_checkpoint(&self, job: &str, kind: &str) -> Option<String> {
        let request = self
            .http
            .post(format!("{}/jobs/{job}/checkpoints", self.url))
            .json(&serde_json::json!({ "checkpointType": kind }));
        let answer: serde_json::Value = request.send().await.ok()?.json().await.ok()?;
        Some(answer.get("request-id")?.as_str()?.to_owned())
    }

    /// Takes a checkpoint now and waits for it; whether one was completed within `patience`.
    pub async fn checkpoint(&self, job: &str, patience: Duration) -> bool {
        let trigger = async {
            let request = self.begin_checkpoint(job, "FULL").await?;
            loop {
                let status: serde_json::Value =
                    self.get(&format!("/jobs/{job}/checkpoints/{request}")).await.ok()?;
                match status.pointer("/status/id").and_then(|id| id.as_str()) {
                    Some("IN_PROGRESS") => tokio::time::sleep(Duration::from_millis(30)).await,
                    Some("COMPLETED") => {
                        return status.pointer("/operation/failureCause").is_none().then_some(());
                    }
                    _ => return None,
                }
            }
        };
        matches!(tokio::time::timeout(patience, trigger).await, Ok(Some(())))
    }

    /// All it says of a job: its tasks, their figures, its plan.
    pub async fn job(&self, job: &str) -> Option<serde_json::Value> {
        self.get(&format!("/jobs/{job}")).await.ok()
    }

    /// The last complete checkpoint of a job, by the JobManager's clock `now` in milliseconds since the epoch.
    pub async fn last_checkpoint(&self, job: &str, now: i64) -> Option<LastCheckpoint> {
        let answer = self.get(&format!("/jobs/{job}/checkpoints")).await.ok()?;
        LastCheckpoint::read(&answer, now)
    }

    /// The watermark that has come in at a task of the job, in milliseconds since the epoch.
    pub async fn watermark(&self, job: &str, task: &str) -> Option<i64> {
        let values: serde_json::Value =
            self.get(&format!("/jobs/{job}/vertices/{task}/watermarks")).await.ok()?;
        let of_subtask = |value: &serde_json::Value| value.get("value")?.as_str()?.parse::<i64>().ok();
        values.as_array()?.iter().filter_map(of_subtask).min().filter(|watermark| *watermark > 0)
    }

    /// How many records the source of the job has read, as of its last report.
    pub async fn source_records(&self, job: &str) -> Option<i64> {
        let details = self.job(job).await?;
        let task = source_of(&details)?;
        let path = format!("/jobs/{job}/vertices/{task}/subtasks/metrics?get=numRecordsIn");
        let values: serde_json::Value = self.get(&path).await.ok()?;
        values.get(0)?.get("sum").and_then(serde_json::Value::as_f64).map(|sum| sum as i64)
    }

    /// How far the source of the job has come, by its own metrics. `details` are what [`Rest::job`] says of it.
    pub async fn source_progress(&self, job: &str, details: &serde_json::Value) -> Option<SourceProgress> {
        let id = source_of(details)?;
        let all: serde_json::Value =
            self.get(&format!("/jobs/{job}/vertices/{id}/subtasks/metrics")).await.ok()?;
        let names = all.as_array()?.iter().filter_map(|m| m.get("id")?.as_str());
        let wanted: Vec<&str> = names.filter(|name| Measure::of(name).is_some()).collect();
        let list = wanted.join(",").replace('[', "%5B").replace(']', "%5D");
        let values: serde_json::Value = self
            .get(&format!("/jobs/{job}/vertices/{id}/subtasks/metrics?get={list}&agg=max,sum"))
            .await
            .ok()?;
        let mut progress = SourceProgress::default();
        for value in values.as_array()? {
            let number = |what: &str| value.get(what)?.as_f64().map(|number| number as i64);
            let measure = value.get("id").and_then(|id| id.as_str()).and_then(Measure::of);
            match (measure?, number("max")?, number("sum")?) {
                (Measure::Lag, _, sum) => progress.lag = sum,
                (Measure::Read(partition), max, _) if max >= 0 => {
                    progress.partitions.entry(partition).or_default().next_offset = Some(max + 1);
                }
                (Measure::Watermark(partition), max, _) if max > 0 => {
                    progress.partitions.entry(partition).or_default().watermark = Some(max);
                }
                _ => {}
            }
        }
        Some(progress)
    }
}

/// The last complete checkpoint of a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LastCheckpoint {
    /// How long ago it was complete, in milliseconds.
    pub age_ms: i64,
    /// How long it took, in milliseconds.
    pub duration_ms: i64,
    /// Size of the whole state, in bytes.
    pub size_bytes: i64,
}

impl LastCheckpoint {
    /// Reads the answer of `/jobs/<id>/checkpoints`; `None` before the first one is complete.
    fn read(answer: &serde_json::Value, now: i64) -> Option<Self> {
        let last = answer.pointer("/latest/completed")?;
        let number = |name: &str| last.get(name).and_then(serde_json::Value::as_i64);
        Some(Self {
            age_ms: (now - number("latest_ack_timestamp")?).max(0),
            duration_ms: number("end_to_end_duration").unwrap_or(0),
            size_bytes: number("state_size").unwrap_or(0),
        })
    }
}

/// How far the source of a job has come.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceProgress {
    /// Records that it has still to read.
    pub lag: i64,
    /// By partition of the events topic.
    pub partitions: BTreeMap<i32, PartitionProgress>,
}

/// How far it has come in a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PartitionProgress {
    /// The next offset to read.
    pub next_offset: Option<i64>,
    /// The partition's watermark, in milliseconds since the epoch.
    pub watermark: Option<i64>,
}

/// What a metric of the source measures.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Measure {
    Lag,
    Read(i32),
    Watermark(i32),
}

impl Measure {
    /// By the metric's name, as `Source__x[1].KafkaSourceReader.topic.clickstream_events.partition.3.currentOffset`.
    fn of(name: &str) -> Option<Self> {
        if name.ends_with(".pendingRecords") {
            return Some(Self::Lag);
        }
        if let Some(name) = name.strip_suffix(".currentOffset") {
            return name.rsplit('.').next()?.parse().ok().map(Self::Read);
        }
        let split = name.strip_suffix(".watermark.currentWatermark")?;
        split.rsplit('-').next()?.parse().ok().map(Self::Watermark)
    }
}

/// The id of the task that reads the log.
fn source_of(details: &serde_json::Value) -> Option<&str> {
    let vertices = details.get("vertices")?.as_array()?;
    let source = vertices
        .iter()
        .find(|v| v.get("name").and_then(|n| n.as_str()).is_some_and(|n| n.starts_with("Source")))?;
    source.get("id")?.as_str()
}

/// The last `Caused by` of a Java stack trace, without the class name's package.
pub(crate) fn innermost_cause(trace: &str) -> String {
    let line = trace
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("Caused by: "))
        .or_else(|| trace.lines().next())
        .unwrap_or("");
    match line.split_once(": ") {
        Some((class, message)) if !class.contains(' ') => {
            format!("{}: {message}", class.rsplit(['.', '$']).next().unwrap_or(class))
        }
        _ => line.to_owned(),
    }
}

pub(crate) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_metrics_of_the_source_by_name() {
        let source = "Source__event_log[1]";
        for (name, measure) in [
            (".pendingRecords", Some(Measure::Lag)),
            (".KafkaSourceReader.topic.clickstream_events.partition.3.currentOffset", Some(Measure::Read(3))),
            (".KafkaSourceReader.topic.clickstream_events.partition.3.committedOffset", None),
            (".split.clickstream_events-12.watermark.currentWatermark", Some(Measure::Watermark(12))),
            (".currentOutputWatermark", None),
        ] {
            assert_eq!(Measure::of(&format!("{source}{name}")), measure, "{name}");
        }
    }

    #[test]
    fn knows_the_last_checkpoint() {
        let none = serde_json::json!({ "latest": { "completed": null } });
        assert_eq!(LastCheckpoint::read(&none, 0), None);
        let one = serde_json::json!({ "latest": { "completed": {
            "id": 3, "latest_ack_timestamp": 1_000, "end_to_end_duration": 70, "state_size": 4_096 } } });
        let expected = LastCheckpoint { age_ms: 500, duration_ms: 70, size_bytes: 4_096 };
        assert_eq!(LastCheckpoint::read(&one, 1_500), Some(expected));
    }

    #[test]
    fn finds_the_cause_in_a_stack_trace() {
        let trace = "java.lang.RuntimeException: outer\n\tat a.b(C.java:1)\nCaused by: org.apache.flink.table.api.ValidationException: no such column: x\n\t... 3 more";
        assert_eq!(innermost_cause(trace), "ValidationException: no such column: x");
        assert_eq!(innermost_cause("plain words"), "plain words");
    }
}

//! What Flink says of the running job, asked once a second for everybody who wants to know.

use std::time::Duration;

use clickstream_event::Timestamp;

use crate::flink::rest::{LastCheckpoint, Rest, SourceProgress};

/// How long one round of questions may take: a JobManager that stands still must not be waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What Flink says of a job at one time.
#[derive(Clone, Debug)]
pub struct Telemetry {
    /// Flink's id of the job.
    pub job: String,
    /// When it was asked.
    pub at: Timestamp,
    /// Tasks with their figures, and the plan: the answer of `/jobs/<id>`.
    pub details: serde_json::Value,
    /// How far the source has come.
    pub progress: SourceProgress,
    /// The last complete checkpoint.
    pub checkpoint: Option<LastCheckpoint>,
    /// The watermark that has come in at the sort of the events, which all results wait for.
    pub watermark: Option<Timestamp>,
}

/// Asks Flink; `None` if it does not answer in time, or does not know the job.
pub(super) async fn ask(rest: &Rest, job: &str) -> Option<Telemetry> {
    tokio::time::timeout(PATIENCE, ask_for_ever(rest, job)).await.ok().flatten()
}

async fn ask_for_ever(rest: &Rest, job: &str) -> Option<Telemetry> {
    let at = Timestamp::now();
    let details = rest.job(job).await?;
    let sort = task_of(&details, "Sort");
    let watermark = async {
        match &sort {
            Some(task) => rest.watermark(job, task).await,
            None => None,
        }
    };
    let (progress, checkpoint, watermark) =
        tokio::join!(rest.source_progress(job, &details), rest.last_checkpoint(job, at.0), watermark);
    Some(Telemetry {
        job: job.to_owned(),
        at,
        progress: progress.unwrap_or_default(),
        checkpoint,
        watermark: watermark.map(Timestamp),
        details,
    })
}

/// The id of the first task whose name contains `part`.
fn task_of(details: &serde_json::Value, part: &str) -> Option<String> {
    let vertices = details.get("vertices")?.as_array()?;
    let named = |vertex: &&serde_json::Value| {
        vertex.get("name").and_then(|name| name.as_str()).is_some_and(|name| name.contains(part))
    };
    Some(vertices.iter().find(named)?.get("id")?.as_str()?.to_owned())
}

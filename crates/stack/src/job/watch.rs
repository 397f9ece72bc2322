//! Looks after the job for ever: submits it again when the cluster has forgotten it, has its state kept longer when it is slower than its
//! input, and takes it up again behind what an outage made it forget.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use clickstream_event::Timestamp;

use crate::flink::rest::Job;
use crate::job::control::{JobControl, Resume};
use crate::job::pace::Finding;
use crate::job::rhythm::Rhythm;
use crate::job::telemetry::Telemetry;

/// The longest pause between two submissions that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// A job that is being restarted is asked why this often.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// However slow a job is, its state outlives a window by no more than this.
const LONGEST_SLACK: Duration = Duration::from_secs(3600);

/// What was noticed since the job was seen in order last.
struct Noticed {
    /// By the machine's clock, which goes on while the machine sleeps, as state expires by it.
    healthy_at: Timestamp,
    /// Whether Flink has restarted it, and when it was asked why.
    restarted: Option<Instant>,
    /// Which telemetry was looked at last.
    asked_at: Option<Timestamp>,
}

/// Why a job is submitted again, and how.
#[derive(Clone, Copy)]
struct Change {
    why: &'static str,
    resume: Resume,
    slack: Duration,
}

impl JobControl {
    /// Looks after the job for ever. `kafka_is_up` tells whether Kafka answers.
    pub async fn watch(&self, kafka_is_up: impl Fn() -> bool) {
        let slide = Duration::from_millis(self.parameters.windows.slide_ms().unsigned_abs());
        let mut checkpoints = Rhythm::new(self.execution.checkpoint_interval, slide);
        let mut noticed = Noticed { healthy_at: Timestamp::now(), restarted: None, asked_at: None };
        let mut pause = Duration::ZERO;
        // what could not be done yet
        let mut pending: Option<Change> = None;
        loop {
            tokio::time::sleep(Duration::from_millis(500) + pause).await;
            let job = match self.alive().await {
                Ok(job) => job,
                Err(_) => {
                    self.note(|status| status.state = "JOBMANAGER_DOWN".into());
                    continue;
                }
            };
            if let Some(job) = &job {
                self.note(|status| status.state.clone_from(&job.state));
            }
            if !kafka_is_up() {
                continue;
            }
            let change = match &job {
                _ if pending.is_some() => pending,
                Some(job) if job.is_running() => self.judge(job, &mut noticed),
                Some(job) => self.ask_why(job, &mut noticed).await,
                None => {
                    let slack = self.pace().slack();
                    Some(Change { why: "Flink has lost the job", resume: Resume::Newest, slack })
                }
            };
            match (job, change) {
                (_, Some(change)) => match self.replace(change).await {
                    Ok(()) => {
                        (pause, pending) = (Duration::ZERO, None);
                        noticed = Noticed { healthy_at: Timestamp::now(), restarted: None, ..noticed };
                    }
                    Err(error) => {
                        pending = Some(change);
                        tracing::warn!(%error, "cannot submit the job yet");
                        self.note(|status| status.last_error = Some(error.to_string()));
                        pause = (pause * 2 + Duration::from_millis(500)).min(LONGEST_PAUSE);
                    }
                },
                (Some(job), None) if job.is_running() => {
                    noticed = Noticed { healthy_at: Timestamp::now(), restarted: None, ..noticed };
                    self.see();
                    self.checkpoint_when_due(&job.id, &mut checkpoints).await;
                }
                _ => {}
            }
        }
    }

    /// Whether a running job must be replaced.
    fn judge(&self, job: &Job, noticed: &mut Noticed) -> Option<Change> {
        let is_news = |told: &Arc<Telemetry>| Some(told.at) != noticed.asked_at && told.job == job.id;
        let mut pace = self.pace();
        let mut finding = Finding::Sound;
        if let Some(told) = self.telemetry().filter(is_news) {
            noticed.asked_at = Some(told.at);
            if let Some(watermark) = told.watermark {
                finding = pace.see(told.at, watermark);
            }
            self.note(|status| status.behind = pace.behind());
        }
        let slack = pace.slack();
        // what was foreseen was not enough
        let more = slack * 3 / 2;
        match finding {
            Finding::Strained if slack < LONGEST_SLACK => Some(Change {
                why: "the job is slower than its input: its state is kept longer",
                resume: Resume::SavedBy(Timestamp::now()),
                slack: pace.slack_at_this_pace().min(LONGEST_SLACK),
            }),
            Finding::Relaxed => Some(Change {
                why: "the job keeps pace with its input again: its state is not kept longer any more",
                resume: Resume::SavedBy(Timestamp::now()),
                slack: Duration::ZERO,
            }),
            Finding::Expired => Some(Change {
                why: "an outage outlasted the job's state",
                resume: Resume::SavedBy(pace.stood_until()),
                slack: more,
            }),
            _ if pace.is_new() => None,
            _ => {
                // at once, before what was restored writes rows: the watermark tells only when it has moved on
                let saved = match noticed.restarted {
                    Some(_) => self.saved_by(noticed.healthy_at).next()?.taken_at(),
                    None => noticed.healthy_at,
                };
                (pace.slack_to_resume(saved, Timestamp::now()) > slack).then_some(Change {
                    why: "an outage would outlast the job's state",
                    resume: Resume::SavedBy(noticed.healthy_at),
                    slack: more,
                })
            }
        }
    }

    async fn replace(&self, change: Change) -> crate::error::Result<()> {
        tracing::warn!(why = change.why, slack_s = change.slack.as_secs(), "the job is submitted again");
        self.resume(change.resume, change.slack).await?;
        self.note(|status| status.resubmitted += 1);
        Ok(())
    }

    /// Why a job does not run. Of a checkpoint that cannot be restored it will ask in vain for ever.
    async fn ask_why(&self, job: &Job, noticed: &mut Noticed) -> Option<Change> {
        let asked = noticed.restarted.is_some_and(|at| at.elapsed() < ASK_AGAIN);
        if job.state != "RESTARTING" || asked {
            return None;
        }
        let first = noticed.restarted.replace(Instant::now()).is_none();
        let failure = self.rest.last_failure(&job.id).await?;
        if first {
            tracing::warn!(job = job.id, why = failure.cause, "Flink restarts the job");
        }
        self.note(|status| status.last_error = Some(failure.cause));
        failure.of_restore.then_some(Change {
            why: "its checkpoint cannot be restored",
            resume: Resume::Log,
            slack: Duration::ZERO,
        })
    }

    /// Begins a checkpoint of the job if it is time. A job without a watermark has read nothing that would be worth keeping: what it
    /// does next is just as well done from the start.
    async fn checkpoint_when_due(&self, job: &str, rhythm: &mut Rhythm) {
        let has_read = |told: &Arc<Telemetry>| told.job == job && told.watermark.is_some();
        let Some(told) = self.telemetry().filter(has_read) else { return };
        let (now, since_epoch) = (Instant::now(), SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
        let took = told.checkpoint.as_ref().map_or(0, |last| last.duration_ms);
        let took = Duration::from_millis(took.max(0).unsigned_abs());
        if rhythm.is_due(job, now, since_epoch, took)
            && self.rest.begin_checkpoint(job, "CONFIGURED").await.is_some()
        {
            rhythm.begun(job, now);
        }
    }
}

//! Submits the job, and submits it again whenever Flink has lost it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use clickstream_event::detection;

use crate::error::{Result, StackError};
use crate::flink::checkpoint::{self, Checkpoint};
use crate::flink::gateway::Session;
use crate::flink::rest::{Job, Rest};
use crate::job::plan;
use crate::job::resume::{self, MAX_CHECKPOINT_AGE, SLACK};
use crate::job::rhythm::Rhythm;
use crate::job::template::{self, JobParameters, Start};
use crate::job::times;
use crate::layout::Layout;

/// The job's name in Flink's web UI.
pub const NAME: &str = "clickstream";

/// How the job runs, as opposed to what it computes.
#[derive(Clone, PartialEq, Debug)]
pub struct Execution {
    /// Parallelism of every operator; at most the partitions of the events topic.
    pub parallelism: u32,
    /// Time between two checkpoints.
    pub checkpoint_interval: Duration,
}

/// What the job is doing, for the console and `status`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct JobStatus {
    /// Flink's id of it.
    pub id: Option<String>,
    /// Flink's word for its state, or ours while it is on its way.
    pub state: String,
    /// How it took up the log, for people.
    pub resumed: String,
    /// How often it was submitted again.
    pub resubmitted: u32,
    /// Why it failed last.
    pub last_error: Option<String>,
}

/// Submits and watches the job.
pub struct JobControl {
    rest: Rest,
    gateway: String,
    parameters: JobParameters,
    execution: Execution,
    layout: Layout,
    status: Arc<Mutex<JobStatus>>,
}

impl JobControl {
    /// Control over the job on one cluster.
    pub fn new(
        rest: Rest,
        gateway: String,
        parameters: JobParameters,
        execution: Execution,
        layout: Layout,
    ) -> Self {
        Self { rest, gateway, parameters, execution, layout, status: Arc::default() }
    }

    /// What the job is doing.
    pub fn status(&self) -> JobStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, change: impl FnOnce(&mut JobStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn dir(&self) -> PathBuf {
        self.layout.flink().join("job")
    }

    /// The newest job of ours that has not ended.
    pub async fn alive(&self) -> Result<Option<Job>> {
        Ok(self.rest.jobs().await?.into_iter().find(|job| job.name == NAME && job.is_alive()))
    }

    /// Submits the job: from the newest checkpoint where that is possible, else by replaying the log.
    pub async fn submit(&self, from_log: bool) -> Result<()> {
        self.note(|status| status.state = "SUBMITTING".into());
        let definition = self.definition()?;
        // then its plan is there, and a job or a checkpoint of it may be
        let is_known = self.saved_definition().as_ref() == Some(&definition);
        if let Some(job) = self.alive().await? {
            // a cluster of somebody else may have kept the job while we were away
            if !from_log && is_known {
                self.note(|status| {
                    status.id = Some(job.id);
                    status.resumed = "found running".into();
                });
                return Ok(());
            }
            self.rest.cancel(&job.id).await?;
        }
        if !from_log && is_known && self.plan_file().exists() {
            for checkpoint in checkpoint::complete(&self.layout.checkpoints()).into_iter().take(2) {
                if checkpoint.age() > MAX_CHECKPOINT_AGE {
                    break;
                }
                match self.execute(Start::Earliest, Some(&checkpoint)).await {
                    Ok(id) => {
                        return self.submitted(
                            id,
                            format!("from the checkpoint taken {} s ago", checkpoint.age().as_secs()),
                        );
                    }
                    Err(error) => {
                        tracing::warn!(%error, checkpoint = %checkpoint.path.display(), "cannot resume from this checkpoint")
                    }
                }
            }
        }
        let parameters = self.parameters.clone();
        let start = tokio::task::spawn_blocking(move || resume::replay_start(&parameters))
            .await
            .map_err(|e| StackError::Template { file: "resume".into(), why: e.to_string() })??;
        if !is_known || self.prepare(start).is_err() {
            self.compile(&definition).await?;
            self.prepare(start)?;
        }
        let id = self.execute(start, None).await?;
        self.submitted(
            id,
            match start {
                Start::Earliest => "from the beginning of the log".into(),
                Start::At(replay) => {
                    format!("by replaying the log from {}", clickstream_event::Timestamp(replay.read_from))
                }
            },
        )
    }

    fn submitted(&self, id: String, resumed: String) -> Result<()> {
        tracing::info!(job = id, resumed, "job submitted");
        checkpoint::clean(&self.layout.checkpoints(), &id);
        self.note(|status| {
            status.id = Some(id);
            status.resumed = resumed;
            status.state = "SUBMITTED".into();
        });
        Ok(())
    }

    /// Waits until all tasks of the job run.
    pub async fn wait_running(&self, patience: Duration) -> Result<()> {
        let deadline = Instant::now() + patience;
        loop {
            let job = self.alive().await.ok().flatten();
            if job.as_ref().is_some_and(Job::is_running) {
                self.note(|status| status.state = "RUNNING".into());
                return Ok(());
            }
            if Instant::now() > deadline {
                let id = self.status().id.unwrap_or_default();
                let why =
                    self.rest.last_exception(&id).await.unwrap_or_else(|| "its tasks do not come up".into());
                return Err(StackError::Component {
                    component: "the Flink job".into(),
                    why,
                    log: self.layout.log_of("taskmanager"),
                });
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Looks after the job for ever: submits it again when the cluster has forgotten it, and has the log replayed when an
    /// outage outlasted the job's state. `kafka_is_up` tells whether Kafka answers.
    pub async fn watch(&self, kafka_is_up: impl Fn() -> bool) {
        let mut healthy_at = Instant::now();
        let mut seen_failing = false;
        let slide = Duration::from_millis(self.parameters.windows.slide_ms().unsigned_abs());
        let mut checkpoints = Rhythm::new(self.execution.checkpoint_interval, slide);
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let job = match self.alive().await {
                Ok(job) => job,
                Err(_) => {
                    self.note(|status| status.state = "JOBMANAGER_DOWN".into());
                    continue;
                }
            };
            let expired = healthy_at.elapsed() > SLACK / 2;
            let Some(job) = job else {
                if kafka_is_up() {
                    match self.submit(expired).await {
                        Ok(()) => self.note(|status| status.resubmitted += 1),
                        Err(error) => {
                            tracing::warn!(%error, "cannot submit the job yet");
                            self.note(|status| status.last_error = Some(error.to_string()));
                        }
                    }
                }
                continue;
            };
            self.note(|status| status.state.clone_from(&job.state));
            if job.is_running() && kafka_is_up() {
                if expired {
                    tracing::warn!(
                        outage_s = healthy_at.elapsed().as_secs(),
                        "the outage outlasted the job's state: replaying the log"
                    );
                    if let Err(error) = self.submit(true).await {
                        tracing::warn!(%error, "cannot replay the log yet");
                        continue;
                    }
                    self.note(|status| status.resubmitted += 1);
                }
                healthy_at = Instant::now();
                seen_failing = false;
                self.checkpoint_when_due(&job.id, &mut checkpoints).await;
            } else if job.state == "RESTARTING" && !seen_failing {
                seen_failing = true;
                let why = self.rest.last_exception(&job.id).await;
                tracing::warn!(job = job.id, why, "Flink restarts the job");
                self.note(|status| status.last_error = why);
            }
        }
    }

    /// Begins a checkpoint of the job if it is time.
    async fn checkpoint_when_due(&self, job: &str, rhythm: &mut Rhythm) {
        let (now, since_epoch) = (Instant::now(), SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
        if rhythm.is_due(job, now, since_epoch)
            && self.rest.begin_checkpoint(job, "CONFIGURED").await.is_some()
        {
            rhythm.begun(job, now);
        }
    }

    /// Ends the job after one last checkpoint, so that the next start goes on from here.
    pub async fn stop(&self) {
        if let Ok(Some(job)) = self.alive().await {
            let taken = self.rest.checkpoint(&job.id, Duration::from_secs(3)).await;
            tracing::info!(taken, "last checkpoint");
            let _ = tokio::time::timeout(Duration::from_secs(2), self.rest.cancel(&job.id)).await;
        }
    }

    /// The plan that runs, with the times of the last start that read the log.
    fn plan_file(&self) -> PathBuf {
        self.dir().join("plan.json")
    }

    /// The plan without times.
    fn compiled_file(&self) -> PathBuf {
        self.dir().join("plan.compiled.json")
    }

    fn saved_definition(&self) -> Option<String> {
        fs::read_to_string(self.dir().join("definition.sql")).ok()
    }

    /// What the job computes, as one text: a job with another definition cannot take over its state.
    fn definition(&self) -> Result<String> {
        let text = template::render(&self.parameters, Start::Earliest)?.text;
        let options = self
            .options(None)
            .into_iter()
            .fold(String::new(), |all, (k, v)| all + &format!("SET '{k}' = '{v}';\n"));
        Ok(format!(
            "-- The job as it was submitted, with all names filled in. Plan: revision {}.\n{options}\n{text}",
            plan::REVISION
        ))
    }

    /// Seconds for which state is kept that is asked for a window or for `ms`, whichever is longer.
    fn remembered_for(&self, ms: i64) -> i64 {
        self.parameters.windows.size_ms().max(ms) / 1000 + 1 + SLACK.as_secs() as i64
    }

    fn options(&self, checkpoint: Option<&Checkpoint>) -> BTreeMap<String, String> {
        // labels and rules look back a window, the fast ones some seconds
        let ttl_s = self.remembered_for(detection::FAST_MS.max(detection::REPEATED_MS));
        let mut options: BTreeMap<String, String> = [
            ("pipeline.name", NAME.to_owned()),
            ("parallelism.default", self.execution.parallelism.to_string()),
            ("table.local-time-zone", "UTC".into()),
            // all queries share one source, one late rule and one deduplication
            ("table.optimizer.reuse-optimize-block-with-digest-enabled", "true".into()),
            ("table.exec.sink.upsert-materialize", "NONE".into()),
            ("table.exec.state.ttl", format!("{ttl_s} s")),
            // a window's operator buffers and adds up rows by itself; one before it, to send fewer rows, is four times the
            // generated code, and on one machine there is no network to spare
            ("table.optimizer.agg-phase-strategy", "ONE_PHASE".into()),
            // cutting generated classes into small methods takes seconds of every start; none of ours comes near what the JVM
            // refuses, and the few that it only interprets see one row per slide
            ("table.generated-code.max-length", "1000000".into()),
            // a partition without traffic gets heartbeats; an idle timeout would lose data
            ("table.exec.source.idle-timeout", "0 ms".into()),
            // each watermark goes through all tasks and wakes every one
            ("pipeline.auto-watermark-interval", "40 ms".into()),
            // rows are handed from operator to operator without a copy
            ("pipeline.object-reuse", "true".into()),
            // some fifty tasks have a thread each that wakes this often
            ("execution.buffer-timeout.interval", "10 ms".into()),
            // ours come first, and then Flink's are not due: see `rhythm`
            ("execution.checkpointing.interval", milliseconds(self.execution.checkpoint_interval * 3)),
            ("execution.checkpointing.min-pause", milliseconds(self.execution.checkpoint_interval * 2)),
            ("execution.checkpointing.timeout", "60 s".into()),
            ("execution.checkpointing.tolerable-failed-checkpoints", "1000".into()),
            ("execution.checkpointing.dir", format!("file://{}", self.layout.checkpoints().display())),
            ("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION".into()),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        if let Some(checkpoint) = checkpoint {
            options.insert(
                "execution.state-recovery.path".into(),
                format!("file://{}", checkpoint.path.display()),
            );
        }
        options
    }

    /// Has Flink make a plan of the SQL, for a start at no time, and adapts it.
    async fn compile(&self, definition: &str) -> Result<()> {
        let dir = self.dir();
        fs::create_dir_all(&dir).map_err(StackError::io(format!("cannot create {}", dir.display())))?;
        let statements = template::render(&self.parameters, Start::At(times::PLACEHOLDER))?;
        let session = Session::open(&self.gateway, &self.options(None)).await?;
        for statement in &statements.definitions {
            session.execute(statement).await?;
        }
        let raw = dir.join("plan.raw.json");
        let _ = fs::remove_file(&raw);
        let set = statements.inserts.join(";\n");
        session
            .execute(&format!("COMPILE PLAN 'file://{}' FOR STATEMENT SET BEGIN\n{set};\nEND", raw.display()))
            .await?;
        session.close().await;
        let json = fs::read_to_string(&raw).map_err(|_| StackError::NotReachable {
            what: "the plan that Flink's SQL Gateway compiled",
            address: raw.display().to_string(),
            why: "the gateway must run on this machine, or share this directory with it".into(),
        })?;
        let dedup_ttl_s = self.parameters.dedup_horizon_s + SLACK.as_secs() as i64;
        let session_ttl_s = self.remembered_for(self.parameters.session_gap_ms);
        let json = plan::adapt(&json, dedup_ttl_s, session_ttl_s, self.execution.parallelism)?;
        write(&self.compiled_file(), &json)?;
        // last: who finds it finds the plan that belongs to it
        write(&dir.join("definition.sql"), definition)
    }

    /// Puts the times of a start into the plan.
    fn prepare(&self, start: Start) -> Result<()> {
        let file = self.compiled_file();
        let compiled =
            fs::read_to_string(&file).map_err(StackError::io(format!("cannot read {}", file.display())))?;
        let plan = times::put_in(&compiled, start).ok_or_else(|| StackError::Template {
            file: "the compiled plan".into(),
            why: "the times of its start do not stand in it in the known form".into(),
        })?;
        write(&self.plan_file(), &plan)
    }

    /// Runs the plan. With a checkpoint, `start` does not matter: the offsets stand there.
    async fn execute(&self, start: Start, checkpoint: Option<&Checkpoint>) -> Result<String> {
        let session = Session::open(&self.gateway, &self.options(checkpoint)).await?;
        // the plan holds the queries, but only the names of its sources and sinks
        for table in template::render(&self.parameters, start)?
            .definitions
            .iter()
            .filter(|d| d.starts_with("CREATE TEMPORARY TABLE"))
        {
            session.execute(table).await?;
        }
        let answer =
            session.execute(&format!("EXECUTE PLAN 'file://{}'", self.plan_file().display())).await?;
        session.close().await;
        let id = answer.job.or_else(|| answer.rows.first()?.first()?.as_str().map(str::to_owned));
        id.ok_or_else(|| StackError::Sql {
            reason: "it named no job".into(),
            statement: "EXECUTE PLAN".into(),
        })
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).map_err(StackError::io(format!("cannot write {}", file.display())))
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

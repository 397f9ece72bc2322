//! Submits the job, and submits it again whenever Flink has lost it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::error::{Result, StackError};
use crate::flink::checkpoint::{self, Checkpoint};
use crate::flink::gateway::Session;
use crate::flink::rest::{Job, Rest};
use crate::job::options;
use crate::job::outage::{Finding, Outage};
use crate::job::plan;
use crate::job::resume::{self, MAX_CHECKPOINT_AGE, SLACK};
use crate::job::rhythm::Rhythm;
use crate::job::shipped;
use crate::job::telemetry::{self, Telemetry};
use crate::job::template::{self, JobParameters, Start};
use crate::job::times;
use crate::layout::Layout;

/// The job's name in the web UI of a Flink that is ours alone.
const NAME: &str = "clickstream";

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
    /// By how many milliseconds it is behind, where it is too slow for its input and its state expires too early.
    pub too_slow_ms: Option<i64>,
}

/// Submits and watches the job.
pub struct JobControl {
    rest: Rest,
    gateway: String,
    parameters: JobParameters,
    execution: Execution,
    own_flink: bool,
    layout: Layout,
    status: Arc<Mutex<JobStatus>>,
    telemetry: Arc<Mutex<Option<Arc<Telemetry>>>>,
}

/// A submission that takes longer has failed.
const SUBMISSION: Duration = Duration::from_secs(240);
/// The longest pause between two submissions that failed.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

impl JobControl {
    /// Control over the job on one cluster; `own_flink`: it is of the Flink that this program brings.
    pub fn new(
        rest: Rest,
        gateway: String,
        parameters: JobParameters,
        execution: Execution,
        own_flink: bool,
        layout: Layout,
    ) -> Self {
        let (status, telemetry) = Default::default();
        Self { rest, gateway, parameters, execution, own_flink, layout, status, telemetry }
    }

    /// The job's name. On a cluster of somebody else there may be jobs of other data directories, and of other machines.
    fn name(&self) -> String {
        if self.own_flink {
            return NAME.to_owned();
        }
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("{NAME} {}:{}", host.trim(), self.layout.root().display())
    }

    /// What Flink said of the running job last; `None` while it does not answer, or there is no job.
    pub fn telemetry(&self) -> Option<Arc<Telemetry>> {
        self.telemetry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks Flink about the job once a second, for ever.
    pub async fn observe(&self) {
        loop {
            let told = match self.status() {
                JobStatus { id: Some(id), state, .. } if state == "RUNNING" => {
                    telemetry::ask(&self.rest, &id).await
                }
                _ => None,
            };
            *self.telemetry.lock().unwrap_or_else(PoisonError::into_inner) = told.map(Arc::new);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
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
        let name = self.name();
        Ok(self.rest.jobs().await?.into_iter().find(|job| job.name == name && job.is_alive()))
    }

    /// Submits the job: from the newest checkpoint where that is possible, else by replaying the log.
    pub async fn submit(&self, from_log: bool) -> Result<()> {
        match tokio::time::timeout(SUBMISSION, self.submit_at_leisure(from_log)).await {
            Ok(submitted) => submitted,
            Err(_) => Err(StackError::NotReachable {
                what: "Flink's SQL Gateway",
                address: self.gateway.clone(),
                why: format!("it has not taken the job within {} s", SUBMISSION.as_secs()),
            }),
        }
    }

    async fn submit_at_leisure(&self, from_log: bool) -> Result<()> {
        self.note(|status| status.state = "SUBMITTING".into());
        let definition = self.definition()?;
        // then its plan is there, and a job or a checkpoint of it may be
        let is_known = self.saved_definition().as_ref() == Some(&definition);
        if let Some(job) = self.alive().await? {
            // a cluster of somebody else may have kept the job while we were away; nobody sent heartbeats then
            if !from_log && is_known && self.left_alone_for() < SLACK / 2 {
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

    /// A file that is written as long as somebody looks after the job.
    fn seen_file(&self) -> PathBuf {
        self.dir().join("seen")
    }

    fn left_alone_for(&self) -> Duration {
        let seen = fs::metadata(self.seen_file()).and_then(|file| file.modified());
        seen.ok().and_then(|seen| seen.elapsed().ok()).unwrap_or(Duration::MAX)
    }

    fn submitted(&self, id: String, resumed: String) -> Result<()> {
        tracing::info!(job = id, resumed, "job submitted");
        checkpoint::clean(&self.layout.checkpoints(), &id);
        let _ = fs::write(self.seen_file(), &id);
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
        // by the machine's clock, which goes on while the machine sleeps, as state expires by it
        let mut healthy_at = SystemTime::now();
        let mut seen_failing = false;
        let mut pause = Duration::ZERO;
        let windows = self.parameters.windows;
        let slide = Duration::from_millis(windows.slide_ms().unsigned_abs());
        let mut checkpoints = Rhythm::new(self.execution.checkpoint_interval, slide);
        let mut watched = Outage::new(windows.size_ms());
        let mut asked_at = None;
        loop {
            tokio::time::sleep(Duration::from_millis(500) + pause).await;
            let job = match self.alive().await {
                Ok(job) => job,
                Err(_) => {
                    self.note(|status| status.state = "JOBMANAGER_DOWN".into());
                    continue;
                }
            };
            let away = healthy_at.elapsed().unwrap_or_default();
            // at once, before what is restored writes rows: the watermark tells only when it has moved on, and the checkpoint that
            // Flink restored has an age of its own
            let mut expired = away > SLACK / 2;
            if let Some(job) = &job {
                self.note(|status| status.state.clone_from(&job.state));
            }
            if !kafka_is_up() {
                continue;
            }
            let is_running = job.as_ref().is_some_and(Job::is_running);
            let is_news = |told: &Arc<Telemetry>| {
                Some(told.at) != asked_at && job.as_ref().is_some_and(|job| job.id == told.job)
            };
            if is_running && let Some(told) = self.telemetry().filter(is_news) {
                asked_at = Some(told.at);
                let finding =
                    told.watermark.map_or(Finding::Sound, |watermark| watched.see(told.at, watermark));
                expired |= finding == Finding::Expired;
                self.note(|status| {
                    status.too_slow_ms = match finding {
                        Finding::TooSlow(behind_ms) => Some(behind_ms),
                        _ => None,
                    }
                });
            }
            match job {
                Some(job) if is_running && !expired => {
                    healthy_at = SystemTime::now();
                    seen_failing = false;
                    let _ = fs::write(self.seen_file(), &job.id);
                    self.checkpoint_when_due(&job.id, &mut checkpoints).await;
                }
                Some(job) if !is_running => {
                    if job.state == "RESTARTING" && !seen_failing {
                        seen_failing = true;
                        let why = self.rest.last_exception(&job.id).await;
                        tracing::warn!(job = job.id, why, "Flink restarts the job");
                        self.note(|status| status.last_error = why);
                    }
                }
                _ => {
                    if is_running {
                        tracing::warn!(
                            away_s = away.as_secs(),
                            "an outage outlasted the job's state: replaying the log"
                        );
                    }
                    match self.submit(expired).await {
                        Ok(()) => {
                            self.note(|status| status.resubmitted += 1);
                            pause = Duration::ZERO;
                            if expired {
                                healthy_at = SystemTime::now();
                                watched.reset();
                            }
                        }
                        Err(error) => {
                            tracing::warn!(%error, "cannot submit the job yet");
                            self.note(|status| status.last_error = Some(error.to_string()));
                            pause = (pause * 2 + Duration::from_millis(500)).min(LONGEST_PAUSE);
                        }
                    }
                }
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
        let options = options::as_sql(&self.options(None));
        Ok(format!(
            "-- The job as it was submitted, with all names filled in. Plan: revision {}.\n{options}\n{text}",
            plan::REVISION
        ))
    }

    fn options(&self, checkpoint: Option<&Checkpoint>) -> BTreeMap<String, String> {
        let from = checkpoint.map(|checkpoint| checkpoint.path.as_path());
        options::all(&self.name(), &self.parameters, &self.execution, &self.layout.checkpoints(), from)
    }

    /// Makes a plan of the SQL, for a start at no time: the one that comes with the program, if it is of this SQL, or else Flink does.
    async fn compile(&self, definition: &str) -> Result<()> {
        let dir = self.dir();
        fs::create_dir_all(&dir).map_err(StackError::io(format!("cannot create {}", dir.display())))?;
        let wanted = shipped::question(&self.parameters)?;
        let shipped = if self.own_flink { shipped::plan_of(&wanted) } else { None };
        let json = match shipped {
            Some(plan) => plan,
            None => {
                let plan = self.ask_flink_for_plan().await?;
                write(&dir.join("plan.json.gz"), shipped::packed(&wanted, &plan)?)?;
                plan
            }
        };
        let dedup_ttl_s = self.parameters.dedup_horizon_s + SLACK.as_secs() as i64;
        let session_ttl_s = options::remembered_for(&self.parameters, self.parameters.session_gap_ms);
        let json = plan::adapt(&json, dedup_ttl_s, session_ttl_s, self.execution.parallelism)?;
        // they are of another job, which may look the same to Flink
        checkpoint::discard(&self.layout.checkpoints());
        write(&self.compiled_file(), json)?;
        // last: who finds it finds the plan that belongs to it
        write(&dir.join("definition.sql"), definition)
    }

    async fn ask_flink_for_plan(&self) -> Result<String> {
        let statements = template::render(&self.parameters, Start::At(times::PLACEHOLDER))?;
        let raw = self.dir().join("plan.raw.json");
        let _ = fs::remove_file(&raw);
        let set = statements.inserts.join(";\n");
        let compile = format!("COMPILE PLAN 'file://{}' FOR STATEMENT SET BEGIN\n{set};\nEND", raw.display());
        let all = statements.definitions.iter().map(String::as_str).chain([compile.as_str()]);
        Session::run(&self.gateway, &self.options(None), all).await?;
        let plan = fs::read_to_string(&raw).map_err(|_| StackError::NotReachable {
            what: "the plan that Flink's SQL Gateway compiled",
            address: raw.display().to_string(),
            why: "the gateway must run on this machine, or share this directory with it".into(),
        })?;
        let _ = fs::remove_file(&raw);
        Ok(plan)
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
        write(&self.plan_file(), plan)
    }

    /// Runs the plan. With a checkpoint, `start` does not matter: the offsets stand there.
    async fn execute(&self, start: Start, checkpoint: Option<&Checkpoint>) -> Result<String> {
        // the plan holds the queries, but only the names of its sources and sinks
        let definitions = template::render(&self.parameters, start)?.definitions;
        let tables = definitions.iter().filter(|definition| definition.starts_with("CREATE TEMPORARY TABLE"));
        let execute = format!("EXECUTE PLAN 'file://{}'", self.plan_file().display());
        let all = tables.map(String::as_str).chain([execute.as_str()]);
        let answer = Session::run(&self.gateway, &self.options(checkpoint), all).await?;
        let id = answer.job.or_else(|| answer.rows.first()?.first()?.as_str().map(str::to_owned));
        id.ok_or_else(|| StackError::Sql {
            reason: "it named no job".into(),
            statement: "EXECUTE PLAN".into(),
        })
    }
}

fn write(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(file, content).map_err(StackError::io(format!("cannot write {}", file.display())))
}

//! Submits the job: from a checkpoint, or by replaying the log.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use clickstream_event::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Result, StackError};
use crate::flink::checkpoint::{self, Checkpoint};
use crate::flink::gateway::Session;
use crate::flink::rest::{Job, Rest};
use crate::job::options;
use crate::job::pace::{Known, Pace};
use crate::job::plan::{self, Lifetimes};
use crate::job::resume::{self, SLACK};
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
    /// How far it is behind, where it is too slow for its input.
    pub behind: Option<Duration>,
}

/// Where a job takes up the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Resume {
    /// At the newest checkpoint; a job that runs already is left alone.
    Newest,
    /// At the newest checkpoint that was begun by then; a job that runs already is replaced.
    SavedBy(Timestamp),
    /// As far back in the log as need be.
    Log,
}

/// What is noted of a job, as long as somebody looks after it, for whoever resumes it.
#[derive(Debug, Serialize, Deserialize)]
struct Seen {
    slack_s: u64,
    pace: Option<Known>,
}

/// Submits and watches the job.
pub struct JobControl {
    pub(super) rest: Rest,
    gateway: String,
    pub(super) parameters: JobParameters,
    pub(super) execution: Execution,
    own_flink: bool,
    layout: Layout,
    status: Arc<Mutex<JobStatus>>,
    telemetry: Arc<Mutex<Option<Arc<Telemetry>>>>,
    pace: Mutex<Pace>,
}

/// A submission that takes longer has failed.
const SUBMISSION: Duration = Duration::from_secs(240);
/// From a submission until the job counts again, on a machine that is very busy: a job whose state is not kept long enough must be
/// submitted once more.
const STARTING: Duration = Duration::from_secs(75);
/// For an outage, state is kept longer by so much at most; what is kept longer takes memory, and after that the log is replayed.
const LONGEST_OUTAGE: Duration = Duration::from_secs(120);

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
        let seen = fs::read_to_string(seen_file(&layout)).unwrap_or_default();
        let seen: Option<Seen> = serde_json::from_str(&seen).ok();
        let slack = seen.as_ref().map_or(SLACK, |seen| Duration::from_secs(seen.slack_s).max(SLACK));
        let pace = Mutex::new(
            Pace::new(options::reach(&parameters), slack).knowing(seen.and_then(|seen| seen.pace)),
        );
        Self { rest, gateway, parameters, execution, own_flink, layout, status, telemetry, pace }
    }

    /// How event time goes by the clock.
    pub(super) fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub(super) fn note(&self, change: impl FnOnce(&mut JobStatus)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn dir(&self) -> PathBuf {
        job_dir(&self.layout)
    }

    /// The newest job of ours that has not ended.
    pub async fn alive(&self) -> Result<Option<Job>> {
        let name = self.name();
        Ok(self.rest.jobs().await?.into_iter().find(|job| job.name == name && job.is_alive()))
    }

    /// Submits the job: from the newest checkpoint where that is possible, else, or if `from_log`, by replaying the log.
    pub async fn submit(&self, from_log: bool) -> Result<()> {
        self.resume(if from_log { Resume::Log } else { Resume::Newest }, Duration::ZERO).await
    }

    /// Submits the job, with state that outlives a window by `slack` or, if need be, by more.
    pub(super) async fn resume(&self, resume: Resume, slack: Duration) -> Result<()> {
        match tokio::time::timeout(SUBMISSION, self.resume_at_leisure(resume, slack)).await {
            Ok(submitted) => submitted,
            Err(_) => Err(StackError::NotReachable {
                what: "Flink's SQL Gateway",
                address: self.gateway.clone(),
                why: format!("it has not taken the job within {} s", SUBMISSION.as_secs()),
            }),
        }
    }

    async fn resume_at_leisure(&self, mut resume: Resume, slack: Duration) -> Result<()> {
        self.note(|status| status.state = "SUBMITTING".into());
        let definition = self.definition()?;
        // then its plan is there, and a job or a checkpoint of it may be
        let is_known = self.saved_definition().as_ref() == Some(&definition);
        if let Some(job) = self.alive().await? {
            // a cluster of somebody else may have kept the job while we were away; nobody sent heartbeats then
            if resume == Resume::Newest && is_known {
                let seen = self.looked_after_until();
                let alone_ms = seen.map(|seen| Timestamp::now().0 - seen.0);
                if alone_ms.is_some_and(|alone| alone < SLACK.as_millis() as i64 / 2) {
                    self.note(|status| {
                        status.id = Some(job.id);
                        status.resumed = "found running".into();
                    });
                    return Ok(());
                }
                // what it saved since then may have forgotten something already
                resume = seen.map_or(Resume::Log, Resume::SavedBy);
            }
            self.rest.cancel(&job.id).await?;
        }
        if is_known && self.plan_file().exists() && self.resume_from_checkpoint(resume, slack).await? {
            return Ok(());
        }
        let parameters = self.parameters.clone();
        let oldest_saved = self.saved_by(Timestamp(i64::MAX)).last().map(|checkpoint| checkpoint.taken_at());
        // what was seen of another job says nothing of what stands in this one's topics
        let sound_until = if is_known { self.pace().sound_until(oldest_saved) } else { None };
        let start = tokio::task::spawn_blocking(move || resume::replay_start(&parameters, sound_until))
            .await
            .map_err(|e| StackError::Template { file: "resume".into(), why: e.to_string() })??;
        if !is_known || self.prepare(start).is_err() {
            self.compile(&definition).await?;
            self.prepare(start)?;
        }
        let slack = slack.max(SLACK);
        let id = self.execute(None, slack).await?;
        self.pace().reset();
        let resumed = match start {
            Start::Earliest => "from the beginning of the log".into(),
            Start::At(replay) => format!("by replaying the log from {}", Timestamp(replay.read_from)),
        };
        self.submitted(id, None, slack, resumed);
        Ok(())
    }

    /// Submits the job from a checkpoint, if there is one that can be trusted. State that was not asked for in the meantime is not lost
    /// yet, however old it is: it is kept as much longer.
    async fn resume_from_checkpoint(&self, resume: Resume, slack: Duration) -> Result<bool> {
        let saved_by = match resume {
            Resume::Newest => Timestamp(i64::MAX),
            Resume::SavedBy(at) => at,
            Resume::Log => return Ok(false),
        };
        for checkpoint in self.saved_by(saved_by).take(2) {
            let (needed, usual) = {
                let pace = self.pace();
                let counting = Timestamp::now().0 + STARTING.as_millis() as i64;
                (pace.slack_to_resume(checkpoint.taken_at(), Timestamp(counting)), pace.slack())
            };
            if needed > usual.max(slack) + LONGEST_OUTAGE {
                break;
            }
            let slack = needed.max(slack).max(SLACK);
            match self.execute(Some(&checkpoint), slack).await {
                Ok(id) => {
                    let resumed = format!("from the checkpoint taken {} s ago", checkpoint.age().as_secs());
                    self.submitted(id, Some(&checkpoint), slack, resumed);
                    return Ok(true);
                }
                Err(error) => {
                    tracing::warn!(%error, checkpoint = %checkpoint.path.display(), "cannot resume from this checkpoint")
                }
            }
        }
        Ok(false)
    }

    /// When somebody last saw that the job was in order.
    fn looked_after_until(&self) -> Option<Timestamp> {
        let seen = fs::metadata(seen_file(&self.layout)).and_then(|file| file.modified()).ok()?;
        let since = seen.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        Some(Timestamp(since.as_millis() as i64))
    }

    /// The checkpoints that were begun by then, the newest first.
    pub(super) fn saved_by(&self, at: Timestamp) -> impl Iterator<Item = Checkpoint> + use<> {
        let all = checkpoint::complete(&self.layout.checkpoints()).into_iter();
        all.filter(move |checkpoint| checkpoint.taken_at() <= at)
    }

    /// Notes that the job is looked after, and what is known of its pace.
    pub(super) fn see(&self) {
        let (slack_s, pace) = {
            let pace = self.pace();
            (pace.slack().as_secs(), pace.known())
        };
        if let Ok(seen) = serde_json::to_vec(&Seen { slack_s, pace }) {
            let _ = fs::write(seen_file(&self.layout), seen);
        }
    }

    fn submitted(&self, id: String, from: Option<&Checkpoint>, slack: Duration, resumed: String) {
        tracing::info!(job = id, resumed, slack_s = slack.as_secs(), "job submitted");
        let from = from.map_or(id.as_str(), |checkpoint| &checkpoint.job);
        checkpoint::clean(&self.layout.checkpoints(), &[&id, from]);
        self.pace().set_slack(slack);
        self.see();
        self.note(|status| {
            status.id = Some(id);
            status.resumed = resumed;
            status.state = "SUBMITTED".into();
        });
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

    /// The start it has the times of.
    fn start_file(&self) -> PathBuf {
        self.dir().join("start.json")
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
        let options = options::as_sql(&self.options());
        Ok(format!(
            "-- The job as it was submitted, with all names filled in. Plan: revision {}.\n{options}\n{text}",
            plan::REVISION
        ))
    }

    fn options(&self) -> BTreeMap<String, String> {
        options::all(&self.name(), &self.parameters, &self.execution, &self.layout.checkpoints())
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
        let lifetimes = Lifetimes {
            dedup_s: self.parameters.dedup_horizon_s + SLACK.as_secs() as i64,
            session_s: options::remembered_for(&self.parameters, self.parameters.session_gap_ms),
            window_s: self.parameters.windows.size_ms() / 1_000,
        };
        let json = plan::adapt(&json, lifetimes, self.execution.parallelism)?;
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
        Session::run(&self.gateway, &self.options(), all).await?;
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
        // killed in between, we would find the start of another plan; without one the log is read from its beginning, which is always right
        match fs::remove_file(self.start_file()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let what = format!("cannot remove {}", self.start_file().display());
                return Err(StackError::io(what)(error));
            }
            _ => {}
        }
        write(&self.plan_file(), plan)?;
        write(&self.start_file(), serde_json::to_vec(&start).unwrap_or_default())
    }

    /// Where reading began that the plan is for.
    fn saved_start(&self) -> Start {
        let saved = fs::read(self.start_file()).ok();
        saved.and_then(|start| serde_json::from_slice(&start).ok()).unwrap_or(Start::Earliest)
    }

    /// Runs the plan, with state that outlives a window by `slack`. In a checkpoint stand the offsets to go on from, unless it was taken
    /// before the job had found the partitions: then reading begins where it would without.
    async fn execute(&self, checkpoint: Option<&Checkpoint>, slack: Duration) -> Result<String> {
        let longer = slack.saturating_sub(SLACK);
        let mut options = self.options();
        if let Some(checkpoint) = checkpoint {
            options::resume_from(&mut options, &checkpoint.path);
        }
        let mut file = self.plan_file();
        if !longer.is_zero() {
            options::keep_longer(&mut options, longer);
            let usual = fs::read_to_string(&file);
            let usual = usual.map_err(StackError::io(format!("cannot read {}", file.display())))?;
            file = self.dir().join("plan.longer.json");
            write(&file, plan::keep_longer(&usual, longer)?)?;
        }
        // the plan holds the queries, but only the names of its sources and sinks
        let definitions = template::render(&self.parameters, self.saved_start())?.definitions;
        let tables = definitions.iter().filter(|definition| definition.starts_with("CREATE TEMPORARY TABLE"));
        let execute = format!("EXECUTE PLAN 'file://{}'", file.display());
        let all = tables.map(String::as_str).chain([execute.as_str()]);
        let answer = Session::run(&self.gateway, &options, all).await?;
        let id = answer.job.or_else(|| answer.rows.first()?.first()?.as_str().map(str::to_owned));
        id.ok_or_else(|| StackError::Sql {
            reason: "it named no job".into(),
            statement: "EXECUTE PLAN".into(),
        })
    }
}

/// A file that is written as long as somebody looks after the job.
fn seen_file(layout: &Layout) -> PathBuf {
    job_dir(layout).join("seen.json")
}

fn job_dir(layout: &Layout) -> PathBuf {
    layout.flink().join("job")
}

fn write(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(file, content).map_err(StackError::io(format!("cannot write {}", file.display())))
}

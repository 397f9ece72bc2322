//! Keeps one process running: starts it, writes its log, starts it again when it dies.
//!
//! Each component has a thread of its own that lives as long as the process may: Linux ties the death signal we ask for
//! (`PR_SET_PDEATHSIG`) to the *thread* that started the child. So when we are killed, in whatever way, the kernel kills
//! the JVMs, and no orphan is left. The children are in process groups of their own: Ctrl-C in a terminal reaches us
//! alone, and we stop them in order.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::background;
use crate::class_archive::ClassArchive;
use crate::rotating_log::{RotatingLog, tail};

/// How to start a component.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Name as `status` shows it, as `kafka`.
    pub name: &'static str,
    /// Address as `status` shows it.
    pub address: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment added to ours.
    pub environment: Vec<(String, String)>,
    /// Its log file.
    pub log: PathBuf,
    /// Where the classes it loads are archived.
    pub archive: Option<ClassArchive>,
    /// By how much it stands back behind others that want the same cores (its nice value).
    pub nice: i32,
}

/// The state of a component.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The process runs; whether it answers is not known yet.
    Starting,
    /// It answered.
    Ready,
    /// It died and is about to be started again.
    Restarting,
    /// It died so often that we gave up.
    Failed,
    /// It was stopped.
    Stopped,
    /// Somebody else runs it.
    External,
}

/// One line of `status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Component {
    /// Name, as `kafka`.
    pub name: String,
    /// Process id, where it is ours and runs.
    pub pid: Option<u32>,
    /// Its state.
    pub state: State,
    /// How often it was started again.
    pub restarts: u32,
    /// Where it listens.
    pub address: String,
    /// Its log file, where it is ours.
    pub log: Option<PathBuf>,
}

/// Deaths in a row, each within [`STABLE`], after which we give up.
const MAX_DEATHS: u32 = 6;
/// While a process starts, its compilers are what everybody waits for.
const START: Duration = Duration::from_secs(60);
/// How often new threads are looked for.
const TIDY: Duration = Duration::from_secs(10);
/// A process that ran this long counts as having recovered.
const STABLE: Duration = Duration::from_secs(30);

/// The pause before the next start, after `deaths` deaths in a row.
fn back_off(deaths: u32) -> Duration {
    Duration::from_millis(200 << deaths.saturating_sub(1).min(6)).min(Duration::from_secs(10))
}

/// A supervised process.
pub struct Supervisor {
    spec: Spec,
    shared: Arc<Mutex<Shared>>,
    stop: Sender<Duration>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    pid: Option<u32>,
    state: State,
    restarts: u32,
    why: String,
}

impl Supervisor {
    /// Starts the process and its supervision.
    pub fn start(spec: Spec) -> Self {
        let shared = Arc::new(Mutex::new(Shared {
            pid: None,
            state: State::Starting,
            restarts: 0,
            why: String::new(),
        }));
        let (stop, stopped) = channel();
        let thread = {
            let (spec, shared) = (spec.clone(), Arc::clone(&shared));
            std::thread::Builder::new()
                .name(format!("supervise {}", spec.name))
                .spawn(move || supervise(&spec, &shared, &stopped))
                .ok()
        };
        Self { spec, shared, stop, thread }
    }

    /// What it is doing.
    pub fn component(&self) -> Component {
        let shared = lock(&self.shared);
        Component {
            name: self.spec.name.into(),
            pid: shared.pid,
            state: shared.state,
            restarts: shared.restarts,
            address: self.spec.address.clone(),
            log: Some(self.spec.log.clone()),
        }
    }

    /// Notes that the process answered.
    pub fn mark_ready(&self) {
        let mut shared = lock(&self.shared);
        if shared.state == State::Starting {
            shared.state = State::Ready;
        }
    }

    /// Why the component failed for good, if it did: with the last lines of its log.
    pub fn failure(&self) -> Option<String> {
        let shared = lock(&self.shared);
        (shared.state == State::Failed).then(|| shared.why.clone())
    }

    /// The log file.
    pub fn log(&self) -> &std::path::Path {
        &self.spec.log
    }

    /// Asks the process to end, and kills it when it has not within `patience`. Blocks until it is gone.
    pub fn stop(&mut self, patience: Duration) {
        let _ = self.stop.send(patience);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn supervise(spec: &Spec, shared: &Mutex<Shared>, stop: &Receiver<Duration>) {
    let mut deaths = 0;
    loop {
        let started = Instant::now();
        let why = match spawn(spec) {
            Ok(mut child) => {
                {
                    let mut shared = lock(shared);
                    shared.pid = Some(child.id());
                    shared.state = State::Starting;
                }
                match wait(&mut child, stop) {
                    Some(why) => why,
                    None => {
                        let mut shared = lock(shared);
                        shared.pid = None;
                        shared.state = State::Stopped;
                        return;
                    }
                }
            }
            Err(error) => {
                format!("cannot start {}: {error}", spec.command.first().map_or("", String::as_str))
            }
        };
        tracing::warn!(component = spec.name, why, "component ended");
        deaths = if started.elapsed() > STABLE { 1 } else { deaths + 1 };
        {
            let mut shared = lock(shared);
            shared.pid = None;
            if deaths >= MAX_DEATHS {
                shared.state = State::Failed;
                shared.why =
                    format!("{why}, {deaths} times in a row. Its last words:\n{}", tail(&spec.log, 12));
                return;
            }
            shared.state = State::Restarting;
            shared.restarts += 1;
        }
        if stop.recv_timeout(back_off(deaths)) != Err(RecvTimeoutError::Timeout) {
            lock(shared).state = State::Stopped;
            return;
        }
    }
}

/// Waits for the child: how it ended by itself, or `None` when it was stopped.
fn wait(child: &mut Child, stop: &Receiver<Duration>) -> Option<String> {
    let mut tidy_at = Instant::now() + START;
    loop {
        // the exit is noticed within 50 ms, without a signal handler that others may replace
        match stop.recv_timeout(Duration::from_millis(50)) {
            Err(RecvTimeoutError::Timeout) => {
                if let Ok(Some(status)) = child.try_wait() {
                    return Some(status.to_string());
                }
                if Instant::now() > tidy_at {
                    tidy_at = Instant::now() + TIDY;
                    background::stand_back(child.id());
                }
            }
            Ok(patience) => {
                end(child, patience);
                return None;
            }
            Err(RecvTimeoutError::Disconnected) => {
                end(child, Duration::ZERO);
                return None;
            }
        }
    }
}

/// Ends the child: asks it, and kills it when it has not within `patience`.
#[allow(unsafe_code)] // kill(2) has no safe wrapper in the standard library
fn end(child: &mut Child, patience: Duration) {
    if !patience.is_zero() {
        // SAFETY: a plain system call; the child is not reaped yet, so its id is not reused.
        unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            if matches!(child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Has the kernel kill the process when the thread that starts it ends, and lets it stand back by `nice`.
#[allow(unsafe_code)] // pre_exec is unsafe: what runs in it must be async-signal-safe
pub fn dies_with_us(command: &mut Command, nice: i32) {
    command.process_group(0);
    #[cfg(target_os = "linux")]
    {
        let parent = std::process::id();
        // SAFETY: nice, prctl and getppid are async-signal-safe and touch no memory of ours.
        unsafe {
            command.pre_exec(move || {
                libc::nice(nice);
                if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) != 0 {
                    return Err(std::io::Error::last_os_error());
                }
                // we may have died between fork and prctl
                if libc::getppid() as u32 != parent {
                    return Err(std::io::Error::other("parent is gone"));
                }
                Ok(())
            });
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = nice;
}

fn spawn(spec: &Spec) -> std::io::Result<Child> {
    let log = Arc::new(Mutex::new(RotatingLog::open(&spec.log)?));
    let (program, arguments) =
        spec.command.split_first().ok_or_else(|| std::io::Error::other("empty command"))?;
    let mut command = Command::new(program);
    command.args(arguments).envs(spec.environment.iter().cloned());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    dies_with_us(&mut command, spec.nice);
    let mut child = command.spawn()?;
    if let Some(stdout) = child.stdout.take() {
        copy_lines(stdout, Arc::clone(&log));
    }
    if let Some(stderr) = child.stderr.take() {
        copy_lines(stderr, log);
    }
    Ok(child)
}

fn copy_lines(from: impl Read + Send + 'static, to: Arc<Mutex<RotatingLog>>) {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(from);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            let mut log = to.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            // a full disk must not block the component
            let _ = log.write_all(&line);
            line.clear();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> (Supervisor, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let command = ["sh", "-c", script].map(String::from).to_vec();
        let log = dir.path().join("test.log");
        (
            Supervisor::start(Spec {
                name: "test",
                address: String::new(),
                command,
                environment: vec![],
                log,
                archive: None,
                nice: 0,
            }),
            dir,
        )
    }

    fn wait_until(what: &str, condition: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !condition() {
            assert!(Instant::now() < deadline, "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    #[test]
    fn starts_again_what_dies_and_gives_up_in_the_end() {
        let (supervisor, _dir) = shell("echo 'no such luck'; exit 3");
        wait_until("it never failed", || supervisor.failure().is_some());
        let why = supervisor.failure().unwrap();
        assert!(why.contains("exit status: 3") && why.contains("no such luck"), "{why}");
        assert_eq!(supervisor.component().restarts, MAX_DEATHS - 1);
    }

    #[test]
    fn stops_politely_or_not() {
        let (mut supervisor, dir) =
            shell("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
        wait_until("it never started", || tail(&dir.path().join("test.log"), 1) == "ready");
        supervisor.stop(Duration::from_secs(10));
        assert_eq!(supervisor.component().state, State::Stopped);
        wait_until("it did not end by itself", || tail(&dir.path().join("test.log"), 1) == "bye");
        let (mut stubborn, dir) = shell("trap '' TERM; echo ready; while :; do sleep 0.05; done");
        wait_until("it never started", || tail(&dir.path().join("test.log"), 1) == "ready");
        stubborn.stop(Duration::from_millis(100));
        assert_eq!(stubborn.component().state, State::Stopped);
    }

    #[test]
    fn back_off_grows_to_a_limit() {
        assert_eq!(back_off(1), Duration::from_millis(200));
        assert_eq!(back_off(3), Duration::from_millis(800));
        assert_eq!(back_off(40), Duration::from_secs(10));
    }
}

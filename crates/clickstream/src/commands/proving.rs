//! The proof that runs beside `up`, for the footer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clickstream_event::{Timestamp, topic};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::console::live::ProofState;
use crate::logs::Log;
use crate::proof::follow::Follower;

/// Steps come no faster than this.
const MIN_STEP: Duration = Duration::from_secs(5);
/// Beyond this rate a second count beside the first would take a core of its own.
pub const MAX_RATE: f64 = 20_000.0;

/// Makes a reader of the log.
pub type OpenLog = Box<dyn Fn() -> Box<dyn Log + Send> + Send>;

/// Proves what is written from now on, in a thread of its own; the state is for the footer.
pub fn start(config: &Config, open: OpenLog, shutdown: CancellationToken) -> Arc<Mutex<ProofState>> {
    let state = Arc::<Mutex<ProofState>>::default();
    if config.generator.rate > MAX_RATE && config.generate {
        return state;
    }
    let windows = config.stack.job.windows;
    let step = Duration::from_millis(windows.slide_ms() as u64).max(MIN_STEP);
    let mut proving = Proving {
        engine: config.engine_config(),
        since: Timestamp(Timestamp::now().0 - windows.size_ms() - windows.slide_ms()),
        settings_since: config.settings_since,
        open,
        follower: None,
        before: ProofState::default(),
        now: ProofState::default(),
        shown: 0,
    };
    let shown = Arc::clone(&state);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(step) => {}
            }
            let stepped = tokio::task::spawn_blocking(move || {
                proving.step();
                proving
            });
            match stepped.await {
                Ok(stepped) => proving = stepped,
                Err(error) => {
                    tracing::warn!(%error, "the proof in the footer broke");
                    return;
                }
            }
            *shown.lock().unwrap_or_else(PoisonError::into_inner) = proving.state();
        }
    });
    state
}

struct Proving {
    engine: clickstream_engine::Config,
    /// Windows that begin from here on are proven.
    since: Timestamp,
    settings_since: Option<Timestamp>,
    open: OpenLog,
    follower: Option<Follower>,
    /// What earlier followers have found.
    before: ProofState,
    /// What the present one has found.
    now: ProofState,
    /// Differences that were logged.
    shown: usize,
}

impl Proving {
    /// Reads what has come; where that fails, as while the broker restarts, the next step begins anew behind the windows that are
    /// proven.
    fn step(&mut self) {
        if let Err(error) = self.try_step() {
            tracing::info!(
                why = crate::explain(&error),
                "the log cannot be read for the proof at the moment"
            );
            self.before = self.state();
            self.now = ProofState::default();
            self.follower = None;
            self.shown = 0;
            if let Some(to) = self.before.proven_to {
                let windows = self.engine.windows;
                self.since = Timestamp(to.0 - windows.size_ms() + windows.slide_ms());
            }
        }
    }

    fn try_step(&mut self) -> anyhow::Result<()> {
        let follower = match &mut self.follower {
            Some(follower) => follower,
            None => self.follower.insert(
                Follower::new((self.open)(), self.engine, Some(self.since), false)?
                    .with_settings_since(self.settings_since),
            ),
        };
        let report = follower.step()?;
        for difference in report.differences.iter().skip(self.shown).take(10) {
            tracing::error!(difference = ?difference, "differs from the recount");
        }
        self.shown = report.differences.len();
        let of_rows = report.topics.iter().filter(|(name, _)| **name != topic::DEAD_LETTERS);
        self.now = ProofState {
            proven_to: report.proven_to,
            rows: of_rows.map(|(_, topic)| topic.equal).sum(),
            problems: report.problems(),
        };
        Ok(())
    }

    fn state(&self) -> ProofState {
        ProofState {
            proven_to: self.before.proven_to.max(self.now.proven_to),
            rows: self.before.rows + self.now.rows,
            problems: self.before.problems + self.now.problems,
        }
    }
}

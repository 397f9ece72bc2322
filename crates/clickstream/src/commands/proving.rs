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

/// Proves what is written from now on, in a thread of its own; the state is for the footer.
pub fn start(
    config: &Config,
    log: Box<dyn Log + Send>,
    shutdown: CancellationToken,
) -> Arc<Mutex<ProofState>> {
    let state = Arc::<Mutex<ProofState>>::default();
    if config.generator.rate > MAX_RATE && config.generate {
        return state;
    }
    let windows = config.stack.job.windows;
    let engine = config.engine_config();
    let step = Duration::from_millis(windows.slide_ms() as u64).max(MIN_STEP);
    let shown = Arc::clone(&state);
    tokio::spawn(async move {
        let since = Timestamp(Timestamp::now().0 - windows.size_ms() - windows.slide_ms());
        let mut log = Some(log);
        let mut follower = None;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(step) => {}
            }
            let taken = (follower.take(), log.take());
            let stepped = tokio::task::spawn_blocking(move || {
                let mut follower = match taken {
                    (Some(follower), _) => follower,
                    (None, Some(log)) => Follower::new(log, engine, Some(since), false)?,
                    (None, None) => anyhow::bail!("no log"),
                };
                let report = follower.step()?;
                let state = ProofState {
                    proven_to: report.proven_to,
                    rows: report
                        .topics
                        .iter()
                        .filter(|(name, _)| **name != topic::DEAD_LETTERS)
                        .map(|(_, t)| t.equal)
                        .sum(),
                    problems: report.problems(),
                };
                Ok((follower, state))
            });
            match stepped.await {
                Ok(Ok((stepped, state))) => {
                    if state.problems > 0 {
                        tracing::error!(problems = state.problems, "rows differ from the recount");
                    }
                    *shown.lock().unwrap_or_else(PoisonError::into_inner) = state;
                    follower = Some(stepped);
                }
                Ok(Err(error)) => {
                    // while the broker restarts nothing can be read; what was proven stays proven, and proving ends
                    tracing::warn!(
                        why = crate::explain(&error),
                        "the proof in the footer ended; `clickstream verify` proves the whole log"
                    );
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "the proof in the footer broke");
                    return;
                }
            }
        }
    });
    state
}

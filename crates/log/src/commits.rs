//! Waiting for a commit, in the writer's process.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Tells of commits of records to any topic of a [`crate::Log`]. Clones tell of the same.
///
/// Take [`count`](Self::count), read until a reader has nothing more, then [`wait`](Self::wait) for another count:
/// no commit is missed.
#[derive(Clone, Default)]
pub struct Commits {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    count: u64,
    callbacks: Vec<Arc<dyn Fn() + Send + Sync>>,
}

impl Commits {
    /// Commits so far.
    pub fn count(&self) -> u64 {
        self.state().count
    }

    /// Waits until there were more than `seen` commits, at most for `timeout`; returns their number.
    pub fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let waited = self.shared.changed.wait_timeout_while(self.state(), timeout, |s| s.count <= seen);
        waited.unwrap_or_else(PoisonError::into_inner).0.count
    }

    /// Calls `callback` after every commit from now on, on the thread that commits: it must be quick.
    pub fn on_commit(&self, callback: impl Fn() + Send + Sync + 'static) {
        self.state().callbacks.push(Arc::new(callback));
    }

    /// There was a commit.
    pub(crate) fn tell(&self) {
        let callbacks = {
            let mut state = self.state();
            state.count += 1;
            state.callbacks.clone()
        };
        self.shared.changed.notify_all();
        // without the lock: a callback may ask for the count
        callbacks.iter().for_each(|callback| callback());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Commits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commits").field("count", &self.count()).finish()
    }
}

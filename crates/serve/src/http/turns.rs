//! Turns for what takes long: few at once, some wait, and the rest is told to come again.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// Explanations at once. Each reads a part of the log and recounts it: more would take the machine from the pipeline.
const AT_ONCE: usize = 2;
/// Questions that wait for that.
const WAITING: usize = 8;
/// When to ask again, in seconds.
const AGAIN_S: u32 = 2;

/// Who may explain.
#[derive(Debug)]
pub struct Turns {
    turns: Arc<Semaphore>,
    /// Of those that have a turn or wait for one.
    places: Arc<Semaphore>,
}

/// A turn, as long as it lives.
#[derive(Debug)]
pub struct Turn {
    _turn: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
}

impl Default for Turns {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), places: Arc::new(Semaphore::new(AT_ONCE + WAITING)) }
    }
}

impl Turns {
    /// Waits for a turn, unless too many wait already.
    pub async fn take(&self) -> Result<Turn, Problem> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| busy())?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| busy())?;
        Ok(Turn { _turn: turn, _place: place })
    }
}

fn busy() -> Problem {
    let why = format!(
        "{} numbers are being explained or wait for it, and each recounts a part of the log; ask again in a moment",
        AT_ONCE + WAITING
    );
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, why).again_in(AGAIN_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn few_at_once_some_wait_and_the_rest_is_sent_away() {
        let turns = Arc::new(Turns::default());
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.take().await.unwrap());
        }
        let waiting: Vec<_> = (0..WAITING)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.take().await.map(drop) })
            })
            .collect();
        while turns.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert!(turns.take().await.is_err());
        assert_eq!(turns.turns.available_permits(), 0);
        // who hangs up while it waits gives its place to another
        waiting[0].abort();
        while turns.places.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        drop(held);
        for (n, waited) in waiting.into_iter().enumerate() {
            assert_eq!(waited.await.is_ok_and(|turn| turn.is_ok()), n > 0);
        }
        assert_eq!(turns.places.available_permits(), AT_ONCE + WAITING);
    }
}

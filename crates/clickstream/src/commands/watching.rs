//! What whoever watches a pipeline does alike, `up`, `up --embedded` and `serve`: rows come in, and once a second figures are made of
//! them. Where the rest of the figures come from is each command's own affair.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clickstream_event::Timestamp;
use clickstream_event::rows::Anomaly;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::console::live::{Footer, ProofState};
use crate::results::{Arrived, Assembler, Latencies, Window};

/// After so many seconds latencies are forgotten.
const FORGET_AFTER: u64 = 60;

/// A pipeline as its rows show it.
pub struct Watching {
    /// The figures, as of the last [`Watching::second`].
    pub footer: Footer,
    assembler: Assembler,
    latencies: Latencies,
    proof: Arc<Mutex<ProofState>>,
    session_gap_ms: i64,
    /// Latencies are taken of windows that end later.
    since: Timestamp,
    last_row: Instant,
    seconds: u64,
}

impl Watching {
    /// Nothing has come yet. Windows that ended at `since` or before are made up for, not measured.
    pub fn new(proof: Arc<Mutex<ProofState>>, session_gap_ms: i64, since: Timestamp) -> Self {
        Self {
            footer: Footer::default(),
            assembler: Assembler::default(),
            latencies: Latencies::default(),
            proof,
            session_gap_ms,
            since,
            last_row: Instant::now(),
            seconds: 0,
        }
    }

    /// Takes a row. An anomaly is given back: it belongs to no window.
    pub fn take(&mut self, arrived: Arrived) -> Option<Anomaly> {
        if let Some(end) = arrived.row.settled_at(self.session_gap_ms) {
            self.last_row = Instant::now();
            if end > self.since {
                self.latencies.record(arrived.topic, end, arrived.at);
            }
        }
        match arrived.row.into_anomaly() {
            Ok(anomaly) => Some(anomaly),
            Err(row) => {
                self.assembler.take(Arrived { row, ..arrived });
                None
            }
        }
    }

    /// Windows that are complete now.
    pub fn windows(&mut self) -> Vec<Window> {
        self.assembler.complete(Timestamp::now())
    }

    /// Brings the figures up to date, once a second; says how many seconds there were before.
    pub fn second(&mut self) -> u64 {
        let before = self.seconds;
        self.seconds += 1;
        if self.seconds.is_multiple_of(FORGET_AFTER) {
            self.latencies.age();
        }
        self.footer.result_latency = self.latencies.overall();
        (self.footer.late, self.footer.bad) = self.assembler.dead();
        self.footer.proof = *self.proof.lock().unwrap_or_else(PoisonError::into_inner);
        before
    }

    /// How long no row of a result topic has come.
    pub fn silent_for(&self) -> Duration {
        self.last_row.elapsed()
    }

    /// Dead letters by reason.
    pub fn reasons(&self) -> BTreeMap<String, u64> {
        self.assembler.reasons()
    }
}

/// Ticks every `period`; ticks that were missed are not made up for.
pub fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

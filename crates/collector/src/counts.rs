//! What became of everything that was sent.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters that go up.
#[derive(Debug, Default)]
pub struct Counters {
    accepted: AtomicU64,
    repeated: AtomicU64,
    not_counted: AtomicU64,
    rate_limited: AtomicU64,
    overloaded: AtomicU64,
    unauthorized: AtomicU64,
    bytes: AtomicU64,
    rejected: Mutex<BTreeMap<&'static str, u64>>,
}

/// Their values.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Events that are in the log.
    pub accepted: u64,
    /// Messages that were in the log already.
    pub repeated: u64,
    /// Messages that are rightly sent and counted nowhere, such as Segment's `identify`.
    pub not_counted: u64,
    /// Messages that went to the dead letters, by reason.
    pub rejected: BTreeMap<&'static str, u64>,
    /// Requests sent away because their address or key sent too much.
    pub rate_limited: u64,
    /// Requests sent away because the log did not acknowledge in time, or too many waited.
    pub overloaded: u64,
    /// Requests with a key that is none.
    pub unauthorized: u64,
    /// Bytes of bodies, as they came.
    pub bytes: u64,
}

impl Counters {
    pub(crate) fn accepted(&self, events: u64) {
        self.accepted.fetch_add(events, Ordering::Relaxed);
    }

    pub(crate) fn repeated(&self, messages: u64) {
        self.repeated.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn not_counted(&self, messages: u64) {
        self.not_counted.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        *self.rejected.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
    }

    pub(crate) fn rate_limited(&self) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn overloaded(&self) {
        self.overloaded.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn unauthorized(&self) {
        self.unauthorized.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self, bytes: usize) {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Their values now.
    pub fn counts(&self) -> Counts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            accepted: get(&self.accepted),
            repeated: get(&self.repeated),
            not_counted: get(&self.not_counted),
            rejected: self.rejected.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            rate_limited: get(&self.rate_limited),
            overloaded: get(&self.overloaded),
            unauthorized: get(&self.unauthorized),
            bytes: get(&self.bytes),
        }
    }
}

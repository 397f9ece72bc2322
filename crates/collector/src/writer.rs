//! The last step into the log: what arrives gets its time at the moment it is handed over, one request after the other.
//!
//! A record is late if the log has one of its partition that is more than the allowed disorder newer. On a machine that is busy, a request
//! may wait that long between any two steps. So times are given under one lock together with the hand-over: the order in the log is
//! the order of the times.
//!
//! No record is handed over before the time it carries: its arrival would become its event time, and page views that were kept apart
//! would come together again. Page views of one session that have to be kept apart wait until the clock has passed.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clickstream_event::Timestamp;
use futures_util::future::join_all;

use crate::clock::{Apart, MAX_BEHIND_MS};
use crate::intake::{BoxFuture, Intake, IntakeError, Record};

/// Where the time stands in an event's canonical form.
const TIME: std::ops::Range<usize> = 14..38;

/// What time a record gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum At {
    /// None: it is no event.
    No,
    /// When it is handed over.
    Arrival,
    /// This one.
    Client(Timestamp),
}

/// A record on its way.
#[derive(Clone, Debug)]
pub struct Pending {
    /// What time it gets.
    pub at: At,
    /// For a page view, its session.
    pub session: Option<u64>,
    /// The record, with any time in it.
    pub record: Record,
}

/// Hands records over. Cheap to clone.
#[derive(Clone)]
pub struct Writer {
    intake: Arc<dyn Intake>,
    hasher: RandomState,
    apart: Arc<Mutex<Apart>>,
}

impl Writer {
    /// Into this log.
    pub fn new(intake: Arc<dyn Intake>) -> Self {
        Self { intake, hasher: RandomState::new(), apart: Arc::default() }
    }

    /// A session, for [`Pending`].
    pub fn session(&self, site: &str, session: &str) -> u64 {
        self.hasher.hash_one((site, session))
    }

    /// Resolves when all records are acknowledged, or one is not.
    pub async fn write(&self, mut waiting: Vec<Pending>) -> Result<(), IntakeError> {
        let mut appends = Vec::new();
        let mut first = true;
        while !waiting.is_empty() {
            appends.extend(self.hand_over(&mut waiting, !first));
            first = false;
            if !waiting.is_empty() {
                // one page view of a session finds a millisecond in each that passes
                let pause = (waiting.len() as u64).min(MAX_BEHIND_MS as u64);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
        join_all(appends).await.into_iter().collect()
    }

    /// Hands over what can have its time now; the rest stays in `waiting`.
    fn hand_over(
        &self,
        waiting: &mut Vec<Pending>,
        waited: bool,
    ) -> Option<BoxFuture<'static, Result<(), IntakeError>>> {
        let mut apart = self.apart.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Timestamp::now();
        let mut records = Vec::with_capacity(waiting.len());
        let mut text = Vec::with_capacity(TIME.len());
        waiting.retain_mut(|pending| {
            let own = match pending.at {
                At::Client(at) => Some(at.min(now)),
                At::No | At::Arrival => None,
            };
            let at = match pending.session {
                Some(session) => match apart.time(session, own, waited, now) {
                    Some(at) => at,
                    None => return true,
                },
                None => own.unwrap_or(now),
            };
            if pending.at != At::No
                && let Some(place) = pending.record.value.get_mut(TIME)
            {
                text.clear();
                at.write_to(&mut text);
                place.copy_from_slice(&text);
            }
            records.push(std::mem::replace(&mut pending.record, Record { key: None, value: Vec::new() }));
            false
        });
        // within the lock: whoever has a later time comes later
        (!records.is_empty()).then(|| self.intake.append(records))
    }
}

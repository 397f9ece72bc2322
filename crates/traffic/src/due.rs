//! When the next event of the sample traffic is due, for heartbeats of the same log.

use std::sync::atomic::{AtomicI64, Ordering};

use clickstream_event::Timestamp;

/// When the next event is due. Whoever has nothing to send is never due.
#[derive(Debug)]
pub struct Due(AtomicI64);

impl Default for Due {
    fn default() -> Self {
        Self(AtomicI64::new(i64::MAX))
    }
}

impl Due {
    /// Notes when the next event is due; `None`: there are no more.
    pub fn set(&self, next: Option<Timestamp>) {
        self.0.store(next.map_or(i64::MAX, |Timestamp(at)| at), Ordering::Relaxed);
    }

    /// The time that a heartbeat may carry now. An event may be sent some tenths of a second after it was due, where the machine is busy:
    /// it would be late behind a heartbeat that tells the present time.
    pub fn not_after(&self, now: Timestamp) -> Timestamp {
        now.min(Timestamp(self.0.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_heartbeats_back_while_an_event_is_overdue() {
        let (due, now) = (Due::default(), Timestamp(1_000));
        assert_eq!(due.not_after(now), now);
        due.set(Some(Timestamp(1_010)));
        assert_eq!(due.not_after(now), now);
        due.set(Some(Timestamp(800)));
        assert_eq!(due.not_after(now), Timestamp(800));
        due.set(None);
        assert_eq!(due.not_after(now), now);
    }
}

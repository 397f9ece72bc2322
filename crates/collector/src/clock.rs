//! What time an event gets, and how page views of one session are kept apart.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use clickstream_event::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Whose clock says when something was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EventTime {
    /// Ours, when the request arrives. Nothing is late then, and nobody's wrong clock matters.
    #[default]
    Arrival,
    /// The client's, corrected by when it says it sent the request, as its tracker defines it. What waited at the client is as old as
    /// it is, and late if that is more than `--max-disorder`.
    Client,
}

impl EventTime {
    /// The time of an event that arrived at `arrived`.
    ///
    /// A client's clock is corrected by `arrived − sent`, the way all three trackers define it: the time between doing and sending is
    /// true on any clock. No event is later than its arrival.
    pub fn of(self, arrived: Timestamp, created: Option<Timestamp>, sent: Option<Timestamp>) -> Timestamp {
        match (self, created, sent) {
            (Self::Arrival, ..) | (Self::Client, None, _) => arrived,
            (Self::Client, Some(created), None) => created.clamp(Timestamp(0), arrived),
            (Self::Client, Some(created), Some(sent)) => {
                let waited = sent.0.saturating_sub(created.0).clamp(0, arrived.0);
                Timestamp(arrived.0 - waited)
            }
        }
    }
}

/// A time as trackers write it: RFC 3339 with any offset.
pub fn read(text: &str) -> Option<Timestamp> {
    Timestamp::parse(text).or_else(|| {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok().filter(|ms| *ms >= 0).map(Timestamp)
    })
}

/// Sessions of which the last page view is known, at most: two such tables of 24 bytes an entry.
const MAX_SESSIONS: usize = 1 << 17;
/// A page view so much older than the last one is no neighbour of it.
const NEAR_MS: i64 = 10_000;

/// Keeps page views of one session apart: two in the same millisecond would have no order, and a way from page to page needs one.
#[derive(Debug, Default)]
pub struct Apart {
    hasher: RandomState,
    tables: Mutex<[HashMap<u64, i64>; 2]>,
}

impl Apart {
    /// The time of a page view: its own, or the first after the last one of its session.
    pub fn time(&self, site: &str, session: &str, at: Timestamp) -> Timestamp {
        let key = self.hasher.hash_one((site, session));
        let mut tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        let last = tables[0].get(&key).or_else(|| tables[1].get(&key)).copied();
        let at = match last {
            Some(last) if at.0 <= last && last - at.0 < NEAR_MS => last + 1,
            _ => at.0,
        };
        if tables[0].len() >= MAX_SESSIONS {
            let old = std::mem::take(&mut tables[0]);
            tables[1] = old;
        }
        let last = last.unwrap_or(at).max(at);
        tables[0].insert(key, last);
        Timestamp(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_clock_that_is_wrong_is_corrected() {
        let (arrived, hour) = (Timestamp(1_795_583_043_021), 3_600_000);
        let of = |created: i64, sent: Option<i64>| {
            EventTime::Client.of(arrived, Some(Timestamp(created)), sent.map(Timestamp)).0 - arrived.0
        };
        assert_eq!(of(arrived.0 - 500, None), -500);
        assert_eq!(of(arrived.0 + hour, None), 0, "nothing is later than its arrival");
        assert_eq!(of(arrived.0 + hour - 2_000, Some(arrived.0 + hour)), -2_000);
        assert_eq!(of(arrived.0, Some(arrived.0 - 5)), 0, "sent before it was done");
        assert_eq!(of(i64::MIN, Some(i64::MAX)), -arrived.0);
        assert_eq!(EventTime::Arrival.of(arrived, Some(Timestamp(1)), None), arrived);
        assert_eq!(EventTime::Client.of(arrived, None, Some(Timestamp(1))), arrived);
    }

    #[test]
    fn times_as_trackers_write_them() {
        for text in
            ["2026-11-25T05:04:03.021Z", "2026-11-25T07:04:03.021+02:00", "2026-11-25T05:04:03.0219999999Z"]
        {
            assert_eq!(read(text), Some(Timestamp(1_795_583_043_021)), "{text}");
        }
        assert_eq!(read("2026-11-25"), None);
        assert_eq!(read("1960-01-01T00:00:00Z"), None);
    }

    proptest! {
        #[test]
        fn page_views_of_a_session_never_share_a_millisecond(times in prop::collection::vec(0i64..20, 1..60)) {
            let apart = Apart::default();
            let given: Vec<i64> = times.iter().map(|at| apart.time("s", "v", Timestamp(1_000_000 + at)).0).collect();
            let mut sorted = given.clone();
            sorted.dedup();
            prop_assert_eq!(&sorted, &given);
            prop_assert!(given.is_sorted());
        }
    }
}

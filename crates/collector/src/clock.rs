//! What time an event gets, and how page views of one session are kept apart.

use std::collections::HashMap;

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

/// A page view that had to wait may be stamped so much behind the clock: less than the disorder that is allowed.
pub const MAX_BEHIND_MS: i64 = 20;

/// Keeps page views of one session apart: two in the same millisecond would have no order, and a way from page to page needs one.
#[derive(Debug, Default)]
pub struct Apart {
    tables: [HashMap<u64, i64>; 2],
}

impl Apart {
    /// The time of a page view at `now`: its own, if it has one, or the first after the last page view of its session. `None` if that
    /// has not come yet. One that has waited already may take a millisecond that has just passed.
    pub fn time(
        &mut self,
        session: u64,
        own: Option<Timestamp>,
        waited: bool,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let last = self.tables[0].get(&session).or_else(|| self.tables[1].get(&session)).copied();
        let wanted = match own {
            Some(own) => own.0,
            None if waited => now.0 - MAX_BEHIND_MS,
            None => now.0,
        };
        let at = match last {
            // farther apart: an old one of a client's queue, or the clock was set back
            Some(last) if wanted <= last && last - wanted < NEAR_MS => last + 1,
            _ => wanted,
        };
        if at > now.0 {
            return None;
        }
        if self.tables[0].len() >= MAX_SESSIONS {
            self.tables[1] = std::mem::take(&mut self.tables[0]);
        }
        // a client's old page view must not hide the newest one; a clock that was set back must
        let newest = last.filter(|last| own.is_some() || last - at < NEAR_MS).map_or(at, |last| last.max(at));
        self.tables[0].insert(session, newest);
        Some(Timestamp(at))
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
        fn page_views_of_a_session_never_share_a_millisecond(
            views in prop::collection::vec((0i64..20, prop::option::of(0i64..50)), 1..60),
        ) {
            let mut apart = Apart::default();
            let (mut now, mut given) = (1_000_000, Vec::new());
            for (passed, own) in views {
                now += passed;
                let own = own.map(|behind| Timestamp(now - behind));
                let mut waited = false;
                let at = loop {
                    match apart.time(7, own, waited, Timestamp(now)) {
                        Some(at) => break at.0,
                        None => now += 1,
                    }
                    waited = true;
                };
                prop_assert!(at <= now && at >= now - 70, "{at} at {now}");
                given.push(at);
            }
            prop_assert!(given.is_sorted_by(|a, b| a < b), "{given:?}");
        }
    }
}

//! Sessions: views of one visitor without a gap.

use std::collections::HashMap;

/// Visitors that are remembered at most.
const MOST: usize = 1_000_000;
/// Views of one session are moved apart by a millisecond each, at most so far; a visitor that is faster begins another session.
const CROWD_MS: i64 = 1_000;

/// A visitor that may come again.
#[derive(Clone, Copy, Debug)]
struct Visit {
    /// When its session began: with the visitor, this names the session.
    began: i64,
    /// Its last view.
    last: i64,
}

/// Which session a view belongs to.
#[derive(Debug)]
pub struct Sessions {
    gap_ms: i64,
    visits: HashMap<u64, Visit>,
    /// When those that are over were last forgotten.
    swept: i64,
    /// Sessions so far.
    pub count: u64,
}

impl Sessions {
    pub fn new(gap_ms: i64) -> Self {
        Self { gap_ms: gap_ms.max(1), visits: HashMap::new(), swept: i64::MIN, count: 0 }
    }

    /// The beginning of the session that a view at `time` belongs to, and the time that the view gets: no two views of a session
    /// share a millisecond. Times must not go back.
    pub fn view(&mut self, visitor: u64, time: i64) -> (i64, i64) {
        self.sweep(time);
        if let Some(visit) = self.visits.get_mut(&visitor) {
            let at = time.max(visit.last + 1);
            if time - visit.last < self.gap_ms && at - time < CROWD_MS {
                visit.last = at;
                return (visit.began, at);
            }
            // sessions of a visitor begin at different times, or they would have one name
            let began = time.max(visit.began + 1);
            *visit = Visit { began, last: time };
            self.count += 1;
            return (began, time);
        }
        self.visits.insert(visitor, Visit { began: time, last: time });
        self.count += 1;
        (time, time)
    }

    /// Forgets who cannot come again into the same session.
    fn sweep(&mut self, time: i64) {
        let full = self.visits.len() >= MOST;
        if time.saturating_sub(self.swept) < self.gap_ms && !full {
            return;
        }
        self.swept = time;
        let gap = self.gap_ms;
        self.visits.retain(|_, visit| time - visit.last < gap);
        if self.visits.len() >= MOST {
            // still too many: those who were away longest
            let mut last: Vec<i64> = self.visits.values().map(|visit| visit.last).collect();
            let (_, median, _) = last.select_nth_unstable(MOST / 2);
            let median = *median;
            self.visits.retain(|_, visit| visit.last > median);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    #[test]
    fn a_gap_ends_a_session() {
        let mut sessions = Sessions::new(1_000);
        assert_eq!(sessions.view(1, 0), (0, 0));
        assert_eq!(sessions.view(2, 10), (10, 10));
        assert_eq!(sessions.view(1, 999), (0, 999));
        assert_eq!(sessions.view(1, 1_998), (0, 1_998));
        assert_eq!(sessions.view(1, 2_998), (2_998, 2_998));
        assert_eq!(sessions.count, 3);
    }

    #[test]
    fn memory_is_bounded() {
        let mut sessions = Sessions::new(1_000_000);
        for visitor in 0..MOST as u64 + 10 {
            sessions.view(visitor, visitor as i64 / 10);
        }
        assert!(sessions.visits.len() <= MOST);
        sessions.view(0, 10_000_000);
        assert_eq!(sessions.visits.len(), 1, "who is long gone is forgotten");
    }

    proptest! {
        #[test]
        fn no_two_views_of_a_session_share_a_millisecond(
            views in prop::collection::vec((0u64..3, prop_oneof![Just(0i64), 0i64..3, 0i64..3_000]), 1..3_000),
        ) {
            let mut sessions = Sessions::new(2_000);
            let (mut now, mut seen) = (0, HashSet::new());
            for (visitor, later) in views {
                now += later;
                let (began, at) = sessions.view(visitor, now);
                prop_assert!(at >= now && at - now < CROWD_MS && began <= at + 1_000);
                prop_assert!(seen.insert((visitor, began, at)), "{visitor} {began} {at}");
            }
        }
    }
}

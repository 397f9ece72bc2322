//! When windows were written, by the clock: how long to wait for what is missing.

use std::collections::BTreeMap;

use clickstream_event::Timestamp;

use super::RECOVERY_MS;

/// What was written so long ago says nothing of the pipeline's present speed, in milliseconds.
const RECENT_MS: i64 = 600_000;
/// However late windows were, no longer than this is waited on top of [`RECOVERY_MS`], in milliseconds.
const LONGEST_LATE_MS: i64 = 180_000;

/// By the end of a window, when the last of its rows of sites was written.
#[derive(Default)]
pub(super) struct Arrivals(BTreeMap<Timestamp, Timestamp>);

impl Arrivals {
    /// A site's row of the window that ended then was written.
    pub fn take(&mut self, end: Timestamp, arrival: Timestamp) {
        let last = self.0.entry(end).or_insert(arrival);
        *last = arrival.max(*last);
    }

    /// End of the newest window.
    pub fn newest(&self) -> Option<Timestamp> {
        self.0.keys().next_back().copied()
    }

    /// End of the newest window of which all rows should be there at `now`; none, if there is no such window yet.
    ///
    /// After a pause event time leaps: a dozen windows, and the sessions of minutes, are to be written at once, each topic at a speed of
    /// its own, by a job that has just started. So the later windows were, the longer is waited.
    pub fn whole_to(&self, now: Timestamp) -> Option<Timestamp> {
        let recent = self.0.iter().filter(|(_, at)| now.0 - at.0 <= RECENT_MS);
        let late = recent.map(|(end, at)| at.0 - end.0).max().unwrap_or(0).clamp(0, LONGEST_LATE_MS);
        let mut newest_first = self.0.iter().rev();
        newest_first.find(|(_, at)| at.0 + RECOVERY_MS + late <= now.0).map(|(end, _)| *end)
    }

    /// Forgets windows that ended before a time.
    pub fn forget(&mut self, before: Timestamp) {
        self.0.retain(|end, _| *end >= before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_late_is_waited_for_longer() {
        let at = |second: i64| Timestamp(second * 1_000);
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.whole_to(at(1_000)), None);
        for end in [1_000, 1_010, 1_020] {
            arrivals.take(at(end), at(end));
        }
        assert_eq!(arrivals.whole_to(at(1_059)), None);
        assert_eq!(arrivals.whole_to(at(1_070)), Some(at(1_010)));
        // two minutes later all windows of the pause come at once
        for end in (1_030..=1_140).step_by(10) {
            arrivals.take(at(end), at(1_150));
        }
        assert_eq!(arrivals.whole_to(at(1_150 + 60 + 119)), Some(at(1_020)));
        assert_eq!(arrivals.whole_to(at(1_150 + 60 + 120)), Some(at(1_140)));
        // later only the usual time
        arrivals.take(at(2_000), at(2_000));
        assert_eq!(arrivals.whole_to(at(2_060)), Some(at(2_000)));
        arrivals.forget(at(2_001));
        assert_eq!(arrivals.whole_to(at(9_000)), None);
    }
}

//! Whether the state of a job can still be trusted: it expires by the clock, results go by event time.
//!
//! What the job remembers of a user expires [`SLACK`] after a window, on the clock of the machine. As long as event time keeps pace
//! with that clock, nothing expires that a result needs. It does not where the watermark stood still and goes on: Kafka was away, the
//! machine slept, a partition was silent without heartbeats, or Flink restored an older checkpoint. Then what is counted next
//! comes too late for what is remembered, users seem new, and the log must be replayed.
//!
//! A job that is merely too slow loses the same ground in small steps. To replay the log would not make it faster, so that is
//! told and not acted upon.

use std::collections::VecDeque;

use clickstream_event::Timestamp;

use super::resume::SLACK;

/// The watermark may fall back this much at once, in milliseconds; a little less than state outlives its use.
const LIMIT_MS: i64 = SLACK.as_millis() as i64 - 5_000;
/// Lags are kept by so many milliseconds.
const BUCKET_MS: i64 = 10_000;

/// What the watermark says of the job's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// What results need is remembered.
    Sound,
    /// The watermark stood still, or went back, for longer than state outlives its use.
    Expired,
    /// The job falls behind its input, slowly, and by so many milliseconds since it was last ahead.
    TooSlow(i64),
}

/// Watches the watermark of a job.
#[derive(Debug)]
pub(super) struct Outage {
    /// How long lags are kept: what is remembered longer is not asked for any more.
    memory_ms: i64,
    /// The newest watermark, and when it was seen first.
    last: Option<(i64, i64)>,
    /// The least lag by time, the oldest first.
    lags: VecDeque<(i64, i64)>,
    /// What was found last.
    found: Finding,
}

impl Outage {
    /// Of a job with windows of `window_ms`.
    pub(super) fn new(window_ms: i64) -> Self {
        Self {
            memory_ms: window_ms + SLACK.as_millis() as i64,
            last: None,
            lags: VecDeque::new(),
            found: Finding::Sound,
        }
    }

    /// Forgets everything: the log is replayed.
    pub(super) fn reset(&mut self) {
        (self.last, self.found) = (None, Finding::Sound);
        self.lags.clear();
    }

    /// Takes the watermark of this time.
    pub(super) fn see(&mut self, Timestamp(now): Timestamp, Timestamp(watermark): Timestamp) -> Finding {
        let Some((before, since)) = self.last else {
            self.last = Some((watermark, now));
            return Finding::Sound;
        };
        if watermark == before {
            return self.found;
        }
        self.last = Some((watermark, now));
        // what is counted next is at least as old as the lesser of the two, and what was counted last was as old as `before` then
        if (now - watermark.min(before)) - (since - before) > LIMIT_MS {
            return Finding::Expired;
        }
        let lag = now - watermark;
        match self.lags.back_mut() {
            Some((bucket, least)) if now - *bucket < BUCKET_MS => *least = lag.min(*least),
            _ => self.lags.push_back((now, lag)),
        }
        while self.lags.front().is_some_and(|(bucket, _)| now - bucket > self.memory_ms) {
            self.lags.pop_front();
        }
        let least = self.lags.iter().map(|(_, least)| *least).min().unwrap_or(lag);
        self.found = if lag - least > LIMIT_MS { Finding::TooSlow(lag) } else { Finding::Sound };
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found over times at which the watermark was so far behind, in seconds.
    fn findings(lags: &[(i64, i64)]) -> Vec<Finding> {
        let mut outage = Outage::new(300_000);
        let see = |(at, lag): &(i64, i64)| outage.see(Timestamp(at * 1_000), Timestamp((at - lag) * 1_000));
        lags.iter().map(see).collect()
    }

    #[test]
    fn a_watermark_that_keeps_pace_or_catches_up_is_sound() {
        let steady: Vec<_> = (0..1_000).map(|at| (at, 1)).collect();
        assert!(findings(&steady).iter().all(|finding| *finding == Finding::Sound));
        let catching_up: Vec<_> = (0..1_000).map(|at| (at, (4_000 - 4 * at).max(1))).collect();
        assert!(findings(&catching_up).iter().all(|finding| *finding == Finding::Sound));
    }

    #[test]
    fn a_stand_still_is_told_once_it_is_over() {
        // the watermark of second 10 stays for a while, then it is as new as ever, or goes on where it was
        for (stood, lag_then, expected) in
            [(50, 1, Finding::Sound), (70, 1, Finding::Expired), (70, 70, Finding::Expired)]
        {
            let mut lags: Vec<_> = (0..10).map(|at| (at, 1)).collect();
            lags.extend((10..10 + stood).map(|at| (at, at - 8)));
            assert!(findings(&lags).iter().all(|finding| *finding == Finding::Sound));
            lags.push((10 + stood, lag_then));
            assert_eq!(findings(&lags).last(), Some(&expected), "{stood} s");
        }
    }

    #[test]
    fn an_old_checkpoint_is_noticed_by_the_watermark_that_went_back() {
        assert_eq!(findings(&[(100, 1), (101, 1), (120, 45)])[2], Finding::Sound);
        assert_eq!(findings(&[(100, 1), (101, 1), (120, 80)])[2], Finding::Expired);
    }

    #[test]
    fn a_slow_job_is_no_outage() {
        // two thirds as fast as its input
        let lags: Vec<_> = (0..400).map(|at| (at, 1 + at / 3)).collect();
        let findings = findings(&lags);
        assert!(findings.iter().all(|finding| *finding != Finding::Expired));
        assert!(matches!(findings[399], Finding::TooSlow(_)) && findings[100] == Finding::Sound);
    }
}

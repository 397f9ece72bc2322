//! When checkpoints are taken: in the middle of a slide.
//!
//! A snapshot takes a core for some hundred milliseconds, and so does the end of a window. Flink's own interval begins whenever the job
//! happened to start; where the two meet, every result of that window is late, and they meet again at the next one. So we ask
//! for checkpoints ourselves, when no window ends. Flink's interval stays behind it, three times as long, for a job that nobody
//! looks after.
//!
//! Where a snapshot takes long, because the state is large or the machine busy, the next one waits in proportion: it would take from
//! the job the time that it has too little of.

use std::time::{Duration, Instant};

/// Slides shorter than this have no middle that would be worth waiting for.
const SHORTEST_SLIDE: Duration = Duration::from_secs(4);

/// Of so many parts of the time, snapshots take one at most.
const PARTS: u32 = 4;

/// The rhythm of checkpoints.
#[derive(Debug)]
pub(super) struct Rhythm {
    interval: Duration,
    slide: Duration,
    /// The last one: of what job, and when it was begun.
    last: Option<(String, Instant)>,
}

impl Rhythm {
    /// Checkpoints about every `interval`, for windows that slide by `slide`.
    pub(super) fn new(interval: Duration, slide: Duration) -> Self {
        Self { interval, slide, last: None }
    }

    /// Whether one of the job is due, `since_epoch` being the time of day, if the last one `took` so long. Of a job that had none,
    /// nothing is saved yet.
    pub(super) fn is_due(&self, job: &str, now: Instant, since_epoch: Duration, took: Duration) -> bool {
        let Some((_, last)) = self.last.as_ref().filter(|(of, _)| of == job) else { return true };
        let since = now.saturating_duration_since(*last);
        let interval = self.interval.max(took * PARTS);
        if self.slide < SHORTEST_SLIDE || interval < self.slide {
            return since >= interval;
        }
        let into_slide = since_epoch.as_millis() % self.slide.as_millis();
        let in_the_middle = (3..=7).contains(&(into_slide * 10 / self.slide.as_millis()));
        // two middles are whole slides apart, but for the time of the one who asks
        in_the_middle && since + self.slide * 2 / 5 >= interval || since >= interval + self.slide
    }

    /// Notes that one of the job was begun.
    pub(super) fn begun(&mut self, job: &str, now: Instant) {
        self.last = Some((job.to_owned(), now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of checkpoints in milliseconds, if somebody asks every 500 ms.
    fn times(interval_s: u64, slide_s: u64, until_s: u64, offset_ms: u64) -> Vec<u64> {
        times_of(interval_s, slide_s, until_s, offset_ms, 300)
    }

    /// The same, of checkpoints that take this long.
    fn times_of(interval_s: u64, slide_s: u64, until_s: u64, offset_ms: u64, took_ms: u64) -> Vec<u64> {
        let mut rhythm = Rhythm::new(Duration::from_secs(interval_s), Duration::from_secs(slide_s));
        let start = Instant::now();
        let ask = |rhythm: &mut Rhythm, ms: u64| {
            let now = start + Duration::from_millis(ms);
            let due = rhythm.is_due(
                "job",
                now,
                Duration::from_millis(1_795_000_000_000 + ms),
                Duration::from_millis(took_ms),
            );
            if due {
                rhythm.begun("job", now);
            }
            due
        };
        (0..until_s * 2).map(|n| offset_ms + n * 500).filter(|ms| ask(&mut rhythm, *ms)).collect()
    }

    #[test]
    fn every_second_slide_in_its_middle() {
        for offset_ms in [0, 130, 499] {
            let times = times(20, 10, 200, offset_ms);
            assert_eq!(times[0], offset_ms, "nothing is saved yet");
            let apart: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert!(apart.iter().all(|ms| (16_000..=20_000).contains(ms)), "{times:?}");
            assert!(apart[2..].iter().all(|ms| *ms == 20_000), "{times:?}");
            assert!(times[1..].iter().all(|ms| (3_000..8_000).contains(&(ms % 10_000))), "{times:?}");
        }
    }

    #[test]
    fn another_job_is_saved_at_once() {
        let mut rhythm = Rhythm::new(Duration::from_secs(20), Duration::from_secs(10));
        let now = Instant::now();
        rhythm.begun("one", now);
        let is_due = |job: &str| rhythm.is_due(job, now, Duration::ZERO, Duration::ZERO);
        assert!(!is_due("one") && is_due("other"));
    }

    #[test]
    fn slow_ones_are_rarer() {
        let apart: Vec<u64> =
            times_of(20, 10, 300, 0, 13_000).windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(apart[1..].iter().all(|ms| *ms == 50_000), "{apart:?}");
    }

    #[test]
    fn short_slides_and_short_intervals_wait_for_nothing() {
        assert_eq!(times(2, 1, 7, 0), [0, 2_000, 4_000, 6_000]);
        assert_eq!(times(5, 10, 16, 0), [0, 5_000, 10_000, 15_000]);
    }
}

//! Whether the state of a job can still be trusted: it expires by the clock, results go by event time.
//!
//! What the job remembers of a user is kept for a window and some slack more, on the clock of the machine. As long as event time keeps
//! pace with that clock, nothing expires that a result needs. It does not if the watermark stands still and goes on (Kafka was away, the
//! machine slept, Flink restored an older checkpoint), nor if a job is slower than its input.
//!
//! Let `lag(t)` be how far event time was behind the clock at `t`. What was written at `t` and is asked for a window later, in event time, is
//! then `window + lag(now) - lag(t)` old by the clock. So state holds all that is asked for as long as the lag has grown by no more than the slack
//! since its least value of that time: that growth is the *strain*. Once it comes near the slack, state must be kept longer; once it is
//! over it, something may be forgotten.

use std::collections::VecDeque;
use std::time::Duration;

use clickstream_event::Timestamp;
use serde::{Deserialize, Serialize};

use super::resume::SLACK;

/// The strain is measured once a second, so this much of the slack is not counted on.
const UNSEEN: Duration = Duration::from_secs(5);
/// A job that falls behind has its state kept longer when less than this is left of the slack.
const RESERVE: Duration = Duration::from_secs(12);
/// So long, in milliseconds, the lag must have grown bit by bit to be called slowness: a job that has just started is slow until the
/// JVM has compiled it.
const GROWING_MS: i64 = 40_000;
/// The watermark is seen more often than this, or it has leapt, in milliseconds.
const LEAP_MS: i64 = 10_000;
/// An older checkpoint than this is not restored.
const MOST_REPEATED: Duration = Duration::from_secs(300);
/// Of what was seen in so many milliseconds, one time is noted.
const APART_MS: i64 = 5_000;
/// A slack beyond this takes memory that would better be free; an outage alone does not ask for so much.
const LONG: Duration = Duration::from_secs(180);
/// A strain below this is what a busy machine has now and then.
const EASY: Duration = Duration::from_secs(15);
/// A strain beyond this is told: something is wrong with the job's speed.
const SLOW: Duration = Duration::from_secs(40);

/// What the watermark says of the job's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// What results need is remembered.
    Sound,
    /// It still is, but the job is slower than its input, and state must be kept longer.
    Strained,
    /// The watermark stood still, or went back, for longer than state outlives its use: something may be forgotten.
    Expired,
    /// State has been kept longer for a while, and needs not to be any more.
    Relaxed,
}

/// Watches how event time goes by the clock.
#[derive(Debug)]
pub(super) struct Pace {
    reach: Duration,
    /// How long state outlives its use.
    slack: Duration,
    /// The watermark by time, in milliseconds, the oldest first: as far back as state reaches.
    seen: VecDeque<(i64, i64)>,
    /// The same where the lag was least before it was watched.
    before: Option<(i64, i64)>,
    /// Since when the usual slack would do.
    easy_since: Option<i64>,
    /// When it was looked at last, and the last time before the watermark went on.
    looked: i64,
    stood: i64,
    found: Finding,
}

/// What is known of the pace, for whoever watches the same job, or its state, later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Known {
    /// The watermark by time, the oldest first: enough to tell how far a checkpoint was behind.
    seen: Vec<(i64, i64)>,
    /// The least lag that counts.
    least_lag: i64,
}

fn ms(time: Duration) -> i64 {
    time.as_millis() as i64
}

fn duration(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0).unsigned_abs())
}

impl Pace {
    /// Of a job whose results ask for what was `reach` ago, and whose state outlives that by `slack`.
    pub(super) fn new(reach: Duration, slack: Duration) -> Self {
        Self {
            reach,
            slack,
            seen: VecDeque::new(),
            before: None,
            easy_since: None,
            looked: 0,
            stood: 0,
            found: Finding::Sound,
        }
    }

    /// Goes on from what was known of the job.
    pub(super) fn knowing(mut self, known: Option<Known>) -> Self {
        if let Some(Known { seen, least_lag }) = known {
            self.before = seen.last().map(|(at, _)| (*at, at - least_lag));
            self.seen.extend(seen);
        }
        self
    }

    /// What is known now.
    pub(super) fn known(&self) -> Option<Known> {
        let (at, watermark) = *self.seen.back()?;
        let strain = self.strain(at - watermark, at);
        let recent = self.seen.iter().copied().filter(|(seen, _)| at - seen <= ms(MOST_REPEATED));
        let mut seen: Vec<_> = recent.collect();
        seen.dedup_by_key(|(at, _)| *at / APART_MS);
        if seen.last() != Some(&(at, watermark)) {
            seen.push((at, watermark));
        }
        Some(Known { seen, least_lag: at - watermark - ms(strain) })
    }

    /// State outlives its use by this from now on.
    pub(super) fn set_slack(&mut self, slack: Duration) {
        self.slack = slack;
        (self.found, self.easy_since) = (Finding::Sound, None);
    }

    /// Forgets everything: the log is replayed.
    pub(super) fn reset(&mut self) {
        self.seen.clear();
        (self.before, self.easy_since) = (None, None);
        self.found = Finding::Sound;
    }

    /// Takes the watermark of this time.
    pub(super) fn see(&mut self, Timestamp(now): Timestamp, Timestamp(watermark): Timestamp) -> Finding {
        let looked = std::mem::replace(&mut self.looked, now);
        let Some((last, before)) = self.seen.back().copied() else {
            self.seen.push_back((now, watermark));
            return Finding::Sound;
        };
        // as long as it stands still nothing is counted, and nothing is known before it goes on
        if watermark == before || now <= last {
            return self.found;
        }
        self.stood = looked.max(last);
        // what was counted since the last time is at least as old as the lesser of the two
        let strain = self.strain(now - before.min(watermark), now);
        self.seen.push_back((now, watermark));
        let kept_from = watermark - ms(self.reach + MOST_REPEATED);
        while self.seen.front().is_some_and(|(_, watermark)| *watermark < kept_from) {
            self.seen.pop_front();
        }
        self.easy_since = (strain < EASY).then(|| self.easy_since.unwrap_or(now));
        let left = self.slack.saturating_sub(strain);
        self.found = if left >= RESERVE {
            let long = ms(self.reach + SLACK);
            let is_easy = self.easy_since.is_some_and(|since| now - since > long);
            if is_easy && self.slack > LONG { Finding::Relaxed } else { Finding::Sound }
        } else if self.is_growing(now, now - watermark) && (left > UNSEEN || self.found == Finding::Strained)
        {
            Finding::Strained
        } else if left > UNSEEN {
            Finding::Sound
        } else {
            Finding::Expired
        };
        self.found
    }

    /// Whether the lag has grown for a while, bit by bit, up to this one.
    fn is_growing(&self, now: i64, lag: i64) -> bool {
        let mut later = now;
        let mut steady =
            self.seen.iter().rev().take_while(|(at, _)| std::mem::replace(&mut later, *at) - at <= LEAP_MS);
        let before = steady.find(|(at, _)| now - at >= GROWING_MS);
        before.is_some_and(|(at, watermark)| lag > at - watermark)
    }

    /// How much a lag exceeds the least one of the time that is asked for then.
    fn strain(&self, lag: i64, now: i64) -> Duration {
        self.strain_on(i64::MAX, lag, now)
    }

    /// The same, of what was written by `saved`.
    fn strain_on(&self, saved: i64, lag: i64, now: i64) -> Duration {
        let asked_for = now - lag - ms(self.reach);
        let all = self.seen.iter().copied().filter(|(at, _)| *at <= saved).chain(self.before);
        let reached = all.filter(|(_, watermark)| *watermark >= asked_for);
        duration(lag - reached.map(|(at, watermark)| at - watermark).min().unwrap_or(lag))
    }

    /// By how much the job is behind, if it is too slow.
    pub(super) fn behind(&self) -> Option<Duration> {
        let (now, watermark) = *self.seen.back()?;
        let lag = now - watermark;
        let is_slow = self.slack > LONG || self.is_growing(now, lag);
        (is_slow && self.strain(lag, now) > SLOW).then(|| duration(lag))
    }

    /// Whether nothing is known yet of the job, which has begun with the log.
    pub(super) fn is_new(&self) -> bool {
        self.seen.is_empty()
    }

    /// When the watermark was looked at for the last time before it went on: what was saved up to then is whole.
    pub(super) fn stood_until(&self) -> Timestamp {
        Timestamp(self.stood)
    }

    /// Event time up to which results are right even if the job has forgotten something since: where the watermark was before it was looked
    /// at last, and where it was when the checkpoint `saved` was begun, which Flink may have restored.
    pub(super) fn sound_until(&self, saved: Option<Timestamp>) -> Option<Timestamp> {
        let restored = saved.and_then(|saved| self.seen_by(saved));
        let last = self.seen.iter().rev().take(2).map(|(_, watermark)| *watermark);
        last.chain(restored.map(|(_, watermark)| watermark)).min().map(Timestamp)
    }

    /// What was seen last by then, or first after it.
    fn seen_by(&self, Timestamp(then): Timestamp) -> Option<(i64, i64)> {
        self.seen.iter().rev().find(|(at, _)| *at <= then).or(self.seen.front()).copied()
    }

    /// How long state outlives its use at present.
    pub(super) fn slack(&self) -> Duration {
        self.slack
    }

    /// The slack that state needs which goes on at `resumed` from where it was at `saved`. What was written since then is not in it, and
    /// will be written anew.
    pub(super) fn slack_to_resume(&self, saved: Timestamp, resumed: Timestamp) -> Duration {
        // that the watermark has stood still since it was seen last is part of how far it is behind
        let lag = self.seen_by(saved).map_or(resumed.0 - saved.0, |(_, watermark)| resumed.0 - watermark);
        let strain = self.strain_on(saved.0, lag, resumed.0);
        strain.max(duration(resumed.0 - saved.0)) + UNSEEN
    }

    /// The slack that a job needs which goes on as slowly as in the last minute. With event time at a share `r` of the clock's speed, a window
    /// takes `window / r` by the clock.
    pub(super) fn slack_at_this_pace(&self) -> Duration {
        let needed = |(now, watermark): (i64, i64)| {
            let (at, before) = self.seen.iter().copied().find(|(at, _)| now - at <= 60_000)?;
            let share = ((watermark - before) as f64 / (now - at).max(1) as f64).clamp(0.05, 1.0);
            Some(self.reach.mul_f64((1.0 / share - 1.0) * 1.1))
        };
        // and at least twice as much as there was
        self.seen.back().copied().and_then(needed).unwrap_or_default().max(self.slack * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(300);

    fn second(at: i64) -> Timestamp {
        Timestamp(at * 1_000)
    }

    /// What is found over times at which the watermark was so far behind, in seconds.
    fn findings(pace: &mut Pace, lags: &[(i64, i64)]) -> Vec<Finding> {
        lags.iter().map(|(at, lag)| pace.see(second(*at), second(at - lag))).collect()
    }

    fn all_of(lags: &[(i64, i64)]) -> Vec<Finding> {
        findings(&mut Pace::new(WINDOW, SLACK), lags)
    }

    #[test]
    fn a_watermark_that_keeps_pace_or_catches_up_is_sound() {
        let steady: Vec<_> = (0..1_000).map(|at| (at, 1)).collect();
        assert!(all_of(&steady).iter().all(|finding| *finding == Finding::Sound));
        let catching_up: Vec<_> = (0..1_000).map(|at| (at, (4_000 - 4 * at).max(1))).collect();
        assert!(all_of(&catching_up).iter().all(|finding| *finding == Finding::Sound));
    }

    #[test]
    fn a_stand_still_is_told_once_it_is_over() {
        // the watermark of second 9 stays for a while, then it is as new as ever, or goes on where it was
        for (stood, lag_then, expected) in [
            (35, 1, Finding::Sound),
            (50, 1, Finding::Sound),
            (70, 1, Finding::Expired),
            (70, 70, Finding::Expired),
        ] {
            let mut lags: Vec<_> = (0..10).map(|at| (at, 1)).collect();
            lags.extend((10..10 + stood).map(|at| (at, at - 8)));
            let mut pace = Pace::new(WINDOW, SLACK);
            assert!(findings(&mut pace, &lags).iter().all(|finding| *finding == Finding::Sound));
            assert_eq!(findings(&mut pace, &[(10 + stood, lag_then)]), [expected], "{stood} s");
            // state of before is whole up to when it was last seen to stand still
            assert_eq!(pace.stood_until(), second(9 + stood));
        }
    }

    #[test]
    fn a_job_that_starts_again_may_be_slow_at_first() {
        let mut pace = Pace::new(WINDOW, SLACK);
        findings(&mut pace, &(0..100).map(|at| (at, 1)).collect::<Vec<_>>());
        let cold: Vec<_> = (120..140).map(|at| (at, 40 + (at - 120) / 2)).collect();
        let warm: Vec<_> = (140..160).map(|at| (at, 50 - 2 * (at - 140))).collect();
        assert!(findings(&mut pace, &[cold, warm].concat()).iter().all(|finding| *finding == Finding::Sound));
    }

    #[test]
    fn slowness_and_a_stand_still_add_up() {
        let mut lags: Vec<_> = (0..100).map(|at| (at, 1 + at / 3)).collect();
        lags.push((135, 34 + 35));
        assert_eq!(all_of(&lags).last(), Some(&Finding::Expired));
    }

    #[test]
    fn an_old_checkpoint_is_noticed_by_the_watermark_that_went_back() {
        assert_eq!(all_of(&[(100, 1), (101, 1), (120, 30)])[2], Finding::Sound);
        assert_eq!(all_of(&[(100, 1), (101, 1), (120, 80)])[2], Finding::Expired);
    }

    #[test]
    fn what_was_written_is_right_up_to_where_the_trouble_began() {
        let mut pace = Pace::new(WINDOW, SLACK);
        assert_eq!(pace.sound_until(None), None);
        findings(&mut pace, &[(100, 1), (101, 1), (102, 1), (180, 40)]);
        // the watermark was at 101 before it leapt to 140
        assert_eq!(pace.sound_until(None), Some(second(101)));
        // Flink may have gone back to where it was at 100, and to less than was seen of that since
        assert_eq!(pace.sound_until(Some(second(100))), Some(second(99)));
        findings(&mut pace, &[(181, 90)]);
        assert_eq!(pace.sound_until(None), Some(second(91)));
    }

    #[test]
    fn a_slow_job_is_strained_before_anything_is_forgotten() {
        // 44 hundredths as fast as its input
        let lags: Vec<_> = (0..2_000).map(|at| (at, 1 + at * 56 / 100)).collect();
        let found = all_of(&lags);
        let first = found.iter().position(|finding| *finding != Finding::Sound).unwrap();
        assert!(found[first..].iter().all(|finding| *finding == Finding::Strained));
        let mut pace = Pace::new(WINDOW, SLACK);
        findings(&mut pace, &lags[..=first]);
        assert!(pace.behind().is_some());
        // kept so long, it lasts at this pace
        let slack = pace.slack_at_this_pace();
        assert!(slack > Duration::from_secs(400) && slack < Duration::from_secs(450), "{slack:?}");
        pace.set_slack(slack);
        let found = findings(&mut pace, &lags[first + 1..]);
        assert!(found.iter().all(|finding| *finding == Finding::Sound), "{found:?}");
    }

    #[test]
    fn state_is_kept_shorter_again_when_nothing_asked_for_more() {
        let mut pace = Pace::new(WINDOW, SLACK);
        let slow: Vec<_> = (0..80).map(|at| (at, 1 + at / 2)).collect();
        findings(&mut pace, &slow);
        pace.set_slack(Duration::from_secs(600));
        let catching_up: Vec<_> = (80..100).map(|at| (at, (40 - 2 * (at - 80)).max(1))).collect();
        assert!(findings(&mut pace, &catching_up).iter().all(|finding| *finding == Finding::Sound));
        let steady: Vec<_> = (100..500).map(|at| (at, 1)).collect();
        let found = findings(&mut pace, &steady);
        let first = found.iter().position(|finding| *finding == Finding::Relaxed).unwrap();
        // a while after it has caught up
        assert!((350..380).contains(&first), "{first}");
        assert!(found[..first].iter().all(|finding| *finding == Finding::Sound));
    }

    #[test]
    fn what_it_takes_to_resume() {
        let mut pace = Pace::new(WINDOW, SLACK);
        findings(&mut pace, &(0..100).map(|at| (at, 1)).collect::<Vec<_>>());
        // saved at 90 with the watermark of 89, going on at 140
        assert_eq!(pace.slack_to_resume(second(90), second(140)), Duration::from_secs(50) + UNSEEN);
        // nothing was seen of that job: at least the time in between
        let none = Pace::new(WINDOW, SLACK);
        assert_eq!(none.slack_to_resume(second(90), second(140)), Duration::from_secs(50) + UNSEEN);
        // a job that has caught up in one leap since it was seen last: what it writes then does not count for what was before
        let mut leapt = Pace::new(WINDOW, SLACK);
        findings(&mut leapt, &[(100, 80), (102, 1)]);
        assert_eq!(leapt.slack_to_resume(second(101), second(102)), Duration::from_secs(2) + UNSEEN);
        // saved at 190, while the watermark stood at 99
        assert_eq!(pace.slack_to_resume(second(190), second(200)), Duration::from_secs(101) + UNSEEN);
        // somebody else saw it fall behind by half a minute
        findings(&mut pace, &(100..160).map(|at| (at, 1 + (at - 100) / 2)).collect::<Vec<_>>());
        let mut next = Pace::new(WINDOW, SLACK).knowing(pace.known());
        assert_eq!(next.slack_to_resume(second(160), second(170)), Duration::from_secs(29 + 11) + UNSEEN);
        assert_eq!(findings(&mut next, &[(170, 35), (171, 57)]), [Finding::Sound, Finding::Expired]);
        // who comes later knows how far an older checkpoint was behind
        let mut catching_up = Pace::new(WINDOW, SLACK);
        findings(&mut catching_up, &(0..100).map(|at| (at, 1)).collect::<Vec<_>>());
        findings(&mut catching_up, &(140..170).map(|at| (at, 40 - (at - 140))).collect::<Vec<_>>());
        let next = Pace::new(WINDOW, SLACK).knowing(catching_up.known());
        assert_eq!(next.slack_to_resume(second(150), second(180)), Duration::from_secs(30 + 30 - 1) + UNSEEN);
    }
}

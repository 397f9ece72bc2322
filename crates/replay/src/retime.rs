//! Moves a log into the present: its first view is now, the others follow at the log's pace, or faster.

use std::collections::HashMap;
use std::str::FromStr;

use clickstream_event::Timestamp;

use crate::replay::View;

/// How fast.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Speed {
    /// So many seconds of the log in a second.
    Times(f64),
    /// As fast as it goes.
    Max,
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = || text.trim_end_matches(['x', '×']).parse::<f64>().ok();
        match text {
            "max" => Ok(Self::Max),
            _ => number().filter(|times| (0.01..=1e6).contains(times)).map(Self::Times).ok_or_else(|| {
                format!(
                    "{text:?} is no speed: a number, as 60 for a minute of log a second, or max, is needed"
                )
            }),
        }
    }
}

/// A view may be so far from the time that is due, in milliseconds: well below what the pipeline allows of disorder.
const SLACK_MS: i64 = 50;
/// Sessions whose last view is remembered at most.
const MOST: usize = 20_000;

/// Says when each view is to be sent, and with what time.
#[derive(Debug)]
pub struct Retimer {
    speed: Speed,
    /// The log's time and ours that belong together.
    anchor: Option<(i64, f64)>,
    /// The last view of each session that was sent a moment ago.
    last: HashMap<u64, i64>,
}

impl Retimer {
    /// With this speed.
    pub fn new(speed: Speed) -> Self {
        Self { speed, anchor: None, last: HashMap::new() }
    }

    /// The time of a view: it is to be sent then, not before. `now` is our clock.
    ///
    /// No two views of a session share a millisecond, however fast it goes; where that, or we, cannot keep up with the pace, the pace
    /// gives way.
    pub fn at(&mut self, view: &View, now: Timestamp) -> Timestamp {
        let due = match (self.speed, self.anchor) {
            (Speed::Max, _) => now.0,
            (Speed::Times(times), Some((log, ours))) => {
                (ours + (view.time.0 - log) as f64 / times).round() as i64
            }
            (Speed::Times(_), None) => now.0,
        };
        let free = self.last.get(&view.session).map_or(i64::MIN, |last| last + 1);
        let mut at = due.max(free);
        if at < now.0 - SLACK_MS {
            at = now.0.max(free);
        }
        if self.anchor.is_none() || (at - due).abs() > SLACK_MS {
            self.anchor = Some((view.time.0, at as f64));
        }
        if self.last.len() >= MOST {
            self.last.retain(|_, last| *last >= now.0 - SLACK_MS);
        }
        self.last.insert(view.session, at);
        Timestamp(at)
    }

    /// The time that a view is sent with which was due at `at` and is sent at `now`: were it sent with an earlier one, it would be late
    /// among events of others that were not held up.
    pub fn sent(&mut self, view: &View, at: Timestamp, now: Timestamp) -> Timestamp {
        if now > at {
            self.last.insert(view.session, now.0);
        }
        at.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Options, Replay, Salt};
    use proptest::prelude::*;

    fn view(session: u64, time: i64) -> View {
        let mut replay = Replay::new(Options::default(), Salt::from_text(""));
        let mut out = Vec::new();
        replay.line(br#"192.0.2.1 - - [26/Nov/2026:10:00:00 +0000] "GET / HTTP/1.1" 200 5"#, &mut out);
        replay.finish(&mut out);
        View { time: Timestamp(time), session, ..out.remove(0) }
    }

    #[test]
    fn speeds() {
        assert_eq!("60".parse(), Ok(Speed::Times(60.0)));
        assert_eq!("1.5x".parse(), Ok(Speed::Times(1.5)));
        assert_eq!("max".parse(), Ok(Speed::Max));
        for none in ["", "0", "-1", "fast", "nan", "inf"] {
            assert!(none.parse::<Speed>().is_err(), "{none}");
        }
    }

    #[test]
    fn a_minute_in_a_second() {
        let mut retimer = Retimer::new(Speed::Times(60.0));
        assert_eq!(retimer.at(&view(1, 5_000), Timestamp(1_000_000)).0, 1_000_000);
        assert_eq!(retimer.at(&view(2, 65_000), Timestamp(1_000_010)).0, 1_001_000);
        // nothing came for long: the pace gives way
        assert_eq!(retimer.at(&view(2, 66_000), Timestamp(1_009_000)).0, 1_009_000);
        assert_eq!(retimer.at(&view(3, 126_000), Timestamp(1_009_000)).0, 1_010_000);
        // sent a little later than it was due: it says when, and the next of its session comes after it
        assert_eq!(retimer.sent(&view(3, 126_000), Timestamp(1_010_000), Timestamp(1_010_150)).0, 1_010_150);
        assert_eq!(retimer.at(&view(3, 126_500), Timestamp(1_010_150)).0, 1_010_151);
    }

    proptest! {
        #[test]
        fn near_the_present_and_never_twice(
            views in prop::collection::vec((0u64..3, 0i64..40, 0i64..20), 1..400), fast: bool,
        ) {
            let mut retimer = Retimer::new(if fast { Speed::Max } else { Speed::Times(30.0) });
            let (mut log, mut now) = (0, 1_000_000);
            let mut seen = std::collections::HashSet::new();
            let mut high = 0;
            let template = view(0, 0);
            for (session, later, pause) in views {
                log += later;
                now += pause;
                let at = retimer.at(&View { time: Timestamp(log), session, ..template.clone() }, Timestamp(now)).0;
                prop_assert!(seen.insert((session, at)));
                prop_assert!(at >= now - SLACK_MS);
                prop_assert!(at >= high - 2 * SLACK_MS, "{} after {}", at, high);
                high = high.max(at);
                now = now.max(at);
            }
        }
    }
}

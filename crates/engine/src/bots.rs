//! Who is a labelled bot: five rules over the last events of a user, in order.

use clickstream_event::detection::{
    BOT_WORDS, CRAWL_EVENTS, FAST_EVENTS, FAST_MS, METRONOME_EVENTS, REPEATED_EVENTS, REPEATED_MS,
};
use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::shard::Counted;

/// Places of the ring of a user's last event times: a power of two, and no less than any rule looks at.
const RING: usize = 32;
const _: () = assert!(FAST_EVENTS as usize <= RING && CRAWL_EVENTS as usize <= RING);
const _: () = assert!((METRONOME_EVENTS as usize) < RING && REPEATED_EVENTS as usize <= RING);

/// A user's last events. Times are milliseconds modulo 2^32: differences of times less than 49 days apart are exact.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Pace {
    times: [u32; RING],
    /// Sum of the squares of the last gaps, as many as the rule `metronome` looks at, modulo 2^64.
    squares: u64,
    /// Page of the last event.
    page: u32,
    /// Where the last event stands in the ring.
    at: u8,
    /// Events known, views in a row, events on one page in a row; at most [`RING`].
    known: u8,
    views: u8,
    on_page: u8,
}

impl Default for Pace {
    fn default() -> Self {
        Self { times: [0; RING], squares: 0, page: 0, at: 0, known: 0, views: 0, on_page: 0 }
    }
}

/// Why an event was flagged.
#[derive(Clone, PartialEq, Debug)]
pub struct Flag {
    /// The rule.
    pub rule: &'static str,
    /// Time in milliseconds from the first event looked at to this one.
    pub took_ms: i64,
    /// What was seen.
    pub observed: f64,
    /// What was to be expected.
    pub expected: f64,
    /// How strange it is.
    pub score: f64,
    /// The same for people.
    pub reason: String,
}

/// Rules that flag an event, in the order of their precedence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Declared,
    Fast,
    Metronome,
    Repeated,
    Crawl,
}

/// User agents that were seen lately, and whether they name a bot: there are few of them, and words take long to look for.
#[derive(Clone, Debug)]
pub struct Agents {
    places: Vec<(Fingerprint, bool)>,
}

impl Default for Agents {
    fn default() -> Self {
        Self { places: vec![(Fingerprint { high: 0, low: 0 }, is_declared("")); 1_024] }
    }
}

impl Agents {
    /// Whether a user agent, given with its fingerprint, names a bot.
    #[inline]
    pub fn name_a_bot(&mut self, fingerprint: Fingerprint, user_agent: &str) -> bool {
        let place = fingerprint.high as usize % self.places.len();
        let (known, is_bot) = self.places[place];
        if known == fingerprint {
            return is_bot;
        }
        let is_bot = is_declared(user_agent);
        self.places[place] = (fingerprint, is_bot);
        is_bot
    }
}

#[cold]
fn is_declared(user_agent: &str) -> bool {
    let user_agent = user_agent.to_ascii_lowercase();
    BOT_WORDS.iter().any(|word| user_agent.contains(word))
}

/// ⌊v + ½⌋.
pub fn rounded(v: f64) -> i64 {
    (v + 0.5).floor() as i64
}

impl Pace {
    /// Reads ahead what [`Pace::next`] will need; see [`crate::recent::Recent::warm`].
    #[inline]
    pub fn warm(&self) -> u32 {
        self.times[0] ^ self.times[RING / 2] ^ self.page
    }

    /// Forgets everything: the last event is too long ago for any rule.
    pub fn reset(&mut self) {
        (self.known, self.views, self.on_page, self.squares) = (0, 0, 0, 0);
    }

    /// Time from the event that is the `count`th last to the last.
    #[inline]
    fn took(&self, count: u32) -> u32 {
        self.times[usize::from(self.at)].wrapping_sub(self.time_before(count - 1))
    }

    #[inline]
    fn time_before(&self, steps: u32) -> u32 {
        self.times[(usize::from(self.at) + RING - steps as usize) % RING]
    }

    /// Takes the user's next event; whether it is flagged, and by which rule first is for [`Pace::why`].
    #[inline]
    pub fn next(&mut self, event: &Counted, window_ms: i64) -> bool {
        let now = event.ts as u32;
        let square = |gap: u32| u64::from(gap) * u64::from(gap);
        if self.known > 0 {
            let gap = now.wrapping_sub(self.times[usize::from(self.at)]);
            self.squares = self.squares.wrapping_add(square(gap));
            if u32::from(self.known) >= METRONOME_EVENTS {
                let steps = METRONOME_EVENTS - 1;
                let gap = self.time_before(steps - 1).wrapping_sub(self.time_before(steps));
                self.squares = self.squares.wrapping_sub(square(gap));
            }
        }
        let run = |run: u8, goes_on: bool| if goes_on { (run + 1).min(RING as u8) } else { 1 };
        self.on_page = run(self.on_page, self.known > 0 && self.page == event.page);
        self.views = if event.kind == 0 { run(self.views, true) } else { 0 };
        self.known = run(self.known, true);
        self.page = event.page;
        self.at = (self.at + 1) % RING as u8;
        self.times[usize::from(self.at)] = now;
        event.declared
            || (u32::from(self.known) >= REPEATED_EVENTS.min(METRONOME_EVENTS))
                && [Rule::Fast, Rule::Metronome, Rule::Repeated, Rule::Crawl]
                    .into_iter()
                    .any(|rule| self.holds(rule, event, window_ms))
    }

    #[inline]
    fn holds(&self, rule: Rule, event: &Counted, window_ms: i64) -> bool {
        let within = |count, ms: i64| i64::from(self.took(count)) <= ms;
        match rule {
            Rule::Declared => event.declared,
            Rule::Fast => u32::from(self.known) >= FAST_EVENTS && within(FAST_EVENTS, FAST_MS - 1),
            Rule::Metronome => {
                u32::from(self.known) >= METRONOME_EVENTS && within(METRONOME_EVENTS, window_ms) && {
                    let (spread, mean) = self.evenness();
                    mean > 0 && 100 * spread < mean
                }
            }
            Rule::Repeated => {
                u32::from(self.on_page) >= REPEATED_EVENTS && within(REPEATED_EVENTS, REPEATED_MS - 1)
            }
            Rule::Crawl => u32::from(self.views) >= CRAWL_EVENTS && within(CRAWL_EVENTS, window_ms),
        }
    }

    /// 19·Q − S² and S², for S the sum of the last 19 gaps and Q that of their squares.
    #[inline]
    fn evenness(&self) -> (u128, u128) {
        let sum = u128::from(self.took(METRONOME_EVENTS));
        let scaled = u128::from(METRONOME_EVENTS - 1) * u128::from(self.squares);
        (scaled.saturating_sub(sum * sum), sum * sum)
    }

    /// Why the last event was flagged.
    pub fn why(&self, event: &Counted, window_ms: i64) -> Option<Flag> {
        let rules = [Rule::Declared, Rule::Fast, Rule::Metronome, Rule::Repeated, Rule::Crawl];
        let rule = rules.into_iter().find(|rule| self.holds(*rule, event, window_ms))?;
        let flag = |rule, count: u32, ms: i64, reason: fn(i64) -> String| {
            let took_ms = i64::from(self.took(count));
            let (observed, span) = (f64::from(count), took_ms.max(1));
            let expected = observed * span as f64 / ms as f64;
            Flag { rule, took_ms, observed, expected, score: observed / expected, reason: reason(span) }
        };
        Some(match rule {
            Rule::Declared => Flag {
                rule: "declared",
                took_ms: 0,
                observed: 1.0,
                expected: 0.0,
                score: 1.0,
                reason: "its user agent names a bot".to_owned(),
            },
            Rule::Fast => {
                flag("fast", FAST_EVENTS, FAST_MS, |span| format!("{FAST_EVENTS} events in {span} ms"))
            }
            Rule::Metronome => {
                let (spread, _) = self.evenness();
                let took_ms = i64::from(self.took(METRONOME_EVENTS));
                let (v, sum) = ((spread as f64).sqrt() / took_ms as f64, took_ms as f64);
                let mean = rounded(sum / f64::from(METRONOME_EVENTS - 1));
                let reason = format!("{METRONOME_EVENTS} events evenly {mean} ms apart");
                let score = 0.1 / v.max(0.001);
                Flag { rule: "metronome", took_ms, observed: v, expected: 0.1, score, reason }
            }
            Rule::Repeated => flag("repeated", REPEATED_EVENTS, REPEATED_MS, |span| {
                format!("{REPEATED_EVENTS} events on one page in {span} ms")
            }),
            Rule::Crawl => flag("crawl", CRAWL_EVENTS, window_ms, |span| {
                let seconds = rounded(span as f64 / 1_000.0);
                format!("{CRAWL_EVENTS} page views in a row and nothing else in {seconds} s")
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_agent_names_a_bot_in_any_case() {
        let mut agents = Agents::default();
        let bots = ["Googlebot/2.1", "CRAWLER", "x spider", "HeadlessChrome", "bot", "a-BoT", "curl/8"];
        let people =
            ["", "b", "Mozilla/5.0 (X11; Linux x86_64) Gecko Firefox/141.0", "bo t", "héadless", "curl"];
        for _ in 0..2 {
            for (known, is_bot) in [(&bots[..], true), (&people, false)] {
                for agent in known {
                    assert_eq!(agents.name_a_bot(Fingerprint::of(agent, 0), agent), is_bot, "{agent}");
                }
            }
        }
    }
}

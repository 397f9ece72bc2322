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

/// Times of a user's last events, in milliseconds modulo 2^32: differences of times less than 49 days apart are exact.
///
/// They are looked at only when a run in [`Pace`] is long enough for a rule, which is seldom.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[repr(align(64))]
pub struct Ring([u32; RING]);

/// What nearly every event needs to know of its user's last ones: runs of events that a rule may find too long.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Pace {
    /// Time of the last event, and the gap before it.
    last: u32,
    gap: u32,
    /// Page of the last event.
    page: u32,
    /// Where the last event stands in the ring.
    at: u8,
    /// Whether there was an event.
    any: bool,
    /// Views in a row, events on one page in a row, gaps in a row shorter than [`SHORT_MS`], gaps in a row that are like the one
    /// before; at most [`RING`].
    views: u8,
    on_page: u8,
    short: u8,
    alike: u8,
}

/// A gap longer than this is in none of the stretches that the rules `fast` and `repeated` find.
const SHORT_MS: u32 = if FAST_MS > REPEATED_MS { FAST_MS as u32 } else { REPEATED_MS as u32 };

/// Whether two gaps may follow each other where the rule `metronome` holds. With a coefficient of variation below 0.1, none of its
/// 19 gaps is farther from their mean than √18 · 0.1 < 0.43 of it, so the longest is less than 1.43 / 0.57 = 2.51 times the shortest.
#[inline]
fn are_alike(a: u32, b: u32) -> bool {
    let (short, long) = (u64::from(a.min(b)), u64::from(a.max(b)));
    25 * long <= 63 * short
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

impl Ring {
    /// Reads ahead what [`Pace::next`] will need; see [`crate::recent::Recent::warm`].
    #[inline]
    pub fn warm(&self) -> u32 {
        self.0[0] ^ self.0[RING / 2]
    }
}

impl Pace {
    /// Forgets everything: the last event is too long ago for any rule.
    pub fn reset(&mut self) {
        *self = Self { at: self.at, ..Self::default() };
    }

    /// Time from the event that is the `count`th last to the last.
    #[inline]
    fn took(&self, ring: &Ring, count: u32) -> u32 {
        self.last.wrapping_sub(self.time_before(ring, count - 1))
    }

    #[inline]
    fn time_before(&self, ring: &Ring, steps: u32) -> u32 {
        ring.0[(usize::from(self.at) + RING - steps as usize) % RING]
    }

    /// Takes the user's next event; whether it is flagged, and by which rule first is for [`Pace::why`].
    #[inline]
    pub fn next(&mut self, ring: &mut Ring, event: &Counted, window_ms: i64) -> bool {
        let now = event.ts as u32;
        let gap = now.wrapping_sub(self.last);
        let run = |run: u8, goes_on: bool| if goes_on { (run + 1).min(RING as u8) } else { 0 };
        // of the first event there is no gap, of the second none before; zero is like nothing but zero
        self.short = run(self.short, self.any && gap < SHORT_MS);
        self.alike = run(self.alike, self.any && are_alike(self.gap, gap));
        self.gap = if self.any { gap } else { 0 };
        self.on_page = run(self.on_page, self.any && self.page == event.page).max(1);
        self.views = run(self.views, event.kind == 0);
        (self.any, self.last, self.page) = (true, now, event.page);
        self.at = (self.at + 1) % RING as u8;
        ring.0[usize::from(self.at)] = now;
        event.declared
            || self.may_be_flagged()
                && [Rule::Fast, Rule::Metronome, Rule::Repeated, Rule::Crawl]
                    .into_iter()
                    .any(|rule| self.holds(ring, rule, event, window_ms))
    }

    /// Whether the runs are long enough for any rule but the declared one.
    #[inline]
    fn may_be_flagged(&self) -> bool {
        let long = |rule| self.is_long(rule);
        long(Rule::Fast) || long(Rule::Metronome) || long(Rule::Repeated) || long(Rule::Crawl)
    }

    /// Whether as many events as a rule looks at are there, without a gap or a break that it does not allow.
    #[inline]
    fn is_long(&self, rule: Rule) -> bool {
        match rule {
            Rule::Declared => true,
            Rule::Fast => u32::from(self.short) >= FAST_EVENTS - 1,
            // as many gaps less one, each like the one before
            Rule::Metronome => u32::from(self.alike) >= METRONOME_EVENTS - 2,
            Rule::Repeated => {
                u32::from(self.on_page) >= REPEATED_EVENTS && u32::from(self.short) >= REPEATED_EVENTS - 1
            }
            Rule::Crawl => u32::from(self.views) >= CRAWL_EVENTS,
        }
    }

    fn holds(&self, ring: &Ring, rule: Rule, event: &Counted, window_ms: i64) -> bool {
        let within = |count, ms: i64| i64::from(self.took(ring, count)) <= ms;
        self.is_long(rule)
            && match rule {
                Rule::Declared => event.declared,
                Rule::Fast => within(FAST_EVENTS, FAST_MS - 1),
                Rule::Metronome => {
                    within(METRONOME_EVENTS, window_ms) && {
                        let (spread, mean) = self.evenness(ring);
                        mean > 0 && 100 * spread < mean
                    }
                }
                Rule::Repeated => within(REPEATED_EVENTS, REPEATED_MS - 1),
                Rule::Crawl => within(CRAWL_EVENTS, window_ms),
            }
    }

    /// 19·Q − S² and S², for S the sum of the last 19 gaps and Q that of their squares.
    fn evenness(&self, ring: &Ring) -> (u128, u128) {
        let gap = |n| self.time_before(ring, n).wrapping_sub(self.time_before(ring, n + 1));
        let squares: u128 = (0..METRONOME_EVENTS - 1).map(|n| u128::from(gap(n)).pow(2)).sum();
        let sum = u128::from(self.took(ring, METRONOME_EVENTS));
        let scaled = u128::from(METRONOME_EVENTS - 1) * squares;
        (scaled.saturating_sub(sum * sum), sum * sum)
    }

    /// Why the last event was flagged.
    pub fn why(&self, ring: &Ring, event: &Counted, window_ms: i64) -> Option<Flag> {
        let rules = [Rule::Declared, Rule::Fast, Rule::Metronome, Rule::Repeated, Rule::Crawl];
        let rule = rules.into_iter().find(|rule| self.holds(ring, *rule, event, window_ms))?;
        let flag = |rule, count: u32, ms: i64, reason: fn(i64) -> String| {
            let took_ms = i64::from(self.took(ring, count));
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
                let (spread, _) = self.evenness(ring);
                let took_ms = i64::from(self.took(ring, METRONOME_EVENTS));
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

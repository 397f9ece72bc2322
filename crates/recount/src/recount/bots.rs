//! Who is a labelled bot, and when: each user's events in order, and at each of them the five rules.

use std::collections::BTreeMap;

use clickstream_event::EventType;
use clickstream_event::detection::{
    BOT_WORDS, CRAWL_EVENTS, FAST_EVENTS, FAST_MS, METRONOME_EVENTS, REPEATED_EVENTS, REPEATED_MS,
};
use serde_json::{Value, json};

use super::{Decided, Event, rounded, time};

/// No rule looks at more events.
const LONGEST: usize = 40;

/// Why an event was flagged.
struct Flag {
    rule: &'static str,
    /// `ts` of the first event looked at.
    since: i64,
    observed: f64,
    expected: f64,
    score: f64,
    reason: String,
}

/// Marks the events at which their user is a labelled bot; gives the anomalies. The events are in order.
pub(super) fn label(events: &mut [Event], decided: Decided) -> Vec<Value> {
    let window_ms = decided.shape.window_ms;
    let mut users: BTreeMap<(&str, &str), Vec<usize>> = BTreeMap::new();
    for (n, event) in events.iter().enumerate() {
        users.entry((&event.site, &event.user)).or_default().push(n);
    }
    let mut anomalies = Vec::new();
    let mut of_bots = Vec::new();
    for history in users.values() {
        // the instant from which on the user is no labelled bot any more
        let mut labelled_until = i64::MIN;
        for n in 0..history.len() {
            let event = &events[history[n]];
            let was_labelled = event.ts < labelled_until;
            let last: Vec<&Event> =
                history[(n + 1).saturating_sub(LONGEST)..=n].iter().map(|n| &events[*n]).collect();
            let flag = flag(&last, window_ms);
            if flag.is_some() {
                labelled_until = event.ts + window_ms;
            }
            if event.ts < labelled_until {
                of_bots.push(history[n]);
            }
            if let Some(flag) = flag
                && !was_labelled
                && decided.holds(event.ts)
            {
                anomalies.push(json!({
                    "site_id": event.site, "kind": "bot", "rule": flag.rule, "subject": event.user,
                    "detected_at": time(event.ts), "window_start": time(flag.since), "window_end": time(event.ts),
                    "observed": flag.observed, "expected": flag.expected, "score": flag.score, "reason": flag.reason,
                }));
            }
        }
    }
    for n in of_bots {
        events[n].is_bot = true;
    }
    anomalies
}

/// The first rule that flags the last of these events of a user.
fn flag(events: &[&Event], window_ms: i64) -> Option<Flag> {
    declared(events)
        .or_else(|| fast(events))
        .or_else(|| metronome(events, window_ms))
        .or_else(|| repeated(events))
        .or_else(|| crawl(events, window_ms))
}

/// So many events at the end of these, and the time they took; none if there are not so many.
fn last<'a>(events: &'a [&'a Event], count: u32) -> Option<(&'a [&'a Event], i64)> {
    let from = events.len().checked_sub(count as usize)?;
    let events = &events[from..];
    Some((events, events[events.len() - 1].ts - events[0].ts))
}

fn declared(events: &[&Event]) -> Option<Flag> {
    let event = events[events.len() - 1];
    let user_agent = event.user_agent.as_ref()?.to_ascii_lowercase();
    BOT_WORDS.iter().any(|word| user_agent.contains(word)).then(|| Flag {
        rule: "declared",
        since: event.ts,
        observed: 1.0,
        expected: 0.0,
        score: 1.0,
        reason: "its user agent names a bot".into(),
    })
}

fn fast(events: &[&Event]) -> Option<Flag> {
    let (events, took) = last(events, FAST_EVENTS)?;
    (took < FAST_MS).then(|| {
        let span = took.max(1);
        let expected = f64::from(FAST_EVENTS) * span as f64 / FAST_MS as f64;
        Flag {
            rule: "fast",
            since: events[0].ts,
            observed: f64::from(FAST_EVENTS),
            expected,
            score: f64::from(FAST_EVENTS) / expected,
            reason: format!("{FAST_EVENTS} events in {span} ms"),
        }
    })
}

fn metronome(events: &[&Event], window_ms: i64) -> Option<Flag> {
    let (events, took) = last(events, METRONOME_EVENTS)?;
    let gaps: Vec<i128> = events.windows(2).map(|pair| i128::from(pair[1].ts - pair[0].ts)).collect();
    let n = gaps.len() as i128;
    let s: i128 = gaps.iter().sum();
    let q: i128 = gaps.iter().map(|gap| gap * gap).sum();
    (took <= window_ms && s > 0 && 100 * (n * q - s * s) < s * s).then(|| {
        let variation = ((n * q - s * s).max(0) as f64).sqrt() / s as f64;
        Flag {
            rule: "metronome",
            since: events[0].ts,
            observed: variation,
            expected: 0.1,
            score: 0.1 / variation.max(0.001),
            reason: format!(
                "{METRONOME_EVENTS} events evenly {} ms apart",
                rounded(s as f64 / gaps.len() as f64)
            ),
        }
    })
}

fn repeated(events: &[&Event]) -> Option<Flag> {
    let (events, took) = last(events, REPEATED_EVENTS)?;
    let on_one_page = events.iter().all(|event| event.page == events[0].page);
    (took < REPEATED_MS && on_one_page).then(|| {
        let span = took.max(1);
        let expected = f64::from(REPEATED_EVENTS) * span as f64 / REPEATED_MS as f64;
        Flag {
            rule: "repeated",
            since: events[0].ts,
            observed: f64::from(REPEATED_EVENTS),
            expected,
            score: f64::from(REPEATED_EVENTS) / expected,
            reason: format!("{REPEATED_EVENTS} events on one page in {span} ms"),
        }
    })
}

fn crawl(events: &[&Event], window_ms: i64) -> Option<Flag> {
    let (events, took) = last(events, CRAWL_EVENTS)?;
    let only_views = events.iter().all(|event| event.kind == EventType::PageView);
    (took <= window_ms && only_views).then(|| {
        let span = took.max(1);
        let expected = f64::from(CRAWL_EVENTS) * span as f64 / window_ms as f64;
        Flag {
            rule: "crawl",
            since: events[0].ts,
            observed: f64::from(CRAWL_EVENTS),
            expected,
            score: f64::from(CRAWL_EVENTS) / expected,
            reason: format!(
                "{CRAWL_EVENTS} page views in a row and nothing else in {} s",
                rounded(span as f64 / 1_000.0)
            ),
        }
    })
}

//! Spoils a share of the events, and says so in the record's `truth` header.
//!
//! The pipeline never reads that header: it is for tests, which compare what was found with what was injected.

use std::borrow::Cow;

use clickstream_event::{Event, Timestamp};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::model::Timed;

/// Shares of events to spoil, each from 0 to 1.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Injections {
    /// Timestamp half a second to five seconds too old for its place in the log.
    pub late: f64,
    /// Sent a second time within 40 ms.
    pub duplicate: f64,
    /// No valid event, in one of several ways.
    pub malformed: f64,
    /// Timestamp 15 s to two minutes ahead.
    pub future: f64,
}

/// A record ready to be sent.
#[derive(Clone, PartialEq, Debug)]
pub struct Outgoing {
    /// When to send it.
    pub at: Timestamp,
    /// The event it stems from: its key, its timestamp.
    pub event: Event<'static>,
    /// The value, where it is not the event's canonical form.
    pub raw: Option<Vec<u8>>,
    /// What is special about it.
    pub truth: Option<&'static str>,
}

/// Spoils events.
pub struct Injector {
    shares: Injections,
    rng: ChaCha8Rng,
}

impl Injector {
    /// Spoils the shares of `injections`, repeatable from `seed`.
    pub fn new(shares: Injections, seed: u64) -> Self {
        Self { shares, rng: ChaCha8Rng::seed_from_u64(seed ^ 0x1ec7) }
    }

    /// The record for an event, and its copy where it is duplicated.
    pub fn apply(&mut self, timed: Timed) -> (Outgoing, Option<Outgoing>) {
        let Timed { at, mut event, truth } = timed;
        let Injections { late, duplicate, malformed, future } = self.shares;
        let mut draw = self.rng.random::<f64>();
        let mut chosen = |share: f64| {
            let hit = draw < share;
            draw -= share;
            hit
        };
        if chosen(late) {
            event.timestamp.0 -= self.rng.random_range(500..5_000);
            return (Outgoing { at, event, raw: None, truth: Some("late") }, None);
        }
        if chosen(future) {
            event.timestamp.0 += self.rng.random_range(15_000..120_000);
            return (Outgoing { at, event, raw: None, truth: Some("future") }, None);
        }
        if chosen(malformed) {
            let raw = Some(self.spoil(&event));
            return (Outgoing { at, event, raw, truth: Some("malformed") }, None);
        }
        let copy = chosen(duplicate).then(|| Outgoing {
            at: Timestamp(at.0 + self.rng.random_range(1..40)),
            event: event.clone(),
            raw: None,
            truth: Some("duplicate"),
        });
        (Outgoing { at, event, raw: None, truth }, copy)
    }

    fn spoil(&mut self, event: &Event<'static>) -> Vec<u8> {
        let mut whole = Vec::new();
        let mut changed = event.clone();
        match self.rng.random_range(0..7) {
            0 => return b"not json at all".to_vec(),
            1 => return vec![0xff, 0xfe, b'{', 0x80],
            2 => {
                event.encode(&mut whole);
                whole.truncate(whole.len() / 2);
                return whole;
            }
            3 => changed.user_id = Cow::Borrowed(""),
            4 => changed.page_url = Cow::Borrowed("/a\npage"),
            5 => {
                changed.encode(&mut whole);
                return replace(&whole, "\"timestamp\":\"2", "\"timestamp\":\"the year 2");
            }
            _ => {
                changed.encode(&mut whole);
                return replace(&whole, "\"event_type\":\"", "\"event_type\":\"un");
            }
        }
        changed.encode(&mut whole);
        whole
    }
}

fn replace(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    String::from_utf8_lossy(bytes).replacen(from, to, 1).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Traffic, TrafficConfig};
    use clickstream_event::{Reason, Rules, decode};

    #[test]
    fn each_kind_is_what_it_says() {
        let start = Timestamp(1_795_583_043_000);
        let traffic = Traffic::new(TrafficConfig {
            seed: 1,
            rate: 1000.0,
            start,
            sites: vec!["shop".into()],
            bots: 0.0,
            unusual: 0.0,
            spikes: false,
        });
        let mut injector =
            Injector::new(Injections { late: 0.1, duplicate: 0.1, malformed: 0.1, future: 0.1 }, 1);
        let mut counts = std::collections::HashMap::new();
        for timed in traffic.take(20_000) {
            let (record, copy) = injector.apply(timed);
            let mut value = Vec::new();
            match &record.raw {
                Some(raw) => value.clone_from(raw),
                None => record.event.encode(&mut value),
            }
            let decoded = decode(&value, record.at, Rules::default());
            match record.truth {
                Some("malformed") => assert!(decoded.is_err(), "{}", String::from_utf8_lossy(&value)),
                Some("future") => assert_eq!(decoded.map_err(|r| r.reason), Err(Reason::FutureTimestamp)),
                Some("late") => assert!(record.at.0 - record.event.timestamp.0 >= 500),
                _ => assert!(decoded.is_ok(), "{decoded:?}"),
            }
            *counts.entry(record.truth.unwrap_or("plain")).or_insert(0) += 1;
            if let Some(copy) = copy {
                assert_eq!(copy.event, record.event);
                *counts.entry("duplicate").or_insert(0) += 1;
            }
        }
        for kind in ["late", "duplicate", "malformed", "future"] {
            assert!((1_800..2_200).contains(&counts[kind]), "{counts:?}");
        }
    }
}

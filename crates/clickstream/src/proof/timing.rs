//! The cases that the log alone does not decide, because partitions are read side by side.
//!
//! Of several copies of one event the first counts. Copies in one partition have an order; copies in two partitions have
//! none, which is of no consequence as long as they say the same. And a copy that comes later than the dedup horizon may or
//! may not be known as one any more. Events of both kinds are listed, and rows they could touch are not held against
//! anybody. Neither the sample traffic nor a collector makes such events.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use clickstream_engine::Config;
use clickstream_event::{Event, Timestamp};
use serde::Serialize;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::key::ByHash;

/// An event whose counting is a matter of timing.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct TimingEvent {
    /// Why.
    pub reason: &'static str,
    /// The site.
    pub site_id: String,
    /// Its id.
    pub event_id: String,
    /// Where the copy stands.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its event time.
    pub event_time: Timestamp,
}

/// Appends all that an event says, so that two say the same if their bytes are the same.
fn write_content(event: &Event<'_>, out: &mut Vec<u8>) {
    let Event {
        event_id,
        site_id,
        event_type,
        user_id,
        session_id,
        page_url,
        product_id,
        timestamp,
        referrer,
        user_agent,
        element,
        value,
        currency,
    } = event;
    out.push(*event_type as u8);
    out.extend_from_slice(&timestamp.0.to_le_bytes());
    let needed = [event_id, site_id, user_id, session_id, page_url].map(Some);
    let others = [product_id, referrer, user_agent, element, currency].map(Option::as_ref);
    for text in needed.into_iter().chain(others) {
        // an absent text is not an empty one
        let length = text.map_or(u32::MAX, |text| text.len() as u32);
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(text.map_or(&[], |text| text.as_bytes()));
    }
    if let Some(value) = value {
        out.extend_from_slice(&value.serialize());
    }
}

#[derive(Clone, Copy)]
struct Copy {
    partition: i32,
    content: u64,
    arrival: i64,
    event_time: i64,
}

/// Events that timing decides are found by remembering every id for some time.
pub struct Timing {
    horizon_ms: i64,
    /// Two generations of ids: what is older than two memories is forgotten.
    young: HashMap<u128, Copy, ByHash>,
    old: HashMap<u128, Copy, ByHash>,
    turned: i64,
    scratch: Vec<u8>,
    found: Vec<TimingEvent>,
    count: u64,
    /// Times of these events per site: rows of windows that hold one may differ.
    touched: HashMap<String, Vec<i64>>,
}

/// Copies later than this after the horizon are known to be forgotten by everybody, in milliseconds.
const FORGOTTEN_MS: i64 = 180_000;

impl Timing {
    /// For a log of this configuration.
    pub fn new(config: Config) -> Self {
        Self {
            horizon_ms: config.dedup_horizon_ms,
            young: HashMap::default(),
            old: HashMap::default(),
            turned: 0,
            scratch: Vec::new(),
            found: Vec::new(),
            count: 0,
            touched: HashMap::new(),
        }
    }

    /// Takes an event that is valid and on time, a copy or not.
    pub fn event(
        &mut self,
        partition: i32,
        offset: i64,
        arrival: Timestamp,
        event: &Event<'_>,
        ts: Timestamp,
    ) {
        if arrival.0 - self.turned > self.horizon_ms + FORGOTTEN_MS {
            self.old = std::mem::take(&mut self.young);
            self.turned = arrival.0;
        }
        self.scratch.clear();
        self.scratch.extend_from_slice(event.site_id.as_bytes());
        self.scratch.push(0);
        self.scratch.extend_from_slice(event.event_id.as_bytes());
        let id = xxh3_128(&self.scratch);
        self.scratch.clear();
        write_content(event, &mut self.scratch);
        let copy = Copy { partition, content: xxh3_64(&self.scratch), arrival: arrival.0, event_time: ts.0 };
        let young = self.young.entry(id);
        let first = match &young {
            Entry::Occupied(known) => Some(*known.get()),
            Entry::Vacant(_) => self.old.get(&id).copied(),
        };
        let Some(first) = first else {
            young.insert_entry(copy);
            return;
        };
        let reason = if (arrival.0 - first.arrival).abs() > self.horizon_ms {
            young.insert_entry(copy);
            "a copy that came later than the dedup horizon"
        } else if first.partition != partition
            && (first.content, first.event_time) != (copy.content, copy.event_time)
        {
            "copies in two partitions that differ"
        } else {
            return;
        };
        self.count += 1;
        self.touched.entry(event.site_id.to_string()).or_default().extend([first.event_time, ts.0]);
        if self.found.len() < 20 {
            self.found.push(TimingEvent {
                reason,
                site_id: event.site_id.to_string(),
                event_id: event.event_id.to_string(),
                partition,
                offset,
                event_time: ts,
            });
        }
    }

    /// Whether such an event may count in a row of the site with this span, which looks `reach_ms` further back.
    pub fn touches(&self, site: &str, (start, end): (Timestamp, Timestamp), reach_ms: i64) -> bool {
        let looked_at = start.0 - reach_ms..end.0;
        self.touched.get(site).is_some_and(|times| times.iter().any(|at| looked_at.contains(at)))
    }

    /// How many there are, and the first of them.
    pub fn events(&self) -> (u64, Vec<TimingEvent>) {
        (self.count, self.found.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickstream_event::{Record, Windows, decode};

    #[test]
    fn touches_what_depends_on_it() {
        let config = Config::new(Windows::new(60_000, 10_000).unwrap());
        let mut timing = Timing::new(config);
        let begin = 1_795_583_040_000;
        let late = begin + config.dedup_horizon_ms + 1_000;
        for (offset, at) in [(0, begin), (1, late)] {
            let value = format!(
                r#"{{"event_id":"e","site_id":"shop","event_type":"click","user_id":"u","session_id":"s","page_url":"/","timestamp":"{}"}}"#,
                Timestamp(at)
            );
            let Ok(Record::Event(event, time)) = decode(value.as_bytes(), Timestamp(at), config.rules) else {
                panic!("{value}")
            };
            timing.event(0, offset, Timestamp(at), &event, time);
        }
        assert_eq!(timing.events().0, 1);
        let window = |from: i64| (Timestamp(late + from), Timestamp(late + from + 60_000));
        assert!(timing.touches("shop", window(-60_000 + 1), 0) && !timing.touches("shop", window(1), 0));
        // a session that it opened closes later, in a window that does not hold it
        assert!(
            timing.touches("shop", window(30_000), 30_000) && !timing.touches("shop", window(30_001), 30_000)
        );
        assert!(!timing.touches("blog", window(0), 30_000));
    }
}

//! How far back the sessions reach that are open at a time: the log itself tells, read backwards.
//!
//! A stretch of the log is read, then the one before it, and so on, until no session that was open can have an event before what was
//! read. Events that do not count, late ones and copies, are taken for events: a session may seem longer, never shorter.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use clickstream_event::{Record, Rules, Timestamp, decode, topic};
use clickstream_kafka::offsets;
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaResult;

use super::resume::{PATIENCE, read};

/// An event may come in so long after its event time, in milliseconds, as a rule: partitions are not equally fast. Where events of the
/// past were written, or Kafka was away, it is looked for them further on.
const BEHIND_MS: i64 = 120_000;

/// Where the oldest session begins that is open at `at`, in milliseconds since the epoch; `at`, if none is. No farther back than
/// `floor`: a session that reaches there is as old as that, at least.
pub(super) fn oldest(
    consumer: &BaseConsumer,
    rules: Rules,
    gap_ms: i64,
    at: i64,
    floor: i64,
) -> KafkaResult<i64> {
    let stretch_ms = (4 * gap_ms).clamp(60_000, 900_000);
    let mut open = OpenSessions::new(gap_ms, at);
    let take = |open: &mut OpenSessions, record: &Record<'_>| {
        if let Record::Event(event, Timestamp(time)) = record
            && *time >= floor - gap_ms
        {
            open.event(&event.site_id, &event.session_id, *time);
        }
    };
    read_on(consumer, rules, at, |record| take(&mut open, record))?;
    // whoever is open at `at` had an event within the gap before it
    let (mut from, mut to) = (at - stretch_ms.max(gap_ms), at);
    let held = offsets::held(consumer, topic::EVENTS, PATIENCE)?;
    loop {
        let from_floor = from.max(floor);
        let parts = arrived(consumer, from_floor, to)?;
        let is_all = parts.iter().zip(&held).all(|(part, (_, low, _))| part.begin <= *low);
        let bounds = parts.iter().map(|part| (part.partition, part.begin, part.end));
        read(consumer, topic::EVENTS, bounds, |arrival, value| {
            if let Ok(record) = decode(value, arrival, rules) {
                take(&mut open, &record);
            }
        })?;
        let is_settled = open.settle(from_floor);
        if is_settled || is_all || from_floor <= floor {
            return Ok(open.oldest);
        }
        (from, to) = (from_floor - stretch_ms, from_floor);
    }
}

/// Gives what arrived at `at` or later, until every event of a time before it has come in, as far as the log goes: by then each partition
/// has an event of that time or a later one, or has come to its end.
fn read_on(
    consumer: &BaseConsumer,
    rules: Rules,
    at: i64,
    mut take: impl FnMut(&Record<'_>),
) -> KafkaResult<()> {
    let (mut from, mut step) = (at, BEHIND_MS);
    let (mut passed, mut is_last) = (HashSet::new(), false);
    loop {
        let parts = arrived(consumer, from, from + step)?;
        for part in &parts {
            read(consumer, topic::EVENTS, [(part.partition, part.begin, part.end)], |arrival, value| {
                let Ok(record) = decode(value, arrival, rules) else { return };
                if record.event_time().0 >= at {
                    passed.insert(part.partition);
                }
                take(&record);
            })?;
        }
        if is_last {
            return Ok(());
        }
        is_last = parts.iter().all(|part| part.end >= part.high || passed.contains(&part.partition));
        from += step;
        // at last what is out of order; before, the times between may be months
        step = if is_last { BEHIND_MS } else { step * 8 };
    }
}

/// Of a partition of the events, what arrived within some time: first offset and end; and where the partition ends.
struct Part {
    partition: i32,
    begin: i64,
    end: i64,
    high: i64,
}

/// What arrived from one time on, until another.
fn arrived(consumer: &BaseConsumer, from: i64, to: i64) -> KafkaResult<Vec<Part>> {
    let begin = offsets::held_since(consumer, topic::EVENTS, from, PATIENCE)?;
    let end = offsets::held_since(consumer, topic::EVENTS, to, PATIENCE)?;
    let part = |((partition, begin, _), (_, end, high))| Part { partition, begin, end, high };
    Ok(begin.into_iter().zip(end).map(part).collect())
}

/// Sessions that were open at a time, as far as the log was read backwards.
struct OpenSessions {
    gap_ms: i64,
    at: i64,
    oldest: i64,
    /// Of sessions that may have begun earlier than what was read: their first event that is known. By a hash of their names; if two
    /// share one, they seem to be one that began earlier.
    first: HashMap<u64, i64>,
    /// Times of events that were read and may belong to them.
    times: HashMap<u64, Vec<i64>>,
    is_first_stretch: bool,
    hasher: RandomState,
}

impl OpenSessions {
    fn new(gap_ms: i64, at: i64) -> Self {
        let (first, times, hasher) = Default::default();
        Self { gap_ms, at, oldest: at, first, times, is_first_stretch: true, hasher }
    }

    /// An event of the stretch.
    fn event(&mut self, site: &str, session: &str, time: i64) {
        let hash = self.hasher.hash_one((site, session));
        if time < self.at && (self.is_first_stretch || self.first.contains_key(&hash)) {
            self.times.entry(hash).or_default().push(time);
        }
    }

    /// The stretch that begins at `from` is read; whether nothing before it matters.
    fn settle(&mut self, from: i64) -> bool {
        if self.is_first_stretch {
            self.is_first_stretch = false;
            // a session closes a gap after its last event, less a millisecond
            let is_open = |times: &Vec<i64>| times.iter().any(|time| time + self.gap_ms > self.at);
            self.first =
                self.times.iter().filter(|(_, times)| is_open(times)).map(|(k, _)| (*k, self.at)).collect();
        }
        for (session, first) in &mut self.first {
            let Some(times) = self.times.get_mut(session) else { continue };
            times.sort_unstable();
            while let Some(time) = times.pop_if(|time| *first - *time < self.gap_ms) {
                *first = time.min(*first);
            }
            self.oldest = self.oldest.min(*first);
        }
        // what came in before `from` has an earlier time than that
        self.first.retain(|_, first| *first - from < self.gap_ms);
        // an event that came in late may belong to a session that is read further back
        self.times.retain(|session, _| self.first.contains_key(session));
        self.first.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The oldest of all sessions that are open at a time, by cutting each at its gaps.
    fn brute_force(events: &[(u8, i64)], gap: i64, at: i64) -> i64 {
        let mut oldest = at;
        for session in 0..4 {
            let mut times: Vec<i64> = events
                .iter()
                .filter(|event| event.0 == session && event.1 < at)
                .map(|event| event.1)
                .collect();
            times.sort_unstable();
            let Some(last) = times.last().copied().filter(|last| last + gap > at) else { continue };
            let mut first = last;
            while let Some(time) = times.pop().filter(|time| first - time < gap) {
                first = time;
            }
            oldest = oldest.min(first);
        }
        oldest
    }

    proptest! {
        #[test]
        fn finds_the_oldest(
            events in proptest::collection::vec((0u8..4, 0i64..1_000, 0i64..40), 0..120),
            gap in 5i64..80, at in 100i64..1_000, stretch in 20i64..200,
        ) {
            let mut open = OpenSessions::new(gap, at);
            let (mut from, mut to) = (at - stretch.max(gap), at + 60);
            loop {
                // events come in later than they happen, and a stretch is one of arrivals
                for (session, time, delay) in &events {
                    if (from..to).contains(&(time + delay)) {
                        open.event("site", &session.to_string(), *time);
                    }
                }
                if open.settle(from) {
                    break;
                }
                (from, to) = (from - stretch, from);
            }
            let events: Vec<(u8, i64)> = events.iter().map(|(session, time, _)| (*session, *time)).collect();
            prop_assert_eq!(open.oldest, brute_force(&events, gap, at));
        }
    }
}

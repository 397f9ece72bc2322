//! Events that wait for the watermark, to be counted in the order of event time, partition, offset.
//!
//! They lie in buckets of [`BUCKET_MS`] of event time. When the watermark passes a bucket, its events are sorted, most often
//! a look at a list that is in order already. It holds what the allowed disorder and the distance between the partitions
//! make wait, never more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::shard::Counted;

/// Event time of a bucket; slides are multiples of it.
pub const BUCKET_MS: i64 = 50;

/// Emptied lists that are kept.
const SPARE: usize = 64;

/// Events by bucket.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Waiting {
    buckets: BTreeMap<i64, Vec<Counted>>,
    /// The bucket that the last event went to, apart from the others: the next one most often goes there too.
    open: Option<(i64, Vec<Counted>)>,
    /// Emptied lists, to be filled again.
    #[serde(skip)]
    spare: Vec<Vec<Counted>>,
}

impl Waiting {
    /// Puts an event among the others. Events of a partition come in the order of their offsets.
    #[inline]
    pub fn push(&mut self, event: Counted) {
        let bucket = event.ts.div_euclid(BUCKET_MS);
        match &mut self.open {
            Some((open, events)) if *open == bucket => events.push(event),
            _ => self.reopen(bucket, event),
        }
    }

    fn reopen(&mut self, bucket: i64, event: Counted) {
        let mut events = self.buckets.remove(&bucket).or_else(|| self.spare.pop()).unwrap_or_default();
        events.push(event);
        if let Some((before, events)) = self.open.replace((bucket, events)) {
            self.buckets.insert(before, events);
        }
    }

    /// First instant of the first bucket.
    pub fn first(&self) -> Option<i64> {
        let open = self.open.as_ref().map(|(bucket, _)| *bucket);
        let first = self.buckets.keys().next().copied();
        open.into_iter().chain(first).min().map(|bucket| bucket * BUCKET_MS)
    }

    /// Takes the events of the first bucket up to `time`, in order, into `events`, which is empty.
    pub fn take(&mut self, time: i64, events: &mut Vec<Counted>) {
        if let Some((bucket, list)) = self.open.take() {
            self.buckets.insert(bucket, list);
        }
        let Some((bucket, mut list)) = self.buckets.pop_first() else { return };
        std::mem::swap(events, &mut list);
        if time < (bucket + 1) * BUCKET_MS - 1 {
            list.extend(events.iter().filter(|event| event.ts > time));
            events.retain(|event| event.ts <= time);
        }
        if list.is_empty() {
            if self.spare.len() < SPARE {
                self.spare.push(list);
            }
        } else {
            self.buckets.insert(bucket, list);
        }
        let key = |event: &Counted| (event.ts, event.partition);
        if !events.is_sorted_by_key(key) {
            events.sort_by_key(key);
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let lists = self.buckets.values().chain(&self.spare).chain(self.open.as_ref().map(|(_, list)| list));
        lists.map(Vec::capacity).sum::<usize>() * size_of::<Counted>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::NO_PRODUCT;
    use proptest::prelude::*;

    fn event(ts: i64, partition: u32, n: u32) -> Counted {
        let (kind, declared, human, later_half) = (0, false, true, false);
        let (site, session, product) = (0, 0, NO_PRODUCT);
        Counted {
            ts,
            value: 0,
            site,
            page: n,
            product,
            user: 0,
            session,
            partition,
            kind,
            declared,
            human,
            later_half,
        }
    }

    proptest! {
        #[test]
        fn gives_events_in_order(steps in proptest::collection::vec((-100i64..300, 0u32..3, 0i64..40), 1..200)) {
            let mut waiting = Waiting::default();
            let (mut all, mut given, mut watermark) = (Vec::new(), Vec::new(), -200);
            let mut release = |waiting: &mut Waiting, watermark: i64| {
                let mut events = Vec::new();
                while waiting.first().is_some_and(|first| first <= watermark) {
                    let before = given.len();
                    waiting.take(watermark, &mut events);
                    given.append(&mut events);
                    if given.len() == before {
                        break;
                    }
                }
                given.clone()
            };
            for (n, (ahead, partition, step)) in steps.into_iter().enumerate() {
                let ts = watermark + 1 + ahead.max(0);
                all.push((ts, partition, n as u32));
                waiting.push(event(ts, partition, n as u32));
                watermark += step;
                release(&mut waiting, watermark);
            }
            let given = release(&mut waiting, i64::MAX / 2);
            all.sort();
            let given: Vec<_> = given.iter().map(|event| (event.ts, event.partition, event.page)).collect();
            prop_assert_eq!(given, all);
        }
    }
}

//! Rows that were compared, remembered for those that are written again: twelve bytes each.

use std::collections::BTreeMap;

use clickstream_event::Timestamp;

use super::key::RowKey;

/// Keys in buckets of this width, by a time that is part of the key, in milliseconds.
const BUCKET_MS: i64 = 10_000;

/// What rows said, by their keys.
#[derive(Clone, Debug, Default)]
pub struct Proven {
    /// By the topic's kind: the key fields of windowed rows hold another time than the others'.
    buckets: BTreeMap<(bool, i64), Bucket>,
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    /// Half of the key in two words, and a part of what the row says; in order up to `sorted`.
    rows: Vec<[u32; 3]>,
    sorted: usize,
    /// From when on nothing changes any of them.
    settled_at: Timestamp,
}

/// Where a row is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Slot {
    /// Its key.
    pub key: RowKey,
    /// A time that is part of its key: the window's end, the session's start, when an anomaly was detected.
    pub at: Timestamp,
    /// Whether it belongs to a sliding window.
    pub windowed: bool,
}

impl Slot {
    fn bucket(&self) -> (bool, i64) {
        (self.windowed, self.at.0.div_euclid(BUCKET_MS))
    }

    fn words(&self) -> [u32; 2] {
        [(self.key.low() >> 32) as u32, self.key.low() as u32]
    }
}

impl Proven {
    /// Remembers what a row says, by a fingerprint of it.
    pub fn insert(&mut self, slot: Slot, bits: u64, settled_at: Timestamp) {
        if !self.buckets.contains_key(&slot.bucket()) {
            // those before it are nearly full, and grow no more
            for (_, bucket) in self.buckets.range_mut(..slot.bucket()).rev().skip(1).take(2) {
                bucket.rows.shrink_to_fit();
            }
        }
        let bucket = self.buckets.entry(slot.bucket()).or_default();
        let [high, low] = slot.words();
        bucket.rows.push([high, low, bits as u32]);
        bucket.settled_at = bucket.settled_at.max(settled_at);
    }

    /// Whether the row was compared, and then whether it said this.
    pub fn said(&mut self, slot: Slot, bits: u64) -> Option<bool> {
        let bucket = self.buckets.get_mut(&slot.bucket())?;
        bucket.find(slot).map(|place| bucket.rows[place][2] == bits as u32)
    }

    /// Forgets a row by its key alone.
    pub fn remove(&mut self, key: RowKey, windowed: bool) {
        for ((kind, _), bucket) in &mut self.buckets {
            let slot = Slot { key, at: Timestamp::default(), windowed };
            if *kind == windowed
                && let Some(place) = bucket.find(slot)
            {
                bucket.rows.remove(place);
                bucket.sorted = bucket.rows.len();
            }
        }
    }

    /// Forgets what was settled before a time.
    pub fn forget(&mut self, before: Timestamp) {
        self.buckets.retain(|_, bucket| bucket.settled_at >= before);
    }
}

impl Bucket {
    fn find(&mut self, slot: Slot) -> Option<usize> {
        if self.sorted < self.rows.len() {
            // most of it is in order already, which this sort makes use of
            self.rows.sort();
            self.sorted = self.rows.len();
        }
        let words = slot.words();
        self.rows.binary_search_by_key(&words, |row| [row[0], row[1]]).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickstream_event::result_row::KeyPart;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;

    fn slot(n: u64) -> Slot {
        let key = RowKey::of("t", &[Some(("n", KeyPart::Number(n))), None, None, None]);
        Slot { key, at: Timestamp(n as i64 * 1_700), windowed: n.is_multiple_of(2) }
    }

    proptest! {
        #[test]
        fn is_a_map(steps in proptest::collection::vec((0u64..40, 0u64..3, 0u8..4), 1..400)) {
            let mut proven = Proven::default();
            let mut model = HashMap::new();
            for (n, bits, what) in steps {
                let slot = slot(n);
                prop_assert_eq!(proven.said(slot, bits), model.get(&n).map(|known| *known == bits));
                if what == 0 {
                    proven.remove(slot.key, slot.windowed);
                    model.remove(&n);
                } else if let Entry::Vacant(unknown) = model.entry(n) {
                    proven.insert(slot, bits, slot.at);
                    unknown.insert(bits);
                }
            }
        }
    }

    #[test]
    fn forgets_what_was_settled_long_ago() {
        let mut proven = Proven::default();
        // a session that began early and ended late
        proven.insert(slot(1), 7, Timestamp(90_000));
        proven.insert(slot(2), 7, Timestamp(3_400));
        proven.insert(slot(60), 7, Timestamp(102_000));
        proven.forget(Timestamp(80_000));
        assert_eq!([1, 2, 60].map(|n| proven.said(slot(n), 7)), [Some(true), None, Some(true)]);
    }
}

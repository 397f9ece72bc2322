//! What is known about pairs of numbers, such as a user on a page: a hash table that forgets what is too old.
//!
//! The same kind of table as [`crate::recent`], with exact keys: a pair of two numbers is 8 bytes, so a slot with two times
//! is 16. A pair whose slice has left the window is as good as absent.

use serde::{Deserialize, Serialize};

/// Parts of the table; a power of two.
const PARTS: usize = 64;
/// Slots of the smallest part that is not empty.
const MIN_SLOTS: usize = 8;

/// What is known of a pair.
pub trait Dated: Copy + Default {
    /// The newest slice it occurred in, plus one; zero if it never did.
    fn date(&self) -> u32;
}

/// Values of pairs, for as long as they are not too old.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pairs<V> {
    parts: Vec<Part<V>>,
    /// A value of date `d` lives while `now + 1 < d + lifetime`.
    lifetime: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Part<V> {
    slots: Vec<Slot<V>>,
    /// Slots that are not empty, live or not.
    used: usize,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Slot<V> {
    key: u64,
    value: V,
}

/// Where a pair is looked for: its part, and its place there.
#[inline]
fn hash(key: u64) -> (usize, usize) {
    let product = u128::from(key ^ 0x9e37_79b9_7f4a_7c15) * 0xd6e8_feb8_6659_fd93_u128;
    let mixed = (product >> 64) as u64 ^ product as u64;
    (mixed as usize % PARTS, (mixed >> 6) as usize)
}

/// The pair of two numbers.
#[inline]
pub fn pair(a: u32, b: u32) -> u64 {
    u64::from(a) << 32 | u64::from(b)
}

impl<V: Dated> Pairs<V> {
    /// An empty table; what was not seen for `lifetime` slices is forgotten.
    pub fn new(lifetime: u32) -> Self {
        Self { parts: vec![Part::default(); PARTS], lifetime }
    }

    fn expiry(&self, slice: u32) -> u32 {
        (slice + 1).saturating_sub(self.lifetime)
    }

    /// Reads ahead what a look-up will need; see [`crate::recent::Recent::warm`].
    #[inline]
    pub fn warm(&self, key: u64) -> u32 {
        let (part, place) = hash(key);
        let part = &self.parts[part];
        let mask = part.slots.len().wrapping_sub(1);
        part.slots.get(place & mask).map_or(0, |slot| slot.value.date())
    }

    /// The value of a pair that occurs in `slice`, which must not decrease from call to call. A new one has the default value;
    /// it must be given a date at once.
    #[inline]
    pub fn entry(&mut self, key: u64, slice: u32) -> &mut V {
        let expiry = self.expiry(slice);
        let (part, place) = hash(key);
        let part = &mut self.parts[part];
        if part.used * 4 >= part.slots.len() * 3 {
            part.rebuild(expiry);
        }
        let mask = part.slots.len() - 1;
        let mut at = place & mask;
        let mut free = usize::MAX;
        loop {
            let slot = &part.slots[at];
            let date = slot.value.date();
            if date > expiry {
                if slot.key == key {
                    return &mut part.slots[at].value;
                }
            } else {
                if free == usize::MAX {
                    free = at;
                }
                if date == 0 {
                    break;
                }
            }
            at = (at + 1) & mask;
        }
        part.used += usize::from(part.slots[free].value.date() == 0);
        part.slots[free] = Slot { key, value: V::default() };
        &mut part.slots[free].value
    }

    /// The value of a pair, if it lives.
    pub fn get(&self, key: u64, slice: u32) -> Option<&V> {
        let expiry = self.expiry(slice);
        let (part, place) = hash(key);
        let part = &self.parts[part];
        let mask = part.slots.len().checked_sub(1)?;
        let mut at = place & mask;
        loop {
            let slot = &part.slots[at];
            match slot.value.date() {
                0 => return None,
                date if date > expiry && slot.key == key => return Some(&slot.value),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// The pairs that live.
    pub fn iter(&self, slice: u32) -> impl Iterator<Item = (u64, V)> {
        let expiry = self.expiry(slice);
        let slots = self.parts.iter().flat_map(|part| &part.slots);
        slots.filter(move |slot| slot.value.date() > expiry).map(|slot| (slot.key, slot.value))
    }

    /// Gives back memory that expired pairs hold; in turns, one part of `turns` per call.
    pub fn tidy(&mut self, slice: u32, turns: u32) {
        let expiry = self.expiry(slice);
        let turns = turns.max(1);
        for part in self.parts.iter_mut().skip((slice % turns) as usize).step_by(turns as usize) {
            if part.slots.len() > MIN_SLOTS && part.live(expiry) * 6 < part.slots.len() {
                part.rebuild(expiry);
            }
        }
    }

    /// Pairs that live.
    pub fn live(&self, slice: u32) -> usize {
        self.parts.iter().map(|part| part.live(self.expiry(slice))).sum()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.slots.capacity() * size_of::<Slot<V>>()).sum()
    }
}

impl<V: Dated> Part<V> {
    fn live(&self, expiry: u32) -> usize {
        self.slots.iter().filter(|slot| slot.value.date() > expiry).count()
    }

    /// Drops what has expired, and makes the part as large as the rest needs.
    #[cold]
    fn rebuild(&mut self, expiry: u32) {
        let live = self.live(expiry);
        let size = (live * 2 + 1).next_power_of_two().max(MIN_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![Slot { key: 0, value: V::default() }; size]);
        self.used = live;
        for slot in old.into_iter().filter(|slot| slot.value.date() > expiry) {
            let mut at = hash(slot.key).1 & (size - 1);
            while self.slots[at].value.date() > 0 {
                at = (at + 1) & (size - 1);
            }
            self.slots[at] = slot;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[derive(Clone, Copy, Default)]
    struct Date(u32);
    impl Dated for Date {
        fn date(&self) -> u32 {
            self.0
        }
    }

    proptest! {
        #[test]
        fn is_a_map_that_forgets(
            steps in proptest::collection::vec((0u32..8, 0u32..8, 0u32..3), 1..600), lifetime in 1u32..30,
        ) {
            let mut pairs = Pairs::<Date>::new(lifetime);
            let mut model: HashMap<(u32, u32), u32> = HashMap::new();
            let mut now = 0;
            for (a, b, step) in steps {
                now += step;
                let known = model.get(&(a, b)).copied().filter(|then| now < then + lifetime);
                prop_assert_eq!(pairs.get(pair(a, b), now).map(|date| date.0 - 1), known);
                let date = pairs.entry(pair(a, b), now);
                prop_assert_eq!(date.0.checked_sub(1), known);
                *date = Date(now + 1);
                model.insert((a, b), now);
                pairs.tidy(now, 7);
                let live = model.values().filter(|then| now < **then + lifetime).count();
                prop_assert_eq!(pairs.live(now), live);
            }
        }
    }
}

//! Numbers by fingerprint: a hash table whose look-up touches one cache line as a rule.
//!
//! Slots of 16 bytes, open addressing with linear probing; what is removed leaves no gap, the slots behind it move up. Cut into
//! [`PARTS`] parts that grow on their own, so that no single rebuild takes long.

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;

/// Parts of the table; a power of two.
const PARTS: usize = 64;
/// Slots of the smallest part that is not empty.
const MIN_SLOTS: usize = 8;

/// Numbers by fingerprint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Numbers {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Part {
    slots: Vec<Slot>,
    used: usize,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[repr(align(16))]
struct Slot {
    high: u64,
    low: u32,
    /// The number plus one; zero marks an empty slot.
    number: u32,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { parts: vec![Part::default(); PARTS] }
    }
}

#[inline]
fn part_of(key: Fingerprint) -> usize {
    key.low as usize % PARTS
}

impl Numbers {
    /// Reads ahead what [`Numbers::get`] will need; see [`crate::recent::Recent::warm`].
    #[inline]
    pub fn warm(&self, key: Fingerprint) -> u32 {
        let part = &self.parts[part_of(key)];
        let mask = part.slots.len().wrapping_sub(1);
        part.slots.get(key.high as usize & mask).map_or(0, |slot| slot.number)
    }

    /// The number of a fingerprint.
    #[inline]
    pub fn get(&self, key: Fingerprint) -> Option<u32> {
        let part = &self.parts[part_of(key)];
        part.find(key).and_then(|at| part.slots[at].number.checked_sub(1))
    }

    /// Gives a number to a fingerprint that has none.
    pub fn insert(&mut self, key: Fingerprint, number: u32) {
        let part = &mut self.parts[part_of(key)];
        if part.used * 4 >= part.slots.len() * 3 {
            part.resize((part.slots.len() * 2).max(MIN_SLOTS));
        }
        part.used += 1;
        part.put(Slot { high: key.high, low: key.low, number: number + 1 });
    }

    /// Takes the number from a fingerprint.
    pub fn remove(&mut self, key: Fingerprint) {
        let part = &mut self.parts[part_of(key)];
        let Some(mut hole) = part.find(key).filter(|at| part.slots[*at].number > 0) else { return };
        let mask = part.slots.len() - 1;
        part.used -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let slot = part.slots[at];
            if slot.number == 0 {
                break;
            }
            // it moves up if it is looked for from the hole or before
            let way = at.wrapping_sub(slot.high as usize) & mask;
            if way >= (at.wrapping_sub(hole) & mask) {
                part.slots[hole] = slot;
                hole = at;
            }
        }
        part.slots[hole] = Slot::default();
        if part.slots.len() > MIN_SLOTS && part.used * 6 < part.slots.len() {
            part.resize((part.used * 2 + 1).next_power_of_two().max(MIN_SLOTS));
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.used).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.slots.capacity() * size_of::<Slot>()).sum()
    }
}

impl Part {
    /// Where the fingerprint stands, or the empty slot where it is missing.
    #[inline]
    fn find(&self, key: Fingerprint) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = key.high as usize & mask;
        loop {
            let slot = &self.slots[at];
            if slot.number == 0 || (slot.high == key.high && slot.low == key.low) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }

    fn put(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.high as usize & mask;
        while self.slots[at].number > 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    #[cold]
    fn resize(&mut self, slots: usize) {
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); slots]);
        old.into_iter().filter(|slot| slot.number > 0).for_each(|slot| self.put(slot));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::collections::hash_map::Entry;

    proptest! {
        #[test]
        fn is_a_map(steps in proptest::collection::vec((0u32..400, any::<bool>()), 1..2_000)) {
            let mut numbers = Numbers::default();
            let mut model = HashMap::new();
            for (n, (key, remove)) in steps.into_iter().enumerate() {
                let mut fingerprint = Fingerprint::of(&key.to_string(), 0);
                // few places in few parts, so that many meet
                fingerprint.high &= 0x3f;
                fingerprint.low = (key << 8) | (key % 3);
                prop_assert_eq!(numbers.get(fingerprint), model.get(&key).copied());
                if remove {
                    numbers.remove(fingerprint);
                    model.remove(&key);
                } else if let Entry::Vacant(vacant) = model.entry(key) {
                    numbers.insert(fingerprint, n as u32);
                    vacant.insert(n as u32);
                }
                prop_assert_eq!(numbers.len(), model.len());
            }
        }
    }
}

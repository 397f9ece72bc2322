//! When was this identity last seen? A hash table that forgets what is too old.
//!
//! Slots of 16 bytes (12 of identity, 4 of time), open addressing with linear probing: a look-up touches one cache line as
//! a rule. Nothing is ever deleted. A slot whose time is more than the lifetime ago is as good as empty, and is taken over
//! when a probe passes it, or dropped when its part of the table is rebuilt. The table is cut into [`PARTS`] parts that grow
//! and shrink on their own, so that no single rebuild takes longer than a millisecond or so.

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;

/// Parts of the table; a power of two.
const PARTS: usize = 64;
/// Slots of the smallest part.
const MIN_SLOTS: usize = 8;

/// The newest (or first) time of identities, in a unit of the owner's choice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Recent {
    parts: Vec<Part>,
    /// An entry of time `t` lives while `now < t + lifetime`.
    lifetime: u32,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Part {
    slots: Vec<Slot>,
    /// Slots that are not empty, live or not.
    used: usize,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[repr(align(16))]
struct Slot {
    high: u64,
    low: u32,
    /// Time plus one; zero marks an empty slot.
    time: u32,
}

impl Slot {
    fn new(key: Fingerprint, now: u32) -> Self {
        Self { high: key.high, low: key.low, time: now + 1 }
    }
}

impl Recent {
    /// An empty table whose entries live for `lifetime` units of time.
    pub fn new(lifetime: u32) -> Self {
        Self { parts: vec![Part::default(); PARTS], lifetime }
    }

    /// Notes that `key` was seen at `now`; returns when it was seen before, unless that is too long ago.
    ///
    /// `now` must not decrease from call to call.
    #[inline]
    pub fn touch(&mut self, key: Fingerprint, now: u32) -> Option<u32> {
        self.look(key, now, true)
    }

    /// As [`Recent::touch`], but an entry that lives keeps its first time.
    #[inline]
    pub fn first(&mut self, key: Fingerprint, now: u32) -> Option<u32> {
        self.look(key, now, false)
    }

    /// Reads the place where `key` is looked for first, so that a later look-up finds it in the cache. Returns something that
    /// depends on it: pass it to [`std::hint::black_box`], or the read is optimised away.
    ///
    /// One look-up waits for memory; a few dozen of these, which do not depend on each other, wait at the same time.
    #[inline]
    pub fn warm(&self, key: Fingerprint) -> u32 {
        let part = &self.parts[part_of(key)];
        let mask = part.slots.len().wrapping_sub(1);
        part.slots.get(place_of(key) & mask).map_or(0, |slot| slot.time)
    }

    #[inline]
    fn look(&mut self, key: Fingerprint, now: u32, renew: bool) -> Option<u32> {
        // what has a time up to this one has expired; an empty slot has zero
        let expiry = (now + 1).saturating_sub(self.lifetime);
        let part = &mut self.parts[part_of(key)];
        if part.used * 4 >= part.slots.len() * 3 {
            part.rebuild(expiry);
        }
        let mask = part.slots.len() - 1;
        let mut at = place_of(key) & mask;
        let mut free = usize::MAX;
        loop {
            let slot = &mut part.slots[at];
            if slot.high == key.high && slot.low == key.low && slot.time > 0 {
                let (before, lives) = (slot.time - 1, slot.time > expiry);
                if renew || !lives {
                    slot.time = now + 1;
                }
                return lives.then_some(before);
            }
            if slot.time <= expiry {
                if free == usize::MAX {
                    free = at;
                }
                if slot.time == 0 {
                    break;
                }
            }
            at = (at + 1) & mask;
        }
        part.used += usize::from(part.slots[free].time == 0);
        part.slots[free] = Slot::new(key, now);
        None
    }

    /// Gives back memory that expired entries hold; in turns, one part of `turns` per call.
    pub fn tidy(&mut self, now: u32, turn: u32, turns: u32) {
        let (turn, turns) = (turn as usize, turns.max(1) as usize);
        for part in self.parts.iter_mut().skip(turn % turns).step_by(turns) {
            let expiry = (now + 1).saturating_sub(self.lifetime);
            if part.slots.len() > MIN_SLOTS && part.live(expiry) * 6 < part.slots.len() {
                part.rebuild(expiry);
            }
        }
    }

    /// Entries that live at `now`.
    pub fn live(&self, now: u32) -> usize {
        self.parts.iter().map(|part| part.live((now + 1).saturating_sub(self.lifetime))).sum()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.parts.iter().map(|part| part.slots.capacity() * size_of::<Slot>()).sum()
    }
}

#[inline]
fn part_of(key: Fingerprint) -> usize {
    key.low as usize % PARTS
}

#[inline]
fn place_of(key: Fingerprint) -> usize {
    key.high as usize
}

impl Part {
    fn live(&self, expiry: u32) -> usize {
        self.slots.iter().filter(|slot| slot.time > expiry).count()
    }

    /// Drops what has expired, and makes the part as large as the rest needs.
    #[cold]
    fn rebuild(&mut self, expiry: u32) {
        let live = self.live(expiry);
        // at most half full afterwards: short ways, and the next rebuild is some time away
        let size = (live * 2 + 1).next_power_of_two().max(MIN_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); size]);
        self.used = live;
        for slot in old.into_iter().filter(|slot| slot.time > expiry) {
            let mut at = slot.high as usize & (size - 1);
            while self.slots[at].time > 0 {
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

    proptest! {
        #[test]
        fn is_a_map_that_forgets(
            steps in proptest::collection::vec((0u32..60, 0u32..3), 1..600), lifetime in 1u32..30, renew: bool,
        ) {
            let mut table = Recent::new(lifetime);
            let mut model: HashMap<u32, u32> = HashMap::new();
            let mut now = 0;
            for (n, (key, step)) in steps.into_iter().enumerate() {
                now += step;
                let fingerprint = Fingerprint::of(&key.to_string(), 0);
                let known = model.get(&key).copied().filter(|then| now < then + lifetime);
                let found = if renew { table.touch(fingerprint, now) } else { table.first(fingerprint, now) };
                prop_assert_eq!(found, known);
                if renew || known.is_none() {
                    model.insert(key, now);
                }
                table.tidy(now, n as u32, 7);
                let live = model.values().filter(|then| now < **then + lifetime).count();
                prop_assert_eq!(table.live(now), live);
            }
        }
    }

    #[test]
    fn memory_follows_what_lives() {
        let mut table = Recent::new(10);
        for n in 0..100_000 {
            table.touch(Fingerprint::of(&n.to_string(), 0), 5);
        }
        let full = table.bytes();
        assert!((100_000 * 16..100_000 * 64).contains(&full), "{full}");
        for turn in 0..10 {
            table.tidy(20, turn, 10);
        }
        assert_eq!(table.live(20), 0);
        assert!(table.bytes() <= PARTS * MIN_SLOTS * 16, "{}", table.bytes());
        // many keys, of which few live at a time
        for n in 0..200_000u32 {
            table.touch(Fingerprint::of(&format!("b{n}"), 0), 20 + n / 100);
        }
        assert!(table.bytes() < 256 * 1024, "{}", table.bytes());
    }
}

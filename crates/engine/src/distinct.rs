//! How many different users did each key have in the window? Exact, in constant time per event.
//!
//! Events come slice by slice (see [`crate::engine`]), so of every pair of key and user the newest slice is all that needs
//! to be known: a user counts until that slice leaves the window. Per key and slice stands how many users were last seen
//! there; a user who is seen again moves from the older slice to the present one. When a slice leaves the window, its users
//! leave the count. No set of users is ever merged, and closing a window costs nothing per user. Where the newest slice of a
//! pair is kept is the caller's business.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A slice plus one; zero for never.
pub type Seen = u32;

/// Exact numbers of different users (or visits) per key over a sliding window.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distinct {
    slices: usize,
    /// Different users in the window, per key.
    counts: Vec<u32>,
    /// Users last seen in a slice, per key and slice modulo the window's length.
    last_seen: Vec<u32>,
    /// Keys that have users last seen in a slice: one list for each slice of the window, the oldest first.
    touched: VecDeque<Vec<u32>>,
    current: Vec<u32>,
    /// The present slice, and its place in `last_seen`.
    slice: u32,
    place: usize,
}

impl Distinct {
    /// Counts over windows of `slices` slices.
    pub fn new(slices: u32) -> Self {
        Self {
            slices: slices as usize,
            counts: Vec::new(),
            last_seen: Vec::new(),
            touched: VecDeque::new(),
            current: Vec::new(),
            slice: 0,
            place: 0,
        }
    }

    /// A user did something with `key` in the present slice; `seen` is the slice of its last doing so, and becomes this one.
    #[inline]
    pub fn touch(&mut self, key: u32, seen: &mut Seen, slice: u32) {
        let before = std::mem::replace(seen, slice + 1);
        if before != slice + 1 {
            self.renew(key, before, slice);
        }
    }

    #[inline]
    fn renew(&mut self, key: u32, before: Seen, slice: u32) {
        let (index, n) = (key as usize, self.slices);
        if index >= self.counts.len() {
            self.counts.resize(index + 1, 0);
            self.last_seen.resize((index + 1) * n, 0);
        }
        if slice != self.slice {
            // a division per slice instead of one per event
            self.slice = slice;
            self.place = slice as usize % n;
        }
        let back = (slice + 1 - before) as usize;
        if before > 0 && back < n {
            let place = if self.place >= back { self.place - back } else { self.place + n - back };
            self.last_seen[index * n + place] -= 1;
        } else {
            self.counts[index] += 1;
        }
        let now = &mut self.last_seen[index * n + self.place];
        if *now == 0 {
            self.current.push(key);
        }
        *now += 1;
    }

    /// Different users of `key` in the window that ends with the present slice.
    pub fn count(&self, key: u32) -> u32 {
        self.counts.get(key as usize).copied().unwrap_or(0)
    }

    /// Ends slice `slice`: what is too old for the window that ends with the next slice leaves it.
    pub fn next_slice(&mut self, slice: u32) {
        self.touched.push_back(std::mem::take(&mut self.current));
        if self.touched.len() >= self.slices {
            let mut leaving = self.touched.pop_front().unwrap_or_default();
            let place = (slice as usize + 1) % self.slices;
            for key in leaving.drain(..) {
                let gone = std::mem::take(&mut self.last_seen[key as usize * self.slices + place]);
                self.counts[key as usize] -= gone;
            }
            // the list serves again: no slice allocates once the window has filled
            self.current = leaving;
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let lists: usize = self.touched.iter().map(Vec::capacity).sum();
        (self.counts.capacity() + self.last_seen.capacity() + lists) * size_of::<u32>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    proptest! {
        #[test]
        fn equals_sets_of_users(
            slices in 1u32..8, first in 0u32..100,
            log in proptest::collection::vec(proptest::collection::vec((0u32..4, 0u8..5), 0..12), 1..30),
        ) {
            let mut distinct = Distinct::new(slices);
            let mut seen: HashMap<(u32, u8), Seen> = HashMap::new();
            for n in 0..log.len() {
                let slice = first + n as u32;
                log[n].iter().for_each(|pair| distinct.touch(pair.0, seen.entry(*pair).or_default(), slice));
                let window = &log[(n + 1).saturating_sub(slices as usize)..=n];
                for key in 0..4 {
                    let users: HashSet<u8> = window.iter().flatten().filter(|e| e.0 == key).map(|e| e.1).collect();
                    prop_assert_eq!(distinct.count(key) as usize, users.len(), "key {} slice {}", key, n);
                }
                distinct.next_slice(slice);
            }
        }
    }
}

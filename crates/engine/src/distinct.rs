//! How many different users did each key have in the window? Exact, in constant time per event.
//!
//! Events come slice by slice (see [`crate::engine`]), so of every pair of key and user the newest slice is all that needs
//! to be known: a user counts until that slice leaves the window. Per key and slice stands how many users were last seen
//! there; a user who is seen again moves from the older slice to the present one. When a slice leaves the window, its users
//! leave the count. No set of users is ever merged, and closing a window costs nothing per user. Where the newest slice of a
//! pair is kept is the caller's business.
//!
//! A key may be counted in several ways at once, such as all users and those that are people; what is counted of it lies together.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// A slice plus one; zero for never.
pub type Seen = u32;

/// Exact numbers of different users (or visits) per key over a sliding window, in `N` ways.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Distinct<const N: usize> {
    slices: usize,
    /// Different users in the window, per key and way.
    counts: Vec<u32>,
    /// Users last seen in a slice, per key, slice modulo the window's length, and way.
    last_seen: Vec<u32>,
    /// Keys that have users last seen in a slice: one list for each slice of the window, the oldest first.
    touched: VecDeque<Vec<u32>>,
    current: Vec<u32>,
    /// The present slice, and its place in `last_seen`.
    slice: u32,
    place: usize,
}

impl<const N: usize> Distinct<N> {
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

    /// A user did something with `key` in the present slice that counts in way `A`, and in way `B` too if `both`; `seen` are the
    /// slices of its last doing so, and become this one. What counts in way `B` counts in way `A` as well.
    #[inline]
    pub fn touch<const A: usize, const B: usize>(
        &mut self,
        key: u32,
        seen: &mut [Seen; N],
        both: bool,
        slice: u32,
    ) {
        let (now, before) = (slice + 1, *seen);
        if before[A] == now && (!both || before[B] == now) {
            return;
        }
        self.turn_to(key, slice);
        if before[A] != now {
            seen[A] = now;
            if self.renew::<A>(key, before[A], slice) {
                self.current.push(key);
            }
        }
        if both && before[B] != now {
            // the key stands in the list of the slice already
            seen[B] = now;
            self.renew::<B>(key, before[B], slice);
        }
    }

    #[inline]
    fn turn_to(&mut self, key: u32, slice: u32) {
        let (keys, n) = (key as usize + 1, self.slices);
        if keys * N > self.counts.len() {
            self.counts.resize(keys * N, 0);
            self.last_seen.resize(keys * n * N, 0);
        }
        if slice != self.slice {
            // a division per slice instead of one per event
            self.slice = slice;
            self.place = slice as usize % n;
        }
    }

    /// Moves a user from the older slice to the present one; whether it is the first there.
    #[inline]
    fn renew<const WAY: usize>(&mut self, key: u32, before: Seen, slice: u32) -> bool {
        let (index, n) = (key as usize, self.slices);
        let back = (slice + 1 - before) as usize;
        if before > 0 && back < n {
            let place = if self.place >= back { self.place - back } else { self.place + n - back };
            self.last_seen[(index * n + place) * N + WAY] -= 1;
        } else {
            self.counts[index * N + WAY] += 1;
        }
        let now = &mut self.last_seen[(index * n + self.place) * N + WAY];
        *now += 1;
        *now == 1
    }

    /// Different users of `key` in the window that ends with the present slice.
    pub fn count(&self, key: u32) -> [u32; N] {
        let counts = self.counts.get(key as usize * N..).and_then(|counts| counts.first_chunk());
        counts.copied().unwrap_or([0; N])
    }

    /// Ends slice `slice`: what is too old for the window that ends with the next slice leaves it.
    pub fn next_slice(&mut self, slice: u32) {
        self.touched.push_back(std::mem::take(&mut self.current));
        if self.touched.len() >= self.slices {
            let mut leaving = self.touched.pop_front().unwrap_or_default();
            let place = (slice as usize + 1) % self.slices;
            for key in leaving.drain(..) {
                let (key, cell) = (key as usize * N, (key as usize * self.slices + place) * N);
                for way in 0..N {
                    let gone = std::mem::take(&mut self.last_seen[cell + way]);
                    self.counts[key + way] -= gone;
                }
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
            log in proptest::collection::vec(
                proptest::collection::vec((0u32..4, 0u8..5, any::<bool>()), 0..12), 1..30,
            ),
        ) {
            let mut distinct = Distinct::<2>::new(slices);
            let mut seen: HashMap<(u32, u8), [Seen; 2]> = HashMap::new();
            for n in 0..log.len() {
                let slice = first + n as u32;
                for (key, user, both) in log[n].iter().copied() {
                    distinct.touch::<0, 1>(key, seen.entry((key, user)).or_default(), both, slice);
                }
                let window = &log[(n + 1).saturating_sub(slices as usize)..=n];
                for key in 0..4 {
                    let users = |all: bool| -> usize {
                        let events = window.iter().flatten().filter(|e| e.0 == key && (all || e.2));
                        events.map(|e| e.1).collect::<HashSet<u8>>().len()
                    };
                    let counts = distinct.count(key).map(|count| count as usize);
                    prop_assert_eq!(counts, [users(true), users(false)], "key {} slice {}", key, n);
                }
                distinct.next_slice(slice);
            }
        }
    }
}

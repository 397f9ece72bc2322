//! Sums over a sliding window, per key: each slice is added once when it ends, and subtracted once when it leaves.

use std::collections::VecDeque;
use std::ops::{AddAssign, SubAssign};

use serde::{Deserialize, Serialize};

/// What is summed.
pub trait Cell: Copy + Default + AddAssign + SubAssign + PartialEq {}
impl<T: Copy + Default + AddAssign + SubAssign + PartialEq> Cell for T {}

/// Sums of `C` per key over a sliding window. Memory: per key that occurs in the window, and per key and slice where it occurs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sums<C> {
    slices: usize,
    /// The present slice, by key.
    current: Vec<C>,
    touched: Vec<u32>,
    /// Ended slices that are still in the window, the oldest first.
    ended: VecDeque<Vec<(u32, C)>>,
    /// The window, by key.
    window: Vec<C>,
    /// Keys with anything in the window.
    live: Vec<u32>,
}

impl<C: Cell> Sums<C> {
    /// Sums over windows of `slices` slices.
    pub fn new(slices: u32) -> Self {
        Self {
            slices: slices as usize,
            current: Vec::new(),
            touched: Vec::new(),
            ended: VecDeque::new(),
            window: Vec::new(),
            live: Vec::new(),
        }
    }

    /// Adds to `key` in the present slice. `amount` is not zero, and no sum of amounts is.
    #[inline]
    pub fn add(&mut self, key: u32, amount: C) {
        *self.cell(key) += amount;
    }

    /// What `key` has in the present slice, to be added to at once, as by [`Sums::add`].
    #[inline]
    pub fn cell(&mut self, key: u32) -> &mut C {
        let index = key as usize;
        if index >= self.current.len() {
            self.current.resize(index + 1, C::default());
            self.window.resize(index + 1, C::default());
        }
        if self.current[index] == C::default() {
            self.touched.push(key);
        }
        &mut self.current[index]
    }

    /// Adds to what `key` has in the slice so many slices ago, unless that has left the window. The sum in that slice is not zero
    /// before, and does not become zero.
    pub fn add_before(&mut self, key: u32, amount: C, age: usize) {
        if age == 0 {
            self.add(key, amount);
        } else if age < self.slices
            && let Some(place) = self.ended.len().checked_sub(age)
        {
            self.ended[place].push((key, amount));
            self.window[key as usize] += amount;
        }
    }

    /// Ends the present slice; from now on [`Sums::window`] gives the window that ends with it.
    pub fn end_slice(&mut self) {
        let mut list =
            if self.ended.len() >= self.slices { self.ended.pop_front() } else { None }.unwrap_or_default();
        list.clear();
        for key in self.touched.drain(..) {
            let index = key as usize;
            let amount = std::mem::take(&mut self.current[index]);
            if self.window[index] == C::default() {
                self.live.push(key);
            }
            self.window[index] += amount;
            list.push((key, amount));
        }
        self.ended.push_back(list);
    }

    /// Keys with anything in the window, with their sums.
    pub fn window(&self) -> impl Iterator<Item = (u32, C)> {
        self.live.iter().map(|key| (*key, self.window[*key as usize]))
    }

    /// What `key` has in the window.
    pub fn get(&self, key: u32) -> C {
        self.window.get(key as usize).copied().unwrap_or_default()
    }

    /// What the slice that ended last added: each key once, unless [`Sums::add_before`] was called since.
    pub fn last_slice(&self) -> &[(u32, C)] {
        self.ended.back().map_or(&[], Vec::as_slice)
    }

    /// Takes the oldest slice out of the window, to make room for the next.
    pub fn next_slice(&mut self) {
        if self.ended.len() < self.slices {
            return;
        }
        let Some(oldest) = self.ended.front() else { return };
        if oldest.is_empty() {
            return;
        }
        for (key, amount) in oldest {
            self.window[*key as usize] -= *amount;
        }
        let window = &self.window;
        self.live.retain(|key| window[*key as usize] != C::default());
    }

    /// Whether nothing is in the window and in the present slice.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.touched.is_empty()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let ended: usize = self.ended.iter().map(Vec::capacity).sum();
        (self.current.capacity() + self.window.capacity()) * size_of::<C>() + ended * size_of::<(u32, C)>()
    }
}

/// Field by field addition and subtraction of a struct.
macro_rules! adds_up {
    ($name:ident { $($field:ident),+ }) => {
        impl std::ops::AddAssign for $name {
            #[inline]
            fn add_assign(&mut self, other: Self) {
                $(self.$field += other.$field;)+
            }
        }
        impl std::ops::SubAssign for $name {
            #[inline]
            fn sub_assign(&mut self, other: Self) {
                $(self.$field -= other.$field;)+
            }
        }
    };
}
pub(crate) use adds_up;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn equals_a_sum_over_the_window(
            slices in 1usize..6,
            log in proptest::collection::vec(proptest::collection::vec((0u32..4, 1u64..9), 0..8), 1..25),
        ) {
            let mut sums = Sums::<u64>::new(slices as u32);
            for n in 0..log.len() {
                log[n].iter().for_each(|(key, amount)| sums.add(*key, *amount));
                sums.end_slice();
                let mut expected: BTreeMap<u32, u64> = BTreeMap::new();
                for (key, amount) in log[(n + 1).saturating_sub(slices)..=n].iter().flatten() {
                    *expected.entry(*key).or_default() += amount;
                }
                prop_assert_eq!(sums.window().collect::<BTreeMap<_, _>>(), expected);
                sums.next_slice();
            }
        }
    }
}

//! Numbers for ways from one page to another, for as long as they are in use.

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;
use crate::numbers::Numbers;
use crate::pairs::pair;

/// Ways by number and numbers by way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ways {
    numbers: Numbers,
    ends: Vec<(u32, u32)>,
    /// The newest slice in which each occurs, plus one; zero for a number that is free.
    last: Vec<u32>,
    free: Vec<u32>,
}

/// The way itself, its bits mixed one to one.
#[inline]
fn identity(from: u32, to: u32) -> Fingerprint {
    let mut high = pair(from, to).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    high ^= high >> 32;
    Fingerprint { high, low: (high >> 40) as u32 }
}

impl Ways {
    /// Reads ahead what [`Ways::number`] will need; see [`crate::recent::Recent::warm`].
    #[inline]
    pub fn warm(&self, from: u32, to: u32) -> u32 {
        self.numbers.warm(identity(from, to))
    }

    /// The number of a way that is taken in `slice`.
    #[inline]
    pub fn number(&mut self, from: u32, to: u32, slice: u32) -> u32 {
        let identity = identity(from, to);
        let number = match self.numbers.get(identity) {
            Some(number) => number,
            None => self.insert(identity, (from, to)),
        };
        self.last[number as usize] = slice + 1;
        number
    }

    #[cold]
    fn insert(&mut self, identity: Fingerprint, ends: (u32, u32)) -> u32 {
        let number = self.free.pop().unwrap_or(self.ends.len() as u32);
        if number as usize == self.ends.len() {
            self.ends.push(ends);
            self.last.push(0);
        }
        self.ends[number as usize] = ends;
        self.numbers.insert(identity, number);
        number
    }

    /// The page a way leaves, and the one it leads to.
    #[inline]
    pub fn ends(&self, number: u32) -> (u32, u32) {
        self.ends.get(number as usize).copied().unwrap_or_default()
    }

    /// Gives away the numbers of ways that were last taken before slice `oldest`.
    pub fn release(&mut self, oldest: u32) {
        for (number, last) in self.last.iter_mut().enumerate() {
            if *last > 0 && *last <= oldest {
                *last = 0;
                let (from, to) = self.ends[number];
                self.numbers.remove(identity(from, to));
                self.free.push(number as u32);
            }
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.numbers.bytes() + self.ends.capacity() * 12
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_belongs_to_one_way_at_a_time() {
        let mut ways = Ways::default();
        let (there, back) = (ways.number(1, 2, 5), ways.number(2, 1, 6));
        assert_ne!(there, back);
        assert_eq!((ways.ends(there), ways.ends(back)), ((1, 2), (2, 1)));
        assert_eq!(ways.number(1, 2, 5), there);
        ways.release(6);
        assert_eq!(ways.number(7, 8, 7), there);
        assert_eq!(ways.number(2, 1, 7), back);
    }
}

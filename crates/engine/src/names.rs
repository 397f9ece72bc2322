//! Numbers for names: pages, products and sites as small integers while they are in the window.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};

use serde::{Deserialize, Serialize};

use crate::fingerprint::Fingerprint;

/// Names by number and numbers by name. Numbers of names that left the window are given away again.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Names {
    numbers: HashMap<Fingerprint, u32, Ready>,
    names: Vec<Name>,
    free: Vec<u32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Name {
    site: u32,
    text: String,
    fingerprint: Fingerprint,
    /// The newest slice in which it occurs; `None` for a number that is free.
    last: Option<u32>,
}

/// A fingerprint is a hash already.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Ready;

#[derive(Default)]
struct ReadyHasher(u64);

impl BuildHasher for Ready {
    type Hasher = ReadyHasher;
    fn build_hasher(&self) -> ReadyHasher {
        ReadyHasher(0)
    }
}

impl Hasher for ReadyHasher {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.0 = self.0.rotate_left(8) ^ u64::from(*b));
    }
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

impl Names {
    /// The number of a name of `site` that occurs in `slice`. The fingerprint stands for both.
    #[inline]
    pub fn number(&mut self, fingerprint: Fingerprint, site: u32, text: &str, slice: u32) -> u32 {
        if let Some(number) = self.numbers.get(&fingerprint) {
            let name = &mut self.names[*number as usize];
            if name.last < Some(slice) {
                name.last = Some(slice);
            }
            return *number;
        }
        let name = Name { site, text: text.to_owned(), fingerprint, last: Some(slice) };
        let number = match self.free.pop() {
            Some(number) => {
                self.names[number as usize] = name;
                number
            }
            None => {
                self.names.push(name);
                (self.names.len() - 1) as u32
            }
        };
        self.numbers.insert(fingerprint, number);
        number
    }

    /// The name of a number.
    pub fn text(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| &name.text)
    }

    /// The site of a number's name.
    pub fn site(&self, number: u32) -> u32 {
        self.names.get(number as usize).map_or(0, |name| name.site)
    }

    /// Gives away the numbers of names that last occurred before slice `oldest`.
    pub fn release(&mut self, oldest: u32) {
        for (number, name) in self.names.iter_mut().enumerate() {
            if name.last.is_some_and(|last| last < oldest) {
                name.last = None;
                name.text = String::new();
                self.numbers.remove(&name.fingerprint);
                self.free.push(number as u32);
            }
        }
    }

    /// Names that have a number.
    pub fn live(&self) -> usize {
        self.numbers.len()
    }

    /// Bytes held, without those of the texts.
    pub fn bytes(&self) -> usize {
        self.names.capacity() * size_of::<Name>() + self.numbers.capacity() * 17
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_belongs_to_one_name_at_a_time() {
        let mut names = Names::default();
        let mut number = |site: u32, text: &str, slice| {
            let fingerprint = Fingerprint::of(text, 0).with(site);
            let number = names.number(fingerprint, site, text, slice);
            (number, names.text(number).to_owned())
        };
        let (a, b) = (number(0, "/a", 1), number(0, "/b", 2));
        assert_eq!(number(0, "/a", 1), a);
        assert_ne!(number(1, "/a", 2).0, a.0, "another site");
        names.release(2);
        assert_eq!((names.live(), names.text(b.0)), (2, "/b"));
        let c = names.number(Fingerprint::of("/c", 0), 0, "/c", 3);
        assert_eq!((c, names.text(c)), (a.0, "/c"));
    }
}

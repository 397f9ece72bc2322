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
    /// The newest slice in which each occurs, plus one; zero for a number that is free.
    last: Vec<u32>,
    free: Vec<u32>,
    /// The last name that was asked for: events of one site come in long runs.
    recent: Option<(Fingerprint, u32)>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Name {
    site: u32,
    text: String,
    fingerprint: Fingerprint,
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
        let found = match self.recent {
            Some((recent, number)) if recent == fingerprint => Some(number),
            _ => self.numbers.get(&fingerprint).copied(),
        };
        let number = match found {
            Some(number) => number,
            None => self.insert(Name { site, text: text.to_owned(), fingerprint }),
        };
        self.recent = Some((fingerprint, number));
        let last = &mut self.last[number as usize];
        *last = (*last).max(slice + 1);
        number
    }

    #[cold]
    fn insert(&mut self, name: Name) -> u32 {
        let fingerprint = name.fingerprint;
        let number = match self.free.pop() {
            Some(number) => {
                self.names[number as usize] = name;
                number
            }
            None => {
                self.names.push(name);
                self.last.push(0);
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
        for (number, last) in
            self.last.iter_mut().enumerate().filter(|(_, last)| (1..=oldest).contains(*last))
        {
            let name = &mut self.names[number];
            *last = 0;
            name.text = String::new();
            self.numbers.remove(&name.fingerprint);
            self.free.push(number as u32);
            self.recent = None;
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

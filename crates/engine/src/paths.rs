//! The most frequent paths over three and four pages.
//!
//! A path is a pair of ways: the first two pages and the last two, which share a page if there are three. Each slice counts
//! all of its paths exactly and keeps the most frequent; the window sums up what its slices kept.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use clickstream_event::detection::PATHS_KEPT;
use serde::{Deserialize, Serialize};

use crate::names::Names;
use crate::pairs::{Dated, Pairs, pair};
use crate::ways::Ways;

/// Mixes the bits of a pair of ways.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }
    #[inline]
    fn write_u64(&mut self, number: u64) {
        let product = u128::from(self.0 ^ number) * 0x9e37_79b9_7f4a_7c15_u128;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

type Counts = HashMap<u64, u32, BuildHasherDefault<Mixer>>;

/// How often a path was taken in the present slice.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Taken {
    date: u32,
    count: u32,
}

impl Dated for Taken {
    #[inline]
    fn date(&self) -> u32 {
        self.date
    }
}

/// Paths that are collected before they are counted, so that memory is read ahead for all of them at once.
const BATCH: usize = 64;

/// Paths of one length.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paths {
    length: usize,
    slices: usize,
    batch: Vec<u64>,
    /// The present slice.
    current: Pairs<Taken>,
    /// What the slices of the window have kept, the oldest first.
    kept: VecDeque<Vec<(u64, u32)>>,
    window: Counts,
}

/// Paths that may be among the first, and the last of those that are sure to be better than what is left out.
#[derive(Default)]
struct Best {
    paths: Vec<(u64, u32)>,
    worst: Option<(u64, u32)>,
}

/// A path and how often it was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Path {
    /// Numbers of its pages.
    pub pages: Vec<u32>,
    /// How often.
    pub count: u32,
}

impl Paths {
    /// Paths of three or four pages over windows of `slices` slices.
    pub fn new(length: usize, slices: u32) -> Self {
        let (current, window) = (Pairs::new(1), Counts::default());
        let batch = Vec::with_capacity(BATCH);
        Self { length, slices: slices as usize, batch, current, kept: VecDeque::new(), window }
    }

    /// Counts a path that begins with one way and ends with another.
    #[inline]
    pub fn add(&mut self, first: u32, last: u32, slice: u32) {
        self.batch.push(pair(first, last));
        if self.batch.len() >= BATCH {
            self.count_batch(slice);
        }
    }

    fn count_batch(&mut self, slice: u32) {
        std::hint::black_box(self.batch.iter().fold(0, |sum, key| sum ^ self.current.warm(*key)));
        for key in self.batch.drain(..) {
            let taken = self.current.entry(key, slice);
            taken.date = slice + 1;
            taken.count += 1;
        }
    }

    fn pages(&self, key: u64, ways: &Ways) -> ([u32; 4], usize) {
        let (a, b) = ways.ends((key >> 32) as u32);
        let (c, d) = ways.ends(key as u32);
        if self.length == 3 { ([a, b, d, d], 3) } else { ([a, b, c, d], 4) }
    }

    /// Of two paths, the more frequent first, then by names of pages.
    fn order(&self, a: (u64, u32), b: (u64, u32), ways: &Ways, pages: &Names) -> Ordering {
        b.1.cmp(&a.1).then_with(|| {
            let ((left, n), (right, _)) = (self.pages(a.0, ways), self.pages(b.0, ways));
            let differ = left[..n].iter().zip(&right[..n]).find(|(a, b)| a != b);
            differ.map_or(Ordering::Equal, |(a, b)| pages.text(*a).cmp(pages.text(*b)))
        })
    }

    /// The first `n` of each site, in no order.
    fn first(
        &self,
        counts: impl Iterator<Item = (u64, u32)>,
        n: usize,
        ways: &Ways,
        pages: &Names,
    ) -> BTreeMap<u32, Vec<(u64, u32)>> {
        let mut sites: BTreeMap<u32, Best> = BTreeMap::new();
        let order = |a: &(u64, u32), b: &(u64, u32)| self.order(*a, *b, ways, pages);
        for path in counts {
            let site = pages.site(ways.ends((path.0 >> 32) as u32).0);
            let best = sites.entry(site).or_default();
            if best.worst.as_ref().is_some_and(|worst| order(&path, worst) == Ordering::Greater) {
                continue;
            }
            best.paths.push(path);
            if best.paths.len() >= 2 * n {
                best.paths.select_nth_unstable_by(n - 1, order);
                best.paths.truncate(n);
                best.worst = best.paths.last().copied();
            }
        }
        let cut = |mut paths: Vec<(u64, u32)>| {
            if paths.len() > n {
                paths.select_nth_unstable_by(n - 1, order);
                paths.truncate(n);
            }
            paths
        };
        sites.into_iter().map(|(site, best)| (site, cut(best.paths))).collect()
    }

    /// Ends a slice; gives by site the `n` most frequent paths of the window that ends with it.
    pub fn end_slice(&mut self, n: usize, slice: u32, ways: &Ways, pages: &Names) -> Vec<(u32, Vec<Path>)> {
        self.count_batch(slice);
        if self.kept.len() >= self.slices {
            for (key, count) in self.kept.pop_front().unwrap_or_default() {
                if let Some(sum) = self.window.get_mut(&key) {
                    *sum -= count;
                    if *sum == 0 {
                        self.window.remove(&key);
                    }
                }
            }
        }
        let taken = self.current.iter(slice).map(|(key, taken)| (key, taken.count));
        let kept: Vec<(u64, u32)> =
            self.first(taken, PATHS_KEPT, ways, pages).into_values().flatten().collect();
        self.current.tidy(slice + 1, self.slices as u32);
        for (key, count) in &kept {
            *self.window.entry(*key).or_default() += count;
        }
        self.kept.push_back(kept);
        let first = self.first(self.window.iter().map(|(key, count)| (*key, *count)), n, ways, pages);
        let named = first.into_iter().map(|(site, mut best)| {
            best.sort_by(|a, b| self.order(*a, *b, ways, pages));
            let path = |(key, count): (u64, u32)| {
                let (pages, n) = self.pages(key, ways);
                Path { pages: pages[..n].to_vec(), count }
            };
            (site, best.into_iter().map(path).collect())
        });
        named.collect()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.current.bytes()
            + self.window.capacity() * 17
            + self.kept.iter().map(Vec::capacity).sum::<usize>() * 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_most_frequent_by_name_among_equals() {
        let (mut pages, mut ways) = (Names::default(), Ways::default());
        let mut number = |name: &str| pages.number(Fingerprint::of(name, 0), 0, name, 1);
        use crate::fingerprint::Fingerprint;
        let numbers: Vec<u32> = (0..1_200).rev().map(|n| number(&format!("/{n:04}"))).collect();
        let mut paths = Paths::new(3, 2);
        for from in &numbers {
            let (first, last) = (ways.number(*from, numbers[0], 1), ways.number(numbers[0], numbers[1], 1));
            paths.add(first, last, 1);
            if pages.text(*from) == "/0700" {
                paths.add(first, last, 1);
            }
        }
        let names = |found: Vec<(u32, Vec<Path>)>| -> Vec<(String, u32)> {
            let mut paths = found.into_iter().flat_map(|(_, paths)| paths);
            paths.by_ref().map(|path| (pages.text(path.pages[0]).to_owned(), path.count)).collect()
        };
        let first = names(paths.end_slice(3, 1, &ways, &pages));
        assert_eq!(first, [("/0700".to_owned(), 2), ("/0000".to_owned(), 1), ("/0001".to_owned(), 1)]);
        assert_eq!(paths.window.len(), PATHS_KEPT);
        let last = ways.number(numbers[0], numbers[1], 2);
        paths.add(ways.number(numbers[5], numbers[0], 2), last, 2);
        assert_eq!(names(paths.end_slice(1, 2, &ways, &pages)), [("/0700".to_owned(), 2)]);
        assert_eq!(names(paths.end_slice(1, 3, &ways, &pages)), [("/1194".to_owned(), 1)]);
        assert!(paths.end_slice(1, 4, &ways, &pages).is_empty());
    }
}

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
use crate::pairs::pair;
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

/// Paths of one length.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Paths {
    length: usize,
    slices: usize,
    /// The present slice.
    current: Counts,
    /// What the slices of the window have kept, the oldest first.
    kept: VecDeque<Vec<(u64, u32)>>,
    window: Counts,
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
        let (current, window) = (Counts::default(), Counts::default());
        Self { length, slices: slices as usize, current, kept: VecDeque::new(), window }
    }

    /// Counts a path that begins with one way and ends with another.
    #[inline]
    pub fn add(&mut self, first: u32, last: u32) {
        *self.current.entry(pair(first, last)).or_default() += 1;
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
    fn first<'c>(
        &self,
        counts: impl Iterator<Item = (&'c u64, &'c u32)>,
        n: usize,
        ways: &Ways,
        pages: &Names,
    ) -> BTreeMap<u32, Vec<(u64, u32)>> {
        let mut sites: BTreeMap<u32, (Vec<(u64, u32)>, Option<(u64, u32)>)> = BTreeMap::new();
        let order = |a: &(u64, u32), b: &(u64, u32)| self.order(*a, *b, ways, pages);
        for (key, count) in counts {
            let path = (*key, *count);
            let site = pages.site(ways.ends((key >> 32) as u32).0);
            let (best, worst) = sites.entry(site).or_default();
            if worst.as_ref().is_some_and(|worst| order(&path, worst) == Ordering::Greater) {
                continue;
            }
            best.push(path);
            if best.len() >= 2 * n {
                best.select_nth_unstable_by(n - 1, order);
                best.truncate(n);
                *worst = best.last().copied();
            }
        }
        let cut = |(mut best, _): (Vec<_>, _)| {
            if best.len() > n {
                best.select_nth_unstable_by(n - 1, order);
                best.truncate(n);
            }
            best
        };
        sites.into_iter().map(|(site, found)| (site, cut(found))).collect()
    }

    /// Ends a slice; gives by site the `n` most frequent paths of the window that ends with it.
    pub fn end_slice(&mut self, n: usize, ways: &Ways, pages: &Names) -> Vec<(u32, Vec<Path>)> {
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
        let kept: Vec<(u64, u32)> =
            self.first(self.current.iter(), PATHS_KEPT, ways, pages).into_values().flatten().collect();
        self.current.clear();
        for (key, count) in &kept {
            *self.window.entry(*key).or_default() += count;
        }
        self.kept.push_back(kept);
        let first = self.first(self.window.iter(), n, ways, pages);
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
        (self.current.capacity() + self.window.capacity()) * 17
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
            paths.add(first, last);
            if pages.text(*from) == "/0700" {
                paths.add(first, last);
            }
        }
        let names = |found: Vec<(u32, Vec<Path>)>| -> Vec<(String, u32)> {
            let mut paths = found.into_iter().flat_map(|(_, paths)| paths);
            paths.by_ref().map(|path| (pages.text(path.pages[0]).to_owned(), path.count)).collect()
        };
        let first = names(paths.end_slice(3, &ways, &pages));
        assert_eq!(first, [("/0700".to_owned(), 2), ("/0000".to_owned(), 1), ("/0001".to_owned(), 1)]);
        assert_eq!(paths.window.len(), PATHS_KEPT);
        let last = ways.number(numbers[0], numbers[1], 1);
        paths.add(ways.number(numbers[5], numbers[0], 1), last);
        assert_eq!(names(paths.end_slice(1, &ways, &pages)), [("/0700".to_owned(), 2)]);
        assert_eq!(names(paths.end_slice(1, &ways, &pages)), [("/1194".to_owned(), 1)]);
        assert!(paths.end_slice(1, &ways, &pages).is_empty());
    }
}

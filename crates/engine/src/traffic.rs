//! Slides compared with the slides before them: spikes and drops of a page, of a site, and pages that rise within a window.

use std::collections::VecDeque;

use clickstream_event::Timestamp;
use clickstream_event::detection::{
    BASELINE_MIN_SLIDES, BASELINE_SLIDES, DROP_RATIO, DROP_Z, EXCESS_VARIANCE, SPIKE_EVENTS, SPIKE_RATIO,
    SPIKE_Z,
};
use clickstream_event::rows::Anomaly;
use serde::{Deserialize, Serialize};

use crate::bots::rounded;
use crate::engine::Config;
use crate::names::Directory;
use crate::shard::KeySums;
use crate::sums::{Sums, adds_up};
use crate::users::SiteSums;

/// Counts of slides: their sum, and that of their squares.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Moments {
    sum: u64,
    squares: u64,
}

adds_up!(Moments { sum, squares });

/// Counts of the baseline's slides by page or by site.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Baseline {
    window: Vec<Moments>,
    /// Keys with events in the baseline or the present slide.
    live: Vec<u32>,
    slides: VecDeque<Vec<(u32, u64)>>,
    /// The present slide.
    current: Vec<u64>,
}

impl Baseline {
    /// Takes the counts of a slide; `judge` is asked about each key with events in it or in the baseline. Then the slide belongs
    /// to the baseline of the next.
    fn next(&mut self, slide: Vec<(u32, u64)>, mut judge: impl FnMut(u32, u64, Moments)) {
        for (key, count) in &slide {
            let index = *key as usize;
            if index >= self.window.len() {
                self.window.resize(index + 1, Moments::default());
                self.current.resize(index + 1, 0);
            }
            if self.window[index] == Moments::default() && self.current[index] == 0 {
                self.live.push(*key);
            }
            self.current[index] += count;
        }
        for key in &self.live {
            judge(*key, self.current[*key as usize], self.window[*key as usize]);
        }
        if self.slides.len() >= BASELINE_SLIDES as usize {
            for (key, count) in self.slides.pop_front().unwrap_or_default() {
                self.window[key as usize] -= Moments { sum: count, squares: count * count };
            }
        }
        let mut whole = Vec::with_capacity(slide.len());
        for (key, _) in slide {
            // several shards may have counted for one key
            let count = std::mem::take(&mut self.current[key as usize]);
            if count > 0 {
                self.window[key as usize] += Moments { sum: count, squares: count * count };
                whole.push((key, count));
            }
        }
        self.slides.push_back(whole);
        let window = &self.window;
        self.live.retain(|key| window[*key as usize] != Moments::default());
    }

    fn bytes(&self) -> usize {
        self.window.capacity() * size_of::<Moments>()
            + self.slides.iter().map(Vec::capacity).sum::<usize>() * 16
    }
}

/// What pages and sites did slide by slide.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Traffic {
    slide_ms: i64,
    pages: Baseline,
    sites: Baseline,
    /// For each site the slides before the present one in which it had an event: bit 0 is the last.
    active: Vec<u32>,
    /// Page views in the later half of the window; the slides are cut in halves, so that any window can be.
    later: Sums<u32>,
}

impl Traffic {
    /// Of windows of this shape.
    pub fn new(config: &Config) -> Self {
        Self {
            slide_ms: config.windows.slide_ms(),
            pages: Baseline::default(),
            sites: Baseline::default(),
            active: Vec::new(),
            later: Sums::new(config.windows.slices() as u32),
        }
    }

    /// Takes what pages and sites did in the slide that ends at `end`.
    pub fn end_slice(
        &mut self,
        end: i64,
        pages: &[(u32, KeySums)],
        sites: &[(u32, SiteSums)],
        names: &Directory,
        found: &mut Vec<Anomaly>,
    ) {
        let halves: [fn(&KeySums) -> u32; 2] =
            [|sums| sums.kinds.0[0] - sums.later_views, |sums| sums.later_views];
        for half in halves {
            self.later.next_slice();
            for (page, sums) in pages.iter().filter(|(_, sums)| half(sums) > 0) {
                self.later.add(*page, half(sums));
            }
            self.later.end_slice();
        }
        let slide_ms = self.slide_ms;
        let active = &self.active;
        let slides = |site: u32| {
            let bits = active.get(site as usize).copied().unwrap_or(0) & ((1 << BASELINE_SLIDES) - 1);
            u32::BITS - bits.leading_zeros()
        };
        let of_pages = pages.iter().map(|(page, sums)| (*page, sums.kinds.sum())).collect();
        self.pages.next(of_pages, |page, x, baseline| {
            let site = names.pages.site(page);
            if let Some(found_here) = judge(x, baseline, slides(site)) {
                let (page, site) = (names.pages.text(page), names.sites.text(site));
                if page != site {
                    found.push(found_here.row(site, page, x, end, slide_ms));
                }
            }
        });
        let of_sites = sites.iter().map(|(site, sums)| (*site, sums.kinds.sum())).collect();
        self.sites.next(of_sites, |site, x, baseline| {
            if let Some(found_here) = judge(x, baseline, slides(site)) {
                let site = names.sites.text(site);
                found.push(found_here.row(site, site, x, end, slide_ms));
            }
        });
        self.active.iter_mut().for_each(|bits| *bits <<= 1);
        for (site, _) in sites {
            let index = *site as usize;
            if index >= self.active.len() {
                self.active.resize(index + 1, 0);
            }
            self.active[index] |= 1;
        }
    }

    /// A page's views in the later half of the window that ends with the last slide.
    pub fn later_views(&self, page: u32) -> u32 {
        self.later.get(page)
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.pages.bytes() + self.sites.bytes() + self.later.bytes()
    }
}

/// A slide out of the ordinary.
struct Found {
    kind: &'static str,
    mean: f64,
    deviation: f64,
    z: f64,
}

/// Judges a slide of `x` events after a baseline of `n` slides.
fn judge(x: u64, baseline: Moments, n: u32) -> Option<Found> {
    if n < BASELINE_MIN_SLIDES {
        return None;
    }
    let n = f64::from(n);
    let mean = baseline.sum as f64 / n;
    let variance = baseline.squares as f64 / n - mean * mean;
    let deviation = variance.max(0.0).sqrt().max((EXCESS_VARIANCE * mean).sqrt()).max(1.0);
    let (count, z) = (x as f64, (x as f64 - mean) / deviation);
    let kind = if z >= SPIKE_Z && count >= SPIKE_RATIO * mean && x >= SPIKE_EVENTS {
        "traffic_spike"
    } else if z <= -DROP_Z && count <= DROP_RATIO * mean {
        "traffic_drop"
    } else {
        return None;
    };
    Some(Found { kind, mean, deviation, z })
}

impl Found {
    fn row(&self, site: &str, subject: &str, x: u64, end: i64, slide_ms: i64) -> Anomaly {
        let (mean, deviation) = (rounded(self.mean), rounded(self.deviation));
        Anomaly {
            site_id: site.to_owned(),
            kind: self.kind.to_owned(),
            rule: "z_score".to_owned(),
            subject: subject.to_owned(),
            detected_at: Timestamp(end),
            window_start: Timestamp(end - slide_ms),
            window_end: Timestamp(end),
            observed: x as f64,
            expected: self.mean,
            score: self.z,
            reason: format!("{x} events in {} s, usually {mean} ± {deviation}", slide_ms / 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_baseline_holds_thirty_slides() {
        let mut baseline = Baseline::default();
        let mut seen = Vec::new();
        for slide in 0..35u64 {
            // a key may come in two parts
            let counts = if slide < 2 { vec![(3, 1), (3, 1 + slide)] } else { Vec::new() };
            baseline.next(counts, |key, x, moments| seen.push((slide, key, x, moments.sum, moments.squares)));
        }
        let two: Vec<_> = (2..=30).map(|slide| (slide, 3, 0, 5, 13)).collect();
        assert_eq!(seen[..2], [(0, 3, 2, 0, 0), (1, 3, 3, 2, 4)]);
        assert_eq!(seen[2..31], two);
        assert_eq!(seen[31..], [(31, 3, 0, 3, 9)]);
    }

    #[test]
    fn judges_by_deviations() {
        let kind = |x, baseline, n| judge(x, baseline, n).map(|found| found.kind);
        // six slides of 100 events: the deviation is 2 · √100
        let even = Moments { sum: 600, squares: 60_000 };
        assert_eq!(judge(240, even, 6).map(|found| (found.kind, found.z)), Some(("traffic_spike", 7.0)));
        assert_eq!([kind(239, even, 6), kind(240, even, 5), kind(36, even, 6)], [None; 3]);
        assert_eq!(kind(35, even, 6), Some("traffic_drop"));
        // many events vary by less, but a small change is none
        let many = Moments { sum: 6_000_000, squares: 6_000_000_000_000 };
        assert_eq!([kind(1_400_000, many, 6), kind(400_000, many, 6)], [None; 2]);
        assert_eq!(kind(1_500_000, many, 6), Some("traffic_spike"));
        let nothing = Moments::default();
        assert_eq!([kind(19, nothing, 30), kind(20, nothing, 30)], [None, Some("traffic_spike")]);
    }
}

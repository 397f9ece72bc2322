//! When the TaskManager marks what lives of its old objects: early in a slide.
//!
//! G1 begins to mark once its old objects fill so much of the heap, at the next collection of young ones. Those come thick and fast when a
//! window ends, for then rows are made, so marking tends to begin just when every core has results to compute. So we look at the
//! heap once the rows of a window are out, and have it marked a little before G1 would: old objects are then collected, with the young ones, before the next window ends. The threshold of G1 stays behind it, for a heap that nobody looks after.
//!
//! <https://docs.oracle.com/en/java/javase/17/gctuning/garbage-first-g1-garbage-collector1.html>

use std::time::{Duration, Instant, SystemTime};

use crate::jvm::{self, Heap};

/// Slides shorter than this have no middle that would be worth waiting for.
const SHORTEST_SLIDE: Duration = Duration::from_secs(4);
/// Share of the heap that old objects fill before they are marked, in percent. State fills half.
const MARKED_AT: u64 = 62;
/// The same for G1 by itself.
pub const MARKED_BY_ITSELF_AT: u64 = 75;
/// Between two markings: if so much lives, more of them would find nothing.
const APART: Duration = Duration::from_secs(15);

/// Looks after the heap of a TaskManager.
#[derive(Clone, Copy, Debug)]
pub struct Garbage {
    heap_kib: u64,
    slide: Duration,
    marked: Option<Instant>,
}

impl Garbage {
    /// Of a heap of at most so many MiB, for windows that slide by `slide`.
    pub fn new(heap_mib: u64, slide: Duration) -> Self {
        Self { heap_kib: heap_mib * 1024, slide, marked: None }
    }

    /// Has the heap of process `pid` marked, if it is time.
    pub fn look_after(&mut self, pid: u32) {
        let (now, since_epoch) = (Instant::now(), SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default());
        if !self.may_mark(now, since_epoch) {
            return;
        }
        // a JVM that is just starting does not listen yet, and one with another collector answers otherwise
        let Ok(heap) = Heap::of(pid) else { return };
        if heap.old() * 100 >= self.heap_kib * MARKED_AT {
            self.marked = Some(now);
            let asked = jvm::collect(pid);
            tracing::debug!(old_kib = heap.old(), ?asked, "old objects are marked");
        }
    }

    /// Whether a window has ended long enough ago, and the next one ends late enough.
    fn may_mark(&self, now: Instant, since_epoch: Duration) -> bool {
        if self.slide < SHORTEST_SLIDE
            || self.marked.is_some_and(|at| now.saturating_duration_since(at) < APART)
        {
            return false;
        }
        let into_slide = since_epoch.as_millis() % self.slide.as_millis();
        (12..=25).contains(&(into_slide * 100 / self.slide.as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn early_in_a_slide_and_not_too_often() {
        let slide = Duration::from_secs(10);
        let mut garbage = Garbage::new(1000, slide);
        let now = Instant::now();
        let at = |ms: u64| Duration::from_millis(1_795_000_000_000 + ms);
        let may: Vec<u64> = (0..20).map(|n| n * 500).filter(|ms| garbage.may_mark(now, at(*ms))).collect();
        assert_eq!(may, [1_500, 2_000, 2_500]);
        garbage.marked = Some(now);
        assert!(!garbage.may_mark(now + Duration::from_secs(10), at(12_000)));
        assert!(garbage.may_mark(now + Duration::from_secs(20), at(22_000)));
        assert!(!Garbage::new(1000, Duration::from_secs(2)).may_mark(now, at(1_000)));
    }
}

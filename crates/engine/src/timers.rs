//! Timers in event time, many at a time, none of which is ever moved: whoever finds that it rang too early sets it anew.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// Numbers by the time they are due, in buckets.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Timers {
    /// Time of a bucket; a second is a multiple of it.
    width_ms: i64,
    /// The bucket at the front.
    first: i64,
    buckets: VecDeque<Vec<u32>>,
    /// Emptied lists, to be filled again.
    #[serde(skip)]
    spare: Vec<Vec<u32>>,
}

impl Timers {
    /// Timers that are due at most so long after the newest that rang.
    pub fn new(longest_ms: i64) -> Self {
        let width_ms = if longest_ms <= 60_000 { 50 } else { 1_000 };
        Self { width_ms, first: 0, buckets: VecDeque::new(), spare: Vec::new() }
    }

    /// Sets a timer, not before one that rang.
    #[inline]
    pub fn set(&mut self, time: i64, number: u32) {
        let bucket = time.div_euclid(self.width_ms);
        if self.buckets.is_empty() {
            self.first = bucket;
        }
        while bucket < self.first {
            self.first -= 1;
            self.buckets.push_front(self.spare.pop().unwrap_or_default());
        }
        let place = (bucket - self.first) as usize;
        while self.buckets.len() <= place {
            self.buckets.push_back(self.spare.pop().unwrap_or_default());
        }
        self.buckets[place].push(number);
    }

    /// Takes the timers of the first bucket that begins by `time`, and says whether the whole bucket is due. If not, some of them
    /// may be early, and are to be set again; no later bucket is due then.
    pub fn due(&mut self, time: i64) -> Option<(Vec<u32>, bool)> {
        while self.buckets.front()?.is_empty() && self.first * self.width_ms <= time {
            self.spare.extend(self.buckets.pop_front());
            self.first += 1;
        }
        let begin = self.first * self.width_ms;
        if begin > time {
            return None;
        }
        self.first += 1;
        self.buckets.pop_front().map(|due| (due, time >= begin + self.width_ms - 1))
    }

    /// Takes back a list that [`Timers::due`] gave.
    pub fn give_back(&mut self, mut list: Vec<u32>) {
        list.clear();
        self.spare.push(list);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_in_order() {
        let mut timers = Timers::new(30_000);
        [(120, 1), (20, 2), (149, 3), (300, 4)]
            .into_iter()
            .for_each(|(time, number)| timers.set(time, number));
        assert_eq!(timers.due(49), Some((vec![2], true)));
        assert_eq!(timers.due(99), None);
        assert_eq!(timers.due(120), Some((vec![1, 3], false)));
        timers.set(149, 3);
        assert_eq!(timers.due(149), Some((vec![3], true)));
        assert_eq!(timers.due(299), None);
        assert_eq!(timers.due(10_000), Some((vec![4], true)));
        assert_eq!(timers.due(10_000), None);
        timers.set(1_000_000, 5);
        assert_eq!(timers.buckets.len(), 1);
    }
}

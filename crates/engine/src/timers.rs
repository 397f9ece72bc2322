//! Timers in event time, many at a time, none of which is ever moved: whoever finds that it rang too early sets it anew.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::order::BUCKET_MS;

/// Numbers by the time they are due, in buckets.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Timers {
    buckets: BTreeMap<i64, Vec<u32>>,
}

impl Timers {
    /// Sets a timer.
    pub fn set(&mut self, time: i64, number: u32) {
        self.buckets.entry(time.div_euclid(BUCKET_MS)).or_default().push(number);
    }

    /// Takes the timers of the first bucket that begins by `time`, and says whether the whole bucket is due. If not, some of them
    /// may be early, and are to be set again; no later bucket is due then.
    pub fn due(&mut self, time: i64) -> Option<(Vec<u32>, bool)> {
        let first = self.buckets.first_entry()?;
        let begin = first.key() * BUCKET_MS;
        (begin <= time).then(|| (first.remove(), time >= begin + BUCKET_MS - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_in_order() {
        let mut timers = Timers::default();
        [(120, 1), (20, 2), (149, 3), (300, 4)]
            .into_iter()
            .for_each(|(time, number)| timers.set(time, number));
        assert_eq!(timers.due(49), Some((vec![2], true)));
        assert_eq!(timers.due(99), None);
        assert_eq!(timers.due(120), Some((vec![1, 3], false)));
        assert_eq!(timers.due(299), None);
    }
}

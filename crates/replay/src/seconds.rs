//! Lines in order. Most logs know only the second of a request, and are a little out of order: a server writes a line when the answer is
//! done, with the time at which the request came.
//!
//! So lines are kept by their second until nothing older is expected, and then given out, those without a fraction spread
//! evenly over their second: the k-th of n at k/n.

use std::collections::BTreeMap;

/// Lines by their second.
#[derive(Debug)]
pub struct Seconds<T> {
    wait_s: i64,
    waiting: BTreeMap<i64, Vec<(Option<u16>, T)>>,
    newest: i64,
    /// Everything before this second was given out.
    floor: i64,
    len: usize,
}

/// Lines that wait at most, whatever their times are.
const MOST: usize = 2_000_000;

impl<T> Seconds<T> {
    /// Waits for lines that are up to `wait_s` seconds older than the newest.
    pub fn new(wait_s: i64) -> Self {
        Self { wait_s: wait_s.max(0), waiting: BTreeMap::new(), newest: i64::MIN, floor: i64::MIN, len: 0 }
    }

    /// Takes a line; gives it back if its second is over.
    pub fn put(&mut self, time_ms: i64, precise: bool, line: T) -> Result<(), T> {
        let second = time_ms.div_euclid(1_000);
        if second < self.floor {
            return Err(line);
        }
        self.newest = self.newest.max(second);
        let millis = precise.then(|| time_ms.rem_euclid(1_000) as u16);
        self.waiting.entry(second).or_default().push((millis, line));
        self.len += 1;
        Ok(())
    }

    /// The oldest second that is complete, with the times of its lines, in order.
    pub fn take(&mut self) -> Option<Vec<(i64, T)>> {
        let second = *self.waiting.first_key_value()?.0;
        if second.saturating_add(self.wait_s) >= self.newest && self.len < MOST {
            return None;
        }
        self.take_any()
    }

    /// The oldest second, complete or not.
    pub fn take_any(&mut self) -> Option<Vec<(i64, T)>> {
        let (second, lines) = self.waiting.pop_first()?;
        self.floor = second + 1;
        self.len -= lines.len();
        let n = lines.iter().filter(|(millis, _)| millis.is_none()).count() as i64;
        let mut k = -1;
        let mut lines: Vec<(i64, T)> = lines
            .into_iter()
            .map(|(millis, line)| {
                let millis = millis.map_or_else(
                    || {
                        k += 1;
                        k * 1_000 / n
                    },
                    i64::from,
                );
                (second * 1_000 + millis, line)
            })
            .collect();
        lines.sort_by_key(|(at, _)| *at);
        Some(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_of_a_second_are_spread_over_it() {
        let mut seconds = Seconds::new(1);
        for (time, line) in [(1_000, "a"), (2_000, "c"), (1_000, "b"), (3_000, "d")] {
            seconds.put(time, false, line).unwrap();
        }
        assert_eq!(seconds.take(), Some(vec![(1_000, "a"), (1_500, "b")]));
        assert_eq!(seconds.take(), None, "the second before the newest may not be complete");
        assert_eq!(seconds.put(1_900, false, "late"), Err("late"));
        assert_eq!(seconds.take_any(), Some(vec![(2_000, "c")]));
        seconds.put(3_250, true, "e").unwrap();
        assert_eq!(seconds.take_any(), Some(vec![(3_000, "d"), (3_250, "e")]));
        assert_eq!(seconds.take_any(), None);
    }

    proptest! {
        #[test]
        fn all_come_out_in_order(times in prop::collection::vec((0i64..20_000, any::<bool>()), 0..200), wait in 0i64..5) {
            let mut seconds = Seconds::new(wait);
            let (mut out, mut late) = (Vec::new(), 0);
            for (n, (time, precise)) in times.iter().enumerate() {
                late += usize::from(seconds.put(*time, *precise, n).is_err());
                while let Some(lines) = seconds.take() {
                    out.extend(lines);
                }
            }
            while let Some(lines) = seconds.take_any() {
                out.extend(lines);
            }
            prop_assert_eq!(out.len() + late, times.len());
            prop_assert!(out.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            for (at, n) in out {
                let (time, precise) = times[n];
                prop_assert_eq!(at.div_euclid(1_000), time.div_euclid(1_000));
                prop_assert!(!precise || at == time);
            }
        }
    }
}

//! Visitors who come back: some minutes after their last visit ended, so nobody is there twice at once.

use std::collections::VecDeque;
use std::sync::Arc;

use rand::Rng;

/// Visitors who may come back at any time.
const REMEMBERED: usize = 20_000;
/// Visitors who have just left.
const RESTING: usize = 100_000;
/// Nobody comes back sooner, in milliseconds.
pub const REST_MS: i64 = 180_000;

/// Those who may come back, and those who have just left.
#[derive(Debug, Default)]
pub struct Regulars {
    ready: Vec<Arc<str>>,
    resting: VecDeque<(i64, Arc<str>)>,
}

impl Regulars {
    /// A visitor leaves at time `at`.
    pub fn leave(&mut self, user: Arc<str>, at: i64) {
        if self.resting.len() < RESTING {
            self.resting.push_back((at + REST_MS, user));
        }
    }

    /// Somebody who comes back at time `at`, if there is anybody.
    pub fn come(&mut self, at: i64, rng: &mut impl Rng) -> Option<Arc<str>> {
        while self.resting.front().is_some_and(|(from, _)| *from <= at) {
            let Some((_, user)) = self.resting.pop_front() else { break };
            if self.ready.len() < REMEMBERED {
                self.ready.push(user);
            } else {
                let place = rng.random_range(0..REMEMBERED);
                self.ready[place] = user;
            }
        }
        if self.ready.is_empty() {
            return None;
        }
        let place = rng.random_range(0..self.ready.len());
        Some(self.ready.swap_remove(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn nobody_comes_back_while_there_or_at_once() {
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let mut regulars = Regulars::default();
        assert_eq!(regulars.come(0, &mut rng), None);
        regulars.leave("a".into(), 1_000);
        assert_eq!(regulars.come(REST_MS + 999, &mut rng), None);
        assert_eq!(regulars.come(REST_MS + 1_000, &mut rng).as_deref(), Some("a"));
        assert_eq!(regulars.come(REST_MS + 2_000, &mut rng), None, "is there already");
    }
}

//! Ids of messages that are in the log already: a client that repeats a message gets the same answer, and nothing is written again.
//!
//! - An id is remembered once its record is **acknowledged**, not before: a repeat of what the log never took is written.
//! - While the first copy is on its way, a repeat waits for it.
//! - For ten minutes, in buckets of one minute. Of an id only a hash of 64 bits is kept, with a seed nobody knows: two of twelve
//!   million ids share one with a probability of 4 in 1,000,000.
//! - At most [`MAX_IDS`] ids, about 80 MB; beyond that the oldest minutes are forgotten early. The pipeline itself counts a second copy
//!   nowhere for two minutes more (`--dedup-horizon`).
//! - After a restart the ids are read from the log again ([`Seen::restore`]).

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use clickstream_event::Timestamp;
use tokio::sync::watch;
use xxhash_rust::xxh3::Xxh3;

/// How long an id is remembered, in milliseconds.
pub const MEMORY_MS: i64 = 10 * MINUTE_MS;
/// Ids remembered at most.
pub const MAX_IDS: usize = 4_000_000;
const MINUTE_MS: i64 = 60_000;

/// The keys are hashes already.
#[derive(Default, Debug)]
struct Same(u64);

impl Hasher for Same {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxhash_rust::xxh3::xxh3_64(bytes);
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

type Ids = HashSet<u64, BuildHasherDefault<Same>>;

/// How an append ended; `None` while it is under way.
type Ending = Option<bool>;

/// The memory. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Seen {
    seed: u64,
    max_ids: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Minutes with their ids, newest last.
    minutes: VecDeque<(i64, Ids)>,
    /// Ids in all of them.
    len: usize,
    under_way: HashMap<u64, watch::Receiver<Ending>, BuildHasherDefault<Same>>,
}

/// What is known of an id.
#[derive(Debug)]
pub enum Known {
    /// Nothing: it is the caller's now.
    New,
    /// It is in the log.
    Acknowledged,
    /// Somebody is writing it; ask how that ended.
    UnderWay(UnderWay),
}

/// Another request's append.
#[derive(Clone, Debug)]
pub struct UnderWay(watch::Receiver<Ending>);

impl UnderWay {
    /// Waits for its end; whether the records are in the log.
    pub async fn ended(mut self) -> bool {
        // a sender that is gone has not written
        self.0.wait_for(Option::is_some).await.is_ok_and(|ending| *ending == Some(true))
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self::with_room_for(MAX_IDS)
    }
}

impl Seen {
    /// Remembers at most so many ids.
    pub fn with_room_for(max_ids: usize) -> Self {
        use std::hash::{BuildHasher, RandomState};
        Self { seed: RandomState::new().hash_one(0), max_ids, state: Arc::default() }
    }

    fn hash(&self, site: &str, id: &str) -> u64 {
        let mut hash = Xxh3::with_seed(self.seed);
        hash.update(&(site.len() as u64).to_le_bytes());
        hash.update(site.as_bytes());
        hash.update(id.as_bytes());
        hash.digest()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what stands in the log: sites, ids, times of arrival.
    pub fn restore<'i>(&self, ids: impl Iterator<Item = (&'i str, &'i str, Timestamp)>) {
        for (site, id, at) in ids {
            let hash = self.hash(site, id);
            self.state().remember(hash, at.0, self.max_ids);
        }
    }

    /// Ids that are remembered.
    pub fn len(&self) -> usize {
        self.state().len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Begins the claims of one request.
    pub fn claims(&self) -> Claims {
        let (ending, under_way) = watch::channel(None);
        Claims { seen: self.clone(), ids: Vec::new(), ending, under_way }
    }
}

impl State {
    fn knows(&self, hash: u64) -> bool {
        self.minutes.iter().any(|(_, ids)| ids.contains(&hash))
    }

    fn remember(&mut self, hash: u64, at: i64, max_ids: usize) {
        let minute = at.div_euclid(MINUTE_MS);
        self.forget(at);
        let place = self.minutes.iter().rposition(|(m, _)| *m <= minute);
        let place = match place {
            Some(place) if self.minutes[place].0 == minute => place,
            other => {
                let place = other.map_or(0, |place| place + 1);
                self.minutes.insert(place, (minute, Ids::default()));
                place
            }
        };
        if self.minutes[place].1.insert(hash) {
            self.len += 1;
        }
        // one full minute alone begins anew
        while self.len > max_ids {
            let Some((_, ids)) = self.minutes.pop_front() else { break };
            self.len -= ids.len();
        }
    }

    fn forget(&mut self, now: i64) {
        while let Some((minute, ids)) = self.minutes.front()
            && (minute + 1) * MINUTE_MS + MEMORY_MS <= now
        {
            self.len -= ids.len();
            self.minutes.pop_front();
        }
    }
}

/// The new ids of one request, until it is known what became of them.
#[derive(Debug)]
pub struct Claims {
    seen: Seen,
    ids: Vec<u64>,
    ending: watch::Sender<Ending>,
    under_way: watch::Receiver<Ending>,
}

impl Claims {
    /// Claims an id, unless it is in the log or somebody else's.
    pub fn claim(&mut self, site: &str, id: &str, now: Timestamp) -> Known {
        let hash = self.seen.hash(site, id);
        let mut state = self.seen.state();
        state.forget(now.0);
        if let Some(other) = state.under_way.get(&hash) {
            return Known::UnderWay(UnderWay(other.clone()));
        }
        if state.knows(hash) {
            return Known::Acknowledged;
        }
        state.under_way.insert(hash, self.under_way.clone());
        drop(state);
        self.ids.push(hash);
        Known::New
    }

    /// Gives back the last id that was new: it is not a valid event.
    pub fn give_back(&mut self) {
        if let Some(hash) = self.ids.pop() {
            self.seen.state().under_way.remove(&hash);
        }
    }

    /// How the append ends, for whoever waits for the answer.
    pub fn under_way(&self) -> UnderWay {
        UnderWay(self.under_way.clone())
    }

    /// All are in the log.
    pub fn acknowledged(mut self, at: Timestamp) {
        let mut state = self.seen.state();
        for hash in std::mem::take(&mut self.ids) {
            state.remember(hash, at.0, self.seen.max_ids);
            state.under_way.remove(&hash);
        }
        drop(state);
        let _ = self.ending.send(Some(true));
    }
}

impl Drop for Claims {
    /// What was not acknowledged may be tried again.
    fn drop(&mut self) {
        let mut state = self.seen.state();
        for hash in std::mem::take(&mut self.ids) {
            state.under_way.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_795_583_043_021);

    fn is_known(seen: &Seen, id: &str, at: i64) -> bool {
        matches!(seen.claims().claim("s", id, Timestamp(at)), Known::Acknowledged)
    }

    #[tokio::test]
    async fn only_what_is_acknowledged_is_remembered() {
        let seen = Seen::default();
        let mut claims = seen.claims();
        assert!(matches!(claims.claim("s", "a", NOW), Known::New));
        let Known::UnderWay(first) = seen.claims().claim("s", "a", NOW) else { panic!("it is under way") };
        drop(claims);
        assert!(!first.ended().await, "the first was given up");

        let mut claims = seen.claims();
        assert!(matches!(claims.claim("s", "a", NOW), Known::New), "so it may be tried again");
        assert!(matches!(claims.claim("s", "bad", NOW), Known::New));
        claims.give_back();
        let Known::UnderWay(first) = seen.claims().claim("s", "a", NOW) else { panic!("it is under way") };
        claims.acknowledged(NOW);
        assert!(first.ended().await);
        assert!(is_known(&seen, "a", NOW.0));
        assert!(!is_known(&seen, "bad", NOW.0));
        assert!(matches!(seen.claims().claim("another site", "a", NOW), Known::New));
    }

    #[test]
    fn for_ten_minutes_and_in_bounded_memory() {
        let seen = Seen::with_room_for(100);
        seen.restore([("s", "a", NOW)].into_iter());
        assert!(is_known(&seen, "a", NOW.0 + MEMORY_MS));
        assert!(!is_known(&seen, "a", NOW.0 + MEMORY_MS + MINUTE_MS));
        assert!(seen.is_empty());
        for n in 0..1_000 {
            let id = n.to_string();
            seen.restore([("s", id.as_str(), Timestamp(NOW.0 + n * 10_000))].into_iter());
        }
        assert!(seen.len() <= 100, "{}", seen.len());
        assert!(is_known(&seen, "999", NOW.0 + 9_990_000));
        // partitions are read one after the other: times go back
        seen.restore([("s", "old", Timestamp(NOW.0 + 9_800_000))].into_iter());
        assert!(is_known(&seen, "old", NOW.0 + 9_990_000));
    }

    proptest! {
        /// Against a memory that forgets nothing: known for ten minutes, forgotten a minute later, and never known before the log has it.
        #[test]
        fn like_a_memory_without_bounds(steps in prop::collection::vec((0u8..12, 0i64..200_000, any::<bool>()), 1..80)) {
            let seen = Seen::default();
            let mut acknowledged: HashMap<u8, i64> = HashMap::new();
            let mut now = NOW.0;
            for (id, passed, succeeds) in steps {
                now += passed;
                let mut claims = seen.claims();
                let known = claims.claim("s", &id.to_string(), Timestamp(now));
                let age = acknowledged.get(&id).map(|at| now - at);
                match known {
                    Known::New => prop_assert!(age.is_none_or(|age| age > MEMORY_MS), "{age:?}"),
                    Known::Acknowledged => prop_assert!(age.is_some_and(|age| age <= MEMORY_MS + MINUTE_MS), "{age:?}"),
                    Known::UnderWay(_) => prop_assert!(false, "nobody else writes"),
                }
                if matches!(known, Known::New) && succeeds {
                    claims.acknowledged(Timestamp(now));
                    acknowledged.insert(id, now);
                }
            }
        }
    }
}

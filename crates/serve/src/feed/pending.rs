//! Rows that wait for the rest of their window. Time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::head::Filed;
use crate::kind::Kind;
use crate::store::Position;

/// A window is written when no row of it came for so long …
const QUIET: Duration = Duration::from_millis(30);
/// … or when the first one waits this long.
const PATIENCE: Duration = Duration::from_millis(70);
/// Anomalies are seldom, and wanted at once.
const ANOMALY_PATIENCE: Duration = Duration::from_millis(20);
/// With so many rows nothing waits any longer.
const MANY: usize = 20_000;

type Key = (&'static str, String, Option<i64>);

struct Group {
    first: Instant,
    last: Instant,
    rows: Vec<(Filed, Option<Place>)>,
}

type Place = (&'static str, i32, i64);

/// The rows.
#[derive(Default)]
pub struct Pending {
    groups: BTreeMap<Key, Group>,
    rows: usize,
    /// First offset that has not come yet, of each partition of each topic.
    seen: HashMap<(&'static str, i32), i64>,
}

/// What is to be written.
#[derive(Default)]
pub struct Batch {
    /// The rows.
    pub rows: Vec<Filed>,
    /// Up to where everything is written with them.
    pub positions: Vec<Position>,
}

impl Pending {
    /// Takes a row.
    pub fn take(&mut self, row: Filed, place: Option<Place>, now: Instant) {
        if let Some((topic, partition, offset)) = place {
            self.pass(topic, partition, offset);
        }
        let windowed = Kind::named(row.kind).is_some_and(|kind| kind.windowed);
        let key = (row.kind, row.site.clone(), windowed.then_some(row.at));
        let group =
            self.groups.entry(key).or_insert_with(|| Group { first: now, last: now, rows: Vec::new() });
        group.last = now;
        group.rows.push((row, place));
        self.rows += 1;
    }

    /// Notes a record that needs no filing.
    pub fn pass(&mut self, topic: &'static str, partition: i32, offset: i64) {
        let next = self.seen.entry((topic, partition)).or_default();
        *next = (*next).max(offset + 1);
    }

    /// The groups whose time has come; all if `all`.
    pub fn due(&mut self, now: Instant, all: bool) -> Option<Batch> {
        let all = all || self.rows >= MANY;
        let keys: Vec<Key> = self
            .groups
            .iter()
            .filter(|(key, group)| all || due_at(key, group) <= now)
            .map(|(key, _)| key.clone())
            .collect();
        if keys.is_empty() {
            return None;
        }
        let mut batch = Batch::default();
        for key in keys {
            if let Some(group) = self.groups.remove(&key) {
                self.rows -= group.rows.len();
                batch.rows.extend(group.rows.into_iter().map(|(row, _)| row));
            }
        }
        // what still waits would be lost if we read on after it
        let mut positions = self.seen.clone();
        for (_, place) in self.groups.values().flat_map(|group| &group.rows) {
            if let Some((topic, partition, offset)) = place
                && let Some(next) = positions.get_mut(&(*topic, *partition))
            {
                *next = (*next).min(*offset);
            }
        }
        batch.positions = positions
            .into_iter()
            .map(|((topic, partition), next)| Position { topic: topic.to_owned(), partition, next })
            .collect();
        Some(batch)
    }

    /// When the next group is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.groups.iter().map(|(key, group)| due_at(key, group)).min()
    }
}

fn due_at(key: &Key, group: &Group) -> Instant {
    match key.0 {
        "anomalies" => group.first + ANOMALY_PATIENCE,
        _ if key.2.is_some() => (group.last + QUIET).min(group.first + PATIENCE),
        _ => group.first + PATIENCE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: &'static str, at: i64, key: &str) -> Filed {
        let (site, key) = ("shop".to_owned(), key.to_owned());
        Filed { kind, site, at, key, weight: 0, reason: None, json: "{}".into() }
    }

    #[test]
    fn a_window_waits_for_its_rest() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        pending.take(row("top-pages", 10, "1"), None, at(0));
        pending.take(row("top-pages", 10, "2"), None, at(20));
        assert!(pending.due(at(40), false).is_none());
        assert_eq!(pending.next_due(), Some(at(50)));
        assert_eq!(pending.due(at(50), false).map(|batch| batch.rows.len()), Some(2));
        assert_eq!(pending.next_due(), None);
        for ms in 0..8 {
            pending.take(row("top-pages", 20, "1"), None, at(100 + 10 * ms));
        }
        assert!(pending.due(at(170), false).is_some(), "not for ever");
    }

    #[test]
    fn positions_stop_before_what_still_waits() {
        let (mut pending, start) = (Pending::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        pending.take(row("sessions", 1, "a"), Some(("t", 0, 5)), at(0));
        pending.take(row("anomalies", 1, "b"), Some(("t", 0, 6)), at(0));
        let next = |batch: Option<Batch>| batch.map(|batch| batch.positions[0].next);
        assert_eq!(next(pending.due(at(25), false)), Some(5));
        pending.pass("t", 0, 7);
        assert_eq!(next(pending.due(at(80), false)), Some(8));
    }
}

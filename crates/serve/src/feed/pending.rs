//! Rows that wait for the rest of their window. Time is an argument.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use crate::head::Filed;
use crate::kind::Kind;
use crate::store::Position;

/// A window is written when no row of it came for so long …
const QUIET: Duration = Duration::from_millis(15);
/// … or when the first one waits this long. A long list that still grows is shown this often.
const PATIENCE: Duration = Duration::from_millis(30);
/// Ranks of a list come together.
const RANKS_QUIET: Duration = Duration::from_millis(8);
/// Rows without a window: every frame of them goes to every client, so there should not be too many.
const EVENTS_PATIENCE: Duration = Duration::from_millis(30);
/// Anomalies are seldom, and wanted at once.
const ANOMALY_PATIENCE: Duration = Duration::from_millis(20);
/// With so many rows nothing waits any longer.
pub const MANY: usize = 20_000;
/// Rows written at once at most, unless there are [`MANY`]: other rows that come meanwhile wait until they are written.
const AT_ONCE: usize = 300;

type Key = (&'static str, String, Option<i64>);
/// Topic, partition and offset.
type Place = (&'static str, i32, i64);
/// What tells a row from the others of its group: its instant, and its key.
type RowKey = (i64, String);

struct Group {
    first: Instant,
    last: Instant,
    /// The key is taken out of the row, and put back when it leaves.
    rows: IndexMap<RowKey, (Filed, Option<Place>)>,
    /// Whether the greatest are last.
    sorted: bool,
    /// When the greatest of a long list were written last; these are the rest, and what came since.
    shown: Option<Instant>,
}

impl Group {
    fn new(now: Instant) -> Self {
        Self { first: now, last: now, rows: IndexMap::new(), sorted: false, shown: None }
    }

    /// Takes out the rows from place `from` on.
    fn take(&mut self, from: usize) -> impl Iterator<Item = Filed> + use<> {
        let rows = self.rows.split_off(from).into_iter();
        rows.map(|((_, key), (row, _))| Filed { key, ..row })
    }
}

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
    /// Up to where everything is written with them; nothing while much waits.
    pub positions: Vec<Position>,
    /// They are of the middle of a long list: nothing to be shown.
    pub silent: bool,
}

impl Pending {
    /// Takes a row. One with the same key that still waits was an older version of it.
    pub fn take(&mut self, mut row: Filed, place: Option<Place>, now: Instant) {
        if let Some((topic, partition, offset)) = place {
            self.pass(topic, partition, offset);
        }
        let windowed = Kind::named(row.kind).is_some_and(|kind| kind.windowed);
        let key = (row.kind, row.site.clone(), windowed.then_some(row.at));
        let group = self.groups.entry(key).or_insert_with(|| Group::new(now));
        group.last = now;
        group.sorted = false;
        let key = (row.at, std::mem::take(&mut row.key));
        self.rows += usize::from(group.rows.insert(key, (row, place)).is_none());
    }

    /// Notes a record that needs no filing.
    pub fn pass(&mut self, topic: &'static str, partition: i32, offset: i64) {
        let next = self.seen.entry((topic, partition)).or_default();
        *next = (*next).max(offset + 1);
    }

    /// How many rows wait.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Rows of the groups whose time has come; all if `all`. Small groups come first, and of a large one the greatest rows, which are
    /// those that are looked at; the rest is due at once.
    pub fn due(&mut self, now: Instant, all: bool) -> Option<Batch> {
        let all = all || self.rows >= MANY;
        let due = self.groups.iter().filter(|(key, group)| all || due_at(key, group) <= now);
        let mut keys: Vec<(usize, Key)> = due.map(|(key, group)| (group.rows.len(), key.clone())).collect();
        keys.sort_by_key(|(rows, _)| *rows);
        let mut batch = Batch::default();
        for (rows, key) in keys {
            if all || batch.rows.len() + rows <= AT_ONCE {
                if let Some(mut group) = self.groups.remove(&key) {
                    batch.rows.extend(group.take(0));
                }
            } else if batch.rows.is_empty()
                && let Some(group) = self.groups.get_mut(&key)
            {
                if key.2.is_some() {
                    if !std::mem::replace(&mut group.sorted, true) {
                        group.rows.sort_by(|_, (one, _), _, (other, _)| one.weight.cmp(&other.weight));
                    }
                    batch.silent = group.shown.is_some_and(|at| now < at + PATIENCE);
                    if !batch.silent {
                        group.shown = Some(now);
                    }
                    batch.rows.extend(group.take(rows - AT_ONCE));
                } else {
                    // no later frame shows these rows again, so each part has one; and their order is that of their coming
                    let rest = group.rows.split_off(AT_ONCE);
                    batch.rows.extend(group.take(0));
                    group.rows = rest;
                }
                break;
            } else {
                break;
            }
        }
        if batch.rows.is_empty() {
            return None;
        }
        self.rows -= batch.rows.len();
        if self.rows <= AT_ONCE {
            batch.positions = self.positions();
        }
        Some(batch)
    }

    /// Up to where to read on: what still waits would be lost otherwise.
    fn positions(&self) -> Vec<Position> {
        let mut positions = self.seen.clone();
        for (_, place) in self.groups.values().flat_map(|group| group.rows.values()) {
            if let Some((topic, partition, offset)) = place
                && let Some(next) = positions.get_mut(&(*topic, *partition))
            {
                *next = (*next).min(*offset);
            }
        }
        let position = |((topic, partition), next): ((&str, i32), i64)| Position {
            topic: topic.to_owned(),
            partition,
            next,
        };
        positions.into_iter().map(position).collect()
    }

    /// When the next group is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.groups.iter().map(|(key, group)| due_at(key, group)).min()
    }
}

fn due_at((kind, _, window): &Key, group: &Group) -> Instant {
    let key = Kind::named(kind).map_or(&[][..], |kind| kind.key);
    match *kind {
        _ if group.shown.is_some() => group.first,
        "anomalies" => group.first + ANOMALY_PATIENCE,
        _ if window.is_none() => group.first + EVENTS_PATIENCE,
        // of a window there is one such row
        _ if key.is_empty() => group.first,
        _ if key.ends_with(&["rank"]) => (group.last + RANKS_QUIET).min(group.first + PATIENCE),
        _ => (group.last + QUIET).min(group.first + PATIENCE),
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
        pending.take(row("page-metrics", 10, "1"), None, at(0));
        pending.take(row("page-metrics", 10, "2"), None, at(10));
        assert!(pending.due(at(24), false).is_none());
        assert_eq!(pending.next_due(), Some(at(25)));
        assert_eq!(pending.due(at(25), false).map(|batch| batch.rows.len()), Some(2));
        assert_eq!(pending.next_due(), None);
        for ms in 0..8 {
            pending.take(row("page-metrics", 20, "1"), None, at(100 + 10 * ms));
        }
        assert!(pending.due(at(130), false).is_some(), "not for ever");
        pending.take(row("site-metrics", 30, ""), None, at(200));
        assert_eq!(pending.next_due(), Some(at(200)), "there is no rest");
    }

    #[test]
    fn long_lists_let_others_pass_and_begin_with_their_greatest() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let rows = 2 * AT_ONCE + 10;
        for n in 0..rows {
            let long =
                Filed { weight: (n * 7_919 % rows) as i64, ..row("page-transitions", 10, &n.to_string()) };
            pending.take(long, Some(("t", 0, n as i64)), now);
        }
        pending.take(row("funnels", 10, ""), Some(("f", 0, 0)), now);
        let later = now + PATIENCE;
        let batches: Vec<Batch> = std::iter::from_fn(|| pending.due(later, false)).collect();
        let shape: Vec<_> = batches.iter().map(|batch| (batch.rows.len(), batch.silent)).collect();
        assert_eq!(shape, [(1, false), (AT_ONCE, false), (AT_ONCE, true), (10, false)]);
        assert!(batches[1].positions.is_empty(), "much still waits");
        assert!(batches[1].rows.iter().all(|row| row.weight >= (rows - AT_ONCE) as i64));
        let next = |batch: &Batch| batch.positions.iter().find(|p| p.topic == "t").map(|p| p.next);
        assert_eq!((next(&batches[2]), next(&batches[3])), (Some(0), Some(rows as i64)));
        assert_eq!(pending.next_due(), None);
    }

    #[test]
    fn many_rows_without_a_window_keep_their_order_and_are_all_shown() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let rows = 2 * AT_ONCE + 10;
        for n in 0..rows {
            let letter =
                Filed { weight: (n * 7_919 % rows) as i64, ..row("dead-letters", 0, &n.to_string()) };
            pending.take(letter, Some(("t", 0, n as i64)), now);
        }
        let later = now + EVENTS_PATIENCE;
        let batches: Vec<Batch> = std::iter::from_fn(|| pending.due(later, false)).collect();
        assert_eq!(batches.iter().map(|batch| batch.rows.len()).collect::<Vec<_>>(), [AT_ONCE, AT_ONCE, 10]);
        assert!(batches.iter().all(|batch| !batch.silent));
        let keys: Vec<usize> = batches.iter().flat_map(|b| &b.rows).map(|r| r.key.parse().unwrap()).collect();
        assert!(keys.is_sorted());
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn of_a_row_that_comes_again_the_last_version_is_written() {
        let (mut pending, now) = (Pending::default(), Instant::now());
        let mut take = |weight, key: &str| {
            pending.take(Filed { weight, ..row("page-transitions", 10, key) }, None, now);
        };
        take(9, "a");
        (0..2 * AT_ONCE).for_each(|n| take(5, &n.to_string()));
        take(2, "a");
        let batches = std::iter::from_fn(|| pending.due(now + PATIENCE, false));
        let rows: Vec<Filed> = batches.flat_map(|batch| batch.rows).collect();
        let of_a: Vec<i64> = rows.iter().filter(|row| row.key == "a").map(|row| row.weight).collect();
        assert_eq!((rows.len(), of_a), (2 * AT_ONCE + 1, vec![2]));
        assert_eq!(pending.len(), 0);
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

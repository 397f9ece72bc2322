//! Takes rows in.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use super::{FrameMark, Store, StoreError};
use crate::head::Filed;
use crate::kind::Kind;

/// Up to where a partition of a result topic has been read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The first offset that is not stored yet.
    pub next: i64,
}

/// What was written of one kind, site and window.
struct Group {
    low: i64,
    high: i64,
    changed: bool,
}

impl Store {
    /// Writes rows and positions at once: all of it or nothing. Returns a mark for each kind, site and window in which a
    /// row is new or another than before; a row that is written again as it was makes none.
    pub fn write(&self, rows: &[Filed], positions: &[Position]) -> Result<Vec<FrameMark>, StoreError> {
        self.write_part(rows, positions, true)
    }

    /// The same of a part of a long list. Unless it is to be `shown`, its window is neither counted nor marked: the next part that is
    /// does both.
    pub fn write_part(
        &self,
        rows: &[Filed],
        positions: &[Position],
        shown: bool,
    ) -> Result<Vec<FrameMark>, StoreError> {
        let mut db = self.writer();
        let transaction = db.transaction()?;
        let groups = insert(&transaction, rows)?;
        let (mut marks, mut changed) = (Vec::new(), Vec::new());
        for ((kind, site, _), group) in groups {
            let Some(kind) = Kind::named(kind) else { continue };
            if shown && kind.windowed {
                count_span(&transaction, kind.name, site, group.high)?;
            }
            if group.changed {
                changed.push(kind);
            }
            if shown && group.changed {
                marks.push(mark(&transaction, kind, site, group.low, group.high)?);
            }
        }
        {
            let mut save = transaction.prepare_cached(
                "INSERT INTO position (topic, part, next) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO UPDATE SET next = excluded.next",
            )?;
            for position in positions {
                save.execute(params![position.topic, position.partition, position.next])?;
            }
        }
        transaction.commit()?;
        drop(db);
        self.note(rows, &changed);
        Ok(marks)
    }

    /// Notes that the window of a site is over: kinds that have no row in it get an empty one.
    pub fn close_window(
        &self,
        site: &str,
        at: i64,
        kinds: &[&'static Kind],
    ) -> Result<Vec<FrameMark>, StoreError> {
        let mut db = self.writer();
        let transaction = db.transaction()?;
        let mut marks = Vec::new();
        for kind in kinds {
            let new = transaction
                .prepare_cached("INSERT OR IGNORE INTO span (kind, site, at, rows) VALUES (?1, ?2, ?3, 0)")?
                .execute(params![kind.name, site, at])?;
            if new > 0 {
                marks.push(mark(&transaction, kind, site, at, at)?);
            }
        }
        transaction.commit()?;
        drop(db);
        self.note(&[], &marks.iter().map(|mark| mark.kind).collect::<Vec<_>>());
        Ok(marks)
    }

    /// Keeps what is known without asking the database.
    fn note(&self, rows: &[Filed], changed: &[&'static Kind]) {
        {
            let mut sites = self.inner.sites.write().unwrap_or_else(PoisonError::into_inner);
            for row in rows.iter().filter(|row| row.kind == "site-metrics") {
                let newest = sites.entry(row.site.clone()).or_default();
                *newest = (*newest).max((row.at, row.weight));
            }
        }
        for kind in changed {
            self.inner.versions[kind.index()].fetch_add(1, Ordering::AcqRel);
        }
    }
}

type Groups<'a> = BTreeMap<(&'static str, &'a str, Option<i64>), Group>;

fn insert<'a>(db: &Connection, rows: &'a [Filed]) -> rusqlite::Result<Groups<'a>> {
    let mut row_in = db.prepare_cached(
        "INSERT INTO result (kind, site, at, key, weight, json) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT DO UPDATE SET weight = excluded.weight, json = excluded.json
         WHERE excluded.json <> result.json",
    )?;
    let mut letter_in =
        db.prepare_cached("INSERT OR IGNORE INTO dead_letter (key, reason, json) VALUES (?1, ?2, ?3)")?;
    let mut letter_count = db.prepare_cached(
        "INSERT INTO letter_count (reason, letters) VALUES (?1, 1)
         ON CONFLICT DO UPDATE SET letters = letters + 1",
    )?;
    let mut session_in = db.prepare_cached(
        "INSERT OR IGNORE INTO session_page (site, page, at, key)
         VALUES (?1, ?4 ->> '$.entry_page', ?2, ?3), (?1, ?4 ->> '$.exit_page', ?2, ?3)",
    )?;
    let mut groups = Groups::new();
    for row in rows {
        let (at, changed) = match &row.reason {
            Some(reason) => {
                let changed = letter_in.execute(params![row.key, reason, row.json])? > 0;
                if !changed {
                    continue;
                }
                letter_count.execute(params![reason])?;
                (db.last_insert_rowid(), true)
            }
            None => {
                let changed =
                    row_in.execute(params![row.kind, row.site, row.at, row.key, row.weight, row.json])?;
                if changed > 0 && row.kind == "sessions" {
                    session_in.execute(params![row.site, row.at, row.key, row.json])?;
                }
                (row.at, changed > 0)
            }
        };
        let windowed = Kind::named(row.kind).is_some_and(|kind| kind.windowed);
        let group = groups.entry((row.kind, row.site.as_str(), windowed.then_some(at))).or_insert(Group {
            low: at,
            high: at,
            changed: false,
        });
        if changed || group.changed {
            // what did not change needs no place in the live stream
            let first = !group.changed;
            group.low = if first { at } else { group.low.min(at) };
            group.high = if first { at } else { group.high.max(at) };
            group.changed = true;
        }
    }
    Ok(groups)
}

fn count_span(db: &Connection, kind: &str, site: &str, at: i64) -> rusqlite::Result<()> {
    db.prepare_cached(
        "INSERT INTO span (kind, site, at, rows)
         VALUES (?1, ?2, ?3, (SELECT count(*) FROM result WHERE kind = ?1 AND site = ?2 AND at = ?3))
         ON CONFLICT DO UPDATE SET rows = excluded.rows, tier = 0",
    )?
    .execute(params![kind, site, at])?;
    Ok(())
}

fn mark(
    db: &Connection,
    kind: &'static Kind,
    site: &str,
    low: i64,
    high: i64,
) -> rusqlite::Result<FrameMark> {
    db.prepare_cached("INSERT INTO frame (kind, site, low, high) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![kind.name, site, low, high])?;
    Ok(FrameMark { seq: db.last_insert_rowid(), kind, site: site.to_owned(), low, high })
}

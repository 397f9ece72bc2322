//! Frames of the live stream: which rows each showed, so that it can be made again.

use rusqlite::{Connection, params};

use super::read::{EventQuery, Listing, WindowQuery};
use super::{Store, StoreError};
use crate::kind::Kind;

/// A place in the live stream: which rows a frame shows.
#[derive(Clone, Debug)]
pub struct FrameMark {
    /// Its number.
    pub seq: i64,
    /// The kind.
    pub kind: &'static Kind,
    /// The site.
    pub site: String,
    /// First instant, or number of the first letter.
    pub low: i64,
    /// Last one.
    pub high: i64,
}

impl Store {
    /// The frames after number `seq`, one per kind, site and window (the last of each), at most the last `limit`, oldest first; and
    /// how many were left out because of that, or because they are forgotten.
    pub fn frames_after(&self, seq: i64, limit: usize) -> Result<(u64, Vec<FrameMark>), StoreError> {
        self.read(|db| {
            let oldest: Option<i64> = db
                .prepare_cached("SELECT min(seq) FROM frame")?
                .query_row([], |row| row.get(0))?;
            let forgotten = oldest.map_or(0, |oldest| (oldest - 1 - seq).max(0));
            let mut frames: Vec<FrameMark> = db
                .prepare_cached(
                    "SELECT max(seq), kind, site, low, high FROM frame WHERE seq > ?1 GROUP BY kind, site, low, high
                     ORDER BY 1 DESC",
                )?
                .query_map(params![seq], frame)?
                .filter_map(Result::transpose)
                .collect::<rusqlite::Result<_>>()?;
            let left_out = frames.len().saturating_sub(limit);
            frames.truncate(limit);
            frames.reverse();
            Ok((forgotten as u64 + left_out as u64, frames))
        })
    }

    /// The number of the last frame.
    pub fn last_frame(&self) -> Result<i64, StoreError> {
        self.read(|db| db.query_row("SELECT coalesce(max(seq), 0) FROM frame", [], |row| row.get(0)))
    }

    /// The rows of a frame: at most `limit`, and how many there are: in its window, or of its time (dead letters: of its numbers).
    pub fn frame_rows(&self, mark: &FrameMark, limit: u32) -> Result<Listing, StoreError> {
        if mark.kind.name == "dead-letters" {
            return self.read(|db| letters_between(db, mark.low, mark.high, limit));
        }
        if mark.kind.windowed {
            let (kind, site) = (mark.kind, mark.site.as_str());
            return self.window(&WindowQuery { kind, site, at: mark.high, page: None, limit, offset: 0 });
        }
        let total = self.read(|db| {
            db.prepare_cached(
                "SELECT count(*) FROM result WHERE kind = ?1 AND site = ?2 AND at BETWEEN ?3 AND ?4",
            )?
            .query_row(params![mark.kind.name, mark.site, mark.low, mark.high], |row| row.get::<_, i64>(0))
        })?;
        let listing = self.events(&EventQuery {
            kind: mark.kind,
            site: &mark.site,
            from: mark.low,
            to: mark.high + 1,
            page: None,
            equal: Vec::new(),
            limit,
            offset: 0,
        })?;
        Ok(Listing { total: Some(total as u64), ..listing })
    }
}

fn frame(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<FrameMark>> {
    let kind: String = row.get(1)?;
    let Some(kind) = Kind::named(&kind) else { return Ok(None) };
    Ok(Some(FrameMark { seq: row.get(0)?, kind, site: row.get(2)?, low: row.get(3)?, high: row.get(4)? }))
}

fn letters_between(db: &Connection, low: i64, high: i64, limit: u32) -> rusqlite::Result<Listing> {
    let total: i64 = db
        .prepare_cached("SELECT count(*) FROM dead_letter WHERE id BETWEEN ?1 AND ?2")?
        .query_row(params![low, high], |row| row.get(0))?;
    let rows = db
        .prepare_cached("SELECT json FROM dead_letter WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3")?
        .query_map(params![low, high, limit], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(Listing { total: Some(total as u64), more: total as usize > limit as usize, rows })
}

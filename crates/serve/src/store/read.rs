//! Answers questions. Every row comes back as the text that stands in its topic.

use clickstream_event::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};

use super::{Position, Store, StoreError};
use crate::kind::Kind;

/// A part of a list of rows.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Listing {
    /// Rows in all, where that is quick to tell.
    pub total: Option<u64>,
    /// Whether rows follow those asked for.
    pub more: bool,
    /// Those asked for.
    pub rows: Vec<String>,
}

/// Asks for the rows of a window.
#[derive(Clone, Debug)]
pub struct WindowQuery<'a> {
    /// The kind.
    pub kind: &'static Kind,
    /// The site.
    pub site: &'a str,
    /// End of the window.
    pub at: i64,
    /// Only rows of this page.
    pub page: Option<&'a str>,
    /// At most so many.
    pub limit: u32,
    /// Leave out so many before.
    pub offset: u32,
}

/// Asks for rows that have an instant of their own: sessions, anomalies. Newest first.
#[derive(Clone, Debug)]
pub struct EventQuery<'a> {
    /// The kind.
    pub kind: &'static Kind,
    /// The site.
    pub site: &'a str,
    /// From this instant on.
    pub from: i64,
    /// Before this instant.
    pub to: i64,
    /// Fields that have to have this value; several of one page field are alternatives, see [`Kind::pages`].
    pub page: Option<&'a str>,
    /// Fields and the texts they have to hold.
    pub equal: Vec<(&'static str, String)>,
    /// At most so many.
    pub limit: u32,
    /// Leave out so many before.
    pub offset: u32,
}

/// A window that is kept.
#[derive(Clone, PartialEq, Debug)]
pub struct WindowCount {
    /// Its end.
    pub at: i64,
    /// All its rows were kept; otherwise only those with the greatest numbers.
    pub whole: bool,
    /// Rows written, over all kinds.
    pub rows: u64,
}

impl Store {
    /// End of the newest window of a kind that has been written.
    pub fn newest_window(&self, kind: &Kind, site: &str) -> Result<Option<i64>, StoreError> {
        self.read(|db| {
            db.prepare_cached("SELECT max(at) FROM span WHERE kind = ?1 AND site = ?2")?
                .query_row(params![kind.name, site], |row| row.get(0))
        })
    }

    /// Size of a site's newest window, in milliseconds; 0 if there is none.
    pub fn window_ms(&self, site: &str) -> Result<i64, StoreError> {
        self.read(|db| {
            let newest: Option<(i64, Option<String>)> = db
                .prepare_cached(
                    "SELECT at, json ->> '$.window_start' FROM result WHERE kind = 'site-metrics' AND site = ?1
                     ORDER BY at DESC LIMIT 1",
                )?
                .query_row(params![site], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            let size = newest.and_then(|(at, start)| Some(at - Timestamp::parse(&start?)?.0));
            Ok(size.unwrap_or(0).max(0))
        })
    }

    /// Whether the window was written, and its neighbours if not.
    pub fn find_window(
        &self,
        kind: &Kind,
        site: &str,
        at: i64,
    ) -> Result<Result<(), [Option<i64>; 2]>, StoreError> {
        self.read(|db| {
            let there = db
                .prepare_cached("SELECT 1 FROM span WHERE kind = ?1 AND site = ?2 AND at = ?3")?
                .exists(params![kind.name, site, at])?;
            if there {
                return Ok(Ok(()));
            }
            let beside = |sql: &str| {
                db.prepare_cached(sql)?
                    .query_row(params![kind.name, site, at], |row| row.get::<_, Option<i64>>(0))
            };
            Ok(Err([
                beside("SELECT max(at) FROM span WHERE kind = ?1 AND site = ?2 AND at < ?3")?,
                beside("SELECT min(at) FROM span WHERE kind = ?1 AND site = ?2 AND at > ?3")?,
            ]))
        })
    }

    /// The rows of a window.
    pub fn window(&self, query: &WindowQuery<'_>) -> Result<Listing, StoreError> {
        let mut filter = "kind = ? AND site = ? AND at = ?".to_owned();
        let mut values: Vec<Value> =
            vec![query.kind.name.to_owned().into(), query.site.to_owned().into(), query.at.into()];
        if let Some(page) = query.page {
            if query.kind.key == ["page_url"] {
                filter.push_str(" AND key = ?");
                values.push(page.to_owned().into());
            } else {
                page_filter(query.kind, page, &mut filter, &mut values);
            }
        }
        self.read(|db| {
            let total = db
                .prepare_cached(&format!("SELECT count(*) FROM result WHERE {filter}"))?
                .query_row(params_from_iter(&values), |row| row.get::<_, i64>(0))?;
            listing(
                db,
                "result",
                &filter,
                values,
                "weight DESC, key",
                (query.limit, query.offset),
                Some(total as u64),
            )
        })
    }

    /// Rows with an instant of their own.
    pub fn events(&self, query: &EventQuery<'_>) -> Result<Listing, StoreError> {
        let mut filter = "kind = ? AND site = ? AND at >= ? AND at < ?".to_owned();
        let mut values: Vec<Value> = vec![
            query.kind.name.to_owned().into(),
            query.site.to_owned().into(),
            query.from.into(),
            query.to.into(),
        ];
        if let Some(page) = query.page {
            page_filter(query.kind, page, &mut filter, &mut values);
        }
        for (field, text) in &query.equal {
            filter.push_str(&format!(" AND json ->> '$.{field}' = ?"));
            values.push(match text.as_str() {
                "true" => 1.into(),
                "false" => 0.into(),
                text => text.to_owned().into(),
            });
        }
        let part = (query.limit, query.offset);
        match query.page {
            // those of a page that few see would be looked for among all
            Some(page) if query.kind.name == "sessions" => {
                filter.push_str(" AND page = ?");
                values.push(page.to_owned().into());
                self.read(|db| {
                    listing(db, SESSIONS_BY_PAGE, &filter, values, "at DESC, key DESC", part, None)
                })
            }
            _ => self.read(|db| listing(db, "result", &filter, values, "at DESC, key DESC", part, None)),
        }
    }

    /// One row per window from `from` to `to` (both ends counted), oldest first, of a kind whose key besides the window is
    /// `key`. If there were more than `limit`, every second, third … window is shown, each as it was.
    pub fn series(
        &self,
        kind: &'static Kind,
        site: &str,
        key: &str,
        (from, to): (i64, i64),
        limit: usize,
    ) -> Result<Listing, StoreError> {
        self.read(|db| {
            let ends: Vec<i64> = db
                .prepare_cached(
                    "SELECT at FROM span WHERE kind = ?1 AND site = ?2 AND at BETWEEN ?3 AND ?4 ORDER BY at DESC",
                )?
                .query_map(params![kind.name, site, from, to], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            let step = ends.len().div_ceil(limit.max(1)).max(1);
            let mut one = db.prepare_cached(
                "SELECT json FROM result WHERE kind = ?1 AND site = ?2 AND at = ?3 AND key = ?4",
            )?;
            let mut rows = Vec::new();
            // from the newest back: the newest is always shown
            for at in ends.iter().step_by(step) {
                rows.extend(one.query_row(params![kind.name, site, at, key], |row| row.get::<_, String>(0)).optional()?);
            }
            rows.reverse();
            Ok(Listing { total: Some(ends.len() as u64), more: false, rows })
        })
    }

    /// The last window of that time of which not all rows are kept any more (see [`super::Retention::coarse_rows`]): in it and in those
    /// before, what has no row may have had one.
    pub fn thinned_up_to(
        &self,
        kind: &Kind,
        site: &str,
        (from, to): (i64, i64),
    ) -> Result<Option<i64>, StoreError> {
        self.read(|db| {
            db.prepare_cached(
                "SELECT max(at) FROM span WHERE kind = ?1 AND site = ?2 AND at BETWEEN ?3 AND ?4 AND tier = 1",
            )?
            .query_row(params![kind.name, site, from, to], |row| row.get(0))
        })
    }

    /// Dead letters, newest first.
    pub fn letters(&self, reason: Option<&str>, limit: u32, offset: u32) -> Result<Listing, StoreError> {
        let (filter, mut values) = match reason {
            Some(reason) => ("WHERE reason = ?", vec![Value::from(reason.to_owned())]),
            None => ("", Vec::new()),
        };
        self.read(|db| {
            values.extend([(i64::from(limit) + 1).into(), i64::from(offset).into()]);
            let rows = db
                .prepare_cached(&format!(
                    "SELECT json FROM dead_letter {filter} ORDER BY id DESC LIMIT ? OFFSET ?"
                ))?
                .query_map(params_from_iter(&values), |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            Ok(cut(rows, limit, None))
        })
    }

    /// How many letters came for each reason since the store was made.
    pub fn letter_counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.read(|db| {
            db.prepare_cached("SELECT reason, letters FROM letter_count ORDER BY letters DESC, reason")?
                .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?
                .collect()
        })
    }

    /// The windows of a site that are kept, newest first.
    pub fn windows(
        &self,
        site: &str,
        (from, to): (i64, i64),
        limit: u32,
        offset: u32,
    ) -> Result<(u64, Vec<WindowCount>), StoreError> {
        self.read(|db| {
            let total: i64 = db
                .prepare_cached("SELECT count(*) FROM span WHERE kind = 'site-metrics' AND site = ?1 AND at BETWEEN ?2 AND ?3")?
                .query_row(params![site, from, to], |row| row.get(0))?;
            let mut spans = db.prepare_cached(
                "SELECT at, tier FROM span WHERE kind = 'site-metrics' AND site = ?1 AND at BETWEEN ?2 AND ?3
                 ORDER BY at DESC LIMIT ?4 OFFSET ?5",
            )?;
            let mut windows: Vec<WindowCount> = spans
                .query_map(params![site, from, to, limit, offset], |row| {
                    Ok(WindowCount { at: row.get(0)?, whole: row.get::<_, i64>(1)? == 0, rows: 0 })
                })?
                .collect::<rusqlite::Result<_>>()?;
            let mut count = db.prepare_cached("SELECT rows FROM span WHERE kind = ?1 AND site = ?2 AND at = ?3")?;
            for window in &mut windows {
                for kind in Kind::windowed() {
                    let rows: Option<i64> =
                        count.query_row(params![kind.name, site, window.at], |row| row.get(0)).optional()?;
                    window.rows += rows.unwrap_or(0) as u64;
                }
            }
            Ok((total as u64, windows))
        })
    }

    /// Windows that have their site's row, but have not been closed (see [`Store::close_window`]) for kinds without rows: site and end.
    pub fn open_windows(&self) -> Result<Vec<(String, i64)>, StoreError> {
        self.read(|db| {
            db.prepare_cached(
                "SELECT site, at FROM span WHERE tier = 0 GROUP BY site, at
                 HAVING count(*) < ?1 AND max(kind = 'site-metrics')",
            )?
            .query_map([Kind::windowed().count() as i64], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect()
        })
    }

    /// Up to where the result topics have been read; empty for a new store.
    pub fn positions(&self) -> Result<Vec<Position>, StoreError> {
        self.read(|db| {
            db.prepare_cached("SELECT topic, part, next FROM position ORDER BY topic, part")?
                .query_map([], |row| {
                    Ok(Position { topic: row.get(0)?, partition: row.get(1)?, next: row.get(2)? })
                })?
                .collect()
        })
    }
}

/// Sessions, once for each page that they began or ended on, in the order of that page's list.
pub(super) const SESSIONS_BY_PAGE: &str =
    "(SELECT 'sessions' AS kind, p.site, p.page, p.at, p.key, r.json FROM session_page AS p
     CROSS JOIN result AS r ON r.kind = 'sessions' AND r.site = p.site AND r.at = p.at AND r.key = p.key)";

fn listing(
    db: &Connection,
    from: &str,
    filter: &str,
    mut values: Vec<Value>,
    order: &str,
    (limit, offset): (u32, u32),
    total: Option<u64>,
) -> rusqlite::Result<Listing> {
    values.extend([(i64::from(limit) + 1).into(), i64::from(offset).into()]);
    let rows = db
        .prepare_cached(&format!("SELECT json FROM {from} WHERE {filter} ORDER BY {order} LIMIT ? OFFSET ?"))?
        .query_map(params_from_iter(&values), |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok(cut(rows, limit, total))
}

/// The rows that were asked for, of one more than these.
fn cut(mut rows: Vec<String>, limit: u32, total: Option<u64>) -> Listing {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    Listing { total, more, rows }
}

/// Rows that hold the page in one of the fields that hold pages.
fn page_filter(kind: &Kind, page: &str, filter: &mut String, values: &mut Vec<Value>) {
    let tests: Vec<String> = kind
        .pages
        .iter()
        .map(|field| {
            values.push(page.to_owned().into());
            match *field {
                "pages" => {
                    "EXISTS (SELECT 1 FROM json_each(result.json, '$.pages') WHERE value = ?)".to_owned()
                }
                field => format!("json ->> '$.{field}' = ?"),
            }
        })
        .collect();
    // a kind without pages has no row of any
    let tests = if tests.is_empty() { "0".to_owned() } else { tests.join(" OR ") };
    filter.push_str(&format!(" AND ({tests})"));
}

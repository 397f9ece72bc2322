//! Forgets what is old, a little at a time, so that rows never wait long for it.

use rusqlite::{Connection, params};

use super::{Store, StoreError};

/// Windows (of one kind and site) looked at in one go.
const AT_ONCE: i64 = 32;
/// Frames that a client can go back.
const FRAMES: i64 = 20_000;
/// Letters deleted in one go.
const LETTERS_AT_ONCE: i64 = 2_000;
/// Sessions or anomalies deleted in one go: some milliseconds.
const EVENTS_AT_ONCE: i64 = 300;

impl Store {
    /// Does a piece of what is to do; `false`: nothing was left to do.
    pub fn tidy(&self) -> Result<bool, StoreError> {
        let Some(newest) = self.newest() else { return Ok(false) };
        let retention = &self.inner.retention;
        let mut db = self.writer();
        let transaction = db.transaction()?;
        let mut done = 0;
        for (kind, site, at) in expired(&transaction, 0, newest - retention.detail_ms)? {
            let kept = retention.coarse_step_ms > 0
                && at % retention.coarse_step_ms == 0
                && at >= newest - retention.keep_ms;
            if kept {
                thin(&transaction, &kind, &site, at, retention.coarse_rows)?;
            } else {
                forget(&transaction, &kind, &site, at)?;
            }
            done += 1;
        }
        for (kind, site, at) in expired(&transaction, 1, newest - retention.keep_ms)? {
            forget(&transaction, &kind, &site, at)?;
            done += 1;
        }
        done += transaction.execute(
            "DELETE FROM dead_letter WHERE id IN (
                 SELECT id FROM dead_letter WHERE id <= (SELECT max(id) FROM dead_letter) - ?1 ORDER BY id LIMIT ?2)",
            params![retention.dead_letters, LETTERS_AT_ONCE],
        )?;
        transaction
            .execute("DELETE FROM frame WHERE seq <= (SELECT max(seq) FROM frame) - ?1", params![FRAMES])?;
        transaction.commit()?;
        Ok(done > 0)
    }

    /// Up to where sessions and anomalies are to be forgotten, of which a number is kept. Walks over them: for now and then.
    pub fn event_limits(&self) -> Result<Vec<EventLimit>, StoreError> {
        let Some(newest) = self.newest() else { return Ok(Vec::new()) };
        let retention = &self.inner.retention;
        let mut limits = Vec::new();
        for site in self.sites() {
            for (kind, rows) in [("sessions", retention.sessions), ("anomalies", retention.anomalies)] {
                let last: Option<i64> = self.read(|db| {
                    db.prepare_cached(
                        "SELECT at FROM result WHERE kind = ?1 AND site = ?2 ORDER BY at DESC LIMIT 1 OFFSET ?3",
                    )?
                    .query_map(params![kind, site, rows], |row| row.get(0))?
                    .next()
                    .transpose()
                })?;
                let oldest = newest - retention.keep_ms;
                limits.push(EventLimit {
                    kind,
                    site: site.clone(),
                    last: last.unwrap_or(oldest).max(oldest),
                });
            }
        }
        Ok(limits)
    }

    /// Forgets some that are beyond the limit, the oldest first; `false`: there were none.
    pub fn forget_events(&self, limit: &EventLimit) -> Result<bool, StoreError> {
        let mut db = self.writer();
        let transaction = db.transaction()?;
        let EventLimit { kind, site, last } = limit;
        let old =
            "SELECT at, key FROM result WHERE kind = ?1 AND site = ?2 AND at <= ?3 ORDER BY at LIMIT ?4";
        if *kind == "sessions" {
            transaction
                .prepare_cached(&format!(
                    "DELETE FROM session_page WHERE (site, page, at, key) IN (
                         SELECT r.site, page.value, r.at, r.key FROM ({old}) AS o
                         JOIN result AS r ON r.kind = ?1 AND r.site = ?2 AND r.at = o.at AND r.key = o.key
                         JOIN json_each(json_array(r.json ->> '$.entry_page', r.json ->> '$.exit_page')) AS page)"
                ))?
                .execute(params![kind, site, last, EVENTS_AT_ONCE])?;
        }
        let forgotten = transaction
            .prepare_cached(&format!(
                "DELETE FROM result WHERE kind = ?1 AND site = ?2 AND at <= ?3 AND (at, key) IN ({old})"
            ))?
            .execute(params![kind, site, last, EVENTS_AT_ONCE])?;
        transaction.commit()?;
        Ok(forgotten > 0)
    }
}

/// The last instant of events of a kind that are to be forgotten.
#[derive(Clone, Debug)]
pub struct EventLimit {
    kind: &'static str,
    site: String,
    last: i64,
}

fn expired(db: &Connection, tier: i64, before: i64) -> rusqlite::Result<Vec<(String, String, i64)>> {
    db.prepare_cached("SELECT kind, site, at FROM span WHERE tier = ?1 AND at < ?2 ORDER BY at LIMIT ?3")?
        .query_map(params![tier, before, AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect()
}

fn thin(db: &Connection, kind: &str, site: &str, at: i64, rows: u32) -> rusqlite::Result<()> {
    db.prepare_cached(
        "DELETE FROM result WHERE kind = ?1 AND site = ?2 AND at = ?3 AND key IN (
             SELECT key FROM result WHERE kind = ?1 AND site = ?2 AND at = ?3
             ORDER BY weight DESC, key LIMIT -1 OFFSET ?4)",
    )?
    .execute(params![kind, site, at, rows])?;
    db.prepare_cached("UPDATE span SET tier = 1 WHERE kind = ?1 AND site = ?2 AND at = ?3")?
        .execute(params![kind, site, at])?;
    Ok(())
}

fn forget(db: &Connection, kind: &str, site: &str, at: i64) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM result WHERE kind = ?1 AND site = ?2 AND at = ?3")?
        .execute(params![kind, site, at])?;
    db.prepare_cached("DELETE FROM span WHERE kind = ?1 AND site = ?2 AND at = ?3")?
        .execute(params![kind, site, at])?;
    Ok(())
}

//! Rows as they stand in the result topics, beside those of a recount.

use anyhow::Result;
use clickstream_event::result_row::is_windowed;
use clickstream_event::{Timestamp, topic};
use serde::Serialize;

use super::key::RowKey;
use super::row::Row;
use crate::logs::Log;

/// Rows of a window are looked for among what was written until so long after it, in milliseconds.
pub(super) const WRITTEN_WITHIN_MS: i64 = 3_600_000;

/// After the last row of its site, all other rows of a window are written within this time, in milliseconds.
const TOGETHER_MS: i64 = 120_000;

/// The broker's clock may be so far behind a window's end when its rows come in, in milliseconds.
const BEFORE_MS: i64 = 1_000;

/// A row, as the recount gives it and as it stands in its topic.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The topic.
    pub topic: &'static str,
    /// By the recount.
    pub recount: Option<Row>,
    /// In the topic.
    pub found: Option<Row>,
}

impl Compared {
    /// Whether both say the same.
    pub fn agrees(&self) -> bool {
        match (&self.recount, &self.found) {
            (Some(recount), Some(found)) => recount.content().equals(&found.content()),
            _ => false,
        }
    }

    /// The row, from wherever there is one.
    pub fn any(&self) -> Option<&Row> {
        self.recount.as_ref().or(self.found.as_ref())
    }

    fn key(&self) -> Option<RowKey> {
        self.any().map(Row::key)
    }
}

/// The rows in all result topics that `takes` wants, of those that were written of a site's window: in the order they were written.
///
/// The rows of a window are written together, after its end. So of a topic with many rows little has to be read.
pub(super) fn rows(
    log: &dyn Log,
    site: &str,
    (start, end): (Timestamp, Timestamp),
    takes: &dyn Fn(&Row) -> bool,
) -> Result<Vec<(&'static str, Row)>> {
    let until = match written_at(log, site, end)? {
        Some(at) => at.max(end).0 + TOGETHER_MS,
        None => end.0 + WRITTEN_WITHIN_MS,
    };
    let mut found = Vec::new();
    for name in topic::RESULTS {
        let from = if is_windowed(name) { end.0 - BEFORE_MS } else { start.0 };
        let part = log.since(name, &log.bounds(name)?, Timestamp(from))?;
        let part = log.until(name, &part, Timestamp(until))?;
        log.read(name, &part, &mut |record| {
            let row = record.value.and_then(|value| Row::parse(name, value));
            found.extend(row.filter(takes).map(|row| (name, row)));
            Ok(())
        })?;
    }
    Ok(found)
}

/// When the site's row of the window that ends then was written last: of a log that was filled with events of the past, or counted
/// late, that is long after the window.
fn written_at(log: &dyn Log, site: &str, end: Timestamp) -> Result<Option<Timestamp>> {
    let name = topic::SITE_METRICS;
    let part = log.since(name, &log.bounds(name)?, Timestamp(end.0 - BEFORE_MS))?;
    let mut written = None;
    log.read(name, &part, &mut |record| {
        if let Some(Row::Site(row)) = record.value.and_then(|value| Row::parse(name, value))
            && row.site_id == site
            && row.window_end == end
        {
            written = Some(record.arrival);
        }
        Ok(())
    })?;
    Ok(written)
}

/// Puts rows that were found beside those of the recount, the last of each key; sorts all by topic and name.
pub(super) fn put_beside(rows: &mut Vec<Compared>, found: Vec<(&'static str, Row)>) {
    for (topic, row) in found {
        match rows.iter_mut().find(|pair| pair.key() == Some(row.key())) {
            Some(pair) => pair.found = Some(row),
            None => rows.push(Compared { topic, recount: None, found: Some(row) }),
        }
    }
    let order = |pair: &Compared| topic::RESULTS.iter().position(|name| *name == pair.topic);
    rows.sort_by_cached_key(|pair| (order(pair), pair.any().map(Row::names)));
}

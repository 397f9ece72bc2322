//! What stands in the result topics about an event.

use std::collections::HashMap;

use anyhow::Result;
use clickstream_event::rows::DeadLetter;
use clickstream_event::{Timestamp, topic};

use super::find::Kept;
use super::follow::{Follower, Pane};
use super::{Counted, Letter, Standing, Visit};
use crate::logs::Log;
use crate::proof::key::RowKey;
use crate::proof::row::Row;
use crate::proof::written::{Compared, WRITTEN_WITHIN_MS};

/// A row in a topic.
struct Written {
    row: Row,
    first: Timestamp,
    again: u32,
}

/// The newest of each row that is wanted, of those that were written between two arrivals.
fn written(
    log: &dyn Log,
    name: &'static str,
    (from, to): (Timestamp, Option<Timestamp>),
    wanted: &dyn Fn(&Row) -> bool,
    found: &mut HashMap<RowKey, Written>,
) -> Result<()> {
    let mut part = log.since(name, &log.bounds(name)?, from)?;
    if let Some(to) = to {
        part = log.until(name, &part, to)?;
    }
    log.read(name, &part, &mut |record| {
        if let Some(row) = record.value.and_then(|value| Row::parse(name, value)).filter(|row| wanted(row)) {
            let key = row.key();
            match found.get_mut(&key) {
                Some(before) => {
                    before.row = row;
                    before.again += 1;
                }
                None => {
                    found.insert(key, Written { row, first: record.arrival, again: 0 });
                }
            }
        }
        Ok(())
    })
}

/// A row of the recount beside the one in the topic.
fn standing(
    topic: &'static str,
    recount: Option<Row>,
    found: Option<Written>,
    settled_at: Timestamp,
) -> Standing {
    let written = found.as_ref().map(|found| found.first);
    Standing {
        written,
        after_ms: written.map(|at| at.0 - settled_at.0),
        written_again: found.as_ref().map_or(0, |found| found.again),
        rows: Compared { topic, recount, found: found.map(|found| found.row) },
    }
}

/// Rows are written after the event has arrived, and soon after what settled them; later only after a crash.
fn between(follower: &Follower, settled: Option<Timestamp>) -> (Timestamp, Option<Timestamp>) {
    (follower.subject.arrival, settled.map(|at| Timestamp(at.0 + WRITTEN_WITHIN_MS)))
}

/// The windows that the event counts in, with their rows about its page, product and site.
pub fn windows(log: &dyn Log, follower: &mut Follower, now: Timestamp) -> Result<Vec<Counted>> {
    let panes = std::mem::take(&mut follower.panes);
    let config = follower.config;
    let size_ms = config.windows.size_ms();
    let mut topics = vec![topic::PAGE_METRICS, topic::PRODUCT_METRICS, topic::SITE_METRICS];
    if follower.subject.product_id.is_none() {
        topics.remove(1);
    }
    let ends: Vec<Timestamp> = panes.iter().map(|pane| pane.end).collect();
    let is_of_them = |row: &Row| {
        let (start, end) = row.span();
        end.0 - start.0 == size_ms && ends.contains(&end) && follower.subject.is_in(row)
    };
    let last = panes.last().and_then(|pane| pane.closed).map(|closed| closed.at);
    let mut found = HashMap::new();
    for name in &topics {
        written(log, name, between(follower, last), &is_of_them, &mut found)?;
    }
    let mut found: HashMap<(Timestamp, &'static str), Written> =
        found.into_values().map(|written| ((written.row.span().1, written.row.topic()), written)).collect();
    Ok(panes
        .into_iter()
        .map(|Pane { end, closed, rows }| {
            let standing = |name: &&'static str| {
                let recount = rows.iter().find(|row| row.topic() == *name).cloned();
                // a row that the log does not tell enough for is not compared
                let recount = recount.filter(|row| follower.whole.holds(row));
                let found = found.remove(&(end, *name));
                (closed.is_some() || found.is_some()).then(|| standing(name, recount, found, end))
            };
            Counted {
                start: Timestamp(end.0 - size_ms),
                end,
                closed,
                closes_in_ms: match closed {
                    Some(_) => None,
                    None => Some((end.0 + config.max_disorder_ms - now.0).max(0)),
                },
                rows: topics.iter().filter_map(standing).collect(),
            }
        })
        .collect())
}

/// The session that the event belongs to.
pub fn session(log: &dyn Log, follower: &mut Follower) -> Result<Visit> {
    let subject = &follower.subject;
    let Some((session, known)) = follower.session.take() else {
        let alone = (subject.event_time, subject.event_time, 1);
        let (start, end, event_count) = follower.visit().unwrap_or(alone);
        let session_id = subject.session_id.clone();
        return Ok(Visit { session_id, start, end, event_count, closed_at: None, row: None });
    };
    let is_it = |row: &Row| {
        matches!(row, Row::Session(row) if row.site_id == session.site_id
            && row.session_id == session.session_id
            && row.session_start == session.session_start)
    };
    let mut found = HashMap::new();
    written(log, topic::SESSIONS, between(follower, Some(known.at)), &is_it, &mut found)?;
    let settled_at = Timestamp(session.session_end.0 + follower.config.session_gap_ms);
    let (start, end, event_count) = (session.session_start, session.session_end, session.event_count);
    let session_id = session.session_id.clone();
    let recount = Some(Row::from(session)).filter(|row| follower.whole.holds(row));
    let row = standing(topic::SESSIONS, recount, found.into_values().next(), settled_at);
    Ok(Visit { session_id, start, end, event_count, closed_at: Some(settled_at), row: Some(row) })
}

/// The dead letter of a record.
pub fn letter(log: &dyn Log, kept: &Kept) -> Result<Option<Letter>> {
    let name = topic::DEAD_LETTERS;
    let part = log.since(name, &log.bounds(name)?, kept.arrival)?;
    let part = log.until(name, &part, Timestamp(kept.arrival.0 + WRITTEN_WITHIN_MS))?;
    let mut found = None;
    log.read(name, &part, &mut |record| {
        let letter = record.value.and_then(|value| serde_json::from_slice::<DeadLetter>(value).ok());
        if let Some(letter) = letter
            && (letter.source_partition, letter.source_offset) == (kept.place.partition, kept.place.offset)
            && found.is_none()
        {
            let after_ms = record.arrival.0 - kept.arrival.0;
            found = Some(Letter { letter, written: record.arrival, after_ms });
        }
        Ok(())
    })?;
    Ok(found)
}

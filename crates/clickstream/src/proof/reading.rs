//! Records of result topics, reduced to what is compared. It takes most of the time of a proof, and depends on nothing else, so
//! it can be done beside the recount.

use clickstream_engine::Config;
use clickstream_event::result_row::is_windowed;
use clickstream_event::rows::DeadLetter;
use clickstream_event::{Timestamp, topic};
use xxhash_rust::xxh3::xxh3_64;

use super::content::Content;
use super::key::{RowKey, named_by};
use super::proven::Slot;
use super::row::Row;
use super::whole::Whole;
use crate::logs::LogRecord;

/// Where a row stands.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// The topic.
    pub topic: &'static str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A row that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub content: Content,
    pub place: Place,
    /// Where it is remembered once it was compared.
    pub slot: Slot,
    /// Whether it was a tombstone, which deletes the row.
    pub deleted: bool,
    /// Whether the record's key named another row.
    pub misplaced: bool,
    /// Whether its window has the shape the proof is for.
    pub in_shape: bool,
    /// First and last bound of its window.
    pub span: (Timestamp, Timestamp),
    /// From when on nothing can change it.
    pub settled_at: Timestamp,
    /// Whether the log reaches back as far as it looks.
    pub reached: bool,
}

/// A dead letter that was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FoundLetter {
    reason: u64,
    raw: u64,
}

impl FoundLetter {
    /// What a dead letter says.
    pub fn of(letter: &DeadLetter) -> Self {
        Self {
            reason: xxh3_64(letter.reason.as_bytes()),
            raw: letter.raw.as_ref().map_or(0, |raw| xxh3_64(raw.as_bytes())),
        }
    }
}

/// What a record of a result topic is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    /// A row, and when it was written.
    Row(Found, Timestamp),
    /// The key of the row that it deletes, if it names one.
    Tombstone(Place, Option<RowKey>),
    Letter {
        /// Partition and offset of the record that it is about.
        at: (i32, i64),
        found: FoundLetter,
    },
    Unreadable(Place),
}

/// Reads records of result topics.
#[derive(Clone, Debug)]
pub(super) struct Reading {
    config: Config,
    whole: Whole,
}

impl Reading {
    /// For a proof of what `whole` says can be recounted.
    pub fn new(config: Config, whole: Whole) -> Self {
        Self { config, whole }
    }

    /// Reads a record of a topic.
    pub fn read(&self, name: &'static str, record: &LogRecord<'_>) -> Item {
        let place = Place { topic: name, partition: record.partition, offset: record.offset };
        if name == topic::DEAD_LETTERS {
            let letter = record.value.and_then(|value| serde_json::from_slice::<DeadLetter>(value).ok());
            return letter.map_or(Item::Unreadable(place), |letter| Item::Letter {
                at: (letter.source_partition, letter.source_offset),
                found: FoundLetter::of(&letter),
            });
        }
        let Some(value) = record.value else {
            return Item::Tombstone(place, record.key.and_then(|key| named_by(name, key)));
        };
        match Row::parse(name, value) {
            Some(row) => Item::Row(self.found(&row, place, record.key), record.arrival),
            None => Item::Unreadable(place),
        }
    }

    fn found(&self, row: &Row, place: Place, key: Option<&[u8]>) -> Found {
        let windows = self.config.windows;
        let (start, end) = row.span();
        let in_shape = !is_windowed(place.topic)
            || (end.0 - start.0 == windows.size_ms() && end.0 % windows.slide_ms() == 0);
        Found {
            content: row.content(),
            place,
            slot: row.slot(row.key()),
            deleted: false,
            misplaced: !row.has_key(key),
            in_shape,
            span: (start, end),
            settled_at: row.settled_at(self.config.session_gap_ms),
            reached: self.whole.reaches(row),
        }
    }
}

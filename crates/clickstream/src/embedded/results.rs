//! The result topics in files, and a record of how far they have got.

use anyhow::Result;
use clickstream_engine::Window;
use clickstream_event::rows::DeadLetter;
use clickstream_event::{Timestamp, Windows, topic};
use clickstream_log::{Log, Record, Topic, commit_together};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How far the results have got; not for users.
pub const PROGRESS: &str = "clickstream.progress";

/// What stands in the results.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Per partition of the events, the first offset whose dead letter, if it needs one, is not written.
    pub offsets: Vec<u64>,
    /// End of the last window that is written.
    pub window_end: Option<Timestamp>,
}

/// The topics, in the order they are written: whatever a kill leaves behind, where [`PROGRESS`] stands the rest stands too.
pub struct Results {
    letters: Topic,
    pages: Topic,
    products: Topic,
    top: Topic,
    sites: Topic,
    progress_topic: Topic,
    progress: Progress,
    /// Something is appended and not written.
    dirty: bool,
    scratch: (Vec<u8>, Vec<u8>),
}

impl Results {
    /// Opens the topics of a log. `last` is the newest progress there.
    pub fn open(log: &Log, last: Progress) -> Result<Self> {
        Ok(Self {
            letters: log.topic(topic::DEAD_LETTERS, 1)?,
            pages: log.topic(topic::PAGE_METRICS, 1)?,
            products: log.topic(topic::PRODUCT_METRICS, 1)?,
            top: log.topic(topic::TOP_PAGES, 1)?,
            sites: log.topic(topic::SITE_METRICS, 1)?,
            progress_topic: log.topic(PROGRESS, 1)?,
            progress: last,
            dirty: false,
            scratch: Default::default(),
        })
    }

    /// How far they have got.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Appends a dead letter, unless it was written before a restart.
    pub fn letter(&mut self, letter: &DeadLetter, arrival: Timestamp) -> Result<bool> {
        let written = self.progress.offsets.get(letter.source_partition as usize).copied().unwrap_or(0);
        if (letter.source_offset as u64) < written {
            return Ok(false);
        }
        let value = serde_json::to_vec(letter)?;
        self.letters.append(0, &record(arrival, None, &value))?;
        self.dirty = true;
        Ok(true)
    }

    /// Appends the rows of a window.
    pub fn window(&mut self, window: &Window, now: Timestamp) -> Result<()> {
        let (key, value) = &mut self.scratch;
        let mut append =
            |topic: &mut Topic, name: (&str, Value), site: &str, row: &dyn erased::Row| -> Result<()> {
                key.clear();
                value.clear();
                let mut fields = json!({ "site_id": site, "window_end": window.end });
                if !name.0.is_empty() {
                    fields[name.0] = name.1;
                }
                serde_json::to_writer(&mut *key, &fields)?;
                row.write(value)?;
                topic.append(0, &record(now, Some(key), value))?;
                Ok(())
            };
        for row in &window.pages {
            append(&mut self.pages, ("page_url", json!(row.page_url)), &row.site_id, row)?;
        }
        for row in &window.products {
            append(&mut self.products, ("product_id", json!(row.product_id)), &row.site_id, row)?;
        }
        for row in &window.top {
            append(&mut self.top, ("rank", json!(row.rank)), &row.site_id, row)?;
        }
        for row in &window.sites {
            append(&mut self.sites, ("", Value::Null), &row.site_id, row)?;
        }
        self.progress.window_end = Some(window.end);
        self.dirty = true;
        Ok(())
    }

    /// Writes what was appended. `offsets`: the ends of the partitions of the events that have been counted.
    pub fn commit(&mut self, offsets: &[u64], now: Timestamp) -> Result<()> {
        if !self.dirty {
            return Ok(());
        }
        self.progress.offsets = offsets.to_vec();
        let value = serde_json::to_vec(&self.progress)?;
        self.progress_topic.append(0, &record(now, None, &value))?;
        let Self { letters, pages, products, top, sites, progress_topic, .. } = self;
        commit_together(&mut [letters, pages, products, top, sites, progress_topic])?;
        self.dirty = false;
        Ok(())
    }

    /// Deletes what is older than this.
    pub fn retain(&mut self, before: Timestamp) -> Result<()> {
        for topic in [&mut self.letters, &mut self.pages, &mut self.products, &mut self.top, &mut self.sites]
        {
            topic.retain(before.0)?;
        }
        // only its last record is ever read
        self.progress_topic.retain(i64::MAX)?;
        Ok(())
    }
}

fn record<'r>(arrival: Timestamp, key: Option<&'r [u8]>, value: &'r [u8]) -> Record<'r> {
    Record { arrival_ms: arrival.0, key, truth: None, value: Some(value) }
}

/// Whether a window is whole in what was read, and was not written before a restart.
pub fn is_new(progress: &Progress, end: Timestamp, windows: Windows, whole_from: Option<Timestamp>) -> bool {
    progress.window_end < Some(end) && whole_from.is_none_or(|from| end.0 - windows.size_ms() >= from.0)
}

mod erased {
    //! Rows of all kinds through one function.

    use serde::Serialize;

    pub trait Row {
        fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()>;
    }

    impl<T: Serialize> Row for T {
        fn write(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
            serde_json::to_writer(out, self)
        }
    }
}

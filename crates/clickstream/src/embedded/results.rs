//! The result topics in files, and a record of how far they have got.

use std::collections::BTreeMap;

use anyhow::Result;
use clickstream_event::rows::DeadLetter;
use clickstream_event::{Timestamp, topic};
use clickstream_log::{Log, Record, Topic, commit_together};
use serde::{Deserialize, Serialize};

use crate::proof::row::Row;

/// How far the results have got; not for users.
pub const PROGRESS: &str = "clickstream.progress";

/// What stands in the results.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    /// Per partition of the events, the first offset whose dead letter, if it needs one, is not written.
    pub offsets: Vec<u64>,
    /// End of the last window that is written.
    pub window_end: Option<Timestamp>,
    /// The first event of all sessions that were open then.
    #[serde(default)]
    pub oldest_session: Option<Timestamp>,
    /// What the watermark decides at once, sessions and anomalies, is written up to here.
    #[serde(default)]
    pub watermark: Option<Timestamp>,
    /// Where every topic ended then: one that ends before has lost rows. A topic that is not named is not asked.
    #[serde(default)]
    pub ends: BTreeMap<String, u64>,
}

/// The topics, in the order they are written: whatever a kill leaves behind, where [`PROGRESS`] stands the rest stands too.
pub struct Results {
    letters: Topic,
    /// As in [`topic::RESULTS`].
    rows: Vec<Topic>,
    progress_topic: Topic,
    progress: Progress,
    /// Something is appended and not written.
    dirty: bool,
    scratch: (Vec<u8>, Vec<u8>),
}

impl Results {
    /// Opens the topics of a log; torn ends are cut off.
    pub fn open(log: &Log) -> Result<Self> {
        Ok(Self {
            letters: log.topic(topic::DEAD_LETTERS, 1)?,
            rows: topic::RESULTS.iter().map(|name| log.topic(name, 1)).collect::<Result<_, _>>()?,
            progress_topic: log.topic(PROGRESS, 1)?,
            progress: Progress::default(),
            dirty: false,
            scratch: Default::default(),
        })
    }

    /// Goes on behind `last`, the newest progress there.
    pub fn go_on(&mut self, last: Progress) {
        let ends = self.rows.iter().chain([&self.letters]);
        let ends = ends.map(|topic| (topic.name().to_owned(), topic.high(0).unwrap_or(0))).collect();
        self.progress = Progress { ends, ..last };
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
        let offset = self.letters.append(0, &record(arrival, None, &value))?;
        self.appended(topic::DEAD_LETTERS, offset);
        Ok(true)
    }

    /// Appends a row.
    pub fn row(&mut self, row: &Row, now: Timestamp) -> Result<()> {
        let name = row.topic();
        let Some(topic) =
            topic::RESULTS.iter().position(|known| *known == name).and_then(|n| self.rows.get_mut(n))
        else {
            return Ok(());
        };
        let (key, value) = &mut self.scratch;
        key.clear();
        value.clear();
        row.write_key(key)?;
        serde_json::to_writer(&mut *value, row)?;
        let offset = topic.append(0, &record(now, Some(key), value))?;
        self.appended(name, offset);
        Ok(())
    }

    fn appended(&mut self, topic: &str, offset: u64) {
        if let Some(end) = self.progress.ends.get_mut(topic) {
            *end = offset + 1;
        }
        self.dirty = true;
    }

    /// All rows of the window that ends then are appended. `oldest_session`: the first event of all sessions that are open.
    pub fn end_window(&mut self, end: Timestamp, oldest_session: Option<Timestamp>) {
        self.progress.window_end = Some(end);
        self.progress.oldest_session = oldest_session;
        self.dirty = true;
    }

    /// Writes what was appended. `offsets`: the ends of the partitions of the events that have been counted; `watermark`: how far
    /// that has brought event time.
    pub fn commit(&mut self, offsets: &[u64], watermark: Option<Timestamp>, now: Timestamp) -> Result<()> {
        if !self.dirty {
            return Ok(());
        }
        self.progress.offsets = offsets.to_vec();
        self.progress.watermark = watermark;
        let value = serde_json::to_vec(&self.progress)?;
        self.progress_topic.append(0, &record(now, None, &value))?;
        let mut all: Vec<&mut Topic> = vec![&mut self.letters];
        all.extend(&mut self.rows);
        all.push(&mut self.progress_topic);
        commit_together(&mut all)?;
        self.dirty = false;
        Ok(())
    }

    /// Deletes what is older than this.
    pub fn retain(&mut self, before: Timestamp) -> Result<()> {
        self.letters.retain(before.0)?;
        for topic in &mut self.rows {
            topic.retain(before.0)?;
        }
        // only its last record is ever read
        self.progress_topic.retain(i64::MAX)?;
        Ok(())
    }
}

impl Progress {
    /// Whether a row was not written before a restart.
    pub fn lacks(&self, row: &Row, session_gap_ms: i64) -> bool {
        let settled = row.settled_at(session_gap_ms);
        match row {
            // written as soon as the watermark decides them; a bot's at its event
            Row::Anomaly(anomaly) if anomaly.kind == "bot" => self.watermark < Some(settled),
            Row::Anomaly(_) | Row::Session(_) => self.watermark < Some(Timestamp(settled.0 - 1)),
            _ => self.window_end < Some(settled),
        }
    }
}

fn record<'r>(arrival: Timestamp, key: Option<&'r [u8]>, value: &'r [u8]) -> Record<'r> {
    Record { arrival_ms: arrival.0, key, truth: None, value: Some(value) }
}

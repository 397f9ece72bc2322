//! A topic, as its only writer holds it.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::io_error;
use crate::frame::Record;
use crate::log::Shared;
use crate::partition::Partition;
use crate::reader::Reader;
use crate::{LogError, Result};

/// A topic open for appending. Dropping it forgets what was appended and not committed.
#[derive(Debug)]
pub struct Topic {
    name: String,
    dir: PathBuf,
    partitions: Vec<Partition>,
    /// Of every partition, the offset after the last record acknowledged.
    ends: Vec<u64>,
    shared: Arc<Shared>,
}

impl Topic {
    /// Opens the partitions of a topic that was created and claimed.
    pub(crate) fn open(name: &str, dir: PathBuf, count: u32, shared: Arc<Shared>) -> Result<Self> {
        let mut topic = Self { name: name.into(), dir, partitions: Vec::new(), ends: Vec::new(), shared };
        for number in 0..count {
            let dir = topic.dir.join(number.to_string());
            let partition = Partition::open(dir, topic.shared.options.clone())?;
            topic.ends.push(partition.acknowledged().load(Ordering::Acquire));
            topic.partitions.push(partition);
        }
        Ok(topic)
    }

    /// The topic's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Number of partitions.
    pub fn partitions(&self) -> u32 {
        self.partitions.len() as u32
    }

    /// Appends a record in memory and returns the offset it gets; [`commit`](Self::commit) writes it.
    ///
    /// Fails for a partition there is not, and when the frame is full.
    pub fn append(&mut self, partition: u32, record: &Record<'_>) -> Result<u64> {
        match self.partitions.get_mut(partition as usize) {
            Some(partition) => partition.append(record),
            None => Err(self.no_partition(partition)),
        }
    }

    /// Writes what was appended, one frame per partition; returns the new end of every partition.
    ///
    /// Only with that are the records acknowledged. After an error none of this commit are, although some partitions
    /// may have been written: they are acknowledged when a later commit succeeds, and the others are written then.
    /// After [`LogError::Failed`] the topic must be opened again.
    pub fn commit(&mut self) -> Result<&[u64]> {
        commit_together(&mut [self])?;
        Ok(&self.ends)
    }

    /// Of every partition, the offset the next record after the last acknowledged one gets.
    pub fn ends(&self) -> &[u64] {
        &self.ends
    }

    /// The first offset of a partition that retention left; `None` if there is no such partition.
    pub fn low(&self, partition: u32) -> Option<u64> {
        self.partitions.get(partition as usize).map(Partition::low)
    }

    /// The end of a partition, see [`ends`](Self::ends); `None` if there is no such partition.
    pub fn high(&self, partition: u32) -> Option<u64> {
        self.ends.get(partition as usize).copied()
    }

    /// Deletes segments, oldest first, all of whose records arrived before; returns how many.
    ///
    /// The newest segment of a partition stays, so its offsets go on.
    pub fn retain(&mut self, older_than_arrival_ms: i64) -> Result<usize> {
        self.partitions.iter_mut().try_fold(0, |sum, p| Ok(sum + p.retain(older_than_arrival_ms)?))
    }

    /// A reader that returns acknowledged records only, from `offset` on; it may move to another thread.
    pub fn reader(&self, partition: u32, offset: u64) -> Result<Reader> {
        let Some(p) = self.partitions.get(partition as usize) else {
            return Err(self.no_partition(partition));
        };
        Reader::open_in(p.dir().to_owned(), Some(p.acknowledged().clone()), offset, None)
    }

    fn no_partition(&self, partition: u32) -> LogError {
        LogError::NoPartition { dir: self.dir.join(partition.to_string()) }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.shared.release(&self.name);
    }
}

/// Commits several topics of one log: writes all their frames in the order given, then syncs, then acknowledges them all.
///
/// See the [crate's guarantees](crate) for what a crash in between leaves, and [`Topic::commit`] for errors.
pub fn commit_together(topics: &mut [&mut Topic]) -> Result<()> {
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.write()?;
    }
    for partition in topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
        partition.sync()?;
    }
    let mut grown = false;
    for topic in topics.iter_mut() {
        let topic = &mut **topic;
        for (end, partition) in topic.ends.iter_mut().zip(&topic.partitions) {
            let before = std::mem::replace(end, partition.acknowledge());
            grown |= *end > before;
        }
    }
    if let (true, Some(topic)) = (grown, topics.first()) {
        topic.shared.commits.tell();
    }
    Ok(())
}

/// Number of partitions of the topic in `dir`, `None` if it does not exist.
pub(crate) fn count_partitions(dir: &std::path::Path) -> Result<Option<u32>> {
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(io_error("list", dir))?,
    };
    let mut count = 0;
    for entry in entries {
        let name = entry.map_err(io_error("list", dir))?.file_name();
        count += u32::from(name.to_str().is_some_and(|name| name.parse::<u32>().is_ok()));
    }
    Ok(Some(count))
}

//! What can go wrong, in sentences that say what to do.

use std::io;
use std::path::{Path, PathBuf};

/// Why the log could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Another process, or another [`crate::Log`] of this one, writes there.
    #[error("the log in {dir} is being written by another process: stop it, or use another directory")]
    Locked {
        /// The log's directory.
        dir: PathBuf,
    },
    /// The name cannot be that of a directory.
    #[error(
        "{name:?} cannot be a topic: a name has 1 to 200 letters, digits, '.', '_' or '-', and no '.' in front"
    )]
    TopicName {
        /// The name asked for.
        name: String,
    },
    /// Partitions need at least one, at most 10,000.
    #[error("topic {topic} cannot have {asked} partitions: ask for 1 to 10000")]
    PartitionCount {
        /// The topic.
        topic: String,
        /// Partitions asked for.
        asked: u32,
    },
    /// The topic is held by another [`crate::Topic`].
    #[error("topic {topic} is open already: it has one writer; drop that one first")]
    TopicOpen {
        /// The topic.
        topic: String,
    },
    /// Keys are spread over partitions, so their number is fixed.
    #[error(
        "topic {topic} has {on_disk} partitions on disk, not {asked}: a key must stay in its partition. \
         Set the number of partitions back to {on_disk}, or remove {dir} with all its records"
    )]
    PartitionsDiffer {
        /// The topic.
        topic: String,
        /// Partitions there are.
        on_disk: u32,
        /// Partitions asked for.
        asked: u32,
        /// The topic's directory.
        dir: PathBuf,
    },
    /// There is no such partition.
    #[error("there is no partition in {dir}: check the names of log and topic, and the partition's number")]
    NoPartition {
        /// Where it would be.
        dir: PathBuf,
    },
    /// The record is gone.
    #[error("offset {offset} in {dir} was deleted by retention: read on from {low}")]
    BelowLow {
        /// The partition's directory.
        dir: PathBuf,
        /// The offset asked for.
        offset: u64,
        /// The first offset there is.
        low: u64,
    },
    /// The record is not there yet.
    #[error("offset {offset} in {dir} does not exist yet: the partition ends at {high}")]
    AboveHigh {
        /// The partition's directory.
        dir: PathBuf,
        /// The offset asked for.
        offset: u64,
        /// The offset the next record will get.
        high: u64,
    },
    /// Damage in the midst of records.
    #[error(
        "{path} is damaged at byte {position}, offset {offset} ({why}), and records follow: nothing was cut. \
         Restore the file from a copy; or give up this segment's records from offset {offset} on with \
         `truncate -s {position} {path}`, and if it is not the partition's last, let readers begin at the next segment"
    )]
    Corrupt {
        /// The segment.
        path: PathBuf,
        /// Where the damaged frame begins.
        position: u64,
        /// The offset expected there.
        offset: u64,
        /// What is wrong with it.
        why: &'static str,
    },
    /// More was appended than one frame holds.
    #[error("the frame of {dir} is full: commit before appending more; one record holds at most 1 GiB")]
    FrameFull {
        /// The partition's directory.
        dir: PathBuf,
    },
    /// An earlier failure left it unknown what is on the disk.
    #[error("{path} failed before and its state on disk is unknown: open the log again, that repairs it")]
    Failed {
        /// The segment.
        path: PathBuf,
    },
}

/// For `map_err`: the operating system refused `action` on `path`.
pub(crate) fn io_error<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> LogError + 'a {
    move |source| LogError::Io { action, path: path.to_owned(), source }
}

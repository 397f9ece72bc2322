//! The log as a whole: its directory, its lock, its topics.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::commits::Commits;
use crate::error::io_error;
use crate::partition::{Partition, sync_dir};
use crate::topic::{Topic, count_partitions};
use crate::{LogError, Result};

/// How a log writes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// A frame that would make a segment longer than this begins a new one.
    pub segment_bytes: u64,
    /// Whether a commit waits for the disk. Without, a power cut loses what the kernel had not written yet.
    pub sync: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 * 1024 * 1024, sync: true }
    }
}

/// A log open for writing; nobody else can write to it while this or one of its topics exists.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
}

/// What a log and its topics have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub dir: PathBuf,
    pub options: Options,
    pub commits: Commits,
    /// Topics that have a writer.
    open: Mutex<BTreeSet<String>>,
    /// Locked as long as it is open.
    _lock: File,
}

impl Log {
    /// Opens the log in `dir` for writing, and creates it if need be.
    pub fn open(dir: impl Into<PathBuf>, options: Options) -> Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(io_error("create", &dir))?;
        if let (true, Some(parent)) = (options.sync, dir.parent().filter(|p| !p.as_os_str().is_empty())) {
            sync_dir(parent)?;
        }
        let path = dir.join(".lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(io_error("open", &path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LogError::Locked { dir }),
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
        }
        let (commits, open) = (Commits::default(), Mutex::default());
        Ok(Self { shared: Arc::new(Shared { dir, options, commits, open, _lock: lock }) })
    }

    /// Opens a topic, and creates it if need be. A torn end of a partition is cut off here.
    pub fn topic(&self, name: &str, partitions: u32) -> Result<Topic> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        if !(1..=200).contains(&name.len()) || name.starts_with('.') || !name.bytes().all(allowed) {
            return Err(LogError::TopicName { name: name.into() });
        }
        if !(1..=10_000).contains(&partitions) {
            return Err(LogError::PartitionCount { topic: name.into(), asked: partitions });
        }
        let dir = self.shared.dir.join(name);
        if !self.shared.open().insert(name.into()) {
            return Err(LogError::TopicOpen { topic: name.into() });
        }
        let ready = match count_partitions(&dir) {
            Ok(None) => self.create(name, &dir, partitions),
            Ok(Some(on_disk)) if on_disk != partitions => Err(LogError::PartitionsDiffer {
                topic: name.into(),
                on_disk,
                asked: partitions,
                dir: dir.clone(),
            }),
            Ok(Some(_)) => Ok(()),
            Err(error) => Err(error),
        };
        match ready {
            // a topic that fails to open releases its name when it is dropped
            Ok(()) => Topic::open(name, dir, partitions, self.shared.clone()),
            Err(error) => {
                self.shared.release(name);
                Err(error)
            }
        }
    }

    /// Tells of commits to any topic of this log.
    pub fn commits(&self) -> Commits {
        self.shared.commits.clone()
    }

    /// Creates a topic all at once: a crash on the way leaves no topic with fewer partitions.
    fn create(&self, name: &str, dir: &Path, partitions: u32) -> Result<()> {
        let sync = self.shared.options.sync;
        let unfinished = self.shared.dir.join(format!("~{name}"));
        if unfinished.exists() {
            fs::remove_dir_all(&unfinished).map_err(io_error("delete", &unfinished))?;
        }
        fs::create_dir(&unfinished).map_err(io_error("create", &unfinished))?;
        for number in 0..partitions {
            Partition::create(&unfinished.join(number.to_string()), sync)?;
        }
        if sync {
            sync_dir(&unfinished)?;
        }
        fs::rename(&unfinished, dir).map_err(io_error("create", dir))?;
        if sync { sync_dir(&self.shared.dir) } else { Ok(()) }
    }
}

impl Shared {
    /// The topic has no writer any more.
    pub fn release(&self, topic: &str) {
        self.open().remove(topic);
    }

    fn open(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

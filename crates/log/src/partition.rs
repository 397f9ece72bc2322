//! The writing side of one partition: what is on disk after a crash, appending, rolling, retention.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::io_error;
use crate::frame::{FrameBuffer, Header, Record};
use crate::segment::{self, Look};
use crate::window::Window;
use crate::{LogError, Options, Result};

/// One partition, as its only writer holds it.
#[derive(Debug)]
pub(crate) struct Partition {
    dir: PathBuf,
    options: Options,
    /// Full segments, oldest first.
    older: Vec<Older>,
    active: Active,
    frame: FrameBuffer,
    /// Offset after the last record written.
    written: u64,
    /// The latest arrival of any record written.
    high_arrival: i64,
    /// Frames were written that no sync covers.
    unsynced: bool,
    /// What is on disk is unknown until it is read again.
    failed: bool,
    /// Offset after the last record acknowledged; readers in this process share it.
    acknowledged: Arc<AtomicU64>,
}

/// A segment that is appended to no more.
#[derive(Clone, Copy, Debug)]
struct Older {
    base: u64,
    /// `None` until retention asks.
    max_arrival: Option<i64>,
}

/// The segment that is appended to.
#[derive(Debug)]
struct Active {
    base: u64,
    path: PathBuf,
    file: File,
    length: u64,
    max_arrival: i64,
}

impl Partition {
    /// Creates the directory of a partition without records, and its first segment.
    pub fn create(dir: &Path, sync: bool) -> Result<()> {
        fs::create_dir(dir).map_err(io_error("create", dir))?;
        Active::create(dir, 0, sync).map(|_| ())
    }

    /// Opens a partition: reads its newest segment and cuts off a torn end.
    pub fn open(dir: PathBuf, options: Options) -> Result<Self> {
        let mut older: Vec<Older> =
            segment::list(&dir)?.into_iter().map(|base| Older { base, max_arrival: None }).collect();
        let Some(newest) = older.pop() else { return Err(LogError::NoPartition { dir }) };
        let (active, last) = Active::recover(&dir, newest.base, options.sync)?;
        let mut partition = Self {
            written: last.map_or(newest.base, |header| header.end()),
            high_arrival: last.map_or(i64::MIN, |header| header.max_so_far()),
            dir,
            options,
            older,
            active,
            frame: FrameBuffer::new(),
            unsynced: false,
            failed: false,
            acknowledged: Arc::default(),
        };
        if let (None, Some(before)) = (last, partition.older.last()) {
            // a crash between rolling and the first frame: what came before is in the segment before
            let before = before.base;
            partition.high_arrival = partition.read_headers(before, |header| header.max_so_far())?;
        }
        partition.acknowledged.store(partition.written, Ordering::Release);
        Ok(partition)
    }

    /// The partition's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The first offset there is.
    pub fn low(&self) -> u64 {
        self.older.first().map_or(self.active.base, |segment| segment.base)
    }

    /// The offset after the last record acknowledged.
    pub fn acknowledged(&self) -> &Arc<AtomicU64> {
        &self.acknowledged
    }

    /// Adds a record to the frame of the next commit; returns its offset.
    pub fn append(&mut self, record: &Record<'_>) -> Result<u64> {
        let offset = self.written + u64::from(self.frame.records());
        if !self.frame.push(record) {
            return Err(LogError::FrameFull { dir: self.dir.clone() });
        }
        Ok(offset)
    }

    /// Writes the frame, if it has records.
    ///
    /// After an error nothing of it is in the file and the frame is kept, so that a later commit tries again.
    pub fn write(&mut self) -> Result<()> {
        self.check()?;
        if self.frame.records() == 0 {
            return Ok(());
        }
        let size = self.frame.size() as u64;
        if self.active.length > 0 && self.active.length + size > self.options.segment_bytes {
            self.roll()?;
        }
        let frame = self.frame.seal(self.written, self.high_arrival);
        let active = &mut self.active;
        if let Err(source) = active.file.write_all_at(frame, active.length) {
            // part of a frame must not stay in front of the next one
            self.failed = active.file.set_len(active.length).is_err();
            return Err(io_error("append to", &active.path)(source));
        }
        active.length += size;
        active.max_arrival = active.max_arrival.max(self.frame.max_arrival());
        self.high_arrival = self.high_arrival.max(self.frame.max_arrival());
        self.written += u64::from(self.frame.records());
        self.unsynced = true;
        self.frame.clear();
        Ok(())
    }

    /// Brings what was written to the disk, if the options say so.
    pub fn sync(&mut self) -> Result<()> {
        self.check()?;
        if self.unsynced && self.options.sync {
            // After a failed sync the kernel may have dropped the pages; asking again would report success.
            self.failed = true;
            self.active.file.sync_data().map_err(io_error("sync", &self.active.path))?;
            self.failed = false;
        }
        self.unsynced = false;
        Ok(())
    }

    /// Declares what was written acknowledged; returns the new end.
    pub fn acknowledge(&self) -> u64 {
        self.acknowledged.store(self.written, Ordering::Release);
        self.written
    }

    /// Deletes the oldest segments all of whose records arrived before `arrival_ms`; never the newest segment.
    pub fn retain(&mut self, arrival_ms: i64) -> Result<usize> {
        let mut deleted = 0;
        while let Some(&Older { base, max_arrival }) = self.older.first() {
            let max_arrival = match max_arrival {
                Some(known) => known,
                None => self.read_headers(base, |header| header.max_arrival)?,
            };
            if max_arrival >= arrival_ms {
                self.older[0].max_arrival = Some(max_arrival);
                break;
            }
            let path = segment::path(&self.dir, base);
            fs::remove_file(&path).map_err(io_error("delete", &path))?;
            self.older.remove(0);
            deleted += 1;
        }
        if deleted > 0 && self.options.sync {
            sync_dir(&self.dir)?;
        }
        Ok(deleted)
    }

    /// The greatest of what `arrival` says of each frame of a full segment.
    fn read_headers(&self, base: u64, arrival: impl Fn(&Header) -> i64) -> Result<i64> {
        let path = segment::path(&self.dir, base);
        let file = File::open(&path).map_err(io_error("open", &path))?;
        let mut max = i64::MIN;
        segment::headers(&mut Window::default(), &file, 0, base, |_, header| max = max.max(arrival(&header)))
            .map_err(io_error("read", &path))?;
        Ok(max)
    }

    fn roll(&mut self) -> Result<()> {
        // frames of a commit that failed elsewhere: the next sync would not reach them any more
        self.sync()?;
        let next = Active::create(&self.dir, self.written, self.options.sync)?;
        let full = std::mem::replace(&mut self.active, next);
        self.older.push(Older { base: full.base, max_arrival: Some(full.max_arrival) });
        Ok(())
    }

    fn check(&self) -> Result<()> {
        if self.failed { Err(LogError::Failed { path: self.active.path.clone() }) } else { Ok(()) }
    }
}

impl Active {
    /// An empty segment. One of that name can only be empty itself: the creation failed half-way before.
    fn create(dir: &Path, base: u64, sync: bool) -> Result<Self> {
        let path = segment::path(dir, base);
        let file = File::options().create(true).truncate(true).read(true).write(true).open(&path);
        let file = file.map_err(io_error("create", &path))?;
        if sync {
            sync_dir(dir)?;
        }
        Ok(Self { base, path, file, length: 0, max_arrival: i64::MIN })
    }

    /// Opens the newest segment and reads all its frames; returns the last header, if there is one.
    fn recover(dir: &Path, base: u64, sync: bool) -> Result<(Self, Option<Header>)> {
        let path = segment::path(dir, base);
        let file = File::options().read(true).write(true).open(&path).map_err(io_error("open", &path))?;
        let mut active = Self { base, path, file, length: 0, max_arrival: i64::MIN };
        let mut last: Option<Header> = None;
        let mut window = Window::default();
        loop {
            let expected = last.map_or(base, |header| header.end());
            let read = segment::look(&mut window, &active.file, active.length, expected);
            match read.map_err(io_error("read", &active.path))? {
                Look::Frame(header) => {
                    active.length += header.size() as u64;
                    active.max_arrival = active.max_arrival.max(header.max_arrival);
                    last = Some(header);
                }
                Look::End => break,
                Look::Bad { why, resume } => {
                    active.cut(expected, why, resume, sync)?;
                    break;
                }
            }
        }
        Ok((active, last))
    }

    /// Cuts the file off at its length so far, unless whole frames follow.
    fn cut(&self, offset: u64, why: &'static str, resume: Option<u64>, sync: bool) -> Result<()> {
        let path = &self.path;
        let follows = resume.map(|from| segment::frame_follows(&self.file, from)).transpose();
        if follows.map_err(io_error("read", path))?.unwrap_or(false) {
            return Err(LogError::Corrupt { path: path.clone(), position: self.length, offset, why });
        }
        let length = self.file.metadata().map_err(io_error("read", path))?.len();
        self.file.set_len(self.length).map_err(io_error("truncate", path))?;
        if sync {
            self.file.sync_data().map_err(io_error("sync", path))?;
        }
        tracing::warn!(
            path = %path.display(), bytes = length - self.length, position = self.length, offset, why,
            "cut off the torn end of a segment: a commit was interrupted"
        );
        Ok(())
    }
}

/// Brings a directory's entries to the disk.
pub(crate) fn sync_dir(dir: &Path) -> Result<()> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io_error("sync", dir))
}

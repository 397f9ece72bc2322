//! Reading a partition, from any process, while another one writes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::io_error;
use crate::frame::{HEADER_BYTES, Header, Record, RecordRef, decode_record};
use crate::place::Place;
use crate::segment::{self, Look, Segment};
use crate::window::Window;
use crate::{LogError, Result};

/// Reads the records of one partition in order.
///
/// Where the records end, [`next`](Self::next) returns `None`, and more as soon as there is more; an unfinished frame at
/// the end is the end.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    /// No record from there on; `None` reads all that is written.
    acknowledged: Option<Arc<AtomicU64>>,
    segment: Segment,
    window: Window,
    /// Where in the segment the next frame begins.
    position: u64,
    /// Where in the segment the next record of the current frame begins, and where the frame ends.
    cursor: u64,
    frame_end: u64,
    /// Records left in the current frame.
    left: u32,
    /// Offset of the next record.
    next: u64,
    /// The last frame that was made the current one.
    place: Option<Place>,
    /// Position and length of the file when the end was found to be torn, not damaged.
    torn: Option<(u64, u64)>,
}

impl Reader {
    /// Opens a partition of the log in `dir` for reading, at `from_offset`.
    ///
    /// The reader sees what is written, acknowledged or not; see the [crate's guarantees](crate).
    pub fn open(dir: impl AsRef<Path>, topic: &str, partition: u32, from_offset: u64) -> Result<Self> {
        Self::open_from(dir, topic, partition, from_offset, None)
    }

    /// The same as [`open`](Self::open), where an earlier reader of the partition has left the [`place`](Self::place) that it came to:
    /// what is before it is not read again, if it helps to find the offset and is still there.
    pub fn open_from(
        dir: impl AsRef<Path>,
        topic: &str,
        partition: u32,
        from_offset: u64,
        place: Option<Place>,
    ) -> Result<Self> {
        Self::open_in(partition_dir(dir.as_ref(), topic, partition), None, from_offset, place)
    }

    pub(crate) fn open_in(
        dir: PathBuf,
        acknowledged: Option<Arc<AtomicU64>>,
        offset: u64,
        place: Option<Place>,
    ) -> Result<Self> {
        let segment = Segment::find(&dir, offset)?;
        let place = match place.filter(|place| place.header.base <= offset) {
            Some(place) => place.if_there(&segment)?,
            None => None,
        };
        // its frame is looked at again, as all of the newest segment are
        let (position, next) = place.map_or((0, segment.base), |place| (place.at, place.header.base));
        let (cursor, frame_end) = (position, position);
        let (window, left, torn) = (Window::default(), 0, None);
        let mut reader =
            Self { dir, acknowledged, segment, window, position, cursor, frame_end, left, next, place, torn };
        reader.go_to(offset)?;
        Ok(reader)
    }

    /// The next record, or `None` where the records end at present.
    #[expect(clippy::should_implement_trait, reason = "an iterator's items could not borrow from it")]
    pub fn next(&mut self) -> Result<Option<RecordRef<'_>>> {
        if self.left == 0 && !self.load()? {
            return Ok(None);
        }
        let rest = self.window.between(self.cursor, self.frame_end);
        let Some((record, size)) = decode_record(rest) else {
            return Err(self.corrupt("a record exceeds its frame"));
        };
        let Record { arrival_ms, key, truth, value } = record;
        let offset = self.next;
        self.cursor += size as u64;
        self.left -= 1;
        self.next += 1;
        Ok(Some(RecordRef { offset, arrival_ms, key, truth, value }))
    }

    /// The offset of the record [`next`](Self::next) returns, or will return.
    pub fn offset(&self) -> u64 {
        self.next
    }

    /// The frame it came to, for [`open_from`](Self::open_from); `None` before the first one.
    pub fn place(&self) -> Option<Place> {
        self.place
    }

    /// Goes to `offset`, which may be the end. After an error the reader stands anywhere before it.
    pub fn seek(&mut self, offset: u64) -> Result<()> {
        let segment = Segment::find(&self.dir, offset)?;
        self.enter(segment);
        self.go_to(offset)
    }

    /// Goes to the first record that arrived at `arrival_ms` or later, or to the end if there is none yet; returns the
    /// offset.
    ///
    /// Looks at the first header of a few segments, then at all headers of one.
    pub fn seek_arrival(&mut self, arrival_ms: i64) -> Result<u64> {
        let bases = segment::list(&self.dir)?;
        // The first segment before whose successor such a record was seen; what retention deleted counts there, too,
        // so the frames from there on are asked themselves.
        let (mut low, mut high) = (0, bases.len().saturating_sub(1));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.seen_before(bases[middle + 1], arrival_ms)? { high = middle } else { low = middle + 1 }
        }
        let base = bases.get(low).copied().unwrap_or(0);
        match Segment::open(&self.dir, base)? {
            Some(segment) => self.enter(segment),
            None => self.seek(self.low()?)?,
        }
        self.skip_frames(|header| header.max_arrival >= arrival_ms)?;
        while self.left > 0 || self.load()? {
            match decode_record(self.window.between(self.cursor, self.frame_end)) {
                Some((record, _)) if record.arrival_ms >= arrival_ms => break,
                _ => self.next().map(|_| ())?,
            }
        }
        Ok(self.next)
    }

    /// Whether a record arrived at `arrival_ms` or later before the segment `base`; also if that is unknown.
    fn seen_before(&self, base: u64, arrival_ms: i64) -> Result<bool> {
        let Some(segment) = Segment::open(&self.dir, base)? else { return Ok(true) };
        let header =
            segment::header_at(&segment.file, 0, u64::MAX).map_err(io_error("read", &segment.path))?;
        Ok(header.is_none_or(|header| header.max_before >= arrival_ms))
    }

    fn low(&self) -> Result<u64> {
        let low = segment::list(&self.dir)?.first().copied();
        low.ok_or_else(|| LogError::NoPartition { dir: self.dir.clone() })
    }

    fn enter(&mut self, segment: Segment) {
        self.next = segment.base;
        self.segment = segment;
        self.window.clear();
        (self.position, self.cursor, self.frame_end, self.left) = (0, 0, 0, 0);
        self.torn = None;
    }

    /// Goes on to `offset` within the segment.
    fn go_to(&mut self, offset: u64) -> Result<()> {
        self.skip_frames(|header| header.end() > offset)?;
        while self.next < offset {
            if self.next()?.is_none() {
                return Err(LogError::AboveHigh { dir: self.dir.clone(), offset, high: self.next });
            }
        }
        Ok(())
    }

    /// Goes to the first frame that is wanted, or to where frames end or are damaged.
    ///
    /// Of full segments only headers are read. The end of the newest one may be torn below a good header, and whoever
    /// stood behind that would miss what the writer puts in its place: there, bodies are checked as well.
    fn skip_frames(&mut self, wanted: impl Fn(&Header) -> bool) -> Result<()> {
        loop {
            let Some(header) = self.peek_header()? else {
                if self.position >= self.segment.length_now()? && self.enter_next()? {
                    continue;
                }
                return Ok(());
            };
            if wanted(&header) {
                return Ok(());
            }
            self.position += header.size() as u64;
            (self.cursor, self.frame_end) = (self.position, self.position);
            self.next = header.end();
        }
    }

    /// The header at the current position, if a frame to be trusted is there.
    fn peek_header(&mut self) -> Result<Option<Header>> {
        let Segment { file, path, full, length, .. } = &self.segment;
        let header = if *full {
            segment::header_at(file, self.position, *length).map(|h| h.filter(|h| h.base == self.next))
        } else {
            segment::look(&mut self.window, file, self.position, self.next).map(Look::header)
        };
        header.map_err(io_error("read", path))
    }

    /// Makes the next frame the current one; `false` if there is none yet.
    fn load(&mut self) -> Result<bool> {
        if self.cursor != self.frame_end {
            return Err(self.corrupt("bytes follow the frame's last record"));
        }
        let mut seen_bad = false;
        loop {
            let file = &self.segment.file;
            let look = segment::look(&mut self.window, file, self.position, self.next);
            match look.map_err(io_error("read", &self.segment.path))? {
                Look::Frame(header) => {
                    if self.acknowledged().is_some_and(|end| header.end() > end) {
                        return Ok(false);
                    }
                    self.place = Some(Place { segment: self.segment.base, at: self.position, header });
                    self.cursor = self.position + HEADER_BYTES as u64;
                    self.position += header.size() as u64;
                    self.frame_end = self.position;
                    self.left = header.records;
                    self.torn = None;
                    return Ok(true);
                }
                Look::End if self.enter_next()? => {}
                Look::End => return Ok(false),
                Look::Bad { .. } if !seen_bad => {
                    // the writer may have repaired or finished it since the window was filled
                    self.window.clear();
                    seen_bad = true;
                }
                Look::Bad { why, resume } => {
                    if !self.must_be_whole(resume)? {
                        return Ok(false);
                    }
                    // what proves that may have happened after the look
                    self.window.clear();
                    let again = segment::look(&mut self.window, &self.segment.file, self.position, self.next);
                    if !matches!(again, Ok(Look::Frame(_))) {
                        return Err(self.damaged(self.position, why));
                    }
                }
            }
        }
    }

    /// Whether a bad frame at the current position cannot be one that is still being written.
    fn must_be_whole(&mut self, resume: Option<u64>) -> Result<bool> {
        if self.segment.full || self.acknowledged().is_some_and(|end| end > self.next) {
            return Ok(true);
        }
        let length = self.segment.length_now()?;
        if self.torn == Some((self.position, length)) {
            return Ok(false);
        }
        self.segment.full = segment::list(&self.dir)?.last().is_some_and(|&base| base > self.segment.base);
        let follows = resume.map(|from| segment::frame_follows(&self.segment.file, from)).transpose();
        let whole =
            self.segment.full || follows.map_err(io_error("read", &self.segment.path))?.unwrap_or(false);
        self.torn = (!whole).then_some((self.position, length));
        Ok(whole)
    }

    /// At the end of a segment: goes to the one after it; `false` if there is none yet.
    fn enter_next(&mut self) -> Result<bool> {
        if self.next == self.segment.base {
            return Ok(false);
        }
        if let Some(segment) = Segment::open(&self.dir, self.next)? {
            self.enter(segment);
            return Ok(true);
        }
        let links = self.segment.file.metadata().map_err(io_error("read", &self.segment.path))?.nlink();
        if !self.segment.full && links > 0 {
            return Ok(false);
        }
        // there is a newer segment, but not the next: retention deleted that, too, or somebody else did
        let low = self.low()?;
        if low > self.next {
            return Err(LogError::BelowLow { dir: self.dir.clone(), offset: self.next, low });
        }
        match Segment::open(&self.dir, self.next)? {
            Some(segment) => {
                self.enter(segment);
                Ok(true)
            }
            None => Err(self.damaged(self.position, "the next segment is missing")),
        }
    }

    fn acknowledged(&self) -> Option<u64> {
        self.acknowledged.as_ref().map(|end| end.load(Ordering::Acquire))
    }

    fn corrupt(&self, why: &'static str) -> LogError {
        self.damaged(self.cursor, why)
    }

    fn damaged(&self, position: u64, why: &'static str) -> LogError {
        LogError::Corrupt { path: self.segment.path.clone(), position, offset: self.next, why }
    }
}

/// Where a partition's segments are.
pub(crate) fn partition_dir(dir: &Path, topic: &str, partition: u32) -> PathBuf {
    dir.join(topic).join(partition.to_string())
}

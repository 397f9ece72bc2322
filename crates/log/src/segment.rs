//! Segment files: their names, finding the one of an offset, and looking for frames in one.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::error::io_error;
use crate::frame::{HEADER_BYTES, Header, MAGIC};
use crate::window::Window;
use crate::{LogError, Result};

/// Bytes searched at once for the beginning of a frame.
const SEARCH: usize = 64 * 1024;

/// The segment that begins with offset `base`.
pub(crate) fn path(partition: &Path, base: u64) -> PathBuf {
    partition.join(format!("{base:020}.log"))
}

/// The base offsets of all segments of a partition, ascending. Other files are not ours and do not matter.
pub(crate) fn list(partition: &Path) -> Result<Vec<u64>> {
    let mut bases = Vec::new();
    for entry in fs::read_dir(partition).map_err(io_error("list", partition))? {
        let name = entry.map_err(io_error("list", partition))?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".log")).filter(|d| d.len() == 20);
        bases.extend(digits.and_then(|d| d.parse::<u64>().ok()));
    }
    bases.sort_unstable();
    Ok(bases)
}

/// A segment open for reading.
#[derive(Debug)]
pub(crate) struct Segment {
    pub base: u64,
    pub path: PathBuf,
    pub file: File,
    /// A newer one exists, so this one is complete.
    pub full: bool,
    /// Bytes it had when it was opened.
    pub length: u64,
}

impl Segment {
    /// Opens the segment that begins with `base`; `None` if there is none.
    pub fn open(dir: &Path, base: u64) -> Result<Option<Self>> {
        let path = path(dir, base);
        let file = match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(io_error("open", &path))?,
        };
        let full = list(dir)?.last().is_some_and(|&newest| newest > base);
        let mut segment = Self { base, path, file, full, length: 0 };
        segment.length = segment.length_now()?;
        Ok(Some(segment))
    }

    /// Opens the segment that holds `offset`, if any does; of an offset beyond the end, the newest.
    pub fn find(dir: &Path, offset: u64) -> Result<Self> {
        let mut gone = None;
        loop {
            let bases = match list(dir) {
                Err(LogError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Vec::new(),
                listed => listed?,
            };
            let Some(&low) = bases.first() else { return Err(LogError::NoPartition { dir: dir.to_owned() }) };
            let Some(&base) = bases.iter().rev().find(|base| **base <= offset) else {
                return Err(LogError::BelowLow { dir: dir.to_owned(), offset, low });
            };
            if let Some(segment) = Self::open(dir, base)? {
                return Ok(segment);
            }
            // retention deleted it after it was listed; a name that stays listed is no file
            if gone.replace(base) == Some(base) {
                return Err(LogError::NoPartition { dir: dir.to_owned() });
            }
        }
    }

    /// Bytes it has now.
    pub fn length_now(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(io_error("read", &self.path))?.len())
    }
}

/// What is at a place where a frame should begin.
#[derive(Debug)]
pub(crate) enum Look {
    /// A whole frame; it is in the window.
    Frame(Header),
    /// The end of the file.
    End,
    /// Something else.
    Bad {
        /// What is wrong with it.
        why: &'static str,
        /// From where on another frame may follow; `None` if the file ends within this one.
        resume: Option<u64>,
    },
}

impl Look {
    /// The header of a whole frame.
    pub fn header(self) -> Option<Header> {
        if let Self::Frame(header) = self { Some(header) } else { None }
    }
}

/// Looks for a frame at `at` that begins with offset `expected`, and checks its checksum.
pub(crate) fn look(window: &mut Window, file: &File, at: u64, expected: u64) -> io::Result<Look> {
    let head = window.read(file, at, HEADER_BYTES)?;
    if head.is_empty() {
        return Ok(Look::End);
    }
    let Some(header) = Header::decode(head) else {
        return Ok(Look::Bad { why: "no frame begins here", resume: Some(at + 1) });
    };
    if header.base != expected {
        return Ok(Look::Bad { why: "the frame has another offset", resume: Some(at) });
    }
    let frame = window.read(file, at, header.size())?;
    Ok(if frame.len() < header.size() {
        Look::Bad { why: "the file ends within the frame", resume: None }
    } else if crc32fast::hash(&frame[HEADER_BYTES..]) != header.body_crc {
        Look::Bad { why: "the checksum is wrong", resume: Some(at + header.size() as u64) }
    } else {
        Look::Frame(header)
    })
}

/// The header at `at`, if the file holds as many bytes as it announces; the body is not read.
pub(crate) fn header_at(file: &File, at: u64, file_length: u64) -> io::Result<Option<Header>> {
    let mut bytes = [0; HEADER_BYTES];
    match file.read_exact_at(&mut bytes, at) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    Ok(Header::decode(&bytes).filter(|h| at + h.size() as u64 <= file_length))
}

/// Calls `visit` with each header and the byte it begins at, from byte `at` and offset `next` on, while they follow one another. Bodies
/// are not looked at.
pub(crate) fn headers(
    window: &mut Window,
    file: &File,
    mut at: u64,
    mut next: u64,
    mut visit: impl FnMut(u64, Header),
) -> io::Result<()> {
    let length = file.metadata()?.len();
    // mostly there is nothing new, and then nothing is read
    while at < length
        && let Some(header) = Header::decode(window.read(file, at, HEADER_BYTES)?)
        && header.base == next
        && at + header.size() as u64 <= length
    {
        visit(at, header);
        at += header.size() as u64;
        next = header.end();
    }
    Ok(())
}

/// Whether a whole frame begins anywhere from `from` on: then what is before it is no torn end.
pub(crate) fn frame_follows(file: &File, from: u64) -> io::Result<bool> {
    let length = file.metadata()?.len();
    // Every byte may pretend to begin a long frame. Only made-up files do; they count as damaged instead of costing
    // the square of their length.
    let mut budget = length.saturating_mul(4);
    let mut window = Window::default();
    let mut at = from;
    while at + HEADER_BYTES as u64 <= length {
        let bytes = window.read(file, at, SEARCH)?;
        let Some(found) = bytes.windows(MAGIC.len()).position(|bytes| bytes == MAGIC) else {
            if bytes.len() < MAGIC.len() {
                return Ok(false);
            }
            at += (bytes.len() - MAGIC.len() + 1) as u64;
            continue;
        };
        at += found as u64;
        if let Some(header) = Header::decode(window.read(file, at, HEADER_BYTES)?) {
            let size = header.size() as u64;
            if at + size <= length {
                if size > budget {
                    return Ok(true);
                }
                budget -= size;
                let frame = window.read(file, at, header.size())?;
                let whole = frame.len() == header.size();
                if whole && crc32fast::hash(&frame[HEADER_BYTES..]) == header.body_crc {
                    return Ok(true);
                }
            }
        }
        at += 1;
    }
    Ok(false)
}

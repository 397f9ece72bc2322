//! Segment files: their names, and looking for frames in one.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::error::io_error;
use crate::frame::{HEADER_BYTES, Header, MAGIC};
use crate::window::Window;

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

/// Calls `visit` with each header from the beginning on, while they follow one another from offset `base`.
pub(crate) fn headers(file: &File, base: u64, mut visit: impl FnMut(&Header)) -> io::Result<()> {
    let length = file.metadata()?.len();
    let (mut at, mut next) = (0, base);
    while let Some(header) = header_at(file, at, length)?.filter(|h| h.base == next) {
        visit(&header);
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

//! Part of a file in memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes read at once, so that small frames do not cost a system call each.
const CHUNK: usize = 256 * 1024;

/// The bytes of a file from `start` on, as many as were asked for and some more.
#[derive(Debug, Default)]
pub(crate) struct Window {
    bytes: Vec<u8>,
    start: u64,
    filled: usize,
}

impl Window {
    /// Up to `length` bytes from `at` on; fewer where the file ends.
    pub fn read(&mut self, file: &File, at: u64, length: usize) -> io::Result<&[u8]> {
        if at < self.start || at > self.start + self.filled as u64 {
            self.start = at;
            self.filled = 0;
        }
        let skip = (at - self.start) as usize;
        if self.filled - skip < length {
            self.bytes.copy_within(skip..self.filled, 0);
            self.filled -= skip;
            self.start = at;
            self.fill(file, length)?;
        }
        Ok(self.between(at, at + length as u64))
    }

    /// The bytes from `at` to `end`, as far as they were read before.
    pub fn between(&self, at: u64, end: u64) -> &[u8] {
        let place = |at: u64| self.filled.min(at.saturating_sub(self.start) as usize);
        self.bytes.get(place(at)..place(end)).unwrap_or_default()
    }

    /// Forgets what was read: a writer that repaired the file's end may have replaced it.
    pub fn clear(&mut self) {
        self.filled = 0;
    }

    fn fill(&mut self, file: &File, length: usize) -> io::Result<()> {
        let wanted = length.max(CHUNK);
        if self.bytes.len() < wanted {
            // a length that was read from a file must not cost more memory than the file has bytes
            if length > CHUNK && file.metadata()?.len().saturating_sub(self.start) < length as u64 {
                return Ok(());
            }
            self.bytes.resize(wanted, 0);
        }
        while self.filled < length {
            match file.read_at(&mut self.bytes[self.filled..wanted], self.start + self.filled as u64) {
                Ok(0) => break,
                Ok(n) => self.filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

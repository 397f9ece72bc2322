//! Where lines come from: files, compressed or not, and standard input, each read in a thread of its own.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::read::MultiGzDecoder;
use memchr::{memchr, memrchr};
use tokio::sync::mpsc;

use crate::config::ConfigError;
use clickstream_replay::replay::MAX_LINE;

/// Bytes read at a time.
const READ: usize = 256 << 10;
/// Pieces of a file that wait to be taken.
const AHEAD: usize = 4;

/// All inputs, opened.
pub struct Inputs {
    sources: Vec<Source>,
    read: Arc<AtomicU64>,
    /// Bytes of all files, where known.
    pub size: Option<u64>,
}

struct Source {
    name: String,
    pieces: mpsc::Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    at: usize,
    /// Time of its next line, where several sources are merged.
    time: Option<i64>,
    ended: bool,
}

/// What comes next.
pub enum Next<'i> {
    /// A line.
    Line(&'i [u8]),
    /// The rest of a source cannot be read.
    Broken(String),
    /// There is nothing more.
    End,
}

impl Inputs {
    /// Opens all of them, before anything is done with one.
    pub fn open(paths: &[PathBuf]) -> Result<Self, ConfigError> {
        let read = Arc::<AtomicU64>::default();
        let (mut opened, mut size) = (Vec::new(), Some(0));
        for path in paths {
            let (reader, length) = open(path, &read)?;
            size = size.zip(length).map(|(sum, length)| sum + length);
            opened.push((path.display().to_string(), reader));
        }
        let sources = opened.into_iter().map(|(name, reader)| Source::start(name, reader)).collect();
        Ok(Self { sources, read, size })
    }

    /// Bytes read so far, as they stand in the files.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// The next line of all sources: of several that with the oldest time, which `time_of` tells.
    pub async fn next(&mut self, time_of: impl Fn(&[u8]) -> Option<i64>) -> Next<'_> {
        let merged = self.sources.len() > 1;
        for n in 0..self.sources.len() {
            let source = &mut self.sources[n];
            if let Err(error) = source.fill().await {
                return Next::Broken(format!("{}: {error}", source.name));
            }
            if merged && source.time.is_none() && !source.ended {
                // a line without a time follows the one before it
                source.time = Some(time_of(source.line().0).unwrap_or(i64::MIN));
            }
        }
        self.sources.retain(|source| !source.ended);
        let Some(source) = self.sources.iter_mut().min_by_key(|source| source.time) else {
            return Next::End;
        };
        source.time = None;
        let (line, next) = source.line();
        let (from, to) = (source.at, source.at + line.len());
        source.at = next;
        Next::Line(&source.piece[from..to])
    }
}

impl Source {
    fn start(name: String, mut reader: Box<dyn Read + Send>) -> Self {
        let (sender, pieces) = mpsc::channel(AHEAD);
        std::thread::spawn(move || {
            if let Err(error) = pump(&mut *reader, &mut |piece| sender.blocking_send(Ok(piece)).is_ok()) {
                let _ = sender.blocking_send(Err(error));
            }
        });
        Self { name, pieces, piece: Vec::new(), at: 0, time: None, ended: false }
    }

    /// Makes sure that there is a line, or that it has ended. May be given up while it waits, and asked again.
    async fn fill(&mut self) -> io::Result<()> {
        while self.at >= self.piece.len() && !self.ended {
            // before it waits: of what was read nothing must be left for whoever asks again
            self.piece.clear();
            self.at = 0;
            self.piece = match self.pieces.recv().await {
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    self.ended = true;
                    return Err(error);
                }
                None => {
                    self.ended = true;
                    Vec::new()
                }
            };
        }
        Ok(())
    }

    /// The line that is next, and where the one after it begins.
    fn line(&self) -> (&[u8], usize) {
        let rest = &self.piece[self.at..];
        match memchr(b'\n', rest) {
            Some(end) => (&rest[..end], self.at + end + 1),
            None => (rest, self.piece.len()),
        }
    }
}

/// Reads to the end, and gives away whole lines, many at a time; of a line that is too long only the beginning.
fn pump(reader: &mut dyn Read, give: &mut dyn FnMut(Vec<u8>) -> bool) -> io::Result<()> {
    let mut buffer = vec![0; READ];
    let mut carry = Vec::with_capacity(READ + MAX_LINE);
    let mut skipping = false;
    loop {
        let n = match reader.read(&mut buffer) {
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                give(carry);
                return Err(error);
            }
        };
        let mut data = &buffer[..n];
        if n == 0 {
            give(carry);
            return Ok(());
        }
        if skipping {
            // with the end of the long line, so that another begins
            let Some(end) = memchr(b'\n', data) else { continue };
            data = &data[end..];
            skipping = false;
        }
        carry.extend_from_slice(data);
        if let Some(end) = memrchr(b'\n', &carry) {
            let rest = carry[end + 1..].to_vec();
            carry.truncate(end + 1);
            let mut next = Vec::with_capacity(READ + MAX_LINE);
            next.extend_from_slice(&rest);
            if !give(std::mem::replace(&mut carry, next)) {
                return Ok(());
            }
        }
        if carry.len() > MAX_LINE {
            carry.truncate(MAX_LINE + 1);
            skipping = true;
        }
    }
}

/// Opens a file, and decompresses it if its first bytes say so. The second is its size, where known.
fn open(path: &Path, read: &Arc<AtomicU64>) -> Result<(Box<dyn Read + Send>, Option<u64>), ConfigError> {
    let cannot = |why: &dyn std::fmt::Display| ConfigError(format!("cannot read {}: {why}", path.display()));
    let (raw, size): (Box<dyn Read + Send>, _) = if path == Path::new("-") {
        (Box::new(io::stdin()), None)
    } else {
        let file = File::open(path).map_err(|error| cannot(&error))?;
        let about = file.metadata().map_err(|error| cannot(&error))?;
        if about.is_dir() {
            return Err(cannot(&"it is a directory; name the log files in it"));
        }
        (Box::new(file), about.is_file().then_some(about.len()))
    };
    let mut counted = Counted { inner: raw, count: Arc::clone(read) };
    let mut head = Vec::new();
    (&mut counted).take(6).read_to_end(&mut head).map_err(|error| cannot(&error))?;
    let magic = |magic: &[u8]| head.starts_with(magic);
    let (gzip, zstd) = (magic(&[0x1f, 0x8b]), magic(&[0x28, 0xb5, 0x2f, 0xfd]));
    if magic(b"BZh") || magic(&[0xfd, b'7', b'z', b'X', b'Z']) {
        return Err(cannot(
            &"only gzip and zstd are decompressed here; pipe it in, as xzcat FILE | clickstream replay -",
        ));
    }
    let whole = Cursor::new(head).chain(counted);
    let reader: Box<dyn Read + Send> = match () {
        () if gzip => Box::new(MultiGzDecoder::new(whole)),
        () if zstd => Box::new(zstd::Decoder::new(whole).map_err(|error| cannot(&error))?),
        () => Box::new(whole),
    };
    Ok((reader, size))
}

struct Counted {
    inner: Box<dyn Read + Send>,
    count: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    async fn all(paths: &[PathBuf]) -> (Vec<String>, Vec<String>) {
        let mut inputs = Inputs::open(paths).unwrap();
        let (mut lines, mut broken) = (Vec::new(), Vec::new());
        loop {
            match inputs.next(|line| std::str::from_utf8(line).ok()?.split(' ').next()?.parse().ok()).await {
                Next::Line(line) => lines.push(String::from_utf8_lossy(line).into_owned()),
                Next::Broken(why) => broken.push(why),
                Next::End => return (lines, broken),
            }
        }
    }

    fn file(dir: &Path, name: &str, bytes: &[u8]) -> PathBuf {
        let path = dir.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[tokio::test]
    async fn compressed_by_their_bytes_and_merged_by_time() {
        let dir = tempfile::tempdir().unwrap();
        let old = file(dir.path(), "access.log", &[gzip("1 a\n4 b"), gzip("\n6 c\n")].concat());
        let new = file(dir.path(), "other", &zstd::encode_all(&b"2 x\n5 y"[..], 1).unwrap());
        let plain = file(dir.path(), "plain.gz", b"3 p\nno time\n7 q");
        let empty = file(dir.path(), "empty", b"");
        let (lines, broken) = all(&[new, plain, empty, old]).await;
        assert_eq!(lines, ["1 a", "2 x", "3 p", "no time", "4 b", "5 y", "6 c", "7 q"]);
        assert!(broken.is_empty());
    }

    #[tokio::test]
    async fn what_is_broken_or_endless_stops_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let text: String = (0..20_000).map(|n| format!("{n} {}\n", n * 7919)).collect();
        let cut = gzip(&text);
        let cut = file(dir.path(), "cut.gz", &cut[..cut.len() / 2]);
        let long = format!("8 begins\n9 {}\n99999 end\n", "x".repeat(1_000_000));
        let long = file(dir.path(), "long", long.as_bytes());
        let (lines, broken) = all(&[cut, long]).await;
        assert!(broken.len() == 1 && broken[0].contains("cut.gz"), "{broken:?}");
        assert!(lines.len() > 1_000 && lines.contains(&"99999 end".to_owned()));
        assert_eq!(lines.iter().map(String::len).max(), Some(MAX_LINE + 1));
    }

    #[tokio::test]
    async fn a_silent_pipe_gives_every_line_once() {
        let (reader, mut writer) = io::pipe().unwrap();
        let sources = vec![Source::start("-".into(), Box::new(reader))];
        let mut inputs = Inputs { sources, read: Arc::default(), size: None };
        for round in 0..3 {
            writeln!(writer, "{round} a\n{round} b").unwrap();
            for expected in ["a", "b"] {
                let Next::Line(line) = inputs.next(|_| None).await else { panic!("no line") };
                assert_eq!(line, format!("{round} {expected}").as_bytes());
            }
            for _ in 0..3 {
                // as the timeout of a silent pipe does: asked, and given up
                let next = tokio::time::timeout(std::time::Duration::ZERO, inputs.next(|_| None)).await;
                assert!(next.is_err(), "a line came again");
            }
        }
        drop(writer);
        assert!(matches!(inputs.next(|_| None).await, Next::End));
    }

    #[test]
    fn what_cannot_be_opened_is_said_first() {
        let dir = tempfile::tempdir().unwrap();
        let xz = file(dir.path(), "x", &[0xfd, b'7', b'z', b'X', b'Z', 0]);
        for (path, why) in
            [(dir.path().join("none"), "No such file"), (dir.path().to_owned(), "directory"), (xz, "xzcat")]
        {
            let Err(error) = Inputs::open(&[path]) else { panic!("{why}") };
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}

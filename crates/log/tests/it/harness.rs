//! What the tests have in common.

use std::fs;
use std::path::{Path, PathBuf};

use clickstream_log::{Log, LogError, Options, Reader, Record, Topic};

/// The topic of most tests.
pub const TOPIC: &str = "clickstream.events";

/// Options for tests: small segments, no waiting for the disk.
pub fn options(segment_bytes: u64) -> Options {
    Options { segment_bytes, sync: false }
}

/// A log with one topic of one partition.
pub fn open(dir: &Path, segment_bytes: u64) -> Result<(Log, Topic), LogError> {
    let log = Log::open(dir, options(segment_bytes))?;
    let topic = log.topic(TOPIC, 1)?;
    Ok((log, topic))
}

/// Appends one record with this arrival and value.
pub fn append(topic: &mut Topic, arrival_ms: i64, value: &[u8]) -> u64 {
    let record = Record { arrival_ms, value: Some(value), ..Record::default() };
    topic.append(0, &record).unwrap()
}

/// Offset, arrival and value of everything the reader has now.
pub fn drain(reader: &mut Reader) -> Result<Vec<(u64, i64, Vec<u8>)>, LogError> {
    let mut all = Vec::new();
    while let Some(record) = reader.next()? {
        all.push((record.offset, record.arrival_ms, record.value.unwrap_or_default().to_vec()));
    }
    Ok(all)
}

/// The offsets of everything a new reader has from `from` on.
pub fn offsets(dir: &Path, from: u64) -> Result<Vec<u64>, LogError> {
    let mut reader = Reader::open(dir, TOPIC, 0, from)?;
    Ok(drain(&mut reader)?.into_iter().map(|(offset, ..)| offset).collect())
}

/// The segments of the topic's only partition, oldest first.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir.join(TOPIC).join("0")).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Cuts a file to a length, as a crash does.
pub fn truncate(path: &Path, length: u64) {
    fs::File::options().write(true).open(path).unwrap().set_len(length).unwrap();
}

/// Changes one byte of a file.
pub fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x55;
    fs::write(path, bytes).unwrap();
}

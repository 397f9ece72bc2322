//! Any bytes as a segment file: shared by the fuzz target and the test that replays the corpus.
//!
//! What a reader may return is worked out here a second time, from the description of the format.

use std::fs;
use std::path::Path;

use clickstream_log::{HEADER_BYTES, Log, LogError, Options, Reader, Record, bounds};

const TOPIC: &str = "t";
/// More records than any input has bytes.
const LIMIT: usize = 10_000_000;

/// A record: arrival, key, header, value.
type Owned = (i64, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

/// What is in a file before its first bad frame.
#[derive(Default)]
struct Expected {
    /// Records a reader may return.
    records: Vec<Owned>,
    /// Offset after the last good frame.
    end: u64,
    /// Bytes of the good frames.
    bytes: usize,
    /// The checksums are right and the records are not: no writer of ours makes such a file.
    malformed: bool,
}

/// Checks the bytes as they are, and with the checksums put right, which random bytes never have.
pub fn check(bytes: &[u8]) {
    let dir = tempfile::tempdir().expect("a directory for the log");
    check_file(&dir.path().join("raw"), bytes);
    check_file(&dir.path().join("repaired"), &with_checksums(bytes));
}

fn check_file(dir: &Path, bytes: &[u8]) {
    let expected = expect(bytes);
    let partition = dir.join(TOPIC).join("0");
    let file = partition.join(format!("{:020}.log", 0));
    fs::create_dir_all(&partition).expect("create the partition");
    fs::write(&file, bytes).expect("write the segment");

    read_from_everywhere(dir, &expected);
    assert_eq!(bounds(dir, TOPIC, 0).expect("bounds").start, 0);

    // a newer segment makes this one a full one, in which nothing can be unfinished
    let newer = partition.join(format!("{:020}.log", u64::MAX));
    fs::write(&newer, b"").expect("write the newer segment");
    let mut reader = Reader::open(dir, TOPIC, 0, 0).expect("open at the first offset");
    let (records, ended) = read(&mut reader, bytes.len());
    assert_eq!(records, expected.records);
    assert!(bytes.is_empty() || ended.is_err(), "offsets are missing and nobody says so");
    fs::remove_file(&newer).expect("remove the newer segment");

    recover(dir, &file, bytes, &expected);
}

fn read_from_everywhere(dir: &Path, expected: &Expected) {
    let count = expected.records.len() as u64;
    for from in [0, 1, count / 2, count] {
        match Reader::open(dir, TOPIC, 0, from) {
            Ok(mut reader) if from > 0 && expected.malformed => {
                // what is skipped is not looked into
                let _ = read(&mut reader, LIMIT);
            }
            Ok(mut reader) if from <= count => {
                let (records, _) = read(&mut reader, LIMIT);
                assert_eq!(records, expected.records[from as usize..], "from {from}");
            }
            Ok(_) => panic!("opened at {from} of {count}"),
            Err(LogError::AboveHigh { .. }) => assert!(from >= expected.end, "no {from} of {count}"),
            Err(LogError::Corrupt { .. }) => assert!(from > 0),
            Err(error) => panic!("{error}"),
        }
    }
    for arrival in [i64::MIN, 0, i64::MAX] {
        let mut reader = Reader::open(dir, TOPIC, 0, 0).expect("open at the first offset");
        if let Ok(offset) = reader.seek_arrival(arrival) {
            assert!(offset <= expected.end);
        }
    }
}

/// Opens the log for writing: it is repaired, or refused and left alone.
fn recover(dir: &Path, file: &Path, bytes: &[u8], expected: &Expected) {
    let log = Log::open(dir, Options { sync: false, ..Options::default() }).expect("lock the log");
    let mut topic = match log.topic(TOPIC, 1) {
        Ok(topic) => topic,
        Err(LogError::Corrupt { position, offset, .. }) => {
            assert_eq!((position, offset), (expected.bytes as u64, expected.end));
            assert_eq!(fs::read(file).expect("read the segment"), bytes, "it was left alone");
            return;
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(topic.ends(), [expected.end]);
    assert_eq!(fs::read(file).expect("read the segment"), bytes[..expected.bytes]);
    let end = expected.end;
    if end >= u64::MAX - 1 {
        return;
    }
    topic.append(0, &Record { value: Some(b"new"), ..Record::default() }).expect("append");
    assert_eq!(topic.commit().expect("commit"), [end + 1]);
    if !expected.malformed {
        let mut reader = topic.reader(0, 0).expect("open at the first offset");
        let (mut records, ended) = read(&mut reader, LIMIT);
        assert_eq!(records.pop(), Some((0, None, None, Some(b"new".to_vec()))));
        assert_eq!(records, expected.records);
        ended.expect("a repaired log has an end");
    }
}

/// Reads to the end; a reader that does not come to one has more records than the file has bytes.
fn read(reader: &mut Reader, limit: usize) -> (Vec<Owned>, Result<(), LogError>) {
    let mut records = Vec::new();
    loop {
        assert!(records.len() <= limit, "more records than bytes");
        match reader.next() {
            Ok(Some(r)) => {
                let [key, truth, value] = [r.key, r.truth, r.value].map(|field| field.map(<[u8]>::to_vec));
                records.push((r.arrival_ms, key, truth, value));
            }
            Ok(None) => return (records, Ok(())),
            Err(error) => return (records, Err(error)),
        }
    }
}

fn number(bytes: &[u8], at: usize, length: usize) -> u64 {
    bytes[at..at + length].iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

/// Bytes of the frame at `at`, if the file holds that many.
fn frame_size(bytes: &[u8], at: usize) -> Option<usize> {
    let rest =
        bytes.get(at..).filter(|rest| rest.len() >= HEADER_BYTES && rest.starts_with(b"\xffCL\x01"))?;
    Some(HEADER_BYTES + number(rest, 8, 4) as usize).filter(|size| *size <= rest.len())
}

fn expect(bytes: &[u8]) -> Expected {
    let mut found = Expected::default();
    while let Some(size) = frame_size(bytes, found.bytes) {
        let frame = &bytes[found.bytes..found.bytes + size];
        let (head, body) = frame.split_at(HEADER_BYTES);
        let (records, base) = (number(head, 12, 4), number(head, 16, 8));
        let right = number(head, 4, 4) == u64::from(crc32fast::hash(&head[8..]))
            && number(head, 40, 4) == u64::from(crc32fast::hash(body))
            && (1..=body.len() as u64 / 20).contains(&records)
            && base == found.end;
        if !right {
            break;
        }
        if !found.malformed {
            found.malformed = !expect_records(body, records, &mut found.records);
        }
        found.end += records;
        found.bytes += size;
    }
    found
}

/// Adds the records of a body; whether they fill it.
fn expect_records(body: &[u8], count: u64, records: &mut Vec<Owned>) -> bool {
    let mut at = 0;
    for _ in 0..count {
        if body.len() - at < 20 {
            return false;
        }
        let arrival = number(body, at, 8) as i64;
        let lengths = [8, 12, 16].map(|place| number(body, at + place, 4) as usize);
        at += 20;
        let mut fields = [None, None, None];
        for (field, length) in fields.iter_mut().zip(lengths) {
            if length != u32::MAX as usize {
                if body.len() - at < length {
                    return false;
                }
                *field = Some(body[at..at + length].to_vec());
                at += length;
            }
        }
        let [key, truth, value] = fields;
        records.push((arrival, key, truth, value));
    }
    at == body.len()
}

/// The bytes with right checksums, frame by frame, as far as there are frames.
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(size) = frame_size(&bytes, at) {
        let frame = &mut bytes[at..at + size];
        let body = crc32fast::hash(&frame[HEADER_BYTES..]);
        frame[40..44].copy_from_slice(&body.to_le_bytes());
        let head = crc32fast::hash(&frame[8..HEADER_BYTES]);
        frame[4..8].copy_from_slice(&head.to_le_bytes());
        at += size;
    }
    bytes
}

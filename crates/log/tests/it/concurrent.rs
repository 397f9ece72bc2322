//! A reader while the writer writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clickstream_log::{LogError, Reader, Record};

use crate::harness::{TOPIC, append, open};

/// The value that belongs to an offset, of a length that varies.
fn value(offset: u64) -> Vec<u8> {
    let byte = (offset % 251) as u8;
    vec![byte; 1 + (offset * 37 % 900) as usize]
}

const RECORDS: u64 = 60_000;

#[test]
fn readers_see_every_record_once_while_it_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let (log, mut topic) = open(dir.path(), 300_000).unwrap();
    let outside = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
    let inside = topic.reader(0, 0).unwrap();
    let commits = log.commits();
    thread::scope(|scope| {
        for mut reader in [outside, inside] {
            let commits = commits.clone();
            scope.spawn(move || {
                let mut expected = 0;
                while expected < RECORDS {
                    let seen = commits.count();
                    while let Some(record) = reader.next().unwrap() {
                        assert_eq!(record.offset, expected);
                        assert_eq!(record.value, Some(&value(expected)[..]));
                        expected += 1;
                    }
                    commits.wait(seen, Duration::from_millis(100));
                }
            });
        }
        for offset in 0..RECORDS {
            append(&mut topic, 0, &value(offset));
            if offset * 7 % 97 == 0 {
                topic.commit().unwrap();
            }
        }
        topic.commit().unwrap();
    });
}

#[test]
fn a_reader_survives_retention_at_its_heels() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, mut topic) = open(dir.path(), 2_000).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let mut reader = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
        let done = &done;
        scope.spawn(move || {
            let (mut last, mut jumps) = (None, 0);
            while last != Some(19_999) {
                let all_written = done.load(Ordering::Acquire);
                match reader.next() {
                    Ok(Some(record)) => {
                        assert!(last < Some(record.offset));
                        assert_eq!(record.arrival_ms, record.offset as i64);
                        last = Some(record.offset);
                    }
                    Ok(None) => assert!(!all_written, "stuck after {last:?}"),
                    Err(LogError::BelowLow { low, .. }) => {
                        // the low mark may have moved again by the time of the seek
                        let _ = reader.seek(low);
                        jumps += 1;
                    }
                    Err(error) => panic!("{error}, after {last:?} and {jumps} jumps"),
                }
            }
        });
        for n in 0..20_000 {
            topic
                .append(0, &Record { arrival_ms: n, value: Some(b"0123456789"), ..Record::default() })
                .unwrap();
            if n % 5 == 0 {
                topic.commit().unwrap();
            }
            if n % 100 == 0 {
                topic.retain(n - 150).unwrap();
            }
        }
        topic.commit().unwrap();
        done.store(true, Ordering::Release);
    });
}

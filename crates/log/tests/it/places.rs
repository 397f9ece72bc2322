//! Who looks again goes on from where it was, and finds what who looks for the first time finds.

use std::fs;
use std::path::Path;

use clickstream_log::{LogError, Place, Reader, bounds, bounds_since};

use crate::harness::{TOPIC, append, drain, flip, open, segments, truncate};

/// The bounds, asked from `seen` on and from the beginning.
fn both(dir: &Path, seen: &mut Option<Place>) -> [std::ops::Range<u64>; 2] {
    [bounds_since(dir, TOPIC, 0, seen).unwrap(), bounds(dir, TOPIC, 0).unwrap()]
}

/// The offsets that a reader has from `from` on, and the place it comes to.
fn read(dir: &Path, from: u64, place: Option<Place>) -> Result<(Vec<u64>, Option<Place>), LogError> {
    let mut reader = Reader::open_from(dir, TOPIC, 0, from, place)?;
    let offsets = drain(&mut reader)?.into_iter().map(|(offset, ..)| offset).collect();
    Ok((offsets, reader.place()))
}

#[test]
fn what_was_seen_is_not_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (_log, mut topic) = open(dir, 100_000).unwrap();
    for n in 0..10 {
        append(&mut topic, n, b"x");
        topic.commit().unwrap();
    }
    let mut seen = None;
    assert_eq!(both(dir, &mut seen), [0..10, 0..10]);
    let (offsets, place) = read(dir, 0, None).unwrap();
    assert_eq!(offsets.len(), 10);
    append(&mut topic, 10, b"x");
    topic.commit().unwrap();
    // who reads the second frame finds that it is none
    let path = &segments(dir)[0];
    flip(path, fs::metadata(path).unwrap().len() as usize / 11 + 5);
    assert_eq!(bounds(dir, TOPIC, 0).unwrap(), 0..1);
    assert_eq!(bounds_since(dir, TOPIC, 0, &mut seen).unwrap(), 0..11);
    assert!(matches!(read(dir, 10, None), Err(LogError::AboveHigh { .. } | LogError::Corrupt { .. })));
    assert_eq!(read(dir, 10, place).unwrap().0, [10]);
}

#[test]
fn it_holds_while_segments_roll_and_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    // three frames in a segment
    let (_log, mut topic) = open(dir, 230).unwrap();
    let (mut seen, mut place) = (None, None);
    for n in 0..40 {
        append(&mut topic, n, b"0123456789");
        topic.commit().unwrap();
        if n % 7 == 0 {
            topic.retain(n - 10).unwrap();
        }
        let low = topic.low(0).unwrap();
        // also by who does not look for some time
        if n % 5 != 4 {
            assert_eq!(both(dir, &mut seen), [low..n as u64 + 1, low..n as u64 + 1]);
        }
        if n % 6 < 4 {
            let from = low.max(n as u64 / 2);
            assert_eq!(read(dir, from, place).unwrap().0, (from..n as u64 + 1).collect::<Vec<_>>());
            place = read(dir, low, place).unwrap().1;
        }
    }
    assert!(segments(dir).len() > 3 && topic.low(0) > Some(20));
    topic.retain(i64::MAX).unwrap();
    let low = topic.low(0).unwrap();
    assert_eq!(both(dir, &mut seen), [low..40, low..40]);
}

#[test]
fn a_file_that_became_shorter_is_read_from_its_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    {
        let (_log, mut topic) = open(dir, 100_000).unwrap();
        for n in 0..3 {
            append(&mut topic, n, b"one");
            append(&mut topic, n, b"two");
            topic.commit().unwrap();
        }
    }
    let path = &segments(dir)[0];
    let whole = fs::read(path).unwrap();
    let mut seen = None;
    assert_eq!(both(dir, &mut seen), [0..6, 0..6]);
    let place = read(dir, 0, None).unwrap().1;
    for length in 0..whole.len() as u64 {
        fs::write(path, &whole).unwrap();
        truncate(path, length);
        let [since, fresh] = both(dir, &mut { seen });
        assert_eq!(since, fresh, "torn at {length}");
        // a writer that repairs it, and goes on with frames of another length, or of the same
        for value in [&b"something else"[..], b"eno"] {
            let (_log, mut topic) = open(dir, 100_000).unwrap();
            append(&mut topic, 9, value);
            append(&mut topic, 9, value);
            topic.commit().unwrap();
            let end = topic.high(0).unwrap();
            assert_eq!(both(dir, &mut { seen }), [0..end, 0..end], "repaired at {length}");
            for from in 0..=end {
                assert_eq!(read(dir, from, place).unwrap().0, (from..end).collect::<Vec<_>>(), "{length}");
            }
        }
    }
    // a log made anew, and one of which nothing is left
    fs::write(path, b"").unwrap();
    assert_eq!(both(dir, &mut seen), [0..0, 0..0]);
    assert_eq!(seen, None);
    assert_eq!(read(dir, 0, place).unwrap().0, []);
}

#[test]
fn a_torn_frame_is_not_seen_until_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let (_log, mut topic) = open(dir, 100_000).unwrap();
    let path = segments(dir)[0].clone();
    let mut seen = None;
    assert_eq!(both(dir, &mut seen), [0..0, 0..0]);
    append(&mut topic, 0, b"first");
    topic.commit().unwrap();
    assert_eq!(both(dir, &mut seen), [0..1, 0..1]);
    append(&mut topic, 0, b"second");
    topic.commit().unwrap();
    let whole = fs::read(&path).unwrap();
    flip(&path, whole.len() - 1);
    for _ in 0..2 {
        assert_eq!(both(dir, &mut seen), [0..1, 0..1]);
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(both(dir, &mut seen), [0..2, 0..2]);
}

//! Torn ends are cut off, damage in the middle is told.

use std::fs;
use std::path::Path;

use clickstream_log::{HEADER_BYTES, Log, LogError, Reader, bounds};

use crate::harness::{TOPIC, append, drain, flip, offsets, open, options, segments, truncate};

/// Three frames of two records in one segment; where they begin, and the end.
fn three_frames(dir: &Path) -> [u64; 4] {
    let (_log, mut topic) = open(dir, 100_000).unwrap();
    [0, 1, 2, 3].map(|n| {
        let begin = fs::metadata(&segments(dir)[0]).unwrap().len();
        if n < 3 {
            append(&mut topic, n, b"one");
            append(&mut topic, n, b"two");
            topic.commit().unwrap();
        }
        begin
    })
}

#[test]
fn a_torn_end_is_cut_at_every_length() {
    let dir = tempfile::tempdir().unwrap();
    let [_, _, last, end] = three_frames(dir.path());
    let path = segments(dir.path())[0].clone();
    let whole = fs::read(&path).unwrap();
    for length in last..end {
        fs::write(&path, &whole).unwrap();
        truncate(&path, length);
        assert_eq!(offsets(dir.path(), 0).unwrap(), [0, 1, 2, 3], "a reader stops before it: {length}");
        let (_log, mut topic) = open(dir.path(), 100_000).unwrap();
        assert_eq!(topic.high(0), Some(4), "{length}");
        assert_eq!(fs::metadata(&path).unwrap().len(), last);
        assert_eq!(append(&mut topic, 9, b"new"), 4);
        topic.commit().unwrap();
        assert_eq!(offsets(dir.path(), 0).unwrap(), [0, 1, 2, 3, 4]);
    }
}

#[test]
fn a_byte_flipped_in_the_last_frame_costs_that_frame() {
    let dir = tempfile::tempdir().unwrap();
    let [_, _, last, end] = three_frames(dir.path());
    let path = segments(dir.path())[0].clone();
    let whole = fs::read(&path).unwrap();
    for at in last..end {
        fs::write(&path, &whole).unwrap();
        flip(&path, at as usize);
        assert_eq!(offsets(dir.path(), 0).unwrap(), [0, 1, 2, 3], "{at}");
        let (_log, topic) = open(dir.path(), 100_000).unwrap();
        assert_eq!(topic.high(0), Some(4), "{at}");
    }
}

#[test]
fn a_byte_flipped_before_whole_frames_is_told_and_nothing_cut() {
    let dir = tempfile::tempdir().unwrap();
    let [_, middle, last, end] = three_frames(dir.path());
    let path = segments(dir.path())[0].clone();
    let whole = fs::read(&path).unwrap();
    for at in middle..last {
        fs::write(&path, &whole).unwrap();
        flip(&path, at as usize);
        let told = |error: LogError| match error {
            LogError::Corrupt { position, offset: 2, path: file, .. } => {
                (position, file) == (middle, path.clone())
            }
            _ => false,
        };
        assert!(told(open(dir.path(), 100_000).map(|_| ()).unwrap_err()), "{at}");
        assert_eq!(fs::metadata(&path).unwrap().len(), end);
        let mut reader = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
        assert_eq!(reader.next().unwrap().unwrap().offset, 0);
        assert_eq!(reader.next().unwrap().unwrap().offset, 1);
        assert!(told(reader.next().map(|_| ()).unwrap_err()), "{at}");
        assert!(told(reader.next().map(|_| ()).unwrap_err()), "asked again: {at}");
    }
    // what the message advises
    truncate(&path, middle);
    assert_eq!(open(dir.path(), 100_000).unwrap().1.high(0), Some(2));
}

#[test]
fn a_frame_that_looks_like_one_inside_a_torn_value_does_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let [_, second, ..] = three_frames(dir.path());
    let path = segments(dir.path())[0].clone();
    let frame = fs::read(&path).unwrap()[..second as usize].to_vec();
    {
        let (_log, mut topic) = open(dir.path(), 100_000).unwrap();
        append(&mut topic, 0, &[frame, vec![0; 10]].concat());
        topic.commit().unwrap();
    }
    truncate(&path, fs::metadata(&path).unwrap().len() - 5);
    assert_eq!(open(dir.path(), 100_000).unwrap().1.high(0), Some(6));
}

#[test]
fn zeros_at_the_end_are_cut() {
    let dir = tempfile::tempdir().unwrap();
    let [.., end] = three_frames(dir.path());
    let path = segments(dir.path())[0].clone();
    truncate(&path, end + 1_000_000);
    assert_eq!(offsets(dir.path(), 0).unwrap().len(), 6);
    assert_eq!(open(dir.path(), 100_000).unwrap().1.high(0), Some(6));
    assert_eq!(fs::metadata(&path).unwrap().len(), end);
}

#[test]
fn a_crash_right_after_rolling_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    three_frames(dir.path());
    fs::write(dir.path().join(TOPIC).join("0").join(format!("{:020}.log", 6)), b"").unwrap();
    let (_log, mut topic) = open(dir.path(), 100_000).unwrap();
    assert_eq!(append(&mut topic, 1, b"x"), 6);
    topic.commit().unwrap();
    assert_eq!(offsets(dir.path(), 0).unwrap(), (0..7).collect::<Vec<_>>());
    let mut reader = topic.reader(0, 7).unwrap();
    assert_eq!(reader.seek_arrival(2).unwrap(), 4, "the new frame knows the arrivals before it");
}

#[test]
fn a_missing_or_damaged_full_segment_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (log, mut topic) = open(dir.path(), 1).unwrap();
    for n in 0..4 {
        append(&mut topic, n, b"x");
        topic.commit().unwrap();
    }
    drop((log, topic));
    let files = segments(dir.path());
    truncate(&files[1], 20);
    let mut reader = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
    reader.next().unwrap();
    assert!(matches!(reader.next(), Err(LogError::Corrupt { offset: 1, .. })));
    assert_eq!(offsets(dir.path(), 2).unwrap(), [2, 3], "one can go on behind it");
    fs::remove_file(&files[1]).unwrap();
    let mut reader = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
    reader.next().unwrap();
    assert!(matches!(reader.next(), Err(LogError::Corrupt { offset: 1, .. })));
}

#[test]
fn damage_in_one_topic_leaves_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let [_, middle, ..] = three_frames(dir.path());
    flip(&segments(dir.path())[0], middle as usize + HEADER_BYTES + 3);
    let log = Log::open(dir.path(), options(1000)).unwrap();
    for _ in 0..2 {
        assert!(matches!(log.topic(TOPIC, 1), Err(LogError::Corrupt { .. })), "the name is free again");
    }
    assert!(log.topic("other", 1).is_ok());
    assert_eq!(
        drain(&mut Reader::open(dir.path(), TOPIC, 0, 0).unwrap()).map_err(|e| e.to_string().len() > 50),
        Err(true)
    );
}

#[test]
fn a_reader_goes_on_over_a_repair() {
    let dir = tempfile::tempdir().unwrap();
    let [_, _, last, end] = three_frames(dir.path());
    let path = segments(dir.path())[0].clone();
    let whole = fs::read(&path).unwrap();
    for length in last..end {
        fs::write(&path, &whole[..length as usize]).unwrap();
        let mut follower = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
        assert_eq!(drain(&mut follower).unwrap().len(), 4);
        // opened at the end as it is, with and without the torn bytes in its window
        let mut waiting = Reader::open(dir.path(), TOPIC, 0, 4).unwrap();
        let (_log, mut topic) = open(dir.path(), 100_000).unwrap();
        append(&mut topic, 7, b"a record that nobody knew before the crash");
        topic.commit().unwrap();
        for reader in [&mut follower, &mut waiting] {
            let new = (4, 7, b"a record that nobody knew before the crash".to_vec());
            assert_eq!(drain(reader).unwrap(), [new], "{length}");
        }
        assert_eq!(bounds(dir.path(), TOPIC, 0).unwrap(), 0..5);
    }
    // a last frame of full length with a wrong checksum is not counted, and not skipped
    fs::write(&path, &whole).unwrap();
    flip(&path, end as usize - 1);
    assert_eq!(bounds(dir.path(), TOPIC, 0).unwrap(), 0..4);
    assert!(matches!(Reader::open(dir.path(), TOPIC, 0, 6), Err(LogError::AboveHigh { high: 4, .. })));
}

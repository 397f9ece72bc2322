//! Finding offsets and arrivals, following a writer.

use clickstream_log::{HEADER_BYTES, LogError, Reader};
use proptest::prelude::*;

use crate::harness::{TOPIC, append, drain, offsets, open, segments, truncate};

#[test]
fn every_offset_is_found() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, mut topic) = open(dir.path(), 400).unwrap();
    for n in 0..100 {
        append(&mut topic, 0, b"0123456789");
        if n % 7 == 6 {
            topic.commit().unwrap();
        }
    }
    topic.commit().unwrap();
    assert!(segments(dir.path()).len() > 5);
    let mut moving = Reader::open(dir.path(), TOPIC, 0, 50).unwrap();
    for from in (0..=100).rev() {
        assert_eq!(offsets(dir.path(), from).unwrap(), (from..100).collect::<Vec<_>>());
        moving.seek(from).unwrap();
        assert_eq!(moving.offset(), from);
        assert_eq!(moving.next().unwrap().map(|r| r.offset), (from < 100).then_some(from));
    }
}

#[test]
fn a_reader_follows_over_rolls_and_is_told_of_retention() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, mut topic) = open(dir.path(), 1).unwrap();
    let mut follower = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
    let mut sleeper = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
    for n in 0..5 {
        assert!(follower.next().unwrap().is_none());
        append(&mut topic, 0, b"x");
        topic.commit().unwrap();
        assert_eq!(follower.next().unwrap().unwrap().offset, n);
    }
    topic.retain(1).unwrap();
    assert_eq!(sleeper.next().unwrap().unwrap().offset, 0, "the deleted file is still open");
    assert!(matches!(sleeper.next(), Err(LogError::BelowLow { offset: 1, low: 4, .. })));
    sleeper.seek(4).unwrap();
    assert_eq!(sleeper.next().unwrap().unwrap().offset, 4);
    assert!(follower.next().unwrap().is_none());
}

#[test]
fn a_frame_in_the_making_is_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, mut topic) = open(dir.path(), 10_000).unwrap();
    append(&mut topic, 0, b"first");
    topic.commit().unwrap();
    let path = &segments(dir.path())[0];
    let begin = std::fs::metadata(path).unwrap().len();
    append(&mut topic, 0, b"second");
    topic.commit().unwrap();
    let whole = std::fs::read(path).unwrap();

    truncate(path, begin);
    let mut reader = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().offset, 0);
    for length in begin as usize..whole.len() {
        std::fs::write(path, &whole[..length]).unwrap();
        assert!(reader.next().unwrap().is_none(), "{length}");
        assert!(reader.next().unwrap().is_none(), "asked again: {length}");
    }
    std::fs::write(path, &whole).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().value, Some(&b"second"[..]));
}

#[test]
fn the_writers_reader_waits_for_the_acknowledgement() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, mut topic) = open(dir.path(), 10_000).unwrap();
    append(&mut topic, 0, b"first");
    topic.commit().unwrap();
    let mut ours = topic.reader(0, 0).unwrap();
    assert_eq!(drain(&mut ours).unwrap().len(), 1);
    // a frame that is in the file and not acknowledged
    let path = &segments(dir.path())[0];
    let before = std::fs::read(path).unwrap();
    append(&mut topic, 0, b"second");
    topic.commit().unwrap();
    let after = std::fs::read(path).unwrap();
    std::fs::write(path, &before).unwrap();
    assert!(matches!(topic.reader(0, 2), Err(LogError::AboveHigh { .. })));
    std::fs::write(path, &after).unwrap();
    assert_eq!(drain(&mut ours).unwrap().len(), 1);
}

#[test]
fn an_empty_partition_has_an_end() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(dir.path(), TOPIC, 0, 0), Err(LogError::NoPartition { .. })));
    let (_log, _topic) = open(dir.path(), 1000).unwrap();
    let mut reader = Reader::open(dir.path(), TOPIC, 0, 0).unwrap();
    assert!(reader.next().unwrap().is_none());
    assert_eq!(reader.seek_arrival(0).unwrap(), 0);
    assert!(matches!(Reader::open(dir.path(), TOPIC, 0, 1), Err(LogError::AboveHigh { high: 0, .. })));
    assert!(matches!(Reader::open(dir.path(), TOPIC, 1, 0), Err(LogError::NoPartition { .. })));
}

#[test]
fn frames_longer_than_the_window_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let (_log, mut topic) = open(dir.path(), 3_000_000).unwrap();
    for n in 0..20u8 {
        append(&mut topic, 0, &vec![n; 100_000 * usize::from(n % 4) + HEADER_BYTES]);
        append(&mut topic, 0, &vec![n; 199_000]);
        if n % 3 == 0 {
            topic.commit().unwrap();
        }
    }
    topic.commit().unwrap();
    let all = drain(&mut Reader::open(dir.path(), TOPIC, 0, 0).unwrap()).unwrap();
    assert_eq!(all.len(), 40);
    assert!(all.iter().all(|(offset, _, value)| value.iter().all(|b| u64::from(*b) == offset / 2)));
}

proptest! {
    #[test]
    fn an_arrival_is_found(
        frames in prop::collection::vec(prop::collection::vec(0..50i64, 1..4), 1..30),
        retain in 0..60i64,
        sought in -1..52i64,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (_log, mut topic) = open(dir.path(), 200).unwrap();
        for frame in &frames {
            for &arrival in frame {
                append(&mut topic, arrival, b"v");
            }
            topic.commit().unwrap();
        }
        topic.retain(retain).unwrap();
        let arrivals: Vec<i64> = frames.concat();
        let low = topic.low(0).unwrap() as usize;
        let expected = (low..arrivals.len()).find(|&n| arrivals[n] >= sought).unwrap_or(arrivals.len());
        for mut reader in [
            Reader::open(dir.path(), TOPIC, 0, low as u64).unwrap(),
            topic.reader(0, arrivals.len() as u64).unwrap(),
        ] {
            prop_assert_eq!(reader.seek_arrival(sought).unwrap(), expected as u64);
            let rest: Vec<i64> = drain(&mut reader).unwrap().into_iter().map(|(_, arrival, _)| arrival).collect();
            prop_assert_eq!(&rest[..], &arrivals[expected..]);
        }
    }
}

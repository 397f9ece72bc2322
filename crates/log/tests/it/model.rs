//! The log against a `Vec`: random appends, commits, crashes, damage, rolling, retention, reopening.

use std::fs;
use std::path::Path;

use clickstream_log::{LogError, Place, Reader, Record, Topic, bounds_since};
use proptest::prelude::*;

use crate::harness::{TOPIC, flip, offsets, open, segments, truncate};

/// What can happen.
#[derive(Clone, Debug)]
enum Step {
    Append(Kept),
    Commit,
    Retain(i64),
    Reopen,
    /// A crash that leaves this share of the last frame.
    Torn(prop::sample::Index),
    /// A crash that leaves the last frame with this byte changed.
    Flipped(prop::sample::Index),
}

/// A record as the model keeps it.
#[derive(Clone, PartialEq, Debug)]
struct Kept {
    arrival_ms: i64,
    key: Option<Vec<u8>>,
    truth: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

fn kept() -> impl Strategy<Value = Kept> {
    let field = |longest| prop::option::of(prop::collection::vec(any::<u8>(), 0..longest));
    (0..1000i64, field(10), field(5), field(200)).prop_map(|(arrival_ms, key, truth, value)| Kept {
        arrival_ms,
        key,
        truth,
        value,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => kept().prop_map(Step::Append),
        6 => Just(Step::Commit),
        1 => (0..1000i64).prop_map(Step::Retain),
        1 => Just(Step::Reopen),
        1 => any::<prop::sample::Index>().prop_map(Step::Torn),
        1 => any::<prop::sample::Index>().prop_map(Step::Flipped),
    ]
}

/// What the log should hold.
#[derive(Default)]
struct Model {
    committed: Vec<Kept>,
    pending: Vec<Kept>,
    /// The newest segment's number of bytes and the records committed, before the last commit that wrote anything.
    before_last: Option<(u64, usize)>,
    /// What somebody who looks now and then has seen, and where a reader of theirs has got to.
    seen: Option<Place>,
    place: Option<Place>,
}

impl Model {
    fn commit(&mut self, dir: &Path, topic: &mut Topic) {
        let newest = |dir: &Path| segments(dir).pop().unwrap();
        let (path, length) = (newest(dir), fs::metadata(newest(dir)).unwrap().len());
        let records = self.committed.len();
        if !self.pending.is_empty() {
            self.committed.append(&mut self.pending);
        }
        assert_eq!(topic.commit().unwrap(), [self.committed.len() as u64]);
        if self.committed.len() > records {
            let rolled = newest(dir) != path;
            self.before_last = Some((if rolled { 0 } else { length }, records));
        }
    }

    /// Loses the last frame, as `damage` does with the file from the byte the frame begins.
    fn crash(&mut self, dir: &Path, damage: impl FnOnce(&Path, u64, u64)) {
        self.pending.clear();
        if let Some((begin, records)) = self.before_last.take() {
            let path = segments(dir).pop().unwrap();
            damage(&path, begin, fs::metadata(&path).unwrap().len());
            self.committed.truncate(records);
        }
    }

    fn check(&mut self, dir: &Path, topic: &Topic) {
        let (low, high) = (topic.low(0).unwrap(), topic.high(0).unwrap());
        assert_eq!(high, self.committed.len() as u64);
        let mut readers = [Reader::open(dir, TOPIC, 0, low).unwrap(), topic.reader(0, low).unwrap()];
        for reader in &mut readers {
            for (offset, expected) in (low..).zip(&self.committed[low as usize..]) {
                let read = reader.next().unwrap().unwrap();
                assert_eq!((read.offset, read.arrival_ms), (offset, expected.arrival_ms));
                assert_eq!(read.key, expected.key.as_deref());
                assert_eq!(read.truth, expected.truth.as_deref());
                assert_eq!(read.value, expected.value.as_deref());
            }
            assert!(reader.next().unwrap().is_none());
        }
        let middle = low + (high - low) / 2;
        assert_eq!(offsets(dir, middle).unwrap(), (middle..high).collect::<Vec<_>>());
        assert_eq!(bounds_since(dir, TOPIC, 0, &mut self.seen).unwrap(), low..high);
        let mut again = Reader::open_from(dir, TOPIC, 0, middle, self.place).unwrap();
        for offset in middle..high {
            assert_eq!(again.next().unwrap().unwrap().offset, offset);
        }
        assert!(again.next().unwrap().is_none());
        self.place = again.place();
        assert!(matches!(offsets(dir, high + 1), Err(LogError::AboveHigh { .. })));
        assert!(low == 0 || matches!(offsets(dir, low - 1), Err(LogError::BelowLow { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn the_log_holds_what_was_committed(
        segment_bytes in 1..2_000u64,
        steps in prop::collection::vec(step(), 1..120),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut model = Model::default();
        let mut writer = open(dir, segment_bytes).unwrap();
        for step in steps {
            match step {
                Step::Append(k) => {
                    let record = Record {
                        arrival_ms: k.arrival_ms,
                        key: k.key.as_deref(),
                        truth: k.truth.as_deref(),
                        value: k.value.as_deref(),
                    };
                    let expected = (model.committed.len() + model.pending.len()) as u64;
                    prop_assert_eq!(writer.1.append(0, &record).unwrap(), expected);
                    model.pending.push(k);
                }
                Step::Commit => model.commit(dir, &mut writer.1),
                Step::Retain(before) => {
                    let low = writer.1.low(0).unwrap() as usize;
                    writer.1.retain(before).unwrap();
                    let deleted = low..writer.1.low(0).unwrap() as usize;
                    prop_assert!(model.committed[deleted].iter().all(|k| k.arrival_ms < before));
                    model.check(dir, &writer.1);
                }
                Step::Reopen | Step::Torn(_) | Step::Flipped(_) => {
                    drop(writer);
                    match step {
                        Step::Torn(at) => model.crash(dir, |path, begin, end| {
                            truncate(path, begin + at.index((end - begin) as usize) as u64);
                        }),
                        Step::Flipped(at) => model.crash(dir, |path, begin, end| {
                            flip(path, begin as usize + at.index((end - begin) as usize));
                        }),
                        _ => model.pending.clear(),
                    }
                    writer = open(dir, segment_bytes).unwrap();
                    model.check(dir, &writer.1);
                }
            }
        }
        model.commit(dir, &mut writer.1);
        model.check(dir, &writer.1);
    }
}

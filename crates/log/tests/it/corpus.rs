//! Replays the fuzzer's seeds, and makes them.

use std::fs;
use std::path::PathBuf;

use clickstream_log::{HEADER_BYTES, Record};
use proptest::prelude::*;

use crate::harness::{open, segments};
use crate::property;

fn corpus() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/log_reader"))
}

#[test]
fn every_seed_holds() {
    let seeds: Vec<_> = fs::read_dir(corpus()).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert!(seeds.len() >= 5, "{seeds:?}");
    for seed in seeds {
        println!("{}", seed.display());
        property::check(&fs::read(seed).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    /// A little of what the fuzzer does: good segments with a few bytes changed.
    #[test]
    fn spoilt_segments_hold(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        length in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let mut bytes = good_segment();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if !whole {
            bytes.truncate(length.index(bytes.len()));
        }
        property::check(&bytes);
    }
}

/// Four frames: all kinds of fields, several records, an empty value, a value that looks like a frame.
fn good_segment() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let (_log, mut topic) = open(dir.path(), 1_000_000).unwrap();
    let look_alike = [b"\xffCL\x01".as_slice(), &[0; HEADER_BYTES]].concat();
    let frames: [&[Record<'_>]; 4] = [
        &[Record { arrival_ms: 1_000, key: Some(b"shop"), truth: Some(b"late"), value: Some(b"{}") }],
        &[
            Record {
                arrival_ms: 1_002,
                key: Some(b"shop"),
                truth: None,
                value: Some(b"{\"event_id\":\"e1\"}"),
            },
            Record { arrival_ms: 1_001, key: None, truth: None, value: Some(b"") },
            Record { arrival_ms: 1_003, key: Some(b""), truth: Some(b""), value: None },
        ],
        &[Record { arrival_ms: 1_010, value: Some(&look_alike), ..Record::default() }],
        &[Record { arrival_ms: i64::MAX, ..Record::default() }],
    ];
    for frame in frames {
        for record in frame {
            topic.append(0, record).unwrap();
        }
        topic.commit().unwrap();
    }
    fs::read(&segments(dir.path())[0]).unwrap()
}

#[test]
#[ignore = "writes the fuzzer's seeds"]
fn write_seeds() {
    let good = good_segment();
    let second = HEADER_BYTES + 20 + b"shop".len() + b"late".len() + b"{}".len();
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let changed = |at: usize| with(at, &[!good[at]]);
    for (name, bytes) in [
        ("good", good.clone()),
        ("empty", Vec::new()),
        ("torn_in_header", good[..second + 20].to_vec()),
        ("torn_in_body", good[..good.len() - 7].to_vec()),
        ("flipped_in_first_body", changed(HEADER_BYTES + 25)),
        ("flipped_in_first_header", changed(17)),
        ("flipped_in_last_body", changed(good.len() - 2)),
        ("zero_length", with(second + 8, &[0; 4])),
        ("giant_length", with(second + 8, &[0xFF; 4])),
        ("many_records", with(second + 12, &[0xFF; 4])),
        ("highest_offset", with(second + 16, &[0xFF; 8])),
        ("giant_key", with(HEADER_BYTES + 8, &[0xFE, 0xFF, 0xFF, 0xFF])),
        ("frame_twice", [&good[..second], &good].concat()),
        ("frame_missing", good[second..].to_vec()),
        ("zeros_behind", [good.as_slice(), &[0; 300]].concat()),
        ("text_behind", [good.as_slice(), b"not a frame at all"].concat()),
    ] {
        fs::write(corpus().join(name), bytes).unwrap();
    }
}

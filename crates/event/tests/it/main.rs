//! Replays the fuzzer's seeds: whatever comes in is decoded or refused, and what is encoded again stays the same.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::fs;
use std::path::Path;

#[path = "../../../../fuzz/properties/event_decode.rs"]
mod property;

#[test]
fn every_seed_holds() {
    let corpus = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/event_decode"));
    let seeds: Vec<_> = fs::read_dir(corpus).unwrap().map(|seed| seed.unwrap().path()).collect();
    assert!(seeds.len() >= 10, "{seeds:?}");
    for seed in seeds {
        println!("{}", seed.display());
        property::check(&fs::read(seed).unwrap());
    }
}

//! Replays the fuzzer's seeds, and spoils them a little.

use std::fs;

use proptest::prelude::*;

use crate::property;

fn seeds() -> Vec<(String, Vec<u8>)> {
    let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/access_log");
    let files = fs::read_dir(corpus).unwrap().map(|seed| seed.unwrap().path());
    let mut seeds: Vec<_> = files.map(|file| (file.display().to_string(), fs::read(file).unwrap())).collect();
    seeds.sort();
    seeds
}

#[test]
fn every_seed_holds() {
    let seeds = seeds();
    assert!(seeds.len() >= 15, "{}", seeds.len());
    for (name, seed) in seeds {
        println!("{name}");
        property::check(&seed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// A little of what the fuzzer does: seeds with a few bytes changed, and followed by one another.
    #[test]
    fn spoilt_seeds_hold(
        chosen in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
    ) {
        let seeds = seeds();
        let mut bytes: Vec<u8> = chosen.iter().flat_map(|seed| seed.get(&seeds).1.clone()).collect();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        property::check(&bytes);
    }
}

//! Compares what stands in the topics with a recount of the log.

use std::collections::BTreeMap;

use clickstream_event::topic;
use clickstream_recount::{Expected, Shape, key_of, recount, same, written_at};
use serde_json::Value;

use crate::harness::{World, until, within_patience};

/// Rows of a topic, the last one of each key; every row of a key that was written again must be the same.
pub fn rows_of(world: &World, name: &'static str) -> BTreeMap<String, Value> {
    let mut rows: BTreeMap<String, Value> = BTreeMap::new();
    for record in world.read(name) {
        let row: Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
        let key: Value = serde_json::from_slice(&record.key.unwrap()).unwrap();
        for (field, value) in key.as_object().unwrap() {
            assert_eq!(&row[field], value, "the key repeats fields of the row");
        }
        if let Some(before) = rows.insert(key_of(name, &row), row.clone()) {
            assert!(same(&before, &row), "{name}: written differently the second time:\n{before}\n{row}");
        }
    }
    rows
}

/// The session gap of the worlds that are checked here.
pub const SESSION_GAP: &str = "3s";
const SESSION_GAP_MS: i64 = 3_000;

/// Waits until the last window that holds events is over, then compares everything that the watermark has decided by then, and all
/// dead letters, with a recount.
pub fn check(world: &World, window_ms: i64, slide_ms: i64) -> Expected {
    let shape = Shape { window_ms, slide_ms, session_gap_ms: SESSION_GAP_MS, partitions: 4 };
    let expected = until("the last window is over", || {
        let expected = recount(world.read(topic::EVENTS), shape);
        (expected.watermark >= expected.last_end - 1).then_some(expected)
    });
    let mut problems = Vec::new();
    for name in topic::RESULTS {
        // the rows of one window reach their topics one after the other
        let complete = || {
            let found = rows_of(world, name);
            let complete = expected.rows[name].keys().all(|key| found.contains_key(key));
            (complete || !problems.is_empty()).then_some(found)
        };
        let found = within_patience(complete).unwrap_or_else(|| rows_of(world, name));
        for (key, row) in &expected.rows[name] {
            match found.get(key) {
                None => problems.push(format!("{name}: missing {row}")),
                Some(found) if !same(row, found) => {
                    problems.push(format!("{name}: expected {row}\n  found {found}"))
                }
                Some(_) => {}
            }
        }
        // what came since is not in the recount
        let decided = |row: &Value| written_at(name, row, shape) <= expected.watermark;
        for (key, row) in &found {
            if !expected.rows[name].contains_key(key) && decided(row) {
                problems.push(format!("{name}: unexpected {row}"));
            }
        }
        println!("{name}: {} rows equal the recount", expected.rows[name].len());
    }
    let letters: BTreeMap<(i32, i64), String> = world
        .read(topic::DEAD_LETTERS)
        .into_iter()
        .map(|record| {
            let letter: Value = serde_json::from_slice(&record.value.unwrap()).unwrap();
            let place = (
                letter["source_partition"].as_i64().unwrap() as i32,
                letter["source_offset"].as_i64().unwrap(),
            );
            (place, letter["reason"].as_str().unwrap().to_owned())
        })
        .collect();
    for (place, reason) in &expected.letters {
        if letters.get(place).map(String::as_str) != Some(*reason) {
            problems
                .push(format!("dead letter of {place:?}: expected {reason}, found {:?}", letters.get(place)));
        }
    }
    for place in letters.keys().filter(|place| !expected.letters.contains_key(*place)) {
        problems.push(format!("unexpected dead letter of {place:?}: {}", letters[place]));
    }
    println!("{} dead letters; heartbeats, counted, duplicates, dead: {:?}", letters.len(), expected.balance);
    // the product's own proof must say the same
    let verified = crate::harness::binary()
        .args(["verify", "--kafka", &world.kafka()])
        .args(["--window", &format!("{window_ms}ms"), "--slide", &format!("{slide_ms}ms")])
        .args(["--session-gap", SESSION_GAP])
        .output()
        .unwrap();
    if !verified.status.success() {
        problems.push(crate::harness::text(&verified));
    }
    assert!(
        problems.is_empty(),
        "{} problems, the first of them:\n{}",
        problems.len(),
        problems[..problems.len().min(12)].join("\n")
    );
    expected
}

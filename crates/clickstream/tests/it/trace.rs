//! `clickstream trace` of a pipeline that runs: the story of one event, with Kafka and with the log in files.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{binary, text, until};

/// A command on what runs in a data directory.
pub fn on(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = binary();
    command.args(arguments).arg("--data-dir").arg(dir);
    command
}

/// What `trace` says as JSON.
pub fn story(dir: &Path, arguments: &[&str]) -> Value {
    let output = on(dir, &[&["trace", "--json"], arguments].concat()).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Without being told which, it shows an event that counts, and rows that are what the recount says.
pub fn check(dir: &Path, windows: usize) {
    let story = until("an event whose windows have begun to close", || {
        let output = on(dir, &["trace", "--json"]).output().unwrap();
        output.status.success().then(|| serde_json::from_slice::<Value>(&output.stdout).unwrap())
    });
    assert_eq!(story["verdict"], "counted", "{story:#}");
    let all = story["windows"].as_array().unwrap();
    assert_eq!(all.len(), windows, "{story:#}");
    assert!(!all[0]["closed"].is_null() && !story["watermark_passed"].is_null(), "{story:#}");
    assert!(story["session"]["event_count"].as_u64() > Some(0), "{story:#}");
    // named by its place and by its id it is the same event, and what has closed by then is there and right
    let place = format!("{}:{}", story["partition"], story["offset"]);
    let id = story["event"]["event_id"].as_str().unwrap();
    for named in [["--offset", &place], ["--event-id", id]] {
        let again = self::story(dir, &named);
        assert_eq!((&again["event"], &again["arrival"]), (&story["event"], &story["arrival"]));
        let first = &again["windows"][0];
        let topics: Vec<&str> =
            first["rows"].as_array().unwrap().iter().map(|row| row["topic"].as_str().unwrap()).collect();
        let expected = if story["event"]["product_id"].is_null() { 2 } else { 3 };
        assert_eq!(topics.len(), expected, "{first:#}");
        for row in first["rows"].as_array().unwrap() {
            for number in ["view_count", "unique_users", "window_end"] {
                assert_eq!(row["recount"][number], row["found"][number], "{row:#}");
            }
            assert!(row["after_ms"].as_i64() >= Some(0), "{row:#}");
        }
    }
    let said = text(&on(dir, &["trace", "--offset", &place]).output().unwrap());
    for words in ["● ", "in the log", "counted", "watermark", "session", "counts in", "✓"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains('\u{1b}'), "piped output is plain: {said}");
    let output = on(dir, &["trace", "--event-id", "nobody"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("which holds what has arrived since"), "{}", text(&output));
}

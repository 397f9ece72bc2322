//! `clickstream chaos` on a pipeline that runs.

use std::path::Path;

use serde_json::Value;

use crate::harness::text;
use crate::trace::{on, story};

/// Injects some of each kind, and follows one of them.
pub fn check_injections(dir: &Path) {
    for (kind, verdict) in [("late", "late"), ("future", "rejected"), ("malformed", "rejected")] {
        let found = inject(dir, kind, 3);
        let records = found["outcome"]["records"].as_array().unwrap();
        assert_eq!(records.len(), 3, "{found:#}");
        let place = format!("{}:{}", records[0]["partition"], records[0]["offset"]);
        let story = story(dir, &["--offset", &place]);
        assert_eq!(
            (&story["verdict"], &story["truth"]),
            (&Value::from(verdict), &Value::from(kind)),
            "{story:#}"
        );
        assert_eq!(story["dead_letter"]["reason"], records[0]["verdict"], "{story:#}");
    }
    // on a busy machine an event may be late itself, and then it has no copy: once in three it is not
    let found =
        (0..3).map(|_| inject(dir, "duplicate", 2)).find(|found| found["outcome"]["complete"] == true);
    let found = found.expect("duplicates");
    let records = found["outcome"]["records"].as_array().unwrap();
    let copy = records.iter().find(|record| record["verdict"] == "duplicate").unwrap();
    assert_eq!(found["outcome"]["window"]["equals_recount"], true, "{found:#}");
    let story = story(dir, &["--offset", &format!("{}:{}", copy["partition"], copy["offset"])]);
    assert_eq!((&story["verdict"], &story["of"]), (&Value::from("duplicate"), &copy["copy_of"]), "{story:#}");
}

fn inject(dir: &Path, kind: &str, count: u32) -> Value {
    let output =
        on(dir, &["chaos", "inject", kind, "--json", "--count", &count.to_string()]).output().unwrap();
    assert!(output.status.success() || kind == "duplicate", "{kind}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{kind}: {}", text(&output)))
}

/// Kills a component; what came back.
pub fn kill(dir: &Path, component: &str) -> Value {
    let output = on(dir, &["chaos", "kill", component, "--json"]).output().unwrap();
    assert!(output.status.success(), "{component}: {}", text(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let healed = &told["healed"];
    assert_ne!(healed["restarted"]["pid"], told["pid"], "{told:#}");
    assert!(healed["results"]["after_ms"].as_i64() > Some(0), "{told:#}");
    // the job is in the memory of the one, and its tasks run in the other
    if ["jobmanager", "taskmanager"].contains(&component) {
        assert!(healed["job"]["after_ms"].as_i64() > Some(0), "{told:#}");
    }
    println!("{told}");
    told
}

/// Has a component stand still; what came of it.
pub fn pause(dir: &Path, component: &str) {
    let output = on(dir, &["chaos", "pause", component, "--for", "1s", "--json"]).output().unwrap();
    assert!(output.status.success(), "{component}: {}", text(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(told["paused_ms"].as_i64() >= Some(1_000), "{told:#}");
    assert!(!told["healed"]["results"].is_null(), "{told:#}");
    let state = std::fs::read_to_string(format!("/proc/{}/stat", told["pid"])).unwrap_or_default();
    assert!(!state.contains(") T "), "it goes on: {state}");
}

/// There is nothing to kill in one process.
pub fn refuses_embedded(dir: &Path) {
    let output = on(dir, &["chaos", "kill", "kafka"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("embedded engine is one process"), "{}", text(&output));
}

/// What somebody else runs is left alone.
pub fn refuses_external(dir: &Path) {
    let output = on(dir, &["chaos", "kill", "kafka"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("is not ours"), "{}", text(&output));
}

//! The embedded engine from outside: it starts without Java, survives kill -9 at any moment, and is proven each time.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clickstream_event::topic;
use clickstream_log::{Log, Options, Record};
use serde_json::Value;

use crate::harness::{SPOILT, binary, signal, text, until};

pub const SHORT: [&str; 4] = ["--window", "5s", "--slide", "1s"];

pub fn on(command: &str, dir: &Path) -> Command {
    let mut process = binary();
    process.args([command, "--engine", "embedded", "--data-dir"]).arg(dir);
    process
}

/// A running `up`; killed hard when it goes out of scope.
pub struct Running(Child);

impl Running {
    pub fn up(dir: &Path, more: &[&str]) -> Self {
        let out = std::fs::File::create(dir.join("up.out")).unwrap();
        let child = on("up", dir)
            .args(["--json", "--rate", "2000"])
            .args(SHORT)
            .args(more)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        signal(self.0.id() as i32, libc::SIGKILL);
        self.0.wait().unwrap();
    }

    /// Ends it as Ctrl-C does.
    pub fn interrupt(self) {
        self.end_by(libc::SIGTERM);
    }

    /// Ends it well, by a signal that asks for it.
    pub fn end_by(mut self, by: i32) {
        signal(self.0.id() as i32, by);
        assert!(self.0.wait().unwrap().success());
        std::mem::forget(self);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.0.try_wait().unwrap().is_none() {
            self.end();
        }
    }
}

/// The verdict, and the exit code.
pub fn verify(dir: &Path) -> (Value, i32) {
    let output = on("verify", dir).args(SHORT).arg("--json").output().unwrap();
    let code = output.status.code().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::String(text(&output)));
    (report, code)
}

/// Windows in the output of `up`.
pub fn windows(dir: &Path) -> Vec<Value> {
    output_of(dir, "window")
}

/// Lines of a type in the output of `up`.
pub fn output_of(dir: &Path, kind: &str) -> Vec<Value> {
    let output = std::fs::read_to_string(dir.join("up.out")).unwrap_or_default();
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["type"] == kind)
        .collect()
}

#[test]
fn kill_9_twenty_times_and_proven_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = 0;
    // moments from 60 ms to 2.2 s after the start, spread without order
    for round in 0..20u64 {
        let moment = Duration::from_millis(60 + (round * 7 % 20) * 107);
        let began = Instant::now();
        let running = Running::up(dir.path(), &SPOILT);
        if round == 0 {
            until("the first window", || windows(dir.path()).pop());
        }
        until("its moment has come", || (began.elapsed() > moment).then_some(()));
        running.kill();
        let (report, code) = verify(dir.path());
        assert_eq!((code, &report["verdict"]), (0, &Value::from("proven")), "round {round}: {report:#}");
        let now = report["report"]["balance"]["records"].as_u64().unwrap();
        assert!(now >= records, "the log never loses what it had: {records}, then {now}");
        records = now;
    }
    // after the last kill it goes on, and nothing is pending but the newest windows
    let running = Running::up(dir.path(), &SPOILT);
    until("windows again", || (windows(dir.path()).len() >= 3).then_some(()));
    running.interrupt();
    let (report, code) = verify(dir.path());
    let balance = &report["report"]["balance"];
    println!("{balance}");
    assert_eq!(code, 0, "{report:#}");
    // heartbeats come only where a partition fell silent
    for kind in ["counted", "duplicates", "late", "rejected"] {
        assert!(balance[kind].as_u64() > Some(0), "{kind}: {balance}");
    }
    assert_eq!(report["report"]["pending"], 0, "{report:#}");
}

#[test]
fn a_forged_row_is_refuted_and_a_number_explained() {
    let dir = tempfile::tempdir().unwrap();
    let (said, code) = verify(dir.path());
    assert_eq!(code, 2, "there is nothing yet: {said}");
    let running = Running::up(dir.path(), &[]);
    until("some windows", || (windows(dir.path()).len() >= 3).then_some(()));
    let status = on("status", dir.path()).arg("--json").output();
    assert!(status.is_ok());
    crate::trace::check(dir.path(), 5);
    crate::chaos::check_injections(dir.path());
    crate::chaos::refuses_embedded(dir.path());
    running.interrupt();
    assert_eq!(verify(dir.path()).1, 0);

    let window = windows(dir.path()).pop().unwrap();
    let page = window["pages"][0]["page_url"].as_str().unwrap();
    let end = window["window_end"].as_str().unwrap();
    let explain = |json: &[&str]| {
        let output = on("explain", dir.path())
            .args(SHORT)
            .args(["--page", page, "--window-end", end])
            .args(json)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        text(&output)
    };
    let explanation: Value = serde_json::from_str(&explain(&["--json"])).unwrap();
    let views = explanation["counted"].as_array().unwrap().iter().filter(|e| e["event_type"] == "page_view");
    assert_eq!(views.count() as u64, window["pages"][0]["view_count"].as_u64().unwrap());
    assert_eq!(
        explanation["users"].as_object().unwrap().len() as u64,
        window["pages"][0]["unique_users"].as_u64().unwrap()
    );
    let said = explain(&["--metric", "unique_users"]);
    assert!(said.contains("different user_id") && said.contains("users, with their events"), "{said}");

    // one more view than there were
    let rows = explanation["rows"].as_array().unwrap();
    assert!(rows.len() >= 2 && rows.iter().all(|pair| !pair["found"].is_null()), "{rows:?}");
    let own = rows.iter().find(|pair| pair["topic"] == topic::PAGE_METRICS).unwrap();
    let mut row = own["found"].clone();
    row["view_count"] = Value::from(row["view_count"].as_u64().unwrap() + 1);
    let key =
        serde_json::json!({ "site_id": row["site_id"], "window_end": end, "page_url": page }).to_string();
    let log = Log::open(dir.path().join("embedded/results"), Options::default()).unwrap();
    let mut topic = log.topic(topic::PAGE_METRICS, 1).unwrap();
    let value = row.to_string();
    let record =
        Record { arrival_ms: 0, key: Some(key.as_bytes()), truth: None, value: Some(value.as_bytes()) };
    topic.append(0, &record).unwrap();
    topic.commit().unwrap();
    drop((topic, log));
    let (report, code) = verify(dir.path());
    assert_eq!((code, &report["verdict"]), (1, &Value::from("refuted")), "{report:#}");
    let said = text(&on("verify", dir.path()).args(SHORT).output().unwrap());
    assert!(said.contains("overwrites a row") && said.contains("the events behind it"), "{said}");
}

#[test]
fn without_java_the_embedded_engine_runs_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let output = binary()
        .args(["up", "--duration", "4s", "--rate", "500", "--data-dir"])
        .arg(dir.path())
        .args(SHORT)
        .env("PATH", dir.path())
        .env_remove("JAVA_HOME")
        .output()
        .unwrap();
    let said = text(&output);
    assert!(output.status.success(), "{said}");
    for words in
        ["Kafka and Flink cannot run here", "Install both with", "page", "the next `up --embedded` goes on"]
    {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert_eq!(verify(dir.path()).1, 0);
}

#[test]
fn results_that_are_damaged_are_computed_again() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::up(dir.path(), &[]);
    until("some windows", || (windows(dir.path()).len() >= 2).then_some(()));
    running.interrupt();
    let segment = dir.path().join("embedded/results/clickstream.site-metrics/0/00000000000000000000.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[60] ^= 0xff;
    std::fs::write(&segment, bytes).unwrap();
    assert_eq!(verify(dir.path()).1, 2, "damaged results cannot be checked");
    let running = Running::up(dir.path(), &[]);
    until("windows again", || (windows(dir.path()).len() >= 2).then_some(()));
    running.interrupt();
    let (report, code) = verify(dir.path());
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(report["report"]["pending"], 0, "{report:#}");
}

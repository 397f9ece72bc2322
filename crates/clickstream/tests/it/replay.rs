//! Access logs into the embedded engine, and the proof of what came of them.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use clickstream_engine::{Config, Engine, Verdict};
use clickstream_event::{Timestamp, Windows, topic};
use clickstream_replay::workload::{self, Style};
use serde_json::Value;

use crate::harness::{World, binary, text};

const SHORT: [&str; 6] = ["--window", "60s", "--slide", "10s", "--session-gap", "30s"];
/// A busy machine may stop between a view and its sending: that shall not make it late here.
const SHORTER: [&str; 6] = ["--window", "10s", "--slide", "1s", "--max-disorder", "3s"];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../replay/tests/samples")
}

fn replay(dir: &Path, more: &[&str]) -> Command {
    let mut process = binary();
    process.args(["replay", "--embedded", "--json", "--data-dir"]).arg(dir).args(more);
    process
}

fn summary(output: &Output) -> Value {
    assert!(output.status.success(), "{}", text(output));
    // notices may stand before it, a line each
    let last = String::from_utf8_lossy(&output.stdout).lines().last().map(serde_json::from_str);
    last.and_then(Result::ok).unwrap_or_else(|| panic!("{}", text(output)))
}

fn verify(dir: &Path) -> Value {
    // with the settings of the replay
    let output = binary().args(["verify", "--json", "--data-dir"]).arg(dir).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Two minutes at 200 lines a second.
fn generated() -> String {
    let start = Timestamp::parse("2026-03-01T10:00:00Z").unwrap().0;
    let mut lines = String::new();
    (0..24_000).for_each(|n| workload::line(n, 200, start).write(Style::Combined, &mut lines));
    lines
}

#[test]
fn a_backfill_is_proven() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("access.log.zst");
    std::fs::write(&log, zstd::encode_all(generated().as_bytes(), 1).unwrap()).unwrap();
    let data = dir.path().join("data");
    let said = summary(&replay(&data, &[&SHORT[..], &["--keep-time"]].concat()).arg(&log).output().unwrap());
    assert_eq!(said["lines"], 24_000);
    let skipped: u64 =
        said["skipped"].as_object().unwrap().values().map(|why| why["lines"].as_u64().unwrap()).sum();
    let views = said["views"].as_u64().unwrap();
    assert_eq!(views + skipped, 24_000);
    let report = verify(&data);
    let balance = &report["report"]["balance"];
    assert_eq!(balance["counted"], views, "{report:#}");
    assert_eq!(
        (&balance["late"], &balance["rejected"], &report["report"]["pending"]),
        (&0.into(), &0.into(), &0.into()),
        "{report:#}"
    );
    // all windows that hold a view have ended: two minutes and a window less a slide
    let windows = report["report"]["topics"]["clickstream.site-metrics"]["equal"].as_u64();
    assert_eq!(windows, Some(12 + 6 - 1), "{report:#}");
    // rows that were written long after their window are found too
    let mut explain = binary();
    explain.args(["explain", "--json", "--window-end", "2026-03-01T10:01:00Z", "--data-dir"]);
    let output = explain.arg(&data).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let explained: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = explained["rows"].as_array().unwrap();
    assert!(!rows.is_empty() && rows.iter().all(|row| row["found"].is_object()), "{explained:#}");
    let traced = binary().args(["trace", "--data-dir"]).arg(&data).output().unwrap();
    assert!(traced.status.success(), "{}", text(&traced));
    // a second backfill would be late as a whole
    let again = replay(&data, &[&SHORT[..], &["--keep-time"]].concat()).arg(&log).output().unwrap();
    assert_eq!(again.status.code(), Some(2));
    assert!(text(&again).contains("--data-dir NEW"), "{}", text(&again));
    // no address is kept
    for entry in std::fs::read_dir(data.join("embedded/events").join(topic::EVENTS)).unwrap() {
        for file in std::fs::read_dir(entry.unwrap().path()).into_iter().flatten() {
            let bytes = std::fs::read(file.unwrap().path()).unwrap();
            assert!(!String::from_utf8_lossy(&bytes).contains("2001:db8"));
        }
    }
}

#[test]
fn samples_of_all_servers_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = replay(&dir.path().join("data"), &[&SHORT[..], &["--keep-time"]].concat());
    for name in
        ["apache_vhost_combined.log", "nginx_combined.log", "nginx_json.log", "caddy.log", "apache_json.log"]
    {
        process.arg(samples().join(name));
    }
    let said = summary(&process.output().unwrap());
    assert_eq!(said["views"], 5 + 4 + 3 + 2 + 2, "{said:#}");
    assert_eq!(said["sites"]["shop.example"], 6, "{said:#}");
    verify(&dir.path().join("data"));
}

#[test]
fn live_from_a_pipe_and_again_are_duplicates() {
    let dir = tempfile::tempdir().unwrap();
    let lines: String = generated().lines().take(400).map(|line| format!("{line}\n")).collect();
    let mut views = 0;
    for round in 0..2 {
        let mut child = replay(dir.path(), &[&SHORTER[..], &["--speed", "max", "-"]].concat())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        let said = summary(&child.wait_with_output().unwrap());
        views = said["views"].as_u64().unwrap();
        assert!(views > 100, "round {round}: {said:#}");
    }
    let report = verify(dir.path());
    let balance = &report["report"]["balance"];
    assert_eq!(
        (balance["counted"].as_u64(), balance["duplicates"].as_u64()),
        (Some(views), Some(views)),
        "{report:#}"
    );
}

#[test]
fn what_cannot_be_is_said_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let missing = replay(&data, &[&SHORT[..], &["--keep-time"]].concat())
        .arg(samples().join("caddy.log"))
        .arg("/no/such/file")
        .output()
        .unwrap();
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing).contains("/no/such/file") && !data.exists(), "{}", text(&missing));
    let speed = replay(&data, &["--speed", "fast", "-"]).output().unwrap();
    assert!(speed.status.code() == Some(2) && text(&speed).contains("speed"), "{}", text(&speed));
    // a Kafka that is not there
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kafka = binary()
        .args(["replay", "--kafka", &format!("127.0.0.1:{free}"), "--data-dir"])
        .arg(&data)
        .arg(samples().join("caddy.log"))
        .output()
        .unwrap();
    assert_eq!(kafka.status.code(), Some(2));
    assert!(text(&kafka).contains("clickstream up"), "{}", text(&kafka));
}

#[test]
fn into_kafka_with_the_logs_times_and_then_moved() {
    let mut world = World::new(&[]);
    world.start_kafka(3);
    let log = world.data_dir().join("access.log");
    std::fs::write(&log, generated()).unwrap();
    let send = |more: &[&str]| {
        let mut process = binary();
        process.args(["replay", "--json", "--kafka", &world.kafka(), "--data-dir"]).arg(world.data_dir());
        process.args(SHORT).args(more).arg(&log).output().unwrap()
    };
    let said = summary(&send(&["--keep-time"]));
    let views = said["views"].as_u64().unwrap();
    let config = Config { session_gap_ms: 30_000, ..Config::new(Windows::new(60_000, 10_000).unwrap()) };
    let mut engine = Engine::new(config, 3);
    let mut counted = 0;
    for record in world.read(topic::EVENTS) {
        let verdict =
            engine.push(record.partition as usize, Timestamp(record.arrival), record.value.as_deref());
        assert!(matches!(verdict, Verdict::Counted | Verdict::Heartbeat), "{verdict:?}");
        counted += u64::from(verdict == Verdict::Counted);
    }
    assert_eq!(counted, views);
    // the last heartbeat has closed all windows
    let last = Timestamp::parse("2026-03-01T10:02:59.000Z").unwrap();
    assert!(engine.watermark() > Some(last), "{:?}", engine.watermark());
    let again = send(&["--keep-time"]);
    assert!(again.status.code() == Some(2) && text(&again).contains("empty"), "{}", text(&again));
    assert_eq!(summary(&send(&["--speed", "max"]))["views"], views);
}

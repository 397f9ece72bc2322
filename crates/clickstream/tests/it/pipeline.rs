//! Rows against a recount, undisturbed: sample traffic, a foreign producer, restarts, a changed window, the textbook form.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use clickstream_event::topic;
use serde_json::json;

use crate::harness::{SPOILT, World, until};
use crate::recount::{SESSION_GAP, check, rows_of};

const SHORT: [&str; 8] =
    ["--window", "8s", "--slide", "2s", "--session-gap", SESSION_GAP, "--taskmanager-heap", "400"];
/// One world, one story: sample traffic with everything injected, a stop, a restart, a foreign producer, another window.
#[test]
fn rows_equal_a_recount() {
    let mut world = World::new(&SHORT);
    world.up(&["--no-generate"]);
    crate::plan::check_shared(&world, false);
    crate::plan::check_shipped(&world);
    let traffic = [&["--rate", "400", "--duration", "14s", "--site", "shop,blog"], &SPOILT[..]].concat();
    world.generate(&traffic);
    let expected = check(&world, 8_000, 2_000);
    let [heartbeats, counted, duplicates, dead] = expected.balance;
    assert!(
        heartbeats > 10 && counted > 4_000 && duplicates > 50 && dead > 150 && expected.late > 30,
        "{:?}",
        expected.balance
    );

    // a stop and a start later the job goes on, and no row has changed
    let before = rows_of(&world, topic::PAGE_METRICS);
    println!("stopped within {:.1} s", world.down().as_secs_f64());
    world.up(&["--no-generate"]);
    let output = world.output();
    assert!(output.contains("from the checkpoint"), "{output}");
    foreign_producer(&world);
    world.generate(&["--rate", "200", "--duration", "6s", "--key", "user", "--seed", "9"]);
    check(&world, 8_000, 2_000);
    let after = rows_of(&world, topic::PAGE_METRICS);
    assert!(before.iter().all(|(key, row)| after.get(key) == Some(row)));
    world.down();
}

/// What Kafka's own console producer sends: other field order, spaces, escapes, numbers, no heartbeats, odd records.
fn foreign_producer(world: &World) {
    let lib = world.data_dir().join("runtime/kafka/lib");
    let mut producer = Command::new("java")
        .args(["-Xmx96m", "-cp", &format!("{}/*", lib.display()), "org.apache.kafka.tools.ConsoleProducer"])
        .args(["--bootstrap-server", &world.kafka(), "--topic", topic::EVENTS])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = producer.stdin.take().unwrap();
    let now = || clickstream_event::Timestamp::now();
    for n in 0..300 {
        let time = now().to_string();
        let line = match n % 12 {
            0 => format!(r#"{{"timestamp":"{time}", "user_id":{n}, "session_id":"s", "page_url":"\/caf\u00e9", "event_type":"click", "site_id":"shop", "event_id":"f{n}"}}"#),
            1 => format!(r#"  {{ "event_id" : "f{n}", "site_id":"blog","event_type":"purchase","user_id":"u","session_id":"s","page_url":"/p","product_id":"x","timestamp":"{time}","value":"12.345678"}}  "#),
            2 => format!(r#"{{"event_id":"f{n}","site_id":"shop","event_type":"page_view","user_id":"old","user_id":"new","session_id":"s","page_url":"/p","timestamp":"{time}"}}"#),
            3 => format!(r#"{{"event_id":"f{n}","site_id":"shop","event_type":"page_view","user_id":"u","session_id":"s","page_url":"/p","timestamp":"{}"}}"#, &time[..19]),
            4 => format!(r#"{{"event_id":"f{n}","site_id":"shop","event_type":"page_view","user_id":"u","session_id":"s","page_url":"/p","timestamp":"{}Z"}}"#, &time[..19]),
            5 => format!(r#"{{"event_id":"f{n}","site_id":"shop","event_type":"page_view","user_id":"u","session_id":"s","page_url":"/p","timestamp":"{time}"}} trailing"#),
            6 => "null".to_owned(),
            7 => format!(r#"{{"event_id":"f{n}","site_id":"shop","event_type":"page_view","user_id":"u\n","session_id":"s","page_url":"/p","timestamp":"{time}"}}"#),
            8 => json!({ "event_id": format!("f{n}"), "site_id": "shop", "event_type": "page_view", "user_id": {"deep": [1]}, "session_id": "s", "page_url": "/p", "timestamp": time }).to_string(),
            9 => format!(r#"{{"event_id":"f{n}","site_id":"shop","event_type":"purchase","user_id":"u","session_id":"s","page_url":"/p","timestamp":"{time}","value":12345678.5}}"#),
            10 => format!(r#"{{"event_id":"f{n}","site_id":"shop","event_type":"page_view","user_id":"ü€😀","session_id":"s","page_url":"/p","product_id":null,"timestamp":"{time}","more":{{"a":[true,null]}}}}"#),
            _ => format!(r#"{{"event_id":"f{}","site_id":"shop","event_type":"page_view","user_id":"u","session_id":"s","page_url":"/p","timestamp":"2026-02-30T00:00:00.000Z"}}"#, n),
        };
        writeln!(lines, "{line}").unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(lines);
    assert!(producer.wait().unwrap().success());
}

/// The textbook queries give the rows of the fast ones; and a changed window begins with whole windows.
#[test]
fn textbook_form_and_changed_window() {
    let mut world = World::new(&["--taskmanager-heap", "400", "--session-gap", SESSION_GAP]);
    world.up(&["--no-generate", "--window", "8s", "--slide", "2s", "--unique-users", "textbook"]);
    crate::plan::check_shared(&world, true);
    world.generate(&["--rate", "400", "--duration", "12s", "--site", "shop,blog"]);
    check(&world, 8_000, 2_000);
    world.down();
    // another window: rows of the new shape appear beside the old ones, and each of them is whole
    world.up(&["--no-generate", "--window", "6s", "--slide", "3s"]);
    world.generate(&["--rate", "200", "--duration", "10s"]);
    let expected = until("windows of the new shape", || {
        let expected = clickstream_recount::recount(
            world.read(topic::EVENTS),
            clickstream_recount::Shape {
                window_ms: 6_000,
                slide_ms: 3_000,
                session_gap_ms: 30_000,
                partitions: 4,
            },
        );
        (expected.watermark >= expected.last_end - 1).then_some(expected)
    });
    let is_new = |row: &serde_json::Value| {
        let at = |field: &str| clickstream_event::Timestamp::parse(row[field].as_str().unwrap()).unwrap().0;
        at("window_end") - at("window_start") == 6_000
    };
    let last = expected.rows[topic::SITE_METRICS]
        .values()
        .map(|row| row["window_end"].as_str().unwrap().to_owned())
        .max()
        .unwrap();
    let rows = until("the last of them", || {
        let rows = shaped_rows(&world, &is_new);
        rows.iter().any(|row| row["window_end"] == last.as_str()).then_some(rows)
    });
    assert!(rows.len() >= 4, "{rows:?}");
    let versions = |row: &serde_json::Value| -> Vec<_> {
        let place = |row: &serde_json::Value| ["site_id", "window_end"].map(|field| row[field].clone());
        rows.iter().filter(|other| place(other) == place(row)).collect()
    };
    for row in &rows {
        let end = clickstream_event::Timestamp::parse(row["window_end"].as_str().unwrap()).unwrap().0;
        let key = format!("{} {end}", row["site_id"].as_str().unwrap());
        let expected = &expected.rows[topic::SITE_METRICS][&key];
        for field in ["event_count", "view_count", "unique_users", "active_sessions"] {
            assert_eq!(
                expected[field],
                row[field],
                "{field} of {row}, expected {expected}: {:#?}",
                versions(row)
            );
        }
    }
    world.down();
}

fn shaped_rows(world: &World, shape: &dyn Fn(&serde_json::Value) -> bool) -> Vec<serde_json::Value> {
    let records = world.read(topic::SITE_METRICS);
    records
        .into_iter()
        .map(|r| serde_json::from_slice(&r.value.unwrap()).unwrap())
        .filter(|row| shape(row))
        .collect()
}

//! Flink against the engine against a recount: the same log through all three, every row and every dead letter compared.
//!
//! Flink reads the log from a Kafka that ran before `up`, so no heartbeat stands between the records, and their event times may
//! lie in the past. One job takes many logs, one after the other; each shape of windows is a start of its own.
//!
//! A partition that stays empty holds back all rows until `up` sends its first heartbeat into it, which it does as soon as the
//! job runs: rows that are held back cannot be seen from here, but that they come, and are the right ones, can.
//! (The recount and the engine are compared over logs with partitions that stay empty in `crates/engine`.)
//!
//! The large run: `cargo test -p clickstream --test it -- --ignored --nocapture differential`, about five minutes; with another number in
//! the environment variable `SEED`, over other logs.

use std::collections::BTreeMap;
use std::time::Instant;

use clickstream_engine::{Config, Engine, Verdict, Window};
use clickstream_event::rows::{DeadLetter, SiteMetrics};
use clickstream_event::{Timestamp, Windows, topic};
use clickstream_recount::golden::Rows;
use clickstream_recount::{Expected, Record, Shape, golden, recount, same, written_at};
use serde_json::Value;

use crate::feed::{Feed, PARTITIONS, Placed};
use crate::harness::{World, until, within_patience};
use crate::recount::rows_of;

/// Letters by partition and offset.
type Letters = BTreeMap<(i32, i64), DeadLetter>;

#[test]
fn flink_equals_engine_and_recount() {
    let mut feed = Feed::new(
        Shape { window_ms: 4_000, slide_ms: 2_000, session_gap_ms: 30_000, partitions: 4 },
        6 * HOUR,
        1,
    );
    feed.antiquity();
    feed.hostile_forms();
    feed.goldens();
    feed.generated(30, 60);
    feed.odd(1_000);
    compare(feed);

    // one partition stays empty, and windows do not overlap
    let mut feed = Feed::new(
        Shape { window_ms: 2_000, slide_ms: 2_000, session_gap_ms: 30_000, partitions: 3 },
        6 * HOUR,
        2,
    );
    feed.goldens();
    feed.generated(30, 60);
    feed.odd(1_000);
    compare(feed);
}

#[test]
#[ignore = "takes minutes"]
fn differential_at_large() {
    let seed = std::env::var("SEED").map_or(100, |seed| seed.parse().unwrap());
    for (n, (window_s, slide_s)) in [(4, 2), (2, 2), (5, 1), (9, 3), (60, 10)].into_iter().enumerate() {
        let shape = Shape {
            window_ms: window_s * 1_000,
            slide_ms: slide_s * 1_000,
            session_gap_ms: 30_000,
            partitions: 4 - n % 2,
        };
        let mut feed = Feed::new(shape, 23 * HOUR, seed + n as u64);
        feed.antiquity();
        feed.hostile_forms();
        feed.goldens();
        feed.generated(100, 120);
        feed.odd(10_000);
        compare(feed);
    }
}

const HOUR: i64 = 3_600_000;

fn compare(mut feed: Feed) {
    let began = Instant::now();
    let Shape { window_ms, slide_ms, .. } = feed.shape;
    let seconds = |ms: i64| format!("{}s", ms / 1_000);
    let (window, slide) = (seconds(window_ms), seconds(slide_ms));
    let mut world = World::new(&["--window", &window, "--slide", &slide, "--taskmanager-heap", "400"]);
    world.start_kafka(PARTITIONS as i32);
    let writer = crate::kafka::Writer::new(&world.kafka());
    writer.write(&feed.records);
    // often enough that an arrival is 10 s before a time with fewer digits
    for _ in 0..30 {
        let from = feed.present();
        writer.write(&feed.records[from..]);
    }
    let written = world.read(topic::EVENTS);
    assert_eq!(written.len(), feed.records.len());
    let last_end = Timestamp(recount(written, feed.shape).last_end).to_string();
    println!("{} records written after {:.1} s", feed.records.len(), began.elapsed().as_secs_f64());
    world.up(&["--no-generate"]);
    println!("job runs after {:.1} s", began.elapsed().as_secs_f64());
    crate::chaos::refuses_external(world.data_dir());
    until("the last window is written", || {
        rows_of(&world, topic::SITE_METRICS)
            .values()
            .any(|row| row["window_end"] == last_end.as_str())
            .then_some(())
    });
    println!("last window after {:.1} s", began.elapsed().as_secs_f64());
    let log = world.read(topic::EVENTS);
    let expected = recount(log.clone(), feed.shape);
    let engine = Outcome::of_engine(&log, feed.shape);
    let flink = Outcome::of_flink(&world, &expected, feed.shape);
    let mut problems = Vec::new();
    assert_eq!(expected.letters, engine.letters.iter().map(|(at, letter)| (*at, name_of(letter))).collect());
    let places: std::collections::BTreeSet<_> = engine.letters.keys().chain(flink.letters.keys()).collect();
    for place in places {
        let (engine, flink) = (engine.letters.get(place), flink.letters.get(place));
        if engine != flink {
            let value = log.iter().find(|record| (record.partition, record.offset) == *place);
            let brief = |letter: Option<&DeadLetter>| letter.map(|l| (l.reason.clone(), l.detail.clone()));
            problems.push(format!(
                "dead letter: engine {:?}, Flink {:?} for {value:?}",
                brief(engine),
                brief(flink)
            ));
        }
    }
    for name in topic::RESULTS {
        differences(name, &expected.rows[name], "recount", &engine.rows[name], "engine", &mut problems);
        differences(name, &engine.rows[name], "engine", &flink.rows[name], "Flink", &mut problems);
    }
    if engine.revenue != flink.revenue {
        problems.push("revenue differs beyond what a double shows".into());
    }
    assert!(
        problems.is_empty(),
        "{} problems, the first of them:\n{}",
        problems.len(),
        problems[..problems.len().min(40)].join("\n")
    );
    feed.goldens.iter().for_each(|placed| check_by_hand(placed, &flink, feed.shape));
    let rows: usize = flink.rows.values().map(BTreeMap::len).sum();
    println!(
        "windows of {window} every {slide}: {} generated logs, {} cases worked out by hand, {} records, {rows} rows, {} dead letters; {:?} of {:?}",
        feed.logs,
        feed.goldens.len(),
        feed.records.len(),
        flink.letters.len(),
        expected.balance,
        began.elapsed()
    );
    world.down();
}

/// What came of the log.
struct Outcome {
    rows: Rows,
    letters: Letters,
    /// Revenue digit for digit, by key of the site's row.
    revenue: BTreeMap<String, String>,
}

impl Outcome {
    fn of_engine(log: &[Record], shape: Shape) -> Self {
        let windows = Windows::new(shape.window_ms, shape.slide_ms).unwrap();
        let config = Config { session_gap_ms: shape.session_gap_ms, ..Config::new(windows) };
        let mut engine = Engine::new(config, shape.partitions);
        let rows = topic::RESULTS.into_iter().map(|name| (name, BTreeMap::new())).collect();
        let mut outcome = Self { rows, letters: BTreeMap::new(), revenue: BTreeMap::new() };
        for record in log {
            let value = record.value.as_deref();
            let verdict: Verdict = engine.push(record.partition as usize, Timestamp(record.arrival), value);
            if let Some(letter) = verdict.dead_letter(record.partition, record.offset, value) {
                outcome.letters.insert((record.partition, record.offset), letter);
            }
            engine.closed().for_each(|window| outcome.take(&window));
        }
        let sessions: Vec<_> = engine.sessions().collect();
        golden::put(&mut outcome.rows, topic::SESSIONS, &sessions);
        let anomalies: Vec<_> = engine.anomalies().collect();
        golden::put(&mut outcome.rows, topic::ANOMALIES, &anomalies);
        engine.closed().for_each(|window| outcome.take(&window));
        outcome
    }

    fn take(&mut self, window: &Window) {
        golden::put(&mut self.rows, topic::PAGE_METRICS, &window.pages);
        golden::put(&mut self.rows, topic::PRODUCT_METRICS, &window.products);
        golden::put(&mut self.rows, topic::SITE_METRICS, &window.sites);
        golden::put(&mut self.rows, topic::TOP_PAGES, &window.top);
        golden::put(&mut self.rows, topic::HUMAN_TOP_PAGES, &window.human_top);
        golden::put(&mut self.rows, topic::TRENDING_PAGES, &window.trending);
        golden::put(&mut self.rows, topic::BOUNCE_RATES, &window.bounce_rates);
        golden::put(&mut self.rows, topic::PROVISIONAL_BOUNCE_RATES, &window.provisional_bounce_rates);
        golden::put(&mut self.rows, topic::PAGE_TRANSITIONS, &window.transitions);
        golden::put(&mut self.rows, topic::ENTRY_EXIT_PAGES, &window.entry_exit);
        golden::put(&mut self.rows, topic::COMMON_PATHS, &window.paths);
        golden::put(&mut self.rows, topic::FUNNELS, &window.funnels);
        golden::put(&mut self.rows, topic::PAGE_ENGAGEMENT, &window.engagement);
        window.sites.iter().for_each(|row| self.note_revenue(row));
    }

    fn note_revenue(&mut self, row: &SiteMetrics) {
        self.revenue.insert(format!("{} {}", row.site_id, row.window_end), format!("{:.4}", row.revenue));
    }

    /// What stands in the topics and could be written when the log was read. Rows of the last window reach their topics one after
    /// the other, and with them all rows of what was held back before: `expected` tells which there must be.
    fn of_flink(world: &World, expected: &Expected, shape: Shape) -> Self {
        let complete = || {
            let outcome = Self::read(world, expected, shape);
            let has_all = |name| expected.rows[name].keys().all(|key| outcome.rows[name].contains_key(key));
            let complete = topic::RESULTS.into_iter().all(has_all);
            (complete && outcome.letters.len() >= expected.letters.len()).then_some(outcome)
        };
        within_patience(complete).unwrap_or_else(|| Self::read(world, expected, shape))
    }

    fn read(world: &World, expected: &Expected, shape: Shape) -> Self {
        let mut rows: Rows = topic::RESULTS.into_iter().map(|name| (name, rows_of(world, name))).collect();
        for (name, rows) in &mut rows {
            rows.retain(|_, row| written_at(name, row, shape) <= expected.watermark);
        }
        let mut outcome = Self { rows, letters: BTreeMap::new(), revenue: BTreeMap::new() };
        for record in world.read(topic::SITE_METRICS) {
            let row: SiteMetrics = serde_json::from_slice(&record.value.unwrap()).unwrap();
            if row.window_end.0 - 1 <= expected.watermark {
                outcome.note_revenue(&row);
            }
        }
        for record in world.read(topic::DEAD_LETTERS) {
            let letter: DeadLetter = serde_json::from_slice(&record.value.unwrap()).unwrap();
            outcome.letters.insert((letter.source_partition, letter.source_offset), letter);
        }
        outcome
    }
}

fn name_of(letter: &DeadLetter) -> &'static str {
    let reasons = [
        "not_json",
        "too_long",
        "missing_field",
        "wrong_type",
        "unknown_event_type",
        "bad_timestamp",
        "future_timestamp",
        "late",
    ];
    reasons.into_iter().find(|reason| *reason == letter.reason).unwrap()
}

fn differences(
    name: &str,
    one: &BTreeMap<String, Value>,
    of_one: &str,
    other: &BTreeMap<String, Value>,
    of_other: &str,
    problems: &mut Vec<String>,
) {
    let keys: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
    for key in keys {
        match (one.get(key), other.get(key)) {
            (Some(a), Some(b)) if same(a, b) => {}
            (a, b) => {
                problems.push(format!("{name} {key}:\n  {of_one} {}\n  {of_other} {}", text(a), text(b)))
            }
        }
    }
}

fn text(row: Option<&Value>) -> String {
    row.map_or("has none".into(), |row| row.to_string().chars().take(500).collect())
}

/// The rows that Flink wrote for a case worked out by hand.
fn check_by_hand(placed: &Placed, flink: &Outcome, shape: Shape) {
    let Placed { case, site, offsets } = placed;
    let of_site = |rows: &BTreeMap<String, Value>| -> BTreeMap<String, Value> {
        rows.iter()
            .filter(|(_, row)| row["site_id"] == site.as_str())
            .map(|(k, row)| (k.clone(), row.clone()))
            .collect()
    };
    let rows: Rows = flink.rows.iter().map(|(name, rows)| (*name, of_site(rows))).collect();
    let mut letters = BTreeMap::new();
    for record in &case.log {
        let place = (record.partition, record.offset + offsets[record.partition as usize]);
        if let Some(letter) = flink.letters.get(&place) {
            letters.insert((record.partition, record.offset), name_of(letter));
        }
    }
    // each event that counts does so in every window that holds it
    let counted: u64 =
        rows[topic::SITE_METRICS].values().map(|row| row["event_count"].as_u64().unwrap()).sum();
    let counted = counted as usize / (shape.window_ms / shape.slide_ms) as usize;
    let heartbeats = case
        .log
        .iter()
        .filter(|r| String::from_utf8_lossy(r.value.as_deref().unwrap()).contains("heartbeat"))
        .count();
    let duplicates = case.log.len() - heartbeats - counted - letters.len();
    case.check(&rows, &letters, [heartbeats, counted, duplicates, letters.len()]);
}

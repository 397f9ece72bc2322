//! The proof accepts what a brute-force recount wrote, and refutes every kind of corruption of it.

mod late;
mod memory;
mod traced;

use std::collections::BTreeMap;

use clickstream_engine::Config;
use clickstream_event::result_row::{is_windowed, key_fields};
use clickstream_event::{Timestamp, Windows, topic};
use clickstream_recount::logs::{self, Case};
use clickstream_recount::{Record, Shape};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::Proof;
use super::explain::{Question, Subject, explain};
use super::narrow::Narrow;
use super::prove::{prove, whole_from};
use super::report::Report;
use crate::logs::Log as _;
use memory::{MemoryLog, lent};

const BEGIN: i64 = 1_795_583_043_021;

fn check(case: &Case, log: &MemoryLog) -> Report {
    let windows = Windows::new(case.shape.window_ms, case.shape.slide_ms).unwrap();
    let config = Config { session_gap_ms: case.shape.session_gap_ms, ..Config::new(windows) };
    prove(log, config, None, || Timestamp(i64::MAX / 2)).unwrap()
}

/// Logs with something in them: of steps that only repeat what was before, none may be left.
fn written(longest: usize) -> impl Strategy<Value = Case> {
    logs::any_shape(BEGIN, longest).prop_filter("an empty log", |case| !case.log.is_empty())
}

const KINDS: &[&str] = &[
    "count plus one",
    "count minus one",
    "row missing",
    "row of a neighbour window",
    "swapped ranks",
    "unique users off by one",
    "rate rounded",
    "late event counted",
    "doubled event counted",
    "wrong dead letter",
    "stale window",
    "dead letter missing",
    "forged row",
    "forged dead letter",
    "row deleted",
    "revenue off by a ten-thousandth",
    "row overwritten",
    "wrong record key",
    "window start moved",
    "no row at all",
    "number of a further row changed",
    "further row missing",
    "further row forged",
];

/// Topics beside the first four.
const FURTHER: [&str; 11] = [
    topic::HUMAN_TOP_PAGES,
    topic::TRENDING_PAGES,
    topic::SESSIONS,
    topic::BOUNCE_RATES,
    topic::PROVISIONAL_BOUNCE_RATES,
    topic::PAGE_TRANSITIONS,
    topic::ENTRY_EXIT_PAGES,
    topic::COMMON_PATHS,
    topic::FUNNELS,
    topic::PAGE_ENGAGEMENT,
    topic::ANOMALIES,
];

/// Whether a dead letter must be there: that of a record of the last moments may still be on its way.
fn settled<'c>(log: &mut MemoryLog, case: &'c Case) -> Option<impl Fn(&Value) -> bool + use<'c>> {
    let rows = log.rows(topic::SITE_METRICS, |_| true);
    let newest = rows.into_iter().map(|(_, row)| row["window_end"].as_str().unwrap().to_owned()).max()?;
    let newest = Timestamp::parse(&newest)?;
    Some(move |letter: &Value| {
        let place = (letter["source_partition"].as_i64(), letter["source_offset"].as_i64());
        let record = case.log.iter().find(|r| (Some(i64::from(r.partition)), Some(r.offset)) == place);
        record.is_some_and(|record| record.arrival < newest.0)
    })
}

/// Corrupts results in one way, at a place of choice; `None` where there is nothing to corrupt in that way.
fn corrupt(kind: &str, case: &Case, pick: usize) -> Option<MemoryLog> {
    let mut log = MemoryLog::new(case, &case.log);
    let slide = case.shape.slide_ms;
    let shifted = |text: &Value, by: i64| {
        json!(Timestamp(Timestamp::parse_any_year(text.as_str().unwrap()).unwrap().0 + by).to_string())
    };
    let any = |log: &mut MemoryLog, name: &str, passes: &dyn Fn(&Value) -> bool| {
        let rows = log.rows(name, passes);
        (!rows.is_empty()).then(|| rows[pick % rows.len()].clone())
    };
    let counts = ["view_count", "click_count", "add_to_cart_count", "purchase_count"];
    let topic = [topic::PAGE_METRICS, topic::PRODUCT_METRICS, topic::SITE_METRICS][pick % 3];
    match kind {
        "count plus one" | "count minus one" => {
            let field = counts[pick % 4];
            let by = if kind == "count plus one" { 1 } else { -1 };
            let (n, mut row) = any(&mut log, topic, &|row| row[field].as_i64().unwrap() + by >= 0)?;
            row[field] = json!(row[field].as_i64().unwrap() + by);
            log.replace(topic, n, &row);
        }
        "unique users off by one" => {
            let (n, mut row) = any(&mut log, topic, &|_| true)?;
            row["unique_users"] =
                json!(row["unique_users"].as_i64().unwrap() + if pick.is_multiple_of(2) { 1 } else { -1 });
            log.replace(topic, n, &row);
        }
        "row missing" => {
            let topic = topic::RESULTS[pick % 4];
            let (n, _) = any(&mut log, topic, &|_| true)?;
            // without its site's row nobody knows that the very first or newest window is there
            if topic == topic::SITE_METRICS && log.records(topic).len() < 4 {
                return None;
            }
            let first =
                log.rows(topic, |_| true).into_iter().map(|(_, row)| row["window_end"].to_string()).min();
            let last =
                log.rows(topic, |_| true).into_iter().map(|(_, row)| row["window_end"].to_string()).max();
            let end = Some(log.rows(topic, |_| true)[n].1["window_end"].to_string());
            if topic == topic::SITE_METRICS && (end == first || end == last) {
                return None;
            }
            log.remove(topic, n);
        }
        "row of a neighbour window" => {
            let (n, mut row) = any(&mut log, topic::PAGE_METRICS, &|_| true)?;
            let key = row["window_end"].clone();
            row["window_end"] = shifted(&key, slide);
            row["window_start"] = shifted(&row["window_start"], slide);
            log.replace(topic::PAGE_METRICS, n, &row);
            let mut record = log.records(topic::PAGE_METRICS)[n].clone();
            let key = String::from_utf8(record.key.unwrap()).unwrap();
            record.key = Some(key.replace(row["window_end"].as_str().unwrap(), "").into_bytes());
            log.remove(topic::PAGE_METRICS, n);
            log.append(topic::PAGE_METRICS, &row);
        }
        "swapped ranks" => {
            let (n, mut row) = any(&mut log, topic::TOP_PAGES, &|row| row["rank"] == 1)?;
            let (m, mut other) = any(&mut log, topic::TOP_PAGES, &|other| {
                other["rank"] == 2
                    && other["window_end"] == row["window_end"]
                    && other["site_id"] == row["site_id"]
            })?;
            for field in ["page_url", "view_count", "unique_users", "click_through_rate"] {
                let kept = row[field].take();
                row[field] = other[field].take();
                other[field] = kept;
            }
            log.replace(topic::TOP_PAGES, n, &row);
            log.replace(topic::TOP_PAGES, m, &other);
        }
        "rate rounded" => {
            let topic = [topic::PAGE_METRICS, topic::TOP_PAGES, topic::SITE_METRICS][pick % 3];
            let rounded = |rate: f64| (rate * 100.0).round() / 100.0;
            let (n, mut row) = any(&mut log, topic, &|row| {
                row["click_through_rate"].as_f64().is_some_and(|rate| (rounded(rate) - rate).abs() > 1e-6)
            })?;
            row["click_through_rate"] = json!(rounded(row["click_through_rate"].as_f64().unwrap()));
            log.replace(topic, n, &row);
        }
        "late event counted" => {
            let settled = settled(&mut log, case)?;
            let letter =
                any(&mut log, topic::DEAD_LETTERS, &|letter| letter["reason"] == "late" && settled(letter))?
                    .1;
            let place = (letter["source_partition"].as_i64()? as i32, letter["source_offset"].as_i64()?);
            let counted: Vec<Record> = case
                .log
                .iter()
                .map(|record| {
                    let mut record = record.clone();
                    if (record.partition, record.offset) == place {
                        let mut event: Value = serde_json::from_slice(record.value.as_ref().unwrap()).ok()?;
                        event["timestamp"] = json!(Timestamp(record.arrival).to_string());
                        record.value = Some(event.to_string().into_bytes());
                    }
                    Some(record)
                })
                .collect::<Option<_>>()?;
            log = MemoryLog::new(case, &counted);
        }
        "doubled event counted" => {
            let mut seen: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
            let mut counted = case.log.clone();
            let copies: Vec<usize> = counted
                .iter()
                .enumerate()
                .filter(|(n, record)| {
                    record.value.as_ref().is_some_and(|value| {
                        value.starts_with(b"{\"event_id\":\"e") && seen.insert(value.clone(), *n).is_some()
                    })
                })
                .map(|(n, _)| n)
                .collect();
            let n = *copies.get(pick.checked_rem(copies.len())?)?;
            let text = String::from_utf8(counted[n].value.take()?).unwrap();
            counted[n].value =
                Some(text.replacen("\"event_id\":\"e", "\"event_id\":\"copy-e", 1).into_bytes());
            log = MemoryLog::new(case, &counted);
            // where the copy was late as well, nothing changes
            let before = MemoryLog::new(case, &case.log);
            if before.topics[topic::SITE_METRICS] == log.topics[topic::SITE_METRICS] {
                return None;
            }
        }
        "wrong dead letter" => {
            let (n, mut letter) = any(&mut log, topic::DEAD_LETTERS, &|_| true)?;
            if pick.is_multiple_of(2) {
                letter["reason"] = json!("because");
            } else {
                letter["raw"] = json!("something else");
            }
            log.replace(topic::DEAD_LETTERS, n, &letter);
        }
        "stale window" => {
            let (n, mut row) = any(&mut log, topic::PAGE_METRICS, &|_| true)?;
            let before = shifted(&row["window_end"], -slide);
            let (_, old) = any(&mut log, topic::PAGE_METRICS, &|old| {
                old["window_end"] == before
                    && old["page_url"] == row["page_url"]
                    && old["site_id"] == row["site_id"]
            })?;
            let fields = [&counts[..], &["unique_users", "click_through_rate"]].concat();
            if fields.iter().all(|field| old[*field] == row[*field]) {
                return None;
            }
            fields.iter().for_each(|field| row[*field] = old[*field].clone());
            log.replace(topic::PAGE_METRICS, n, &row);
        }
        "dead letter missing" => {
            let settled = settled(&mut log, case)?;
            let (n, _) = any(&mut log, topic::DEAD_LETTERS, &settled)?;
            log.remove(topic::DEAD_LETTERS, n);
        }
        "forged row" => {
            let (_, mut row) = any(&mut log, topic::PAGE_METRICS, &|_| true)?;
            row["page_url"] = json!("/forged");
            log.append(topic::PAGE_METRICS, &row);
        }
        "forged dead letter" => {
            let record = case
                .log
                .iter()
                .find(|r| r.value.as_ref().is_some_and(|v| v.starts_with(b"{\"event_type\":\"heart")))?;
            log.append(
                topic::DEAD_LETTERS,
                &json!({ "reason": "late", "source_partition": record.partition, "source_offset": record.offset, "raw": "" }),
            );
            log.rows(topic::SITE_METRICS, |_| true).first()?;
        }
        "row deleted" => {
            let topic = topic::RESULTS[pick % 4];
            let (n, _) = any(&mut log, topic, &|_| true)?;
            let key = log.records(topic)[n].key.clone();
            log.put(topic, key, None);
        }
        "revenue off by a ten-thousandth" => {
            let (n, mut row) = any(&mut log, topic::SITE_METRICS, &|_| true)?;
            row["revenue"] = json!(((row["revenue"].as_f64()? + 0.0001) * 10_000.0).round() / 10_000.0);
            log.replace(topic::SITE_METRICS, n, &row);
        }
        "row overwritten" => {
            let (_, mut row) = any(&mut log, topic, &|_| true)?;
            row["view_count"] = json!(row["view_count"].as_i64().unwrap() + 1);
            log.append(topic, &row);
        }
        "wrong record key" => {
            let (n, _) = any(&mut log, topic, &|_| true)?;
            log.records(topic)[n].key = Some(b"{\"site_id\":\"elsewhere\"}".to_vec());
        }
        "window start moved" => {
            let (n, mut row) = any(&mut log, topic::PAGE_METRICS, &|_| true)?;
            row["window_start"] = shifted(&row["window_start"], slide);
            let first = log
                .rows(topic::SITE_METRICS, |_| true)
                .into_iter()
                .map(|(_, row)| row["window_end"].to_string())
                .min();
            if Some(row["window_end"].to_string()) == first {
                return None;
            }
            log.replace(topic::PAGE_METRICS, n, &row);
        }
        "no row at all" => {
            let (n, _) = any(&mut log, topic, &|_| true)?;
            log.records(topic)[n].value = Some(b"{\"site_id\":1}".to_vec());
        }
        _ => {
            let topic = FURTHER[pick % FURTHER.len()];
            let first = log
                .rows(topic::SITE_METRICS, |_| true)
                .into_iter()
                .map(|(_, row)| row["window_end"].to_string())
                .min()?;
            let last = log
                .rows(topic::SITE_METRICS, |_| true)
                .into_iter()
                .map(|(_, row)| row["window_end"].to_string())
                .max()?;
            // of a session or an anomaly before the first window, or after the last, nothing is said
            let gap = case.shape.session_gap_ms;
            let at = |row: &Value| match topic {
                topic::SESSIONS => shifted(&row["session_end"], gap).to_string(),
                topic::ANOMALIES => row["detected_at"].to_string(),
                _ => row["window_end"].to_string(),
            };
            let (n, mut row) = any(&mut log, topic, &|row| at(row) >= first && at(row) <= last)?;
            match kind {
                "further row missing" => log.remove(topic, n),
                "further row forged" => {
                    let field = *key_fields(topic).last()?;
                    row[field] = match &row[field] {
                        Value::Number(number) => json!(number.as_u64()? + 1_000),
                        Value::String(text)
                            if Timestamp::parse(text).is_some() && topic != topic::FUNNELS =>
                        {
                            json!(Timestamp(Timestamp::parse(text)?.0 - 1).to_string())
                        }
                        _ => json!("/forged"),
                    };
                    if topic == topic::FUNNELS {
                        row["site_id"] = json!("forged");
                        row["window_end"] = json!(last.trim_matches('"'));
                    }
                    log.append(topic, &row);
                }
                _ => {
                    let key = key_fields(topic);
                    let numbers: Vec<String> = row
                        .as_object()?
                        .iter()
                        .filter(|(name, value)| value.is_number() && !key.contains(&name.as_str()))
                        .map(|(name, _)| name.clone())
                        .collect();
                    let field = &numbers[pick / FURTHER.len() % numbers.len()];
                    row[field] = if row[field].is_u64() {
                        json!(row[field].as_u64()? + 1)
                    } else {
                        json!(row[field].as_f64()? * (1.0 + 1e-6) + 1e-6)
                    };
                    log.replace(topic, n, &row);
                }
            }
        }
    }
    Some(log)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn accepts_what_the_recount_wrote(case in written(60), again in any::<bool>()) {
        let mut log = MemoryLog::new(&case, &case.log);
        if again {
            // a restart writes rows and letters again
            let rows = log.records(topic::PAGE_METRICS).clone();
            rows.into_iter().rev().take(9).for_each(|r| log.put(topic::PAGE_METRICS, r.key, r.value));
            let letters = log.records(topic::DEAD_LETTERS).clone();
            letters.into_iter().for_each(|r| log.put(topic::DEAD_LETTERS, r.key, r.value));
        }
        let report = check(&case, &log);
        prop_assert_eq!(report.problems(), 0, "{:#?}", report);
        let rows: usize = topic::RESULTS.iter().map(|name| log.topics[name][0].len()).sum();
        let letters = log.topics[topic::DEAD_LETTERS][0].len();
        prop_assert_eq!(report.equal() + report.written_again + report.letters_again, (rows + letters) as u64);
        prop_assert_eq!(report.balance.records as usize, case.log.len());
    }

    /// Rows are equal in whatever order they stand.
    #[test]
    fn accepts_rows_in_any_order(case in written(60), turns in proptest::collection::vec(any::<u16>(), 15)) {
        let mut log = MemoryLog::new(&case, &case.log);
        for (name, turn) in topic::RESULTS.into_iter().zip(turns) {
            let records = log.records(name);
            records.reverse();
            let middle = usize::from(turn) % records.len().max(1);
            records.rotate_left(middle);
            records.iter_mut().enumerate().for_each(|(n, record)| record.offset = n as i64);
        }
        let report = check(&case, &log);
        prop_assert_eq!(report.problems(), 0, "{:#?}", report);
        let rows: usize = topic::RESULTS.iter().map(|name| log.topics[name][0].len()).sum();
        let letters = report.topics.get(topic::DEAD_LETTERS).map_or(0, |letters| letters.equal);
        prop_assert_eq!((report.equal() - letters) as usize, rows);
    }

    /// Retention removes the head of the log; the rows stay.
    #[test]
    fn accepts_a_log_without_its_head(case in written(90), cut in 0usize..40) {
        let mut log = MemoryLog::new(&case, &case.log);
        log.low = log.topics[topic::EVENTS].iter().map(|records| cut.min(records.len().saturating_sub(1)) as i64).collect();
        let report = check(&case, &log);
        prop_assert_eq!(report.problems(), 0, "{:#?}", report);
    }

    /// And a replay writes letters again, also of records of which nobody can tell whether they were late.
    #[test]
    fn accepts_letters_again_of_a_log_without_its_head(case in written(60), cut in 0usize..40) {
        let mut log = MemoryLog::new(&case, &case.log);
        log.low = log.topics[topic::EVENTS].iter().map(|records| cut.min(records.len().saturating_sub(1)) as i64).collect();
        let windows = Windows::new(case.shape.window_ms, case.shape.slide_ms).unwrap();
        let bounds = log.bounds(topic::EVENTS).unwrap();
        let from = whole_from(&log, &bounds).unwrap();
        let mut proof = Proof::new(Config::new(windows), bounds.0.len(), from, false);
        let reading = proof.reading();
        let letters = &log.topics[topic::DEAD_LETTERS][0];
        letters.iter().for_each(|letter| proof.take(reading.read(topic::DEAD_LETTERS, &lent(letter))));
        log.read(topic::EVENTS, &bounds, &mut |record| { proof.event(record); Ok(()) }).unwrap();
        proof.settle(false);
        letters.iter().for_each(|letter| proof.take(reading.read(topic::DEAD_LETTERS, &lent(letter))));
        proof.settle_letters(&[], &bounds.0);
        prop_assert_eq!(proof.report().topics.get(topic::DEAD_LETTERS).map_or(0, |letters| letters.unexpected), 0);
    }

    /// Rows of windows of another shape, written before the shape was changed, are nobody's fault.
    #[test]
    fn accepts_a_window_that_was_changed(case in written(60), after in 2usize..5) {
        let mut log = MemoryLog::new(&case, &case.log);
        let windows = |log: &mut MemoryLog| -> Vec<String> {
            log.rows(topic::SITE_METRICS, |_| true).into_iter().map(|(_, row)| row["window_end"].as_str().unwrap().to_owned()).collect()
        };
        let Some(change) = windows(&mut log).into_iter().nth(after) else { return Ok(()) };
        let before = Case { shape: Shape { window_ms: case.shape.window_ms * 2, ..case.shape }, log: case.log.clone() };
        let mut old = MemoryLog::new(&before, &case.log);
        for name in topic::RESULTS {
            // what belongs to no window: an anomaly does not say for what window it was found
            let at = |row: &Value| {
                let time = ["window_end", "detected_at"].iter().find_map(|field| row[*field].as_str());
                time.unwrap_or(if is_windowed(name) { "" } else { "9" }).to_owned()
            };
            let new: Vec<Value> = log.rows(name, |row| at(row) >= change).into_iter().map(|(_, row)| row).collect();
            let rows: Vec<Value> = old.rows(name, |row| at(row) < change).into_iter().map(|(_, row)| row).collect();
            log.records(name).clear();
            rows.iter().chain(&new).for_each(|row| log.append(name, row));
        }
        let report = check(&case, &log);
        prop_assert_eq!(report.problems(), 0, "{:#?}", report);
    }

    /// The events listed are those that were counted.
    #[test]
    fn explains_every_page_row(case in written(50)) {
        let mut log = MemoryLog::new(&case, &case.log);
        let windows = Windows::new(case.shape.window_ms, case.shape.slide_ms).unwrap();
        for (n, (_, row)) in log.rows(topic::PAGE_METRICS, |_| true).into_iter().take(12).enumerate() {
            let question = Question {
                site_id: row["site_id"].as_str().unwrap().to_owned(),
                subject: Subject::Page(row["page_url"].as_str().unwrap().to_owned()),
                window_end: Timestamp::parse(row["window_end"].as_str().unwrap()).unwrap(),
                narrow: Narrow::default(),
                keep: usize::MAX,
            };
            // the memory's rows all arrived at the beginning
            let mut late = log.clone();
            for name in topic::RESULTS {
                let arrival = question.window_end.0;
                late.topics.get_mut(name).unwrap()[0].iter_mut().for_each(|r| r.arrival = arrival);
            }
            let config = Config { session_gap_ms: case.shape.session_gap_ms, ..Config::new(windows) };
            // of each number as many events are listed as it says, however few of them are kept
            let mut of_metric = BTreeMap::new();
            let names = ["view_count", "click_count", "add_to_cart_count", "purchase_count"];
            // one of them after the other: each reads the log again
            let name = names[n % 4];
            for metric in [name.to_owned(), format!("human_{name}")] {
                let narrow = Narrow::of(&metric);
                let some = explain(&late, config, Question { narrow, keep: 2, ..question.clone() }).unwrap();
                let count = row[&metric].as_u64().unwrap();
                prop_assert_eq!(some.totals.counted as u64, count, "{}", metric);
                prop_assert_eq!(some.counted.len() as u64, count.min(2), "{}", metric);
                of_metric.insert(metric, some.counted);
            }
            let people = Question { narrow: Narrow::of("human_unique_users"), keep: 0, ..question.clone() };
            let people = explain(&late, config, people).unwrap().users.len() as u64;
            prop_assert_eq!(people, row["human_unique_users"].as_u64().unwrap());
            let explanation = explain(&late, config, question).unwrap();
            let views = explanation.counted.iter().filter(|line| line.event_type == "page_view").take(2);
            if let Some(kept) = of_metric.get("view_count") {
                prop_assert_eq!(&views.cloned().collect::<Vec<_>>(), kept);
            }
            prop_assert!(explanation.ended);
            prop_assert_eq!(explanation.users.len() as u64, row["unique_users"].as_u64().unwrap());
            let of = |kind: &str| explanation.counted.iter().filter(|line| line.event_type == kind).count() as u64;
            prop_assert_eq!(of("page_view"), row["view_count"].as_u64().unwrap());
            prop_assert_eq!(of("click"), row["click_count"].as_u64().unwrap());
            let own = explanation.rows.iter().find(|pair| pair.topic == topic::PAGE_METRICS).unwrap();
            let recount = serde_json::to_value(own.recount.as_ref().unwrap()).unwrap();
            prop_assert!(clickstream_recount::same(&recount, &row), "{} {}", recount, row);
            for pair in &explanation.rows {
                prop_assert!(pair.agrees(), "{:?}", pair);
            }
        }
    }
}

/// The results of a log that was counted with one session gap until `since`, and from then on with a longer one.
fn with_two_gaps(case: &Case, since: Timestamp) -> (Case, MemoryLog) {
    let shape = Shape { session_gap_ms: case.shape.session_gap_ms + 1_500, ..case.shape };
    let later = Case { shape, log: case.log.clone() };
    let [mut before, mut after] = [case, &later].map(|case| MemoryLog::new(case, &case.log));
    let end_of = |name: &str, row: &Value, case: &Case| {
        let time = |field: &str| Timestamp::parse(row[field].as_str().unwrap()).unwrap();
        match name {
            topic::SESSIONS => Timestamp(time("session_end").0 + case.shape.session_gap_ms),
            topic::ANOMALIES => time("detected_at"),
            _ => time("window_end"),
        }
    };
    for name in topic::written().filter(|name| *name != topic::DEAD_LETTERS) {
        let old = before.rows(name, |row| end_of(name, row, case) < since);
        let overwritten = after.rows(name, |row| end_of(name, row, &later) < since);
        for (n, _) in overwritten.iter().rev() {
            after.remove(name, *n);
        }
        old.iter().for_each(|(_, row)| after.append(name, row));
    }
    (later, after)
}

/// Rows that were counted with other settings before are no lies; of those that began later, all is said.
#[test]
fn a_change_of_settings_refutes_nothing() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let [mut refuted_without, mut refuted_forgeries] = [0; 2];
    for _ in 0..60 {
        let case = written(80).new_tree(&mut runner).unwrap().current();
        let arrivals = || case.log.iter().map(|record| record.arrival);
        let since = Timestamp(arrivals().min().unwrap().midpoint(arrivals().max().unwrap()));
        let (later, mut log) = with_two_gaps(&case, since);
        let windows = Windows::new(later.shape.window_ms, later.shape.slide_ms).unwrap();
        let config = Config { session_gap_ms: later.shape.session_gap_ms, ..Config::new(windows) };
        let problems = |log: &MemoryLog, since| {
            prove(log, config, since, || Timestamp(i64::MAX / 2)).unwrap().problems()
        };
        assert_eq!(problems(&log, Some(since)), 0);
        refuted_without += u32::from(problems(&log, None) > 0);
        let newer = |row: &Value| Timestamp::parse(row["window_start"].as_str().unwrap()).unwrap() >= since;
        if let Some((n, mut row)) = log.rows(topic::SITE_METRICS, newer).into_iter().next() {
            row["event_count"] = json!(row["event_count"].as_u64().unwrap() + 1);
            log.replace(topic::SITE_METRICS, n, &row);
            assert!(problems(&log, Some(since)) > 0);
            refuted_forgeries += 1;
        }
    }
    assert!(refuted_without > 5 && refuted_forgeries > 5, "{refuted_without} {refuted_forgeries}");
}

/// Whoever reads the rows in a thread of its own says why it cannot.
#[test]
fn of_an_empty_log_nothing_is_said() {
    let shape = Shape { window_ms: 2_000, slide_ms: 1_000, session_gap_ms: 1_000, partitions: 2 };
    let log = MemoryLog::new(&Case { shape, log: Vec::new() }, &[]);
    let windows = Windows::new(shape.window_ms, shape.slide_ms).unwrap();
    let refused = prove(&log, Config::new(windows), None, || Timestamp(BEGIN)).unwrap_err();
    assert!(refused.to_string().contains("no events yet"), "{refused}");
}

#[test]
fn rows_that_cannot_be_read_are_an_error() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let case = written(60).new_tree(&mut runner).unwrap().current();
    let log = MemoryLog { broken: true, ..MemoryLog::new(&case, &case.log) };
    let windows = Windows::new(case.shape.window_ms, case.shape.slide_ms).unwrap();
    let error = prove(&log, Config::new(windows), None, || Timestamp(i64::MAX / 2)).unwrap_err();
    assert_eq!(error.to_string(), "the disk is broken");
}

/// Each kind in logs of every sort; and each kind must have been possible somewhere.
#[test]
fn refutes_every_kind_of_corruption() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut tried = [0; KINDS.len()];
    for pick in 0..150 {
        let case = written(60).new_tree(&mut runner).unwrap().current();
        for (n, kind) in KINDS.iter().enumerate() {
            if let Some(log) = corrupt(kind, &case, pick) {
                tried[n] += 1;
                assert!(check(&case, &log).problems() > 0, "{kind}");
            }
        }
    }
    println!("{:?}", KINDS.iter().zip(tried).collect::<Vec<_>>());
    assert!(tried.iter().all(|times| *times >= 3), "{:?}", KINDS.iter().zip(tried).collect::<Vec<_>>());
}

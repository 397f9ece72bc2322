//! The generated logs hold what they are meant to hold, and what the recount makes of them is whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeMap;

use clickstream_event::rows::{self, *};
use clickstream_event::topic;
use clickstream_recount::{golden, logs, recount};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

const BEGIN: i64 = 1_795_583_043_021;

/// The row as the type reads and writes it: no field is missing, and none is too many.
fn typed<T: DeserializeOwned + Serialize>(row: &Value) -> Value {
    let text = row.to_string();
    let typed: T = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    serde_json::to_value(typed).unwrap()
}

fn typed_row(name: &str, row: &Value) -> Value {
    match name {
        topic::PAGE_METRICS => typed::<PageMetrics>(row),
        topic::PRODUCT_METRICS => typed::<ProductMetrics>(row),
        topic::SITE_METRICS => typed::<SiteMetrics>(row),
        topic::TOP_PAGES => typed::<TopPage>(row),
        topic::HUMAN_TOP_PAGES => typed::<HumanTopPage>(row),
        topic::TRENDING_PAGES => typed::<TrendingPage>(row),
        topic::SESSIONS => typed::<Session>(row),
        topic::BOUNCE_RATES => typed::<BounceRate>(row),
        topic::PROVISIONAL_BOUNCE_RATES => typed::<ProvisionalBounceRate>(row),
        topic::PAGE_TRANSITIONS => typed::<PageTransition>(row),
        topic::ENTRY_EXIT_PAGES => typed::<EntryExitPage>(row),
        topic::COMMON_PATHS => typed::<CommonPath>(row),
        topic::FUNNELS => typed::<Funnel>(row),
        topic::PAGE_ENGAGEMENT => typed::<PageEngagement>(row),
        topic::ANOMALIES => typed::<rows::Anomaly>(row),
        _ => panic!("{name}"),
    }
}

/// What must hold between rows of different topics, whatever the log.
fn check_sums(rows: &golden::Rows) {
    let sum = |name: &str, window: &str, field: &str| -> u64 {
        let of_window = |row: &&Value| window_of(row) == window;
        rows[name].values().filter(of_window).map(|row| row[field].as_u64().unwrap()).sum()
    };
    for funnel in rows[topic::FUNNELS].values() {
        let window = window_of(funnel);
        for (name, field) in [
            (topic::BOUNCE_RATES, "entries"),
            (topic::ENTRY_EXIT_PAGES, "entries"),
            (topic::ENTRY_EXIT_PAGES, "exits"),
        ] {
            assert_eq!(funnel["sessions"].as_u64().unwrap(), sum(name, &window, field), "{name} {funnel}");
        }
    }
    for site in rows[topic::SITE_METRICS].values() {
        let window = window_of(site);
        for field in ["view_count", "click_count", "purchase_count", "human_view_count", "human_click_count"]
        {
            assert_eq!(site[field].as_u64().unwrap(), sum(topic::PAGE_METRICS, &window, field), "{site}");
        }
        assert!(site["human_event_count"].as_u64() <= site["event_count"].as_u64());
        let moves = sum(topic::PAGE_TRANSITIONS, &window, "transition_count");
        let stays = sum(topic::PAGE_ENGAGEMENT, &window, "stay_count");
        assert!(moves <= stays && stays <= site["view_count"].as_u64().unwrap(), "{site}");
    }
    for row in rows[topic::PROVISIONAL_BOUNCE_RATES].values() {
        let [entries, bounces, undecided] =
            ["entries", "bounces", "undecided"].map(|field| row[field].as_u64().unwrap());
        assert!(bounces + undecided <= entries, "{row}");
    }
}

fn window_of(row: &Value) -> String {
    format!("{} {}", row["site_id"], row["window_end"])
}

#[test]
fn generated_logs_show_everything() {
    let mut runner = TestRunner::deterministic();
    let logs = logs::any_shape(BEGIN, 60);
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    let mut records = 0;
    for _ in 0..1_500 {
        let case = logs.new_tree(&mut runner).unwrap().current();
        records += case.log.len();
        let expected = recount(case.log, case.shape);
        check_sums(&expected.rows);
        for name in topic::RESULTS {
            for row in expected.rows[name].values() {
                let typed = typed_row(name, row);
                assert!(clickstream_recount::same(row, &typed), "{name}\n{row}\n{typed}");
                *found.entry(name.to_owned()).or_default() += 1;
                if name == topic::ANOMALIES {
                    let of_rule =
                        format!("{} {}", row["kind"].as_str().unwrap(), row["rule"].as_str().unwrap());
                    *found.entry(of_rule).or_default() += 1;
                }
            }
        }
        if expected.watermark >= expected.settled {
            *found.entry("settled".into()).or_default() += 1;
        }
    }
    println!("{records} records, {found:#?}");
    let rules = [
        "bot declared",
        "bot fast",
        "bot metronome",
        "bot repeated",
        "bot crawl",
        "unusual_user purchase",
        "unusual_user pages",
        "unusual_user sessions",
        "traffic_spike z_score",
        "traffic_drop z_score",
    ];
    for name in topic::RESULTS.into_iter().chain(rules) {
        assert!(found.get(name).is_some_and(|count| *count >= 3), "{name}: {found:#?}");
    }
}

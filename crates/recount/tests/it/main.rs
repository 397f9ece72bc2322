//! The generated logs hold what they are meant to hold, and what the recount makes of them is whole.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeMap;

use clickstream_event::rows::{self, *};
use clickstream_event::topic;
use clickstream_recount::{logs, recount};
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
        assert!(found.get(name).is_some_and(|count| *count >= 5), "{name}: {found:#?}");
    }
}

//! Numbers agree: what REST says equals what stands in the topic, parts add up to their whole, and all of it is proven.

use std::collections::BTreeMap;
use std::path::Path;

use clickstream_event::result_row::key_fields;
use clickstream_event::topic;
use clickstream_log::Reader;
use serde_json::Value;

use crate::embedded::{Running, SHORT, on, output_of, verify, windows};
use crate::harness::{SPOILT, text, until};

/// A resource of REST and the topic behind it.
pub const LISTS: [(&str, &str); 13] = [
    ("site", topic::SITE_METRICS),
    ("pages", topic::PAGE_METRICS),
    ("products", topic::PRODUCT_METRICS),
    ("pages/top", topic::TOP_PAGES),
    ("pages/human-top", topic::HUMAN_TOP_PAGES),
    ("pages/trending", topic::TRENDING_PAGES),
    ("pages/bounce-rates", topic::BOUNCE_RATES),
    ("provisional-bounce-rates", topic::PROVISIONAL_BOUNCE_RATES),
    ("transitions", topic::PAGE_TRANSITIONS),
    ("entry-exit", topic::ENTRY_EXIT_PAGES),
    ("paths", topic::COMMON_PATHS),
    ("funnel", topic::FUNNELS),
    ("engagement", topic::PAGE_ENGAGEMENT),
];

/// All rows of a resource, page after page.
async fn rest(http: &reqwest::Client, url: &str, path: &str, parameters: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    loop {
        let page = format!("{url}/api/v1/{path}?limit=1000&{parameters}&offset={}", rows.len());
        // a series has no pages
        let page = if path == "site" { page.replace("&offset=0", "") } else { page };
        let answer: Value = http.get(&page).send().await.unwrap().json().await.unwrap();
        rows.extend(answer["rows"].as_array().unwrap_or_else(|| panic!("{page}: {answer}")).iter().cloned());
        if answer["next"].is_null() {
            return rows;
        }
    }
}

/// The newest row of each key of a topic in files, of the window that ended at `end`.
fn rows_of(dir: &Path, name: &str, end: &str) -> BTreeMap<String, Value> {
    let results = dir.join("embedded/results");
    let mut rows = BTreeMap::new();
    for partition in 0..std::fs::read_dir(results.join(name)).unwrap().count() as u32 {
        let mut reader = Reader::open(&results, name, partition, 0).unwrap();
        while let Some(record) = reader.next().unwrap() {
            let row: Value = serde_json::from_slice(record.value.unwrap()).unwrap();
            if row["window_end"] == end {
                rows.insert(key(name, &row), row);
            }
        }
    }
    rows
}

fn key(name: &str, row: &Value) -> String {
    key_fields(name).iter().map(|field| format!("{} ", row[*field])).collect()
}

fn sum(rows: &[Value], field: &str) -> u64 {
    rows.iter().map(|row| row[field].as_u64().unwrap()).sum()
}

#[test]
fn shown_numbers_are_those_of_the_topics_and_add_up() {
    let dir = tempfile::tempdir().unwrap();
    // so that sessions close while the test looks
    let running = Running::up(dir.path(), &[&SPOILT[..], &["--session-gap", "2s"]].concat());
    until("windows", || (windows(dir.path()).len() >= 8).then_some(()));
    let url = output_of(dir.path(), "addresses").pop().unwrap()["dashboard"].as_str().unwrap().to_owned();
    let end = windows(dir.path())[5]["window_end"].as_str().unwrap().to_owned();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let http = reqwest::Client::new();
    let lists: BTreeMap<&str, Vec<Value>> = LISTS
        .into_iter()
        .map(|(path, name)| {
            let which =
                if path == "site" { format!("from={end}&to={end}") } else { format!("window_end={end}") };
            // the store is filled in the order of the topics' partitions: wait until the last row is there
            let rows = until("all rows in REST", || {
                let rows = runtime.block_on(rest(&http, &url, path, &which));
                (rows.len() == rows_of(dir.path(), name, &end).len()).then_some(rows)
            });
            (path, rows)
        })
        .collect();
    let page = lists["pages/top"][0]["page_url"].as_str().unwrap().to_owned();
    running.interrupt();

    for (path, name) in LISTS {
        let in_topic = rows_of(dir.path(), name, &end);
        let shown: BTreeMap<String, Value> =
            lists[path].iter().map(|row| (key(name, row), row.clone())).collect();
        assert!(!in_topic.is_empty() || path == "pages/trending", "{name} has rows");
        assert_eq!(shown, in_topic, "{path} shows what stands in {name}");
    }

    // parts and wholes
    let site = &lists["site"][0];
    for count in ["view_count", "click_count", "add_to_cart_count", "purchase_count", "human_view_count"] {
        assert_eq!(sum(&lists["pages"], count), site[count].as_u64().unwrap(), "{count} of all pages");
    }
    for top in &lists["pages/top"] {
        let of_page = lists["pages"].iter().find(|row| row["page_url"] == top["page_url"]).unwrap();
        for field in ["view_count", "unique_users", "click_through_rate"] {
            assert_eq!(top[field], of_page[field], "{field} of {}", top["page_url"]);
        }
    }
    let closed = sum(&lists["entry-exit"], "entries");
    assert_eq!(closed, sum(&lists["entry-exit"], "exits"), "who came in went out");
    assert_eq!(closed, sum(&lists["pages/bounce-rates"], "entries"));

    // a number, its list, and the proof
    let counted = |of: &[&str]| -> Vec<Value> {
        let mut explain = on("explain", dir.path());
        let output = explain.args(SHORT).args(of).args(["--window-end", &end, "--json"]).output().unwrap();
        let explained: Value =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
        explained["counted"].as_array().unwrap().clone()
    };
    let views = counted(&["--page", &page]).into_iter().filter(|event| event["event_type"] == "page_view");
    assert_eq!(views.count() as u64, lists["pages/top"][0]["view_count"].as_u64().unwrap());
    let values = counted(&[]).into_iter().filter_map(|event| event["value"].as_str()?.parse::<f64>().ok());
    let revenue = site["revenue"].as_f64().unwrap();
    assert!((values.sum::<f64>() - revenue).abs() < 1e-6, "what was paid adds up to {revenue}");
    let (report, code) = verify(dir.path());
    assert_eq!((code, &report["verdict"]), (0, &Value::from("proven")), "{report:#}");
}

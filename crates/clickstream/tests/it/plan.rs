//! The plan that Flink made of the SQL: what all queries share is there once.

use std::collections::BTreeMap;
use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::Value;

use crate::harness::World;

fn unpacked(file: &[u8]) -> Value {
    let mut json = String::new();
    GzDecoder::new(file).read_to_string(&mut json).unwrap();
    serde_json::from_str(&json).unwrap()
}

/// The kinds of a plan's nodes, and which of them feed which: nodes by their place, as a gateway goes on counting.
fn shape(plan: &Value) -> (Vec<&str>, Vec<[usize; 2]>) {
    let nodes = plan["nodes"].as_array().unwrap();
    let place = |id: &Value| nodes.iter().position(|node| node["id"] == *id).unwrap();
    let edges = plan["edges"].as_array().unwrap();
    (
        nodes.iter().map(|node| node["type"].as_str().unwrap()).collect(),
        edges.iter().map(|edge| [place(&edge["source"]), place(&edge["target"])]).collect(),
    )
}

/// The plan that comes with the program, of longer windows, is of the form that Flink gave the one of this world.
pub fn check_shipped(world: &World) {
    let compiled = unpacked(&std::fs::read(world.data_dir().join("flink/job/plan.json.gz")).unwrap());
    let shipped = unpacked(include_bytes!("../../../stack/plan/default.json.gz"));
    assert_eq!(shape(&shipped["plan"]), shape(&compiled["plan"]), "run scripts/plan");
}

/// Operators of the plan that runs, by kind.
pub fn check_shared(world: &World, is_textbook: bool) {
    let file = world.data_dir().join("flink/job/plan.json");
    let plan: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let nodes = plan["nodes"].as_array().unwrap();
    let text = |node: &Value, name: &str| node[name].as_str().unwrap_or_default().to_owned();
    let of_kind = |kind: &str| -> Vec<String> {
        nodes.iter().filter(|n| text(n, "type").contains(kind)).map(|n| text(n, "description")).collect()
    };
    for kind in ["table-source-scan", "deduplicate", "temporal-sort"] {
        assert_eq!(of_kind(kind).len(), 1, "{kind}");
    }
    // the same window over the same input twice would be the same work twice
    let mut window_aggregates: BTreeMap<String, usize> = BTreeMap::new();
    for text in of_kind("window-aggregate") {
        // one whose rows were copied into their windows before has no time column of its own
        assert!(text.contains("time_col=["), "not sliced: {text}");
        *window_aggregates.entry(text).or_default() += 1;
    }
    assert!(window_aggregates.values().all(|times| *times == 1), "{window_aggregates:#?}");
    assert_eq!(window_aggregates.keys().filter(|text| text.contains("SESSION(")).count(), 1);
    // pairs that part: of users on pages, of products and of the site, of sessions, and of sessions with their beginning
    assert_eq!(of_kind("window-table-function").len(), if is_textbook { 1 } else { 5 });
    let mut histories: BTreeMap<String, usize> = BTreeMap::new();
    for text in of_kind("over-aggregate") {
        let key = text.split("partitionBy=[").nth(1).unwrap().split(']').next().unwrap();
        let order = text.split("orderBy=[").nth(1).unwrap().split(' ').next().unwrap();
        *histories.entry(format!("{key} by {order}")).or_default() += 1;
    }
    let expected = [
        ("source_partition by processing_time", 1),
        // three steps of what is known of a user, and the flags among a user's events
        ("site_id, user_id by sorted_order", 4),
        ("site_id, user_id, page_url by sorted_order", 1),
        ("site_id, user_id, product_id by sorted_order", 1),
        // two steps of what is known of a session
        ("site_id, session_id by sorted_order", 2),
        // totals over the rows of one window: sessions, and the first slide of a baseline
        ("site_id by window_time", 2),
        ("site_id, from_page by window_time", 1),
        // running totals of sessions that are decided
        ("site_id, page_url by slide_order", if is_textbook { 1 } else { 2 }),
    ];
    let of_pairs = [("site_id, product_id by slide_order", 1), ("site_id by slide_order", 1)];
    let expected = expected.into_iter().chain(of_pairs.into_iter().filter(|_| !is_textbook));
    let expected: BTreeMap<String, usize> = expected.map(|(key, times)| (key.to_owned(), times)).collect();
    assert_eq!(histories, expected, "textbook: {is_textbook}");
}

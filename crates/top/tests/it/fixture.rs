//! A shop in the middle of its day.

use clickstream_event::Timestamp;
use clickstream_top::State;
use clickstream_top::update::{Detail, Rows, Update};
use serde_json::{Value, json};

pub const PAGES: [&str; 9] = [
    "/",
    "/p/alder-desk-lamp",
    "/search",
    "/p/alder-notebook",
    "/cart",
    "/p/birch-chair-with-a-name-that-is-much-too-long-for-any-column-of-a-terminal",
    "/\u{1b}[31mred\u{7}\u{202e}gpj.exe",
    "/産業/品物/漢字のとても長いページの名前",
    "/p/שולחן",
];

pub fn at(second: i64) -> Timestamp {
    Timestamp(Timestamp::parse("2026-11-26T12:00:00Z").unwrap().0 + second * 1_000)
}

fn rows(kind: &str, end: i64, rows: Vec<Value>) -> Rows {
    Rows {
        kind: kind.into(),
        site: "shop".into(),
        window_end: at(end).to_string(),
        total: rows.len() as u64,
        rows,
    }
}

pub fn site(end: i64) -> Value {
    let views = 34_000 + end * 3;
    json!({
        "site_id": "shop", "window_start": at(end - 300), "window_end": at(end), "event_count": views * 2, "view_count": views,
        "unique_users": 13_317 - end, "active_sessions": 22_267, "conversion_rate": 0.033 + end as f64 / 1e5, "revenue": "61897.65",
    })
}

pub fn pages(end: i64) -> Rows {
    let list = PAGES.iter().enumerate().map(|(n, page)| {
        let views = 9_000 / (n as i64 + 1) + (end / 10 * (n as i64 * 7 + 3)) % 90;
        json!({
            "page_url": page, "view_count": views, "unique_users": views * 7 / 10, "click_through_rate": 0.189 + n as f64 / 50.0,
            "add_to_cart_count": views / 20, "purchase_count": views / 90, "human_view_count": views - 31, "click_count": views / 5,
        })
    });
    rows("page-metrics", end, list.collect())
}

fn anomaly(kind: &str, rule: &str, subject: &str, second: i64, reason: &str) -> Value {
    json!({ "kind": kind, "rule": rule, "subject": subject, "detected_at": at(second), "observed": 412.0, "expected": 96.5, "score": 9.25, "reason": reason })
}

fn session(n: i64) -> Value {
    json!({
        "session_id": format!("s{n}"), "session_start": at(-60), "session_end": at(-n), "user_id": format!("u{n:08x}"), "duration_ms": n * 7_300,
        "entry_page": PAGES[n as usize % PAGES.len()], "exit_page": PAGES[(n as usize + 4) % PAGES.len()], "page_view_count": n % 9 + 1,
        "click_count": n % 4, "add_to_cart_count": n % 3, "purchase_count": i64::from(n % 7 == 3), "bounced": n % 5 == 0, "engagement_score": 12.5 + n as f64,
    })
}

fn pipeline() -> Value {
    let partition = |n: i64| json!({ "partition": n, "end_offset": 1_203_400 + n * 977, "read_offset": 0, "lag": n * 3, "records_per_second": 251.4, "high_mark": at(0) });
    let process = |name: &str, state: &str| json!({ "name": name, "pid": 4242, "state": state, "restarts": 1, "address": "", "memory_bytes": 734_003_200_u64 });
    json!({
        "engine": "flink", "state": "running", "window_ms": 300_000, "slide_ms": 10_000, "events_per_second": 1_004.2, "records_total": 4_812_331,
        "duplicates_total": 102, "watermark": at(3), "result_delay_ms": [197, 394], "dead_letters": { "bad_timestamp": 93, "late": 2_101, "missing_field": 107, "not_json": 331, "too_long": 0, "unknown_event_type": 351, "wrong_type": 12 },
        "partitions": [partition(0), partition(1), partition(2), partition(3)],
        "proof": { "state": "proven", "up_to": at(-10), "rows": 48_112, "differing": 0 },
        "components": [process("kafka", "ready"), process("jobmanager", "ready"), process("taskmanager", "restarting"), process("clickstream", "ready")],
        "job": { "checkpoint": { "age_ms": 8_300 } },
    })
}

/// A state with something on every tab.
pub fn state() -> State {
    let mut state = State::new("http://127.0.0.1:8080".into(), None, false);
    state.now = at(4);
    state.apply(Update::Sites { default: Some("shop".into()), all: vec!["shop".into(), "blog".into()] });
    state.apply(Update::History((-60..=0).map(|n| site(n * 10)).collect()));
    (-30..0).for_each(|n| {
        state.apply(Update::Past(pages(n * 10)));
    });
    state.apply(Update::Rows(pages(0)));
    let way = |from: usize, to: usize, times: i64| json!({ "from_page": PAGES[from], "to_page": PAGES[to], "transition_count": times, "transition_rate": times as f64 / 2_000.0 });
    for update in [
        rows("trending-pages", 0, (0..5).map(|n| json!({ "rank": n + 1, "page_url": PAGES[n + 3], "recent_views": 412 - n * 40, "prior_views": 90, "growth": 3.5 - n as f64 / 2.0, "score": 14.3 - n as f64 * 2.0 })).collect()),
        rows("page-transitions", 0, vec![way(0, 1, 904), way(1, 4, 433), way(0, 2, 401), way(2, 3, 390), way(5, 6, 21), way(7, 8, 3)]),
        rows("entry-exit-pages", 0, (0..5).map(|n| json!({ "page_url": PAGES[n], "entries": 900 - n * 130, "exits": 300 + n * 40 })).collect()),
        rows("bounce-rates", 0, vec![json!({ "page_url": "/", "bounce_rate": 0.312 })]),
        rows("funnels", 0, vec![json!({ "sessions": 2_200, "viewed": 2_050, "carted": 610, "purchased": 74, "view_to_cart_rate": 0.297, "cart_to_purchase_rate": 0.121 })]),
        rows("common-paths", 0, vec![json!({ "length": 3, "rank": 1, "pages": [PAGES[0], PAGES[2], PAGES[1]], "path_count": 212 }), json!({ "length": 4, "rank": 1, "pages": [PAGES[0], PAGES[5], PAGES[7], PAGES[4]], "path_count": 88 })]),
        rows("sessions", 0, (0..30).map(session).collect()),
        rows("anomalies", 0, vec![
            anomaly("traffic_spike", "page", "/p/alder-notebook", -5, "412 events in 10 s, where 96.5 are usual: 9.3 deviations more"),
            anomaly("bot", "metronome", "u0003ab12", -35, "21 events at nearly constant gaps\u{1b}[2J"),
            anomaly("traffic_drop", "site", "shop", -65, "fewer events than in any slide of the last five minutes, for no reason that the log would tell, and that is why this sentence is long enough to be wrapped"),
            anomaly("unusual_user", "pages", "u00000042", -95, "66 different pages in a minute"),
        ]),
    ] {
        state.apply(Update::Rows(update));
    }
    state.apply(Update::Pipeline(pipeline()));
    state.apply(Update::Connected);
    state
}

/// The first page, looked at closely.
pub fn detail() -> Detail {
    let series = (-60..=0).map(|n| {
        let mut row = pages(0).rows.remove(0);
        row["view_count"] = json!(8_000.0 + 900.0 * (f64::from(n) / 7.0).sin());
        row["window_end"] = json!(at(i64::from(n) * 10));
        row
    });
    let way = |from: usize, to: usize, times: i64| json!({ "from_page": PAGES[from], "to_page": PAGES[to], "transition_count": times });
    Detail {
        page: "/".into(),
        series: series.collect(),
        transitions: vec![way(0, 1, 904), way(0, 2, 401), way(2, 0, 80), way(4, 0, 12)],
        facts: [
            Some(json!({ "bounce_rate": 0.312 })),
            Some(json!({ "entries": 900, "exits": 300 })),
            Some(json!({ "median_stay_ms": 4_757, "mean_stay_ms": 6_120.4 })),
        ],
    }
}

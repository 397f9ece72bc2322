//! Counts everything again, in the plainest way: every event into every window that holds it, sets for what is distinct.
//!
//! Nothing of the product is used here but the decoder, and that is checked against a second reading of each record.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use clickstream_event::{Reason, Record as Decoded, Rules, Timestamp, decode, topic};
use serde_json::{Value, json};

use crate::Record;

/// The allowed disorder, as by default, in milliseconds.
const MAX_DISORDER: i64 = 100;

/// The windows, and the partitions of the log.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Length of a window in milliseconds.
    pub window_ms: i64,
    /// Distance of windows in milliseconds.
    pub slide_ms: i64,
    /// A session ends after so long without an event, in milliseconds.
    pub session_gap_ms: i64,
    /// Partitions of the log; one that is empty holds back all results.
    pub partitions: usize,
}

/// What should stand in the topics.
pub struct Expected {
    /// Rows by topic, by key fields.
    pub rows: HashMap<&'static str, BTreeMap<String, Value>>,
    /// Reason of every dead letter, by partition and offset.
    pub letters: BTreeMap<(i32, i64), &'static str>,
    /// Records that are heartbeats, counted, duplicates, dead letters.
    pub balance: [usize; 4],
    /// Late records.
    pub late: usize,
    /// End of the last window that holds an event.
    pub last_end: i64,
    /// Event time up to which all partitions have come.
    pub watermark: i64,
}

struct Event {
    ts: i64,
    site: String,
    kind: &'static str,
    user: String,
    session: String,
    page: String,
    product: Option<String>,
    /// In ten-thousandths.
    value: i128,
}

/// The decoder's answer, after a second, independent look at the record.
fn classify<'r>(record: &'r Record) -> Result<Decoded<'r>, Reason> {
    let Some(value) = &record.value else { return Err(Reason::NotJson) };
    let decoded = decode(value, Timestamp(record.arrival), Rules::default());
    let object = std::str::from_utf8(value)
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Map<String, Value>>(text).ok());
    let beyond = is_beyond_serde(&String::from_utf8_lossy(value));
    match (&decoded, object) {
        (Ok(_), None) if !beyond => panic!("decoded what is no object: {record:?}"),
        (Ok(Decoded::Event(event, ts)), Some(object)) => {
            match &object["user_id"] {
                Value::String(user) => assert_eq!(*user, event.user_id),
                Value::Number(user) if user.is_u64() => assert_eq!(user.to_string(), event.user_id),
                _ => {}
            }
            assert_eq!(object["event_type"], event.event_type.name());
            assert!(ts.0 <= record.arrival && event.timestamp.0 <= record.arrival + 10_000);
        }
        (Err(rejection), None) if !beyond => {
            assert!(matches!(rejection.reason, Reason::NotJson | Reason::TooLong), "{rejection}: {record:?}")
        }
        _ => {}
    }
    decoded.map_err(|rejection| rejection.reason)
}

/// The double next to so many ten-thousandths.
fn in_units(amount: i128) -> f64 {
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    format!("{sign}{}.{:04}", amount / 10_000, amount % 10_000).parse().unwrap()
}

/// Whether a record may hold what serde_json's own values cannot: half a surrogate pair, a number beyond a double, more than
/// 128 levels.
fn is_beyond_serde(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let has_exponent =
        |part: &str| part.trim_start_matches('+').bytes().take_while(u8::is_ascii_digit).count() >= 3;
    text.contains("\\ud")
        || text.split('e').skip(1).any(has_exponent)
        || text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 300)
        || text.matches(['[', '{']).count() > 127
}

/// Ten-thousandths of an amount, which has at most four digits of fraction.
fn ten_thousandths(amount: &str) -> i128 {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}{fraction:0<4}").parse().unwrap()
}

/// Recounts a log.
pub fn recount(mut log: Vec<Record>, shape: Shape) -> Expected {
    let Shape { window_ms, slide_ms, partitions, session_gap_ms: _ } = shape;
    log.sort_by_key(|record| (record.partition, record.offset));
    let mut marks: HashMap<i32, i64> = HashMap::new();
    let mut letters = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut events = Vec::new();
    let mut balance = [0; 4];
    let mut late = 0;
    for record in &log {
        let place = (record.partition, record.offset);
        match classify(record) {
            Err(reason) => {
                letters.insert(place, reason.name());
            }
            Ok(decoded) => {
                let ts = decoded.event_time().0;
                let mark = marks.entry(record.partition).or_insert(ts);
                *mark = (*mark).max(ts);
                if ts < *mark - MAX_DISORDER {
                    letters.insert(place, "late");
                    late += 1;
                } else if let Decoded::Event(event, _) = decoded {
                    if !seen.insert((event.site_id.to_string(), event.event_id.to_string())) {
                        balance[2] += 1;
                        continue;
                    }
                    balance[1] += 1;
                    events.push(Event {
                        ts,
                        site: event.site_id.to_string(),
                        kind: event.event_type.name(),
                        user: event.user_id.to_string(),
                        session: event.session_id.to_string(),
                        page: event.page_url.to_string(),
                        product: event.product_id.as_ref().map(ToString::to_string),
                        value: event.value.map_or(0, |value| ten_thousandths(&value.to_string())),
                    });
                } else {
                    balance[0] += 1;
                }
            }
        }
    }
    balance[3] = letters.len();
    assert_eq!(balance.iter().sum::<usize>(), log.len(), "every record is exactly one of these");
    let lowest = if marks.len() == partitions { marks.values().min().copied() } else { None };
    let watermark = lowest.unwrap_or(0) - MAX_DISORDER - 1;
    let last_end = events.iter().map(|e| e.ts.div_euclid(slide_ms) * slide_ms + window_ms).max().unwrap_or(0);

    let mut windows: BTreeMap<(&str, i64), Vec<&Event>> = BTreeMap::new();
    for event in &events {
        let first = (event.ts.div_euclid(slide_ms) + 1) * slide_ms;
        for end in (0..window_ms / slide_ms).map(|n| first + n * slide_ms).filter(|end| end - 1 <= watermark)
        {
            windows.entry((&event.site, end)).or_default().push(event);
        }
    }
    let mut rows: HashMap<&'static str, BTreeMap<String, Value>> =
        topic::RESULTS.into_iter().map(|name| (name, BTreeMap::new())).collect();
    for ((site, end), events) in windows {
        let time = |ms: i64| Timestamp(ms).to_string();
        let base = json!({ "site_id": site, "window_start": time(end - window_ms), "window_end": time(end) });
        let mut pages: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        let mut products: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in &events {
            pages.entry(&event.page).or_default().push(event);
            if let Some(product) = &event.product {
                products.entry(product).or_default().push(event);
            }
        }
        let mut put = |name: &'static str, key: String, row: Value| {
            assert!(rows.get_mut(name).unwrap().insert(key, row).is_none())
        };
        let mut ranking = Vec::new();
        for (page, events) in &pages {
            let row = merged(&base, &[counts(events), json!({ "page_url": page })]);
            if row["view_count"].as_u64() > Some(0) {
                ranking.push(row.clone());
            }
            put(topic::PAGE_METRICS, format!("{site} {end} {page}"), row);
        }
        for (product, events) in &products {
            put(
                topic::PRODUCT_METRICS,
                format!("{site} {end} {product}"),
                merged(&base, &[counts(events), json!({ "product_id": product })]),
            );
        }
        ranking.sort_by_key(|row| {
            (std::cmp::Reverse(row["view_count"].as_u64()), row["page_url"].as_str().unwrap().to_owned())
        });
        for (n, row) in ranking.iter().take(10).enumerate() {
            let top = merged(
                &base,
                &[json!({ "rank": n + 1, "page_url": row["page_url"], "view_count": row["view_count"],
                "unique_users": row["unique_users"], "click_through_rate": row["click_through_rate"] })],
            );
            put(topic::TOP_PAGES, format!("{site} {end} {}", n + 1), top);
        }
        let users: BTreeSet<&str> = events.iter().map(|e| e.user.as_str()).collect();
        let buyers: BTreeSet<&str> =
            events.iter().filter(|e| e.kind == "purchase").map(|e| e.user.as_str()).collect();
        let sessions: BTreeSet<&str> = events.iter().map(|e| e.session.as_str()).collect();
        let revenue: i128 = events.iter().filter(|e| e.kind == "purchase").map(|e| e.value).sum();
        let site_row = merged(
            &base,
            &[
                counts(&events),
                json!({ "event_count": events.len(), "active_sessions": sessions.len(),
            "conversion_rate": buyers.len() as f64 / users.len() as f64, "revenue": in_units(revenue) }),
            ],
        );
        put(topic::SITE_METRICS, format!("{site} {end}"), site_row);
    }
    Expected { rows, letters, balance, late, last_end, watermark }
}

fn counts(events: &[&Event]) -> Value {
    let of = |kind: &str| events.iter().filter(|e| e.kind == kind).count();
    let users: BTreeSet<&str> = events.iter().map(|e| e.user.as_str()).collect();
    let (views, clicks) = (of("page_view"), of("click"));
    json!({ "view_count": views, "click_count": clicks, "add_to_cart_count": of("add_to_cart"), "purchase_count": of("purchase"),
        "unique_users": users.len(), "click_through_rate": if views > 0 { json!(clicks as f64 / views as f64) } else { Value::Null } })
}

fn merged(base: &Value, more: &[Value]) -> Value {
    let mut row = base.as_object().unwrap().clone();
    more.iter().for_each(|fields| row.extend(fields.as_object().unwrap().clone()));
    Value::Object(row)
}

/// The key fields of a row as one text, as in [`recount`].
pub fn key_of(name: &str, row: &Value) -> String {
    let end = Timestamp::parse(row["window_end"].as_str().unwrap()).unwrap().0;
    let field = |name: &str| row[name].as_str().unwrap();
    let site = field("site_id");
    match name {
        topic::PAGE_METRICS => format!("{site} {end} {}", field("page_url")),
        topic::PRODUCT_METRICS => format!("{site} {end} {}", field("product_id")),
        topic::TOP_PAGES => format!("{site} {end} {}", row["rank"]),
        _ => format!("{site} {end}"),
    }
}

/// Whether two rows are the same; numbers may differ by 1e-9, or by what a double cannot hold.
pub fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() < a.abs().mul_add(4.0 * f64::EPSILON, 1e-9)
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        (a, b) => a == b,
    }
}

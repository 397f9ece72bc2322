//! What pages, products and sites did in each window, and the lists of pages made of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use clickstream_event::detection::{TRENDING_LENGTH, TRENDING_SCORE, TRENDING_VIEWS};
use clickstream_event::{EventType, topic};
use serde_json::{Map, Value, json};

use super::{Decided, Event, merged, ratio};
use crate::golden::{Rows, put};

pub(super) fn count(events: &[Event], decided: Decided, rows: &mut Rows) {
    let windows = decided.by_window(events.iter().map(|event| (event.site.as_str(), event.ts, event)));
    for ((site, end), events) in windows {
        let mut pages: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        let mut products: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
        for event in &events {
            pages.entry(&event.page).or_default().push(event);
            if let Some(product) = &event.product {
                products.entry(product).or_default().push(event);
            }
        }
        let mut page_rows = Vec::new();
        for (page, events) in &pages {
            let fields =
                merged([counts(events), human(counts(&people(events))), json!({ "page_url": page })]);
            page_rows.push(decided.row(site, end, fields));
        }
        for (product, events) in &products {
            let row = decided.row(site, end, merged([counts(events), json!({ "product_id": product })]));
            put(rows, topic::PRODUCT_METRICS, &[row]);
        }
        let sessions: HashSet<&str> = events.iter().map(|event| event.session.as_str()).collect();
        let fields = merged([
            whole(&events),
            human(whole(&people(&events))),
            json!({ "active_sessions": sessions.len() }),
        ]);
        put(rows, topic::SITE_METRICS, &[decided.row(site, end, fields)]);

        let fields =
            ["view_count", "unique_users", "click_through_rate", "human_view_count", "human_unique_users"];
        put(rows, topic::TOP_PAGES, &top(&page_rows, "view_count", &fields));
        let fields = ["human_view_count", "human_unique_users", "human_click_through_rate"];
        put(rows, topic::HUMAN_TOP_PAGES, &top(&page_rows, "human_view_count", &fields));
        let middle = end - decided.shape.window_ms / 2;
        for row in trending(&pages, middle) {
            put(rows, topic::TRENDING_PAGES, &[decided.row(site, end, row)]);
        }
        put(rows, topic::PAGE_METRICS, &page_rows);
    }
}

/// The events at which their users are no labelled bots.
fn people<'a>(events: &[&'a Event]) -> Vec<&'a Event> {
    events.iter().copied().filter(|event| !event.is_bot).collect()
}

/// The same fields with `human_` before their names.
fn human(fields: Value) -> Value {
    let fields = fields.as_object().unwrap().clone();
    let fields: Map<String, Value> =
        fields.into_iter().map(|(name, value)| (format!("human_{name}"), value)).collect();
    Value::Object(fields)
}

fn number_of(events: &[&Event], kind: EventType) -> usize {
    events.iter().filter(|event| event.kind == kind).count()
}

fn users<'a>(events: impl Iterator<Item = &'a &'a Event>) -> usize {
    events.map(|event| event.user.as_str()).collect::<HashSet<_>>().len()
}

/// The fields that pages, products and sites share.
fn counts(events: &[&Event]) -> Value {
    let (views, clicks) = (number_of(events, EventType::PageView), number_of(events, EventType::Click));
    json!({
        "view_count": views,
        "click_count": clicks,
        "add_to_cart_count": number_of(events, EventType::AddToCart),
        "purchase_count": number_of(events, EventType::Purchase),
        "unique_users": users(events.iter()),
        "click_through_rate": ratio(clicks, views),
    })
}

/// The fields of a site, but for its sessions.
fn whole(events: &[&Event]) -> Value {
    let purchases = || events.iter().filter(|event| event.kind == EventType::Purchase);
    let more = json!({
        "event_count": events.len(),
        "conversion_rate": ratio(users(purchases()), users(events.iter())),
        "revenue": in_units(purchases().map(|event| event.value).sum()),
    });
    merged([counts(events), more])
}

/// The double next to so many ten-thousandths.
fn in_units(amount: i128) -> f64 {
    let sign = if amount < 0 { "-" } else { "" };
    let amount = amount.unsigned_abs();
    format!("{sign}{}.{:04}", amount / 10_000, amount % 10_000).parse().unwrap()
}

/// The ten pages with the most views, the first by name among equals; only pages with a view.
fn top(pages: &[Value], views: &str, fields: &[&str]) -> Vec<Value> {
    let views_of = |row: &Value| row[views].as_u64().unwrap();
    let mut pages: Vec<&Value> = pages.iter().filter(|row| views_of(row) > 0).collect();
    pages.sort_by_key(|row| (Reverse(views_of(row)), row["page_url"].as_str().unwrap().to_owned()));
    let listed = pages.iter().take(10).enumerate().map(|(n, row)| {
        let mut line = json!({ "rank": n + 1 });
        for field in ["site_id", "window_start", "window_end", "page_url"].iter().chain(fields) {
            line[*field] = row[*field].clone();
        }
        line
    });
    listed.collect()
}

/// The pages with clearly more views in the later half of the window than in the earlier.
fn trending(pages: &BTreeMap<&str, Vec<&Event>>, middle: i64) -> Vec<Value> {
    let mut rising = Vec::new();
    for (page, events) in pages {
        let views = |is_recent: bool| {
            let of_half = events
                .iter()
                .filter(|event| event.kind == EventType::PageView && (event.ts >= middle) == is_recent);
            of_half.count() as f64
        };
        let (recent, prior) = (views(true), views(false));
        if recent < TRENDING_VIEWS as f64 {
            continue;
        }
        let score = (recent - prior) / (recent + prior).sqrt();
        if score >= TRENDING_SCORE {
            rising.push((score, *page, recent, prior));
        }
    }
    rising.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let listed = rising.iter().take(TRENDING_LENGTH).enumerate().map(|(n, (score, page, recent, prior))| {
        json!({ "rank": n + 1, "page_url": page, "recent_views": *recent as u64, "prior_views": *prior as u64,
            "growth": (recent - prior) / prior.max(1.0), "score": score })
    });
    listed.collect()
}

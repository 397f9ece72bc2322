//! Users who do in a minute what people do not.

use std::collections::{BTreeMap, HashMap, HashSet};

use clickstream_event::EventType;
use clickstream_event::detection::{UNUSUAL_MS, UNUSUAL_PAGES, UNUSUAL_SESSIONS};
use serde_json::{Value, json};

use super::{Decided, Event, slide_end, time};

/// What a user did in a minute.
#[derive(Default)]
struct Minute<'a> {
    pages: HashSet<&'a str>,
    sessions: HashSet<&'a str>,
    /// Purchases of a product not viewed before.
    purchases: u64,
}

pub(super) fn anomalies(events: &[Event], decided: Decided) -> Vec<Value> {
    // by site, user, and end of the minute
    let mut minutes: BTreeMap<(&str, &str, i64), Minute<'_>> = BTreeMap::new();
    // the last view of a product, by site, user and product
    let mut views: HashMap<(&str, &str, &str), &Event> = HashMap::new();
    for event in events {
        let (site, user) = (event.site.as_str(), event.user.as_str());
        let minute = minutes.entry((site, user, slide_end(event.ts, UNUSUAL_MS))).or_default();
        minute.pages.insert(&event.page);
        minute.sessions.insert(&event.session);
        let Some(product) = &event.product else { continue };
        match event.kind {
            EventType::PageView => {
                views.insert((site, user, product), event);
            }
            EventType::Purchase => {
                let was_viewed = views.get(&(site, user, product)).is_some_and(|view| {
                    view.session == event.session && event.ts - view.ts < decided.shape.window_ms
                });
                if !was_viewed {
                    minute.purchases += 1;
                }
            }
            EventType::Click | EventType::AddToCart => {}
        }
    }
    let mut found = Vec::new();
    for ((site, user, end), minute) in minutes {
        if let Some(row) = anomaly(&minute)
            && decided.holds(end - 1)
        {
            let place = json!({ "site_id": site, "kind": "unusual_user", "subject": user, "detected_at": time(end),
                "window_start": time(end - UNUSUAL_MS), "window_end": time(end) });
            found.push(super::merged([place, row]));
        }
    }
    found
}

/// The first rule that holds.
fn anomaly(minute: &Minute<'_>) -> Option<Value> {
    let (pages, sessions) = (minute.pages.len() as u64, minute.sessions.len() as u64);
    let (rule, observed, expected, reason) = if minute.purchases > 0 {
        let count = minute.purchases;
        ("purchase", count, 0, format!("{count} × a purchase of a product not viewed before"))
    } else if pages > UNUSUAL_PAGES {
        ("pages", pages, UNUSUAL_PAGES, format!("{pages} different pages in a minute"))
    } else if sessions >= UNUSUAL_SESSIONS {
        ("sessions", sessions, UNUSUAL_SESSIONS - 1, format!("{sessions} sessions at the same time"))
    } else {
        return None;
    };
    let score = if expected == 0 { observed as f64 } else { observed as f64 / expected as f64 };
    Some(
        json!({ "rule": rule, "observed": observed, "expected": expected, "score": score, "reason": reason }),
    )
}

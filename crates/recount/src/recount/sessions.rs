//! Sessions, and what is counted over those that closed within a window, or began within it.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use clickstream_event::{EventType, topic};
use serde_json::{Value, json};

use super::{Decided, Event, merged, ratio, time};
use crate::golden::{Rows, put};

/// Events of one session id with no gap as long as the session gap, in order.
pub(super) struct Session<'a> {
    pub site: &'a str,
    pub events: Vec<&'a Event>,
    /// The last instant at which it could have gone on.
    pub closes: i64,
}

/// The sessions of the events, which are in order.
pub(super) fn of(events: &[Event], gap_ms: i64) -> Vec<Session<'_>> {
    let mut by_id: BTreeMap<(&str, &str), Vec<Vec<&Event>>> = BTreeMap::new();
    for event in events {
        let sessions = by_id.entry((&event.site, &event.session)).or_default();
        match sessions.last_mut() {
            Some(session) if event.ts - session[session.len() - 1].ts < gap_ms => session.push(event),
            _ => sessions.push(vec![event]),
        }
    }
    let mut all = Vec::new();
    for ((site, _), sessions) in by_id {
        for events in sessions {
            let closes = events[events.len() - 1].ts + gap_ms - 1;
            all.push(Session { site, events, closes });
        }
    }
    all
}

impl Session<'_> {
    fn first(&self) -> &Event {
        self.events[0]
    }

    fn last(&self) -> &Event {
        self.events[self.events.len() - 1]
    }

    pub fn entry_page(&self) -> &str {
        &self.first().page
    }

    pub fn exit_page(&self) -> &str {
        &self.last().page
    }

    fn number_of(&self, kind: EventType) -> usize {
        self.events.iter().filter(|event| event.kind == kind).count()
    }

    fn bounced(&self) -> bool {
        is_one_view(&self.events)
    }

    fn row(&self) -> Value {
        let duration_ms = self.last().ts - self.first().ts;
        let views = self.number_of(EventType::PageView);
        let clicks = self.number_of(EventType::Click);
        let carts = self.number_of(EventType::AddToCart);
        let purchases = self.number_of(EventType::Purchase);
        let points = (views + 2 * clicks + 5 * carts + 10 * purchases) as f64 + duration_ms as f64 / 10_000.0;
        let pages: HashSet<&str> = self.events.iter().map(|event| event.page.as_str()).collect();
        json!({
            "site_id": self.site,
            "session_id": self.first().session,
            "user_id": self.first().user,
            "session_start": time(self.first().ts),
            "session_end": time(self.last().ts),
            "duration_ms": duration_ms,
            "event_count": self.events.len(),
            "page_view_count": views,
            "click_count": clicks,
            "add_to_cart_count": carts,
            "purchase_count": purchases,
            "distinct_pages": pages.len(),
            "entry_page": self.entry_page(),
            "exit_page": self.exit_page(),
            "bounced": self.bounced(),
            "engagement_score": 100.0 * (1.0 - (-points / 20.0).exp()),
        })
    }
}

fn is_one_view(events: &[&Event]) -> bool {
    events.len() == 1 && events[0].kind == EventType::PageView
}

pub(super) fn count(sessions: &[Session<'_>], decided: Decided, rows: &mut Rows) {
    for session in sessions.iter().filter(|session| decided.holds(session.closes)) {
        put(rows, topic::SESSIONS, &[session.row()]);
    }
    let closed = decided.by_window(sessions.iter().map(|session| (session.site, session.closes, session)));
    for ((site, end), sessions) in closed {
        for row in bounce_rates(&sessions) {
            put(rows, topic::BOUNCE_RATES, &[decided.row(site, end, row)]);
        }
        for row in entry_exit_pages(&sessions) {
            put(rows, topic::ENTRY_EXIT_PAGES, &[decided.row(site, end, row)]);
        }
        put(rows, topic::FUNNELS, &[decided.row(site, end, funnel(&sessions))]);
    }
    let begun = decided.by_window(sessions.iter().map(|session| (session.site, session.first().ts, session)));
    for ((site, end), sessions) in begun {
        for row in provisional_bounce_rates(&sessions, end) {
            put(rows, topic::PROVISIONAL_BOUNCE_RATES, &[decided.row(site, end, row)]);
        }
    }
}

fn by_entry_page<'a>(sessions: &[&'a Session<'_>]) -> BTreeMap<&'a str, Vec<&'a Session<'a>>> {
    let mut pages: BTreeMap<&str, Vec<&Session<'_>>> = BTreeMap::new();
    for session in sessions {
        pages.entry(session.entry_page()).or_default().push(session);
    }
    pages
}

fn bounce_rates(sessions: &[&Session<'_>]) -> Vec<Value> {
    let mut rows = Vec::new();
    for (page, entered) in by_entry_page(sessions) {
        let bounces = entered.iter().filter(|session| session.bounced()).count();
        rows.push(json!({ "page_url": page, "entries": entered.len(), "bounces": bounces,
            "bounce_rate": ratio(bounces, entered.len()) }));
    }
    rows
}

/// Of sessions that began within the window, as things stand at its end.
fn provisional_bounce_rates(sessions: &[&Session<'_>], end: i64) -> Vec<Value> {
    let mut rows = Vec::new();
    for (page, entered) in by_entry_page(sessions) {
        let (mut bounces, mut undecided) = (0, 0);
        for session in &entered {
            let so_far: Vec<&Event> = session.events.iter().copied().filter(|event| event.ts < end).collect();
            if session.closes < end && session.bounced() {
                bounces += 1;
            } else if session.closes >= end && is_one_view(&so_far) {
                undecided += 1;
            }
        }
        rows.push(
            json!({ "page_url": page, "entries": entered.len(), "bounces": bounces, "undecided": undecided,
            "provisional_bounce_rate": ratio(bounces, entered.len() - undecided) }),
        );
    }
    rows
}

fn entry_exit_pages(sessions: &[&Session<'_>]) -> Vec<Value> {
    let pages: BTreeSet<&str> =
        sessions.iter().flat_map(|session| [session.entry_page(), session.exit_page()]).collect();
    let mut rows = Vec::new();
    for page in pages {
        let entries = sessions.iter().filter(|session| session.entry_page() == page).count();
        let exits = sessions.iter().filter(|session| session.exit_page() == page).count();
        rows.push(json!({ "page_url": page, "entries": entries, "exits": exits, "sessions": sessions.len(),
            "entry_rate": ratio(entries, sessions.len()), "exit_rate": ratio(exits, sessions.len()) }));
    }
    rows
}

fn funnel(sessions: &[&Session<'_>]) -> Value {
    let has = |session: &Session<'_>, kind| session.number_of(kind) > 0;
    let viewed: Vec<&&Session<'_>> = sessions.iter().filter(|s| has(s, EventType::PageView)).collect();
    let carted: Vec<&&&Session<'_>> = viewed.iter().filter(|s| has(s, EventType::AddToCart)).collect();
    let purchased = carted.iter().filter(|s| has(s, EventType::Purchase)).count();
    let counts = json!({ "sessions": sessions.len(), "viewed": viewed.len(), "carted": carted.len(), "purchased": purchased });
    let rates = json!({ "view_to_cart_rate": ratio(carted.len(), viewed.len()),
        "cart_to_purchase_rate": ratio(purchased, carted.len()), "conversion_rate": ratio(purchased, sessions.len()) });
    merged([counts, rates])
}

//! A shop that does not exist: rows whose numbers fit together well enough to look at.

mod pipeline;

use std::collections::BTreeMap;

use clickstream_event::rows::{
    BounceRate, CommonPath, DeadLetter, EntryExitPage, Funnel, HumanTopPage, PageEngagement, PageMetrics,
    PageTransition, ProvisionalBounceRate, Session, SiteMetrics, TopPage, TrendingPage,
};
use clickstream_event::{Timestamp, topic};
use clickstream_serve::JobGraph;
use serde_json::{Value, json};

const PAGES: [(&str, f64); 14] = [
    ("/", 0.30),
    ("/p/alder-desk-lamp", 0.12),
    ("/search", 0.10),
    ("/p/alder-notebook", 0.08),
    ("/c/kitchen", 0.07),
    ("/p/oak-serving-board", 0.055),
    ("/c/desk", 0.05),
    ("/cart", 0.048),
    ("/p/linen-apron", 0.04),
    ("/p/brass-pencil", 0.035),
    ("/checkout", 0.03),
    ("/about", 0.02),
    ("/p/<img src=x onerror=alert(1)>", 0.012),
    ("/blog/how-we-make-a-lamp-that-lasts-for-a-hundred-years", 0.01),
];

/// The shop.
pub struct Shop {
    window_ms: i64,
    slide_ms: i64,
    seed: u64,
    slides: u64,
    letters: BTreeMap<String, u64>,
    records: u64,
    watermark: Timestamp,
    job: Option<JobGraph>,
}

type Rows = Vec<(&'static str, Vec<u8>)>;

impl Shop {
    /// A shop with windows of that size and slide.
    pub fn new(window_ms: i64, slide_ms: i64) -> Self {
        let (letters, watermark) = (BTreeMap::new(), Timestamp(0));
        Self { window_ms, slide_ms, seed: 7, slides: 0, letters, records: 40_000, watermark, job: None }
    }

    fn random(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) as f64 / (1u64 << 31) as f64
    }

    /// A count around `mean`.
    fn around(&mut self, mean: f64) -> u64 {
        let noise = (self.random() + self.random() + self.random() - 1.5) * mean.sqrt() * 1.2;
        (mean + noise).max(0.0).round() as u64
    }

    /// The rows of the window that ends at `end`, and what happened in its last slide.
    pub fn slide(&mut self, end: Timestamp) -> Rows {
        self.slides += 1;
        self.watermark = end;
        let (site_id, start) = ("shop".to_owned(), Timestamp(end.0 - self.window_ms));
        let wave = 1.0 + 0.18 * (self.slides as f64 / 23.0).sin() + 0.07 * (self.slides as f64 / 7.0).sin();
        let lamp = if self.slides % 120 > 85 { 2.4 } else { 1.0 };
        let mut rows = Rows::new();
        let mut pages = Vec::new();
        for (page, share) in PAGES {
            let factor = if page.contains("lamp") { lamp } else { 1.0 };
            let views = self.around(16_000.0 * share * wave * factor);
            let clicks = self.around(views as f64 * (0.15 + 0.2 * share));
            let users = (views as f64 * 0.74) as u64;
            pages.push((page, views, clicks, users));
        }
        let total: u64 = pages.iter().map(|page| page.1).sum();
        let rate = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
        for (page, views, clicks, users) in &pages {
            let (cart, bought) = (self.around(*views as f64 * 0.04), self.around(*views as f64 * 0.011));
            let counts = json!({ "view_count": views, "click_count": clicks, "add_to_cart_count": cart,
                "purchase_count": bought, "unique_users": users, "click_through_rate": rate(*clicks, *views) });
            let mut row = json!({ "site_id": site_id, "window_start": start, "window_end": end, "page_url": page,
                "human_view_count": views - views / 40, "human_click_count": clicks, "human_add_to_cart_count": cart,
                "human_purchase_count": bought, "human_unique_users": users - users / 50, "human_click_through_rate": rate(*clicks, *views) });
            merge(&mut row, &counts);
            add(&mut rows, topic::PAGE_METRICS, &checked::<PageMetrics>(row));
        }
        let sessions = self.around(total as f64 / 3.1);
        let (buyers, users) = (self.around(total as f64 * 0.011), (total as f64 * 0.31) as u64);
        let clicks: u64 = pages.iter().map(|page| page.2).sum();
        let revenue = format!("{:.2}", buyers as f64 * 48.6 + self.random() * 80.0);
        let revenue: Value = serde_json::from_str(&revenue).unwrap_or_default();
        let site = json!({ "site_id": site_id, "window_start": start, "window_end": end,
            "event_count": total * 13 / 10, "view_count": total, "click_count": clicks, "add_to_cart_count": total / 25,
            "purchase_count": buyers, "unique_users": users, "active_sessions": sessions,
            "click_through_rate": rate(clicks, total), "conversion_rate": rate(buyers, users), "revenue": revenue,
            "human_event_count": total * 12 / 10, "human_view_count": total * 39 / 40, "human_click_count": clicks,
            "human_add_to_cart_count": total / 25, "human_purchase_count": buyers, "human_unique_users": users * 49 / 50,
            "human_click_through_rate": rate(clicks, total), "human_conversion_rate": rate(buyers, users), "human_revenue": revenue });
        add(&mut rows, topic::SITE_METRICS, &checked::<SiteMetrics>(site));
        self.journeys(&mut rows, start, end, sessions);
        let mut order = pages.clone();
        order.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        for (place, (page, views, clicks, users)) in order.iter().take(10).enumerate() {
            add(
                &mut rows,
                topic::TOP_PAGES,
                &TopPage {
                    site_id: site_id.clone(),
                    window_start: start,
                    window_end: end,
                    rank: place as u32 + 1,
                    page_url: (*page).to_owned(),
                    view_count: *views,
                    unique_users: *users,
                    click_through_rate: rate(*clicks, *views),
                    human_view_count: views - views / 40,
                    human_unique_users: users - users / 50,
                },
            );
        }
        for (place, (page, views, clicks, users)) in order.iter().take(10).enumerate() {
            let row = HumanTopPage {
                site_id: site_id.clone(),
                window_start: start,
                window_end: end,
                rank: place as u32 + 1,
                page_url: (*page).to_owned(),
                human_view_count: views - views / 40,
                human_unique_users: users - users / 50,
                human_click_through_rate: rate(*clicks, views - views / 40),
            };
            add(&mut rows, topic::HUMAN_TOP_PAGES, &row);
        }
        if lamp > 1.0 {
            add(
                &mut rows,
                topic::TRENDING_PAGES,
                &TrendingPage {
                    site_id: site_id.clone(),
                    window_start: start,
                    window_end: end,
                    rank: 1,
                    page_url: PAGES[1].0.to_owned(),
                    recent_views: 3_100,
                    prior_views: 1_420,
                    growth: 1.18,
                    score: 25.0 - (self.slides % 120) as f64 / 10.0,
                },
            );
            add(
                &mut rows,
                topic::TRENDING_PAGES,
                &TrendingPage {
                    site_id,
                    window_start: start,
                    window_end: end,
                    rank: 2,
                    page_url: PAGES[13].0.to_owned(),
                    recent_views: 98,
                    prior_views: 61,
                    growth: 0.6,
                    score: 2.9,
                },
            );
        }
        self.events(&mut rows, end);
        rows
    }

    fn journeys(&mut self, rows: &mut Rows, start: Timestamp, end: Timestamp, sessions: u64) {
        let site = || "shop".to_owned();
        let rate = |a: u64, b: u64| (b > 0).then(|| a as f64 / b as f64);
        let (viewed, carted) = (sessions * 97 / 100, sessions * 14 / 100);
        let purchased = self.around(sessions as f64 * 0.045);
        add(
            rows,
            topic::FUNNELS,
            &Funnel {
                site_id: site(),
                window_start: start,
                window_end: end,
                sessions,
                viewed,
                carted,
                purchased,
                view_to_cart_rate: rate(carted, viewed),
                cart_to_purchase_rate: rate(purchased, carted),
                conversion_rate: rate(purchased, sessions),
            },
        );
        for (place, (page, share)) in PAGES.iter().enumerate() {
            let page_url = (*page).to_owned();
            let entries = self.around(sessions as f64 * share * 0.9);
            let bounces = (entries as f64 * (0.22 + 0.05 * ((place * 5) % 7) as f64)) as u64;
            add(
                rows,
                topic::BOUNCE_RATES,
                &BounceRate {
                    site_id: site(),
                    window_start: start,
                    window_end: end,
                    page_url: page_url.clone(),
                    entries,
                    bounces,
                    bounce_rate: rate(bounces, entries),
                },
            );
            let undecided = entries / 4;
            add(
                rows,
                topic::PROVISIONAL_BOUNCE_RATES,
                &ProvisionalBounceRate {
                    site_id: site(),
                    window_start: start,
                    window_end: end,
                    page_url: page_url.clone(),
                    entries,
                    bounces: bounces * 7 / 10,
                    undecided,
                    provisional_bounce_rate: rate(bounces * 7 / 10, entries - undecided),
                },
            );
            let exits = self.around(sessions as f64 / 14.0);
            add(
                rows,
                topic::ENTRY_EXIT_PAGES,
                &EntryExitPage {
                    site_id: site(),
                    window_start: start,
                    window_end: end,
                    page_url: page_url.clone(),
                    entries,
                    exits,
                    sessions,
                    entry_rate: rate(entries, sessions),
                    exit_rate: rate(exits, sessions),
                },
            );
            let stay_count = self.around(4_000.0 * share);
            let mean_stay_ms = 2_000.0 + 900.0 * (place % 5) as f64;
            add(
                rows,
                topic::PAGE_ENGAGEMENT,
                &PageEngagement {
                    site_id: site(),
                    window_start: start,
                    window_end: end,
                    page_url,
                    stay_count,
                    mean_stay_ms,
                    median_stay_ms: (mean_stay_ms * 0.8) as u64,
                },
            );
            for step in [1usize, 2, 3, 5] {
                let (to, weight) = PAGES[(place + step) % PAGES.len()];
                let count = self.around(3_800.0 * share * weight * 2.0 / step as f64);
                add(
                    rows,
                    topic::PAGE_TRANSITIONS,
                    &PageTransition {
                        site_id: site(),
                        window_start: start,
                        window_end: end,
                        from_page: (*page).to_owned(),
                        to_page: to.to_owned(),
                        transition_count: count,
                        transition_rate: rate(count, (3_800.0 * share) as u64 + 1),
                    },
                );
            }
        }
        for (place, length) in (0..20).map(|n| (n % 10, 3 + n / 10)) {
            let pages = (0..length).map(|step| PAGES[(place * (1 + step)) % 11].0.to_owned()).collect();
            add(
                rows,
                topic::COMMON_PATHS,
                &CommonPath {
                    site_id: site(),
                    window_start: start,
                    window_end: end,
                    length: length as u32,
                    rank: place as u32 + 1,
                    pages,
                    path_count: 420 / (place as u64 + 1) / (length as u64 - 2),
                },
            );
        }
    }

    fn events(&mut self, rows: &mut Rows, end: Timestamp) {
        for n in 0..6u64 {
            let views = 1 + (self.random() * 6.0) as u64;
            let (entry, exit) =
                (PAGES[(self.random() * 9.0) as usize].0, PAGES[(self.random() * 11.0) as usize].0);
            let clicks = (self.random() * 4.0) as u64;
            let bounced = views == 1 && clicks == 0;
            let duration_ms = if bounced { 0 } else { views * 5_200 };
            add(
                rows,
                topic::SESSIONS,
                &Session {
                    site_id: "shop".into(),
                    session_id: format!("s{:05x}{n}", self.slides),
                    user_id: format!("u{:05x}", self.seed >> 44),
                    session_start: Timestamp(end.0 - 31_000 - duration_ms as i64),
                    session_end: Timestamp(end.0 - 31_000 - n as i64 * 100),
                    duration_ms,
                    event_count: views + clicks,
                    page_view_count: views,
                    click_count: clicks,
                    add_to_cart_count: u64::from(views > 4),
                    purchase_count: u64::from(views > 5),
                    distinct_pages: views.min(4),
                    entry_page: entry.into(),
                    exit_page: if bounced { entry.into() } else { exit.into() },
                    bounced,
                    engagement_score: 100.0 * (1.0 - (-((views + 2 * clicks) as f64) / 20.0).exp()),
                },
            );
        }
        let found = match self.slides % 60 {
            30 => Some((
                "traffic_spike",
                "z_score",
                PAGES[1].0,
                231.0,
                96.4,
                6.3,
                "231 events in 2 s, usually 96 ± 21",
            )),
            45 => Some(("bot", "metronome", "u0bot7", 0.02, 0.1, 5.0, "20 events evenly 500 ms apart")),
            55 => {
                Some(("unusual_user", "pages", "u12ab9", 71.0, 60.0, 1.18, "71 different pages in a minute"))
            }
            59 => Some((
                "traffic_drop",
                "z_score",
                "shop",
                310.0,
                640.0,
                -4.4,
                "310 events in 2 s, usually 640 ± 75",
            )),
            _ => None,
        };
        if let Some((kind, rule, subject, observed, expected, score, reason)) = found {
            let start = Timestamp(end.0 - self.slide_ms);
            add(
                rows,
                topic::ANOMALIES,
                &json!({ "site_id": "shop", "kind": kind, "rule": rule, "subject": subject, "detected_at": end,
                "window_start": start, "window_end": end, "observed": observed, "expected": expected, "score": score, "reason": reason }),
            );
        }
        if self.slides.is_multiple_of(3) {
            let (reason, detail, raw) = match self.slides % 9 {
                0 => (
                    "late",
                    Some("431 ms behind the high mark".to_owned()),
                    r#"{"event_id":"e1","site_id":"shop"}"#,
                ),
                3 => (
                    "malformed_json",
                    Some("expected `,` or `}` at 17".to_owned()),
                    "{\"event_id\":\"e2\" <script>alert(1)</script>",
                ),
                _ => ("missing_field", Some("user_id".to_owned()), r#"{"event_id":"e3"}"#),
            };
            *self.letters.entry(reason.into()).or_default() += 1;
            add(
                rows,
                topic::DEAD_LETTERS,
                &DeadLetter {
                    reason: reason.into(),
                    detail,
                    source_partition: (self.slides % 4) as i32,
                    source_offset: self.slides as i64 * 500,
                    raw: Some(raw.into()),
                },
            );
        }
    }
}

fn merge(row: &mut Value, more: &Value) {
    if let (Some(row), Some(more)) = (row.as_object_mut(), more.as_object()) {
        row.extend(more.clone());
    }
}

/// The value, which has to be a row of that type.
fn checked<T: serde::de::DeserializeOwned>(value: Value) -> Value {
    debug_assert!(serde_json::from_str::<T>(&value.to_string()).is_ok(), "{value}");
    value
}

fn add(rows: &mut Rows, topic: &'static str, row: &impl serde::Serialize) {
    if let Ok(json) = serde_json::to_vec(row) {
        rows.push((topic, json));
    }
}

//! Rows for tests.

use clickstream_event::rows::{
    Anomaly, BounceRate, CommonPath, Counts, DeadLetter, EntryExitPage, Funnel, HumanCounts, HumanTopPage,
    PageEngagement, PageMetrics, PageTransition, ProductMetrics, ProvisionalBounceRate, Session, SiteMetrics,
    TopPage, TrendingPage,
};
use clickstream_event::{Timestamp, topic};
use serde::Serialize;

use crate::head::{Filed, file};

/// A row of every kind in the window that ends at `end`, about pages named `page`.
pub fn every_kind(site: &str, end: i64, page: &str) -> Vec<(&'static str, String)> {
    let (site_id, page_url) = (site.to_owned(), page.to_owned());
    let (window_start, window_end) = (Timestamp(end - 60_000), Timestamp(end));
    let counts = Counts {
        view_count: 8,
        click_count: 2,
        unique_users: 5,
        click_through_rate: Some(0.25),
        ..Counts::default()
    };
    let human = HumanCounts { human_view_count: 7, ..HumanCounts::default() };
    vec![
        of(
            topic::SITE_METRICS,
            &SiteMetrics {
                site_id: site_id.clone(),
                window_start,
                window_end,
                event_count: 11,
                view_count: 8,
                click_count: 2,
                add_to_cart_count: 1,
                purchase_count: 0,
                unique_users: 5,
                active_sessions: 6,
                click_through_rate: Some(0.25),
                conversion_rate: None,
                revenue: "12.50".parse().unwrap(),
                human_event_count: 10,
                human: human.clone(),
                human_conversion_rate: None,
                human_revenue: 12.into(),
            },
        ),
        of(
            topic::PAGE_METRICS,
            &PageMetrics {
                site_id: site_id.clone(),
                window_start,
                window_end,
                page_url: page_url.clone(),
                counts: counts.clone(),
                human,
            },
        ),
        of(
            topic::PRODUCT_METRICS,
            &ProductMetrics {
                site_id: site_id.clone(),
                window_start,
                window_end,
                product_id: "P1".into(),
                counts,
            },
        ),
        of(
            topic::TOP_PAGES,
            &TopPage {
                site_id: site_id.clone(),
                window_start,
                window_end,
                rank: 1,
                page_url: page_url.clone(),
                view_count: 8,
                unique_users: 5,
                click_through_rate: None,
                human_view_count: 7,
                human_unique_users: 4,
            },
        ),
        of(
            topic::HUMAN_TOP_PAGES,
            &HumanTopPage {
                site_id: site_id.clone(),
                window_start,
                window_end,
                rank: 1,
                page_url: page_url.clone(),
                human_view_count: 7,
                human_unique_users: 4,
                human_click_through_rate: None,
            },
        ),
        of(
            topic::TRENDING_PAGES,
            &TrendingPage {
                site_id: site_id.clone(),
                window_start,
                window_end,
                rank: 1,
                page_url: page_url.clone(),
                recent_views: 20,
                prior_views: 3,
                growth: 5.6,
                score: 3.5,
            },
        ),
        of(
            topic::BOUNCE_RATES,
            &BounceRate {
                site_id: site_id.clone(),
                window_start,
                window_end,
                page_url: page_url.clone(),
                entries: 4,
                bounces: 1,
                bounce_rate: Some(0.25),
            },
        ),
        of(
            topic::PROVISIONAL_BOUNCE_RATES,
            &ProvisionalBounceRate {
                site_id: site_id.clone(),
                window_start,
                window_end,
                page_url: page_url.clone(),
                entries: 4,
                bounces: 1,
                undecided: 4,
                provisional_bounce_rate: None,
            },
        ),
        of(
            topic::PAGE_TRANSITIONS,
            &PageTransition {
                site_id: site_id.clone(),
                window_start,
                window_end,
                from_page: page_url.clone(),
                to_page: "/to".into(),
                transition_count: 3,
                transition_rate: Some(0.5),
            },
        ),
        of(
            topic::ENTRY_EXIT_PAGES,
            &EntryExitPage {
                site_id: site_id.clone(),
                window_start,
                window_end,
                page_url: page_url.clone(),
                entries: 4,
                exits: 2,
                sessions: 9,
                entry_rate: None,
                exit_rate: None,
            },
        ),
        of(
            topic::COMMON_PATHS,
            &CommonPath {
                site_id: site_id.clone(),
                window_start,
                window_end,
                length: 3,
                rank: 1,
                pages: vec!["/a".into(), page_url.clone(), "/b".into()],
                path_count: 3,
            },
        ),
        of(
            topic::FUNNELS,
            &Funnel {
                site_id: site_id.clone(),
                window_start,
                window_end,
                sessions: 9,
                viewed: 8,
                carted: 2,
                purchased: 1,
                view_to_cart_rate: Some(0.25),
                cart_to_purchase_rate: Some(0.5),
                conversion_rate: Some(0.125),
            },
        ),
        of(
            topic::PAGE_ENGAGEMENT,
            &PageEngagement {
                site_id: site_id.clone(),
                window_start,
                window_end,
                page_url: page_url.clone(),
                stay_count: 3,
                mean_stay_ms: 2.5,
                median_stay_ms: 200,
            },
        ),
        session(site, end, "s1", page),
        of(
            topic::ANOMALIES,
            &Anomaly {
                site_id,
                kind: "traffic_spike".into(),
                rule: "z_score".into(),
                subject: page_url,
                detected_at: window_end,
                window_start,
                window_end,
                observed: 50.0,
                expected: 10.0,
                score: 6.0,
                reason: "50 events".into(),
            },
        ),
        letter(1, end),
    ]
}

/// A session that ended at `end`.
pub fn session(site: &str, end: i64, id: &str, page: &str) -> (&'static str, String) {
    of(
        topic::SESSIONS,
        &Session {
            site_id: site.into(),
            session_id: id.into(),
            user_id: "u1".into(),
            session_start: Timestamp(end - 5),
            session_end: Timestamp(end),
            duration_ms: 5,
            event_count: 1,
            page_view_count: 1,
            click_count: 0,
            add_to_cart_count: 0,
            purchase_count: 0,
            distinct_pages: 1,
            entry_page: page.into(),
            exit_page: page.into(),
            bounced: true,
            engagement_score: 4.9,
        },
    )
}

/// A dead letter.
pub fn letter(partition: i32, offset: i64) -> (&'static str, String) {
    of(
        topic::DEAD_LETTERS,
        &DeadLetter {
            reason: "late".into(),
            detail: None,
            source_partition: partition,
            source_offset: offset,
            raw: Some("<script>".into()),
        },
    )
}

/// The page's row of one window.
pub fn page(site: &str, end: i64, page: &str, views: u64) -> (&'static str, String) {
    let counts = Counts { view_count: views, ..Counts::default() };
    let (window_start, window_end) = (Timestamp(end - 60_000), Timestamp(end));
    let human = HumanCounts::default();
    of(
        topic::PAGE_METRICS,
        &PageMetrics { site_id: site.into(), window_start, window_end, page_url: page.into(), counts, human },
    )
}

/// Files rows.
pub fn filed(rows: &[(&'static str, String)]) -> Vec<Filed> {
    rows.iter().map(|(topic, json)| file(topic, json.as_bytes()).unwrap()).collect()
}

fn of(topic: &'static str, row: &impl Serialize) -> (&'static str, String) {
    (topic, serde_json::to_string(row).unwrap())
}

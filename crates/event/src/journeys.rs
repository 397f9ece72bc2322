//! Rows about sessions, the ways people take, and anomalies; `docs/metrics.md` defines each number.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A session that has closed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The site.
    pub site_id: String,
    /// The session.
    pub session_id: String,
    /// The user of its first event.
    pub user_id: String,
    /// Its first event.
    pub session_start: Timestamp,
    /// Its last event.
    pub session_end: Timestamp,
    /// Between the two, in milliseconds.
    pub duration_ms: u64,
    /// Its events.
    pub event_count: u64,
    /// Its page views.
    pub page_view_count: u64,
    /// Its clicks.
    pub click_count: u64,
    /// Products put into the cart.
    pub add_to_cart_count: u64,
    /// Its purchases.
    pub purchase_count: u64,
    /// Different pages over all its events.
    pub distinct_pages: u64,
    /// Page of its first event.
    pub entry_page: String,
    /// Page of its last event.
    pub exit_page: String,
    /// Exactly one page view and nothing else.
    pub bounced: bool,
    /// From 0 to 100.
    pub engagement_score: f64,
}

/// How many sessions that entered at a page, and closed within the window, saw nothing else.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BounceRate {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// The page.
    pub page_url: String,
    /// Sessions that entered there.
    pub entries: u64,
    /// Of these, the bounced.
    pub bounces: u64,
    /// Their share.
    pub bounce_rate: Option<f64>,
}

/// The same of sessions that began within the window, as things stand at its end.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProvisionalBounceRate {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// The page.
    pub page_url: String,
    /// Sessions that began there.
    pub entries: u64,
    /// Closed, with exactly one page view.
    pub bounces: u64,
    /// Open, with exactly one page view so far.
    pub undecided: u64,
    /// Bounces per entry that is decided.
    pub provisional_bounce_rate: Option<f64>,
}

/// Ways from one page to another.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PageTransition {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// The page that was left.
    pub from_page: String,
    /// The page that was viewed next.
    pub to_page: String,
    /// How often.
    pub transition_count: u64,
    /// Share of all departures from the page, exits from the site included.
    pub transition_rate: Option<f64>,
}

/// Where sessions that closed within the window began and ended.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct EntryExitPage {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// The page.
    pub page_url: String,
    /// Sessions that entered there.
    pub entries: u64,
    /// Sessions that ended there.
    pub exits: u64,
    /// All sessions of the site.
    pub sessions: u64,
    /// Entries per session.
    pub entry_rate: Option<f64>,
    /// Exits per session.
    pub exit_rate: Option<f64>,
}

/// A way over three or four pages that many took.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CommonPath {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// Pages of the way.
    pub length: u32,
    /// Place among ways of that length, from 1: the most frequent first, then by pages.
    pub rank: u32,
    /// The pages in order.
    pub pages: Vec<String>,
    /// How often.
    pub path_count: u64,
}

/// From view to purchase, over sessions that closed within the window.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Funnel {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// All.
    pub sessions: u64,
    /// With a page view.
    pub viewed: u64,
    /// Of these, with an add to cart.
    pub carted: u64,
    /// Of these, with a purchase.
    pub purchased: u64,
    /// Carted per viewed.
    pub view_to_cart_rate: Option<f64>,
    /// Purchased per carted.
    pub cart_to_purchase_rate: Option<f64>,
    /// Purchased per session.
    pub conversion_rate: Option<f64>,
}

/// How long a page was stayed on.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PageEngagement {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// The page.
    pub page_url: String,
    /// Stays that ended within the window.
    pub stay_count: u64,
    /// Their mean length in milliseconds.
    pub mean_stay_ms: f64,
    /// Upper bound of the class that holds their median, in milliseconds.
    pub median_stay_ms: u64,
}

/// Something out of the ordinary.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Anomaly {
    /// The site.
    pub site_id: String,
    /// `traffic_spike`, `traffic_drop`, `bot` or `unusual_user`.
    pub kind: String,
    /// The rule that found it.
    pub rule: String,
    /// A page, the site, or a user.
    pub subject: String,
    /// From when on it is known, in event time.
    pub detected_at: Timestamp,
    /// First instant of what was looked at.
    pub window_start: Timestamp,
    /// Last instant of it, or the first after it.
    pub window_end: Timestamp,
    /// What was seen.
    pub observed: f64,
    /// What was to be expected.
    pub expected: f64,
    /// How strange it is.
    pub score: f64,
    /// The same for people.
    pub reason: String,
}

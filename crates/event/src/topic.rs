//! Names of the Kafka topics.

/// Every event as it came in.
pub const EVENTS: &str = "clickstream.events";
/// Rows of [`crate::rows::PageMetrics`].
pub const PAGE_METRICS: &str = "clickstream.page-metrics";
/// Rows of [`crate::rows::ProductMetrics`].
pub const PRODUCT_METRICS: &str = "clickstream.product-metrics";
/// Rows of [`crate::rows::SiteMetrics`].
pub const SITE_METRICS: &str = "clickstream.site-metrics";
/// Rows of [`crate::rows::TopPage`].
pub const TOP_PAGES: &str = "clickstream.top-pages";
/// Rows of [`crate::rows::HumanTopPage`].
pub const HUMAN_TOP_PAGES: &str = "clickstream.human-top-pages";
/// Rows of [`crate::rows::TrendingPage`].
pub const TRENDING_PAGES: &str = "clickstream.trending-pages";
/// Rows of [`crate::rows::Session`].
pub const SESSIONS: &str = "clickstream.sessions";
/// Rows of [`crate::rows::BounceRate`].
pub const BOUNCE_RATES: &str = "clickstream.bounce-rates";
/// Rows of [`crate::rows::ProvisionalBounceRate`].
pub const PROVISIONAL_BOUNCE_RATES: &str = "clickstream.provisional-bounce-rates";
/// Rows of [`crate::rows::PageTransition`].
pub const PAGE_TRANSITIONS: &str = "clickstream.page-transitions";
/// Rows of [`crate::rows::EntryExitPage`].
pub const ENTRY_EXIT_PAGES: &str = "clickstream.entry-exit-pages";
/// Rows of [`crate::rows::CommonPath`].
pub const COMMON_PATHS: &str = "clickstream.common-paths";
/// Rows of [`crate::rows::Funnel`].
pub const FUNNELS: &str = "clickstream.funnels";
/// Rows of [`crate::rows::PageEngagement`].
pub const PAGE_ENGAGEMENT: &str = "clickstream.page-engagement";
/// Rows of [`crate::rows::Anomaly`].
pub const ANOMALIES: &str = "clickstream.anomalies";
/// Rows of [`crate::rows::DeadLetter`].
pub const DEAD_LETTERS: &str = "clickstream.dead-letters";

/// All topics that the pipeline writes: results, and dead letters.
pub fn written() -> impl Iterator<Item = &'static str> {
    RESULTS.into_iter().chain([DEAD_LETTERS])
}

/// The result topics: all whose rows are keyed, and can be computed anew from the log.
pub const RESULTS: [&str; 15] = [
    PAGE_METRICS,
    PRODUCT_METRICS,
    SITE_METRICS,
    TOP_PAGES,
    HUMAN_TOP_PAGES,
    TRENDING_PAGES,
    SESSIONS,
    BOUNCE_RATES,
    PROVISIONAL_BOUNCE_RATES,
    PAGE_TRANSITIONS,
    ENTRY_EXIT_PAGES,
    COMMON_PATHS,
    FUNNELS,
    PAGE_ENGAGEMENT,
    ANOMALIES,
];

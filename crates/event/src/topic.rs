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
/// Rows of [`crate::rows::DeadLetter`].
pub const DEAD_LETTERS: &str = "clickstream.dead-letters";

/// The result topics whose rows are keyed and belong to a window.
pub const RESULTS: [&str; 4] = [PAGE_METRICS, PRODUCT_METRICS, SITE_METRICS, TOP_PAGES];

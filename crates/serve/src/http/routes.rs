//! Which lists there are, and what can be asked of each. The router and the OpenAPI description are made from it.

use crate::kind::Kind;

/// Kinds of anomalies.
pub const ANOMALY_KINDS: [&str; 4] = ["traffic_spike", "traffic_drop", "bot", "unusual_user"];

/// How a list is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// The rows of one window.
    Window,
    /// One row per window over a time.
    Series,
    /// As `Series`, of the page in the path.
    PageSeries,
    /// Rows with an instant of their own, newest first.
    Events,
    /// Dead letters, newest first.
    Letters,
}

/// A list of rows.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// Its path.
    pub path: &'static str,
    /// Name of the kind of its rows.
    pub kind: &'static str,
    /// How it is asked for.
    pub shape: Shape,
    /// What it shows, in a line.
    pub about: &'static str,
    /// Parameters besides those of its shape.
    pub filters: &'static [&'static str],
}

impl Route {
    /// The kind of its rows.
    pub fn kind(&self) -> Option<&'static Kind> {
        Kind::named(self.kind)
    }

    /// All parameters that it knows.
    pub fn parameters(&self) -> Vec<&'static str> {
        let of_shape: &[&str] = match self.shape {
            Shape::Window => &["site_id", "window_end", "limit", "offset", "tz", "format"],
            Shape::Series | Shape::PageSeries => &["site_id", "from", "to", "limit", "tz", "format"],
            Shape::Events => &["site_id", "from", "to", "limit", "offset", "tz", "format"],
            Shape::Letters => &["limit", "offset", "format"],
        };
        of_shape.iter().chain(self.filters).copied().collect()
    }
}

const fn route(
    path: &'static str,
    kind: &'static str,
    shape: Shape,
    filters: &'static [&'static str],
    about: &'static str,
) -> Route {
    Route { path, kind, shape, about, filters }
}

/// All lists.
pub const ROUTES: [Route; 18] = [
    route("/api/v1/site", "site-metrics", Shape::Series, &[], "The whole site, window by window"),
    route(
        "/api/v1/pages",
        "page-metrics",
        Shape::Window,
        &["page_url"],
        "All pages of a window, most views first",
    ),
    route(
        "/api/v1/pages/top",
        "top-pages",
        Shape::Window,
        &["page_url"],
        "The most viewed pages of a window",
    ),
    route(
        "/api/v1/pages/human-top",
        "human-top-pages",
        Shape::Window,
        &["page_url"],
        "The most viewed pages without labelled bots",
    ),
    route(
        "/api/v1/pages/trending",
        "trending-pages",
        Shape::Window,
        &["page_url"],
        "The pages that rise within a window",
    ),
    route(
        "/api/v1/pages/bounce-rates",
        "bounce-rates",
        Shape::Window,
        &["page_url"],
        "Bounce rates of entry pages, over sessions that closed within a window",
    ),
    route(
        "/api/v1/pages/{page}/metrics",
        "page-metrics",
        Shape::PageSeries,
        &[],
        "One page, window by window",
    ),
    route(
        "/api/v1/products",
        "product-metrics",
        Shape::Window,
        &[],
        "All products of a window, most views first",
    ),
    route(
        "/api/v1/provisional-bounce-rates",
        "provisional-bounce-rates",
        Shape::Window,
        &["page_url"],
        "Bounce rates so far, of sessions that began within a window",
    ),
    route(
        "/api/v1/transitions",
        "page-transitions",
        Shape::Window,
        &["page_url"],
        "Ways from page to page within a window",
    ),
    route(
        "/api/v1/entry-exit",
        "entry-exit-pages",
        Shape::Window,
        &["page_url"],
        "Where sessions began and ended",
    ),
    route(
        "/api/v1/paths",
        "common-paths",
        Shape::Window,
        &["page_url"],
        "The most frequent ways over three and four pages",
    ),
    route("/api/v1/funnel", "funnels", Shape::Window, &[], "From view to purchase in a window"),
    route("/api/v1/funnel/history", "funnels", Shape::Series, &[], "From view to purchase, window by window"),
    route(
        "/api/v1/engagement",
        "page-engagement",
        Shape::Window,
        &["page_url"],
        "How long pages were stayed on",
    ),
    route(
        "/api/v1/sessions",
        "sessions",
        Shape::Events,
        &["page_url", "user_id", "session_id", "bounced"],
        "Sessions that have closed, newest first",
    ),
    route(
        "/api/v1/anomalies",
        "anomalies",
        Shape::Events,
        &["page_url", "kind", "subject"],
        "Spikes, drops, bots and unusual users, newest first",
    ),
    route(
        "/api/v1/dead-letters",
        "dead-letters",
        Shape::Letters,
        &["reason"],
        "Records that count nowhere, newest first, and how many by reason",
    ),
];

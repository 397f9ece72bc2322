//! What comes from the server.

use serde_json::Value;

/// Something new.
#[derive(Clone, Debug)]
pub enum Update {
    /// The live stream runs.
    Connected,
    /// It does not.
    Disconnected {
        /// Why.
        why: String,
        /// Milliseconds until the next attempt.
        retry_ms: u64,
        /// How many attempts have failed in a row.
        attempts: u32,
    },
    /// The sites there are.
    Sites {
        /// The busiest.
        default: Option<String>,
        /// All of them.
        all: Vec<String>,
    },
    /// Rows of a kind.
    Rows(Rows),
    /// Site metrics of past windows, the oldest first.
    History(Vec<Value>),
    /// Pages of a past window.
    Past(Rows),
    /// What the pipeline reports.
    Pipeline(Value),
    /// A page, looked at closely.
    Detail(Box<Detail>),
    /// Frames that were lost because we were too slow.
    Dropped(u64),
}

/// Rows of a kind, as REST and the live stream give them.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Rows {
    /// The kind.
    pub kind: String,
    /// The site.
    pub site: String,
    /// The window, if they belong to one.
    pub window_end: String,
    /// Rows of the window in all.
    pub total: u64,
    /// These.
    pub rows: Vec<Value>,
}

impl Rows {
    /// Reads an answer or an event.
    pub fn read(mut value: Value) -> Self {
        let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, site, window_end) = (word("kind"), word("site_id"), word("window_end"));
        let rows = match value.get_mut("rows").map(Value::take) {
            Some(Value::Array(rows)) => rows,
            _ => Vec::new(),
        };
        let total = value.get("total").and_then(Value::as_u64).unwrap_or(rows.len() as u64);
        Self { kind, site, window_end, total, rows }
    }
}

/// What is asked of the client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// Follow this site.
    Site(String),
    /// Look closely at a page of a site.
    Detail {
        /// The site.
        site: String,
        /// The page.
        page: String,
    },
    /// All pages of the newest window, as far as they are given.
    Pages(String),
}

/// A page, looked at closely.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Detail {
    /// The page.
    pub page: String,
    /// Page metrics, the oldest window first.
    pub series: Vec<Value>,
    /// Ways to and from it.
    pub transitions: Vec<Value>,
    /// Its bounce rate, its entries and exits, its engagement: a row each, where there is one.
    pub facts: [Option<Value>; 3],
}

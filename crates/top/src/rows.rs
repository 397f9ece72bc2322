//! Lists as they are shown: sorted and filtered.

use serde_json::Value;

use crate::state::{State, Tab};
use crate::text::{number, ratio, word};

/// What pages are sorted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum By {
    /// Most views first.
    #[default]
    Views,
    /// Most users first.
    Users,
    /// Highest click-through rate first.
    Clicks,
    /// Greatest change first.
    Change,
    /// By name.
    Name,
}

/// The order of pages.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Order {
    /// The column.
    pub by: By,
    /// The other way round.
    pub reverse: bool,
}

impl Order {
    /// Sorted by this column; if it is already, the other way round.
    pub fn by(self, by: By) -> Self {
        Self { by, reverse: self.by == by && !self.reverse }
    }
}

/// A page with its rank by views and how that has changed.
#[derive(Clone, Debug)]
pub struct Page<'s> {
    /// Its rank by views.
    pub rank: usize,
    /// Its row.
    pub row: &'s Value,
    /// Views more than in the window before; none if that is not known.
    pub change: Option<f64>,
}

/// The pages of the newest window.
pub fn pages(state: &State) -> Vec<Page<'_>> {
    let rows = state.frame("page-metrics");
    let end = state.frames.get("page-metrics").map_or("", |frame| frame.window_end.as_str());
    let before = state.windows.iter().rev().find(|(window, _)| window.as_str() < end).map(|(_, views)| views);
    let mut pages: Vec<Page<'_>> = rows
        .iter()
        .enumerate()
        .map(|(n, row)| Page {
            rank: n + 1,
            row,
            change: before.and_then(|before| {
                Some(number(row, "view_count") - before.get(word(row, "page_url")).copied()?)
            }),
        })
        .filter(|page| holds(state, &[word(page.row, "page_url")]))
        .collect();
    let value = |page: &Page<'_>| match state.order.by {
        By::Views => number(page.row, "view_count"),
        By::Users => number(page.row, "unique_users"),
        By::Clicks => ratio(page.row, "click_through_rate").unwrap_or(-1.0),
        By::Change => page.change.unwrap_or(f64::MIN),
        By::Name => 0.0,
    };
    // the rows come by views; a stable sort keeps that among equals
    match state.order.by {
        By::Name => pages.sort_by(|a, b| word(a.row, "page_url").cmp(word(b.row, "page_url"))),
        _ => pages.sort_by(|a, b| value(b).total_cmp(&value(a))),
    }
    if state.order.reverse {
        pages.reverse();
    }
    pages
}

/// The lines of a tab that is a list of rows.
pub fn list(state: &State, tab: Tab) -> Vec<&Value> {
    let (rows, fields): (Vec<&Value>, &[&str]) = match tab {
        Tab::Trending => (state.frame("trending-pages").iter().collect(), &["page_url"]),
        Tab::Sessions => {
            (state.sessions.iter().collect(), &["user_id", "session_id", "entry_page", "exit_page"])
        }
        Tab::Journeys => (state.frame("page-transitions").iter().collect(), &["from_page", "to_page"]),
        Tab::Anomalies => (state.anomalies.iter().collect(), &["kind", "rule", "subject", "reason"]),
        Tab::Pages | Tab::Pipeline => (Vec::new(), &[]),
    };
    rows.into_iter()
        .filter(|row| {
            let texts: Vec<&str> = fields.iter().map(|field| word(row, field)).collect();
            holds(state, &texts)
        })
        .collect()
}

/// The page of the chosen line.
pub fn chosen_page(state: &State) -> Option<String> {
    let at = state.choice();
    let page = match state.tab {
        Tab::Pages => word(pages(state).get(at)?.row, "page_url").to_owned(),
        Tab::Trending => word(list(state, Tab::Trending).get(at)?, "page_url").to_owned(),
        Tab::Sessions => word(list(state, Tab::Sessions).get(at)?, "entry_page").to_owned(),
        Tab::Journeys => word(list(state, Tab::Journeys).get(at)?, "to_page").to_owned(),
        Tab::Anomalies => {
            let subject = word(list(state, Tab::Anomalies).get(at)?, "subject").to_owned();
            // of users and the whole site there is no page
            subject.starts_with('/').then_some(subject)?
        }
        Tab::Pipeline => return None,
    };
    (!page.is_empty()).then_some(page)
}

/// Whether one of the texts holds the filter, in any case.
pub fn holds(state: &State, texts: &[&str]) -> bool {
    if state.filter.is_empty() {
        return true;
    }
    let filter = state.filter.to_lowercase();
    texts.iter().any(|text| text.to_lowercase().contains(&filter))
}

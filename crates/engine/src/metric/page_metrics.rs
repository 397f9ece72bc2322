//! Page metrics: events by type, exact unique users and click-through rate per site, window and page.

use clickstream_event::rows::{HumanCounts, PageMetrics};

use super::{Bounds, Names, counts};
use crate::shard::KeyTotals;

pub(super) fn rows(pages: &[(u32, KeyTotals)], bounds: Bounds, names: Names<'_>) -> Vec<PageMetrics> {
    pages
        .iter()
        .map(|(page, totals)| PageMetrics {
            site_id: names.sites.text(names.pages.site(*page)).to_owned(),
            window_start: bounds.start,
            window_end: bounds.end,
            page_url: names.pages.text(*page).to_owned(),
            counts: counts(*totals),
            human: HumanCounts::default(),
        })
        .collect()
}

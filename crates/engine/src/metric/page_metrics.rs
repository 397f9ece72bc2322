//! Page metrics: events by type, exact unique users and click-through rate per site, window and page.

use clickstream_event::rows::PageMetrics;

use super::{Place, counts, human};
use crate::shard::KeyTotals;

pub(super) fn rows(pages: &[(u32, KeyTotals, u32)], place: Place<'_>) -> Vec<PageMetrics> {
    let row = |(page, totals, _): &(u32, KeyTotals, u32)| {
        let (site_id, page_url) = place.page(*page);
        PageMetrics {
            site_id,
            window_start: place.start,
            window_end: place.end,
            page_url,
            counts: counts(totals),
            human: human(totals.sums.human, totals.human_users),
        }
    };
    pages.iter().map(row).collect()
}

//! Page engagement: how long pages were stayed on.

use clickstream_event::rows::PageEngagement;

use super::Place;
use crate::journeys::Stays;

pub(super) fn rows(pages: &[(u32, Stays, i64)], place: Place<'_>) -> Vec<PageEngagement> {
    let row = |(page, stays, median): &(u32, Stays, i64)| {
        let (site_id, page_url) = place.page(*page);
        PageEngagement {
            site_id,
            window_start: place.start,
            window_end: place.end,
            page_url,
            stay_count: u64::from(stays.count),
            mean_stay_ms: stays.total_ms as f64 / f64::from(stays.count),
            median_stay_ms: *median as u64,
        }
    };
    pages.iter().map(row).collect()
}

//! Bounce rates: of sessions that closed within the window, by entry page, how many saw nothing else.

use clickstream_event::rows::BounceRate;

use super::{Place, ratio};
use crate::journeys::Doors;

pub(super) fn rows(pages: &[(u32, Doors)], place: Place<'_>) -> Vec<BounceRate> {
    let row = |(page, doors): &(u32, Doors)| {
        let (site_id, page_url) = place.page(*page);
        let (entries, bounces) = (u64::from(doors.entries), u64::from(doors.bounces));
        BounceRate {
            site_id,
            window_start: place.start,
            window_end: place.end,
            page_url,
            entries,
            bounces,
            bounce_rate: ratio(bounces, entries),
        }
    };
    pages.iter().filter(|(_, doors)| doors.entries > 0).map(row).collect()
}

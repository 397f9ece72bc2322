//! Provisional bounce rates: of sessions that began within the window, as things stand at its end.

use clickstream_event::rows::ProvisionalBounceRate;

use super::{Place, ratio};
use crate::journeys::Begun;

pub(super) fn rows(pages: &[(u32, Begun)], place: Place<'_>) -> Vec<ProvisionalBounceRate> {
    let row = |(page, begun): &(u32, Begun)| {
        let (site_id, page_url) = place.page(*page);
        let [entries, bounces, undecided] =
            [begun.entries, begun.bounces, begun.undecided].map(|count| count.max(0) as u64);
        ProvisionalBounceRate {
            site_id,
            window_start: place.start,
            window_end: place.end,
            page_url,
            entries,
            bounces,
            undecided,
            provisional_bounce_rate: ratio(bounces, entries.saturating_sub(undecided)),
        }
    };
    pages.iter().map(row).collect()
}

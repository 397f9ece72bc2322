//! Page transitions: ways from one page to another, and their share of all departures from it.

use clickstream_event::rows::PageTransition;

use super::{Place, ratio};

pub(super) fn rows(ways: &[(u32, u32, u32, u32)], place: Place<'_>) -> Vec<PageTransition> {
    let row = |(from, to, count, departures): &(u32, u32, u32, u32)| {
        let (site_id, from_page) = place.page(*from);
        PageTransition {
            site_id,
            window_start: place.start,
            window_end: place.end,
            from_page,
            to_page: place.names.pages.text(*to).to_owned(),
            transition_count: u64::from(*count),
            transition_rate: ratio(u64::from(*count), u64::from(*departures)),
        }
    };
    ways.iter().map(row).collect()
}

//! Entry and exit pages: where sessions that closed within the window began and ended.

use std::collections::BTreeMap;

use clickstream_event::rows::EntryExitPage;

use super::{Place, ratio};
use crate::journeys::{Doors, Steps};

pub(super) fn rows(pages: &[(u32, Doors)], sites: &[(u32, Steps)], place: Place<'_>) -> Vec<EntryExitPage> {
    let sites: BTreeMap<u32, u32> = sites.iter().map(|(site, steps)| (*site, steps.sessions)).collect();
    let row = |(page, doors): &(u32, Doors)| {
        let (site_id, page_url) = place.page(*page);
        let sessions = sites.get(&place.names.pages.site(*page)).copied().map_or(0, u64::from);
        let (entries, exits) = (u64::from(doors.entries), u64::from(doors.exits));
        EntryExitPage {
            site_id,
            window_start: place.start,
            window_end: place.end,
            page_url,
            entries,
            exits,
            sessions,
            entry_rate: ratio(entries, sessions),
            exit_rate: ratio(exits, sessions),
        }
    };
    pages.iter().map(row).collect()
}

//! Human top pages: as top pages, by views that are not of labelled bots.

use clickstream_event::rows::{HumanTopPage, PageMetrics};

use super::{by_site, top_pages};

pub(super) fn rows(pages: &[PageMetrics]) -> Vec<HumanTopPage> {
    let mut top = Vec::new();
    for (_, pages) in by_site(pages, |row| &row.site_id) {
        let first = top_pages::first(pages, |page| page.human.human_view_count);
        top.extend(first.zip(1..).map(|(page, rank)| HumanTopPage {
            site_id: page.site_id.clone(),
            window_start: page.window_start,
            window_end: page.window_end,
            rank,
            page_url: page.page_url.clone(),
            human_view_count: page.human.human_view_count,
            human_unique_users: page.human.human_unique_users,
            human_click_through_rate: page.human.human_click_through_rate,
        }));
    }
    top
}

//! Top pages: per site and window the ten pages with most views; of equal ones the lesser name first.

use std::cmp::Reverse;

use clickstream_event::rows::{PageMetrics, TopPage};

use super::by_site;

/// Length of a top list.
pub const LENGTH: usize = 10;

pub(super) fn rows(pages: &[PageMetrics]) -> Vec<TopPage> {
    let mut top = Vec::new();
    for (_, mut pages) in by_site(pages, |row| &row.site_id) {
        pages.retain(|page| page.counts.view_count > 0);
        let place = |page: &&PageMetrics| (Reverse(page.counts.view_count), page.page_url.clone());
        if pages.len() > LENGTH {
            pages.select_nth_unstable_by(LENGTH - 1, |a, b| {
                b.counts.view_count.cmp(&a.counts.view_count).then_with(|| a.page_url.cmp(&b.page_url))
            });
            pages.truncate(LENGTH);
        }
        pages.sort_by_key(place);
        top.extend(pages.into_iter().zip(1..).map(|(page, rank)| TopPage {
            site_id: page.site_id.clone(),
            window_start: page.window_start,
            window_end: page.window_end,
            rank,
            page_url: page.page_url.clone(),
            view_count: page.counts.view_count,
            unique_users: page.counts.unique_users,
            click_through_rate: page.counts.click_through_rate,
            human_view_count: page.human.human_view_count,
            human_unique_users: page.human.human_unique_users,
        }));
    }
    top
}

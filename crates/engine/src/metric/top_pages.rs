//! Top pages: per site and window the ten pages with most views; of equal ones the lesser name first.

use clickstream_event::rows::{PageMetrics, TopPage};

use super::by_site;

/// Length of a top list.
pub const LENGTH: usize = 10;

pub(super) fn rows(pages: &[PageMetrics]) -> Vec<TopPage> {
    let mut top = Vec::new();
    for (_, pages) in by_site(pages, |row| &row.site_id) {
        top.extend(first(pages, |page| page.counts.view_count).zip(1..).map(|(page, rank)| TopPage {
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

/// The first pages by views, then by name; only pages with views.
pub(super) fn first(
    mut pages: Vec<&PageMetrics>,
    views: fn(&PageMetrics) -> u64,
) -> impl Iterator<Item = &PageMetrics> {
    let order = |a: &&PageMetrics, b: &&PageMetrics| {
        views(b).cmp(&views(a)).then_with(|| a.page_url.cmp(&b.page_url))
    };
    pages.retain(|page| views(page) > 0);
    if pages.len() > LENGTH {
        pages.select_nth_unstable_by(LENGTH - 1, order);
        pages.truncate(LENGTH);
    }
    pages.sort_by(order);
    pages.into_iter()
}

//! Trending pages: clearly more views in the later half of the window than in the earlier.

use clickstream_event::detection::{TRENDING_LENGTH, TRENDING_SCORE, TRENDING_VIEWS};
use clickstream_event::rows::TrendingPage;

use super::{Place, by_site};
use crate::shard::KeyTotals;

pub(super) fn rows(pages: &[(u32, KeyTotals, u32)], place: Place<'_>) -> Vec<TrendingPage> {
    let mut rising = Vec::new();
    for (page, totals, recent) in pages {
        let (recent_views, views) = (u64::from(*recent), u64::from(totals.sums.kinds.0[0]));
        let prior_views = views - recent_views;
        let (recent, prior) = (recent_views as f64, prior_views as f64);
        let score = (recent - prior) / (recent + prior).sqrt();
        if recent_views < TRENDING_VIEWS || score < TRENDING_SCORE {
            continue;
        }
        let (site_id, page_url) = place.page(*page);
        rising.push(TrendingPage {
            site_id,
            window_start: place.start,
            window_end: place.end,
            rank: 0,
            page_url,
            recent_views,
            prior_views,
            growth: (recent - prior) / prior.max(1.0),
            score,
        });
    }
    let mut rows = Vec::new();
    for (_, mut pages) in by_site(&rising, |row| &row.site_id) {
        pages.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.page_url.cmp(&b.page_url)));
        pages.truncate(TRENDING_LENGTH);
        rows.extend(pages.into_iter().zip(1..).map(|(row, rank)| TrendingPage { rank, ..row.clone() }));
    }
    rows
}

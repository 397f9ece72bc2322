//! Site metrics: all pages together, with visits, buyers and revenue.

use clickstream_event::rows::{HumanCounts, SiteMetrics};
use rust_decimal::Decimal;

use super::{Bounds, Names, ratio, sum};
use crate::shard::SiteTotals;

pub(super) fn rows(sites: &[(u32, SiteTotals)], bounds: Bounds, names: Names<'_>) -> Vec<SiteMetrics> {
    sites
        .iter()
        .map(|(site, totals)| {
            let [views, clicks, carts, purchases] = totals.sums.kinds.0.map(u64::from);
            let users = u64::from(totals.users);
            SiteMetrics {
                site_id: names.sites.text(*site).to_owned(),
                window_start: bounds.start,
                window_end: bounds.end,
                event_count: sum(totals.sums.kinds),
                view_count: views,
                click_count: clicks,
                add_to_cart_count: carts,
                purchase_count: purchases,
                unique_users: users,
                active_sessions: u64::from(totals.sessions),
                click_through_rate: ratio(clicks, views),
                conversion_rate: ratio(u64::from(totals.buyers), users),
                revenue: Decimal::from_i128_with_scale(totals.sums.revenue, 4),
                human_event_count: 0,
                human: HumanCounts::default(),
                human_conversion_rate: None,
                human_revenue: Decimal::ZERO,
            }
        })
        .collect()
}

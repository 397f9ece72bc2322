//! Site metrics: all pages together, with visits, buyers and revenue.

use clickstream_event::rows::SiteMetrics;
use rust_decimal::Decimal;

use super::{Place, human, ratio};
use crate::users::SiteTotals;

pub(super) fn rows(sites: &[(u32, SiteTotals, u32)], place: Place<'_>) -> Vec<SiteMetrics> {
    let row = |(site, totals, sessions): &(u32, SiteTotals, u32)| {
        let [views, clicks, carts, purchases] = totals.sums.kinds.0.map(u64::from);
        SiteMetrics {
            site_id: place.site(*site),
            window_start: place.start,
            window_end: place.end,
            event_count: totals.sums.kinds.sum(),
            view_count: views,
            click_count: clicks,
            add_to_cart_count: carts,
            purchase_count: purchases,
            unique_users: u64::from(totals.users),
            active_sessions: u64::from(*sessions),
            click_through_rate: ratio(clicks, views),
            conversion_rate: ratio(u64::from(totals.buyers), u64::from(totals.users)),
            revenue: Decimal::from_i128_with_scale(totals.sums.revenue, 4),
            human_event_count: totals.sums.human.sum(),
            human: human(totals.sums.human, totals.human_users),
            human_conversion_rate: ratio(u64::from(totals.human_buyers), u64::from(totals.human_users)),
            human_revenue: Decimal::from_i128_with_scale(totals.sums.human_revenue, 4),
        }
    };
    sites.iter().map(row).collect()
}

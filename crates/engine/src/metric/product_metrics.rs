//! Product metrics: as page metrics, by the product of events that have one.

use clickstream_event::rows::ProductMetrics;

use super::{Place, counts};
use crate::shard::KeyTotals;

pub(super) fn rows(products: &[(u32, KeyTotals)], place: Place<'_>) -> Vec<ProductMetrics> {
    let names = &place.names.products;
    let row = |(product, totals): &(u32, KeyTotals)| ProductMetrics {
        site_id: place.site(names.site(*product)),
        window_start: place.start,
        window_end: place.end,
        product_id: names.text(*product).to_owned(),
        counts: counts(totals),
    };
    products.iter().map(row).collect()
}

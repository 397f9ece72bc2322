//! Product metrics: as page metrics, by the product of events that have one.

use clickstream_event::rows::ProductMetrics;

use super::{Bounds, Names, counts};
use crate::shard::KeyTotals;

pub(super) fn rows(products: &[(u32, KeyTotals)], bounds: Bounds, names: Names<'_>) -> Vec<ProductMetrics> {
    products
        .iter()
        .map(|(product, totals)| ProductMetrics {
            site_id: names.sites.text(names.products.site(*product)).to_owned(),
            window_start: bounds.start,
            window_end: bounds.end,
            product_id: names.products.text(*product).to_owned(),
            counts: counts(*totals),
        })
        .collect()
}

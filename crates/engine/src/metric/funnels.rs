//! Funnels: how far sessions that closed within the window got.

use clickstream_event::rows::Funnel;

use super::{Place, ratio};
use crate::journeys::Steps;

pub(super) fn rows(sites: &[(u32, Steps)], place: Place<'_>) -> Vec<Funnel> {
    let row = |(site, steps): &(u32, Steps)| {
        let [sessions, viewed, carted, purchased] =
            [steps.sessions, steps.viewed, steps.carted, steps.purchased].map(u64::from);
        Funnel {
            site_id: place.site(*site),
            window_start: place.start,
            window_end: place.end,
            sessions,
            viewed,
            carted,
            purchased,
            view_to_cart_rate: ratio(carted, viewed),
            cart_to_purchase_rate: ratio(purchased, carted),
            conversion_rate: ratio(purchased, sessions),
        }
    };
    sites.iter().map(row).collect()
}

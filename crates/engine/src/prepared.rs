//! A record with the fingerprints of its texts: all that can be done for a record without knowing any other.
//!
//! Decoding and preparing cost more than counting; on several cores they are done next to each other.

use std::borrow::Cow;

use clickstream_event::{EventType, Record, Timestamp};
use rust_decimal::Decimal;

use crate::fingerprint::Fingerprint;

/// Makes fingerprints with an engine's seed; from [`crate::Engine::preparer`].
#[derive(Clone, Copy, Debug)]
pub struct Preparer {
    pub(crate) seed: u64,
}

/// A valid record, reduced to what counting needs.
#[derive(Clone, Debug)]
pub struct Prepared<'r> {
    /// Event time: the earlier of timestamp and arrival.
    pub event_time: Timestamp,
    /// `None` for a heartbeat.
    pub(crate) event: Option<PreparedEvent<'r>>,
}

/// An event: the texts that rows will show, and fingerprints, each together with the site.
#[derive(Clone, Debug)]
pub(crate) struct PreparedEvent<'r> {
    pub kind: u8,
    /// Value of a purchase in ten-thousandths.
    pub value: i64,
    pub site_id: Cow<'r, str>,
    pub page_url: Cow<'r, str>,
    pub product_id: Option<Cow<'r, str>>,
    pub user_id: Cow<'r, str>,
    pub session_id: Cow<'r, str>,
    pub user_agent: Option<Cow<'r, str>>,
    pub site: Fingerprint,
    pub id: Fingerprint,
    pub page: Fingerprint,
    pub product: Fingerprint,
    pub user: Fingerprint,
    pub session: Fingerprint,
    /// Of the user agent, whatever the site.
    pub agent: Fingerprint,
}

impl Prepared<'_> {
    /// The same with texts of its own, to be sent to another thread.
    pub fn into_owned(self) -> Prepared<'static> {
        let own = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        let event = self.event.map(|event| PreparedEvent {
            site_id: own(event.site_id),
            page_url: own(event.page_url),
            product_id: event.product_id.map(own),
            user_id: own(event.user_id),
            session_id: own(event.session_id),
            user_agent: event.user_agent.map(own),
            ..PreparedEvent {
                site_id: Cow::Borrowed(""),
                page_url: Cow::Borrowed(""),
                product_id: None,
                user_id: Cow::Borrowed(""),
                session_id: Cow::Borrowed(""),
                user_agent: None,
                ..event
            }
        });
        Prepared { event_time: self.event_time, event }
    }
}

impl Preparer {
    /// Prepares a record.
    #[inline]
    pub fn prepare<'r>(self, record: &Record<'r>) -> Prepared<'r> {
        let Record::Event(event, event_time) = record else {
            return Prepared { event_time: record.event_time(), event: None };
        };
        let site = Fingerprint::of(&event.site_id, self.seed);
        // the kind of a text is part of its seed, so that a page and a product of one name stay apart
        let of = |kind: u64, text: &str| Fingerprint::of(text, self.seed ^ kind.rotate_right(8)).join(site);
        let prepared = PreparedEvent {
            kind: EventType::ALL.iter().position(|kind| *kind == event.event_type).unwrap_or(0) as u8,
            value: match (event.event_type, event.value) {
                (EventType::Purchase, Some(value)) => ten_thousandths(value),
                _ => 0,
            },
            site,
            id: of(1, &event.event_id),
            page: of(2, &event.page_url),
            product: event.product_id.as_ref().map_or(site, |product| of(3, product)),
            user: of(4, &event.user_id),
            session: of(5, &event.session_id),
            agent: event.user_agent.as_ref().map_or(site, |agent| Fingerprint::of(agent, self.seed)),
            site_id: event.site_id.clone(),
            page_url: event.page_url.clone(),
            product_id: event.product_id.clone(),
            user_id: event.user_id.clone(),
            session_id: event.session_id.clone(),
            user_agent: event.user_agent.clone(),
        };
        Prepared { event_time: *event_time, event: Some(prepared) }
    }
}

/// An amount of money in ten-thousandths; the rule for valid events keeps it below 10^18.
fn ten_thousandths(value: Decimal) -> i64 {
    let mut value = value.round_dp(4);
    value.rescale(4);
    i64::try_from(value.mantissa()).unwrap_or(0)
}

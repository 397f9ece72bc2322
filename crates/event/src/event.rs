//! An event, and its canonical JSON form.
//!
//! *Canonical* means: the fields in the order of [`Event`], compact, absent options left out. Any JSON object with
//! these fields is an event (see [`crate::validate`]); the canonical form is merely the one the pipeline reads fastest.

use std::borrow::Cow;

use rust_decimal::Decimal;

use crate::Timestamp;
use crate::canonical::is_plain;

/// What a visitor did.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EventType {
    /// A page was shown.
    PageView,
    /// Something on the page was clicked.
    Click,
    /// A product went into the cart.
    AddToCart,
    /// A product was bought; [`Event::value`] says for how much.
    Purchase,
}

impl EventType {
    /// All types, in the order of the funnel.
    pub const ALL: [Self; 4] = [Self::PageView, Self::Click, Self::AddToCart, Self::Purchase];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::PageView => "page_view",
            Self::Click => "click",
            Self::AddToCart => "add_to_cart",
            Self::Purchase => "purchase",
        }
    }

    /// The type of that name on the wire.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }
}

/// The `event_type` of a heartbeat: a record that moves a silent partition's event time and is counted nowhere.
pub const HEARTBEAT: &str = "heartbeat";

/// One thing a visitor did. Text borrows from the record it was read from.
#[derive(Clone, PartialEq, Debug)]
pub struct Event<'a> {
    /// Unique per site; a second event with the same id is a duplicate.
    pub event_id: Cow<'a, str>,
    /// The site it belongs to.
    pub site_id: Cow<'a, str>,
    /// What was done.
    pub event_type: EventType,
    /// The visitor.
    pub user_id: Cow<'a, str>,
    /// The visit.
    pub session_id: Cow<'a, str>,
    /// Where it was done.
    pub page_url: Cow<'a, str>,
    /// The product concerned, if any.
    pub product_id: Option<Cow<'a, str>>,
    /// When it was done, by the clock of whoever saw it.
    pub timestamp: Timestamp,
    /// The page the visitor came from.
    pub referrer: Option<Cow<'a, str>>,
    /// The visitor's browser.
    pub user_agent: Option<Cow<'a, str>>,
    /// The element that was clicked.
    pub element: Option<Cow<'a, str>>,
    /// Money, for purchases, in `currency`.
    pub value: Option<Decimal>,
    /// ISO 4217 code of `value`.
    pub currency: Option<Cow<'a, str>>,
}

impl Event<'_> {
    /// Appends the canonical JSON form to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        // the time first, at a fixed place: Flink cuts it out of every record
        out.extend_from_slice(b"{\"timestamp\":\"");
        self.timestamp.write_to(out);
        out.push(b'"');
        for (name, text) in [
            ("event_id", self.event_id.as_ref()),
            ("site_id", self.site_id.as_ref()),
            ("event_type", self.event_type.name()),
            ("user_id", self.user_id.as_ref()),
            ("session_id", self.session_id.as_ref()),
            ("page_url", self.page_url.as_ref()),
        ] {
            write_member(name, text, out);
        }
        let option = |name: &str, text: &Option<Cow<'_, str>>, out: &mut Vec<u8>| {
            if let Some(text) = text {
                write_member(name, text, out);
            }
        };
        option("product_id", &self.product_id, out);
        option("referrer", &self.referrer, out);
        option("user_agent", &self.user_agent, out);
        option("element", &self.element, out);
        if let Some(value) = self.value {
            out.extend_from_slice(b",\"value\":");
            out.extend_from_slice(value.to_string().as_bytes());
        }
        option("currency", &self.currency, out);
        out.push(b'}');
    }
}

/// The JSON form of a heartbeat of `site_id` at `timestamp`.
pub fn encode_heartbeat(site_id: &str, timestamp: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"event_type\":\"heartbeat\"");
    write_member("site_id", site_id, out);
    out.extend_from_slice(b",\"timestamp\":\"");
    timestamp.write_to(out);
    out.extend_from_slice(b"\"}");
}

fn write_member(name: &str, text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
    write_text(text, out);
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    if is_plain(text) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else if serde_json::to_writer(&mut *out, text).is_err() {
        // writing text to memory cannot fail; an empty text keeps the record valid JSON if it ever did
        out.extend_from_slice(b"\"\"");
    }
}

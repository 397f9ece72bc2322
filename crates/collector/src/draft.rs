//! What a protocol makes of a message: an event with gaps, or why it is none.

use std::fmt;

use clickstream_event::{EventType, Timestamp};
use rust_decimal::Decimal;

/// An event as a tracker tells it. The collector fills the gaps.
#[derive(Clone, PartialEq, Debug)]
pub struct Draft {
    /// What was done.
    pub kind: EventType,
    /// The id that a client sends again when it repeats a message.
    pub event_id: Option<String>,
    /// The site, where the message names one apart from the key.
    pub site_id: Option<String>,
    /// The visitor.
    pub user_id: Option<String>,
    /// The visit.
    pub session_id: Option<String>,
    /// The address as it was sent.
    pub address: Option<String>,
    /// The product concerned.
    pub product_id: Option<String>,
    /// The address the visitor came from.
    pub referrer: Option<String>,
    /// The browser, where the message names another one than the request.
    pub user_agent: Option<String>,
    /// What was clicked.
    pub element: Option<String>,
    /// Money of a purchase.
    pub value: Option<Decimal>,
    /// Its currency.
    pub currency: Option<String>,
    /// When it was done, by the client's clock.
    pub created: Option<Timestamp>,
    /// When the client sent it, by the same clock.
    pub sent: Option<Timestamp>,
}

impl Draft {
    /// One of a kind, with nothing in it.
    pub fn new(kind: EventType) -> Self {
        Self {
            kind,
            event_id: None,
            site_id: None,
            user_id: None,
            session_id: None,
            address: None,
            product_id: None,
            referrer: None,
            user_agent: None,
            element: None,
            value: None,
            currency: None,
            created: None,
            sent: None,
        }
    }
}

/// Why a message is no event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    /// For machines; the names of [`clickstream_event::validate::Reason`].
    pub reason: &'static str,
    /// The field that is wrong, as the message calls it; empty where it is the whole.
    pub field: String,
    /// For people.
    pub detail: String,
}

impl Fault {
    /// A message that cannot be read at all.
    pub fn not_json(detail: impl Into<String>) -> Self {
        Self { reason: "not_json", field: String::new(), detail: detail.into() }
    }

    /// A field that must be there and is not.
    pub fn missing(field: &str) -> Self {
        Self { reason: "missing_field", field: field.into(), detail: format!("{field} is missing or empty") }
    }

    /// A field that holds something else than it should.
    pub fn wrong(field: &str, needed: &str) -> Self {
        Self { reason: "wrong_type", field: field.into(), detail: format!("{field} {needed}") }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// What a message is.
#[derive(Clone, PartialEq, Debug)]
pub enum Parsed {
    /// An event.
    Event(Box<Draft>),
    /// Something that is rightly sent and that we count nowhere, and what it is.
    NotCounted(&'static str),
    /// Nothing that could be read.
    Bad(Fault),
}

impl From<Fault> for Parsed {
    fn from(fault: Fault) -> Self {
        Self::Bad(fault)
    }
}

impl From<Result<Draft, Fault>> for Parsed {
    fn from(read: Result<Draft, Fault>) -> Self {
        match read {
            Ok(draft) => Self::Event(Box::new(draft)),
            Err(fault) => Self::Bad(fault),
        }
    }
}

/// One message of a request.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// Its bytes, for a dead letter.
    pub raw: Vec<u8>,
    /// What the tracker names itself by, as far as that could be read: a write key, an application, a domain.
    pub key: Option<String>,
    /// What it is.
    pub parsed: Parsed,
}

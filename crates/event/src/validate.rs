//! What counts as an event: one rule for the pipeline, the collector, the embedded engine and every proof.
//!
//! A record is a **valid event** when its value
//! 1. is UTF-8, and at most 65,536 bytes of it,
//! 2. is exactly one JSON object (of a repeated key the last one counts), within the [limits](crate::json) of Flink's reader,
//! 3. has `event_type`, one of `page_view`, `click`, `add_to_cart`, `purchase`,
//! 4. has non-empty `event_id`, `site_id`, `user_id`, `session_id`, `page_url` and `timestamp`,
//! 5. holds no control character (below U+0020) in these fields, in `product_id` or in `value`,
//! 6. has no `value`, or one that is a number below 10^13 in amount, counted to four digits of fraction (half up),
//! 7. has a `timestamp` of the form [`Timestamp::parse`] reads, at most `max_future` ahead of the record's arrival.
//!
//! A **heartbeat** (`event_type` = `heartbeat`) needs `site_id` and `timestamp` only.
//!
//! Flink's SQL sees of a record in any but the canonical form what `JSON_VALUE` gives. Where that is lenient, this module is as
//! lenient (`docs/adr/0004-one-rule-for-valid-events.md` tells why):
//! - a number or boolean where a text is expected is read as its text, digit for digit (`42` as `"42"`, `1.50` as `"1.50"`,
//!   `1e3` as `"1E+3"`: see [`crate::json::number_text`]);
//! - an object, an array or `null` counts as missing, and an empty `product_id` is none;
//! - half a surrogate pair (`"\ud800"`) is read as `?`;
//! - `value` may be a text that holds a number as [`number_text`](crate::json::number_text) writes it;
//! - everything else in the object is free, and every character from U+0020 on may stand in any text.
//!
//! The first broken line names the [`Reason`], in the order of [`decode`]; `sql/dead_letters.sql` asks the same
//! questions in the same order.

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::canonical;
use crate::event::{Event, EventType, HEARTBEAT};
use crate::json;
use crate::timestamp::Timestamp;

/// The longest value of an event record, in bytes.
pub const MAX_BYTES: usize = 65_536;

/// Limits of the rule that a deployment may set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rules {
    /// How far a timestamp may lie ahead of the record's arrival, in milliseconds.
    pub max_future_ms: i64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_future_ms: 10_000 }
    }
}

/// A record that is no malformed one.
#[derive(Clone, PartialEq, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every record is an event; a box would cost each an allocation"
)]
pub enum Record<'a> {
    /// An event, with its event time: the earlier of its timestamp and its arrival.
    Event(Event<'a>, Timestamp),
    /// A heartbeat, with its event time.
    Heartbeat(Timestamp),
}

impl Record<'_> {
    /// Event time: the earlier of the record's timestamp and its arrival.
    pub fn event_time(&self) -> Timestamp {
        match self {
            Self::Event(_, ts) | Self::Heartbeat(ts) => *ts,
        }
    }
}

/// Why a record counts nowhere; the name is the `reason` of its dead letter.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Reason {
    /// Not UTF-8, not JSON, or not one object.
    NotJson,
    /// UTF-8, but longer than [`MAX_BYTES`].
    TooLong,
    /// A required field is absent, null, empty, an object or an array.
    MissingField,
    /// A field holds a control character, or `value` is no number in range.
    WrongType,
    /// `event_type` is none of the known ones.
    UnknownEventType,
    /// `timestamp` is no time of the documented form.
    BadTimestamp,
    /// `timestamp` lies too far ahead of the arrival.
    FutureTimestamp,
    /// On arrival a newer record of the partition was already more than the allowed disorder ahead.
    Late,
}

impl Reason {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::NotJson,
        Self::TooLong,
        Self::MissingField,
        Self::WrongType,
        Self::UnknownEventType,
        Self::BadTimestamp,
        Self::FutureTimestamp,
        Self::Late,
    ];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::TooLong => "too_long",
            Self::MissingField => "missing_field",
            Self::WrongType => "wrong_type",
            Self::UnknownEventType => "unknown_event_type",
            Self::BadTimestamp => "bad_timestamp",
            Self::FutureTimestamp => "future_timestamp",
            Self::Late => "late",
        }
    }
}

/// A refused record: the reason, and what exactly was wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// The reason, for machines.
    pub reason: Reason,
    /// What was wrong, for people.
    pub detail: String,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.name(), self.detail)
    }
}

fn reject<T>(reason: Reason, detail: impl Into<String>) -> Result<T, Rejection> {
    Err(Rejection { reason, detail: detail.into() })
}

/// Reads one record of the events topic. `arrival` is the time Kafka stamped on it.
pub fn decode(raw: &[u8], arrival: Timestamp, rules: Rules) -> Result<Record<'_>, Rejection> {
    // in this order: Flink counts the bytes of what it could read as text
    let Ok(text) = std::str::from_utf8(raw) else {
        return reject(Reason::NotJson, "the value is not UTF-8");
    };
    if raw.len() > MAX_BYTES {
        return reject(Reason::TooLong, format!("the value is longer than {MAX_BYTES} bytes"));
    }
    if let Some(event) = canonical::read(text)
        && event.timestamp.0 <= arrival.0 + rules.max_future_ms
    {
        let event_time = event.timestamp.min(arrival);
        return Ok(Record::Event(event, event_time));
    }
    decode_any(text, arrival, rules)
}

/// Reads one JSON object of any form: the rule itself.
fn decode_any(text: &str, arrival: Timestamp, rules: Rules) -> Result<Record<'_>, Rejection> {
    let Some(fields) = Fields::read(text) else {
        return reject(Reason::NotJson, "the value is not one JSON object");
    };
    if fields.all.iter().any(|field| field.bytes().any(|b| b < 0x20)) {
        return reject(Reason::WrongType, "a field holds a control character");
    }
    let Fields {
        all: [event_id, site_id, event_type, user_id, session_id, page_url, product_id, timestamp, value],
        referrer,
        user_agent,
        element,
        currency,
    } = fields;
    if event_type.is_empty() {
        return reject(Reason::MissingField, "event_type");
    }
    let heartbeat = event_type == HEARTBEAT;
    let kind = EventType::from_name(&event_type);
    if kind.is_none() && !heartbeat {
        return reject(Reason::UnknownEventType, event_type);
    }
    for (name, field, always) in [
        ("event_id", &event_id, false),
        ("site_id", &site_id, true),
        ("user_id", &user_id, false),
        ("session_id", &session_id, false),
        ("page_url", &page_url, false),
        ("timestamp", &timestamp, true),
    ] {
        if field.is_empty() && (always || !heartbeat) {
            return reject(Reason::MissingField, name);
        }
    }
    let value = match read_amount(&value) {
        Ok(value) => value,
        Err(()) if heartbeat => None,
        Err(()) => return reject(Reason::WrongType, "value"),
    };
    let Some(at) = Timestamp::parse(&timestamp) else {
        return reject(Reason::BadTimestamp, timestamp);
    };
    if at.0 > arrival.0 + rules.max_future_ms {
        return reject(Reason::FutureTimestamp, timestamp);
    }
    let event_time = at.min(arrival);
    let Some(event_type) = kind else {
        return Ok(Record::Heartbeat(event_time));
    };
    let event = Event {
        event_id,
        site_id,
        event_type,
        user_id,
        session_id,
        page_url,
        product_id: Some(product_id).filter(|text| !text.is_empty()),
        timestamp: at,
        referrer: referrer.filter(|text| !text.is_empty()),
        user_agent: user_agent.filter(|text| !text.is_empty()),
        element: element.filter(|text| !text.is_empty()),
        value,
        currency: currency.filter(|text| !text.is_empty()),
    };
    Ok(Record::Event(event, event_time))
}

/// The fields of a record as text; absent ones are empty.
struct Fields<'a> {
    /// event_id, site_id, event_type, user_id, session_id, page_url, product_id, timestamp, value
    all: [Cow<'a, str>; 9],
    referrer: Option<Cow<'a, str>>,
    user_agent: Option<Cow<'a, str>>,
    element: Option<Cow<'a, str>>,
    currency: Option<Cow<'a, str>>,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let fields = deserializer.deserialize_map(FieldsVisitor).ok()?;
        deserializer.end().ok()?;
        Some(fields)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("one JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields {
            all: Default::default(),
            referrer: None,
            user_agent: None,
            element: None,
            currency: None,
        };
        while let Some(key) = map.next_key::<&'de RawValue>()? {
            let value = map.next_value::<&'de RawValue>()?.get();
            let key = json::text_of(key.get());
            if !json::is_within_limits(&key, value) {
                return Err(A::Error::custom("beyond the limits of Flink's reader"));
            }
            let index = match key.as_ref() {
                "event_id" => 0,
                "site_id" => 1,
                "event_type" => 2,
                "user_id" => 3,
                "session_id" => 4,
                "page_url" => 5,
                "product_id" => 6,
                "timestamp" => 7,
                "value" => 8,
                other => {
                    let slot = match other {
                        "referrer" => &mut fields.referrer,
                        "user_agent" => &mut fields.user_agent,
                        "element" => &mut fields.element,
                        "currency" => &mut fields.currency,
                        _ => continue,
                    };
                    *slot = Some(json::text_of(value));
                    continue;
                }
            };
            fields.all[index] = json::text_of(value);
        }
        Ok(fields)
    }
}

/// A number as it stands in JSON without exponent, as an amount of money; none for what is out of range.
pub(crate) fn read_number(json: &str) -> Option<Decimal> {
    read_amount(json).ok().flatten()
}

/// An amount of money: none for an empty text, an error for what is no number below 10^13.
///
/// The forms are those of `NUMBER` in the job's template, and so is the rounding, that of Flink's decimals.
fn read_amount(text: &str) -> Result<Option<Decimal>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once('E').map_or((text, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').map_or((mantissa, None), |(w, f)| (w, Some(f)));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let longest = if exponent.is_some() { 1 } else { 13 };
    if !is_digits(whole) || whole.len() > longest || fraction.is_some_and(|f| !is_digits(f)) {
        return Err(());
    }
    let exponent = match exponent.map(|e| e.split_at_checked(1)) {
        None => 0,
        Some(Some((sign @ ("+" | "-"), e))) if is_digits(e) && !(e.len() > 1 && e.starts_with('0')) => {
            let size = e.parse().ok().filter(|e: &i64| *e <= 12).ok_or(())?;
            if sign == "-" { -size } else { size }
        }
        Some(_) => return Err(()),
    };
    // the digits down to the fifth of the fraction: it alone decides whether the fourth is rounded up
    let mut digits = whole.bytes().chain(fraction.unwrap_or_default().bytes());
    let mut amount = 0i64;
    for _ in 0..whole.len() as i64 + exponent + 5 {
        amount = amount * 10 + digits.next().map_or(0, |b| i64::from(b - b'0'));
    }
    let rounded = (amount + 5) / 10;
    Ok(Some(Decimal::new(if negative { -rounded } else { rounded }, 4)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Timestamp = Timestamp(1_795_583_043_021);

    fn reason(json: &str) -> Option<Reason> {
        decode(json.as_bytes(), NOW, Rules::default()).err().map(|rejection| rejection.reason)
    }

    fn with(changes: &[(&str, serde_json::Value)]) -> String {
        let mut event = serde_json::json!({
            "event_id": "e1", "site_id": "shop", "event_type": "page_view", "user_id": "u1", "session_id": "s1",
            "page_url": "/", "timestamp": NOW.to_string(),
        });
        for (name, value) in changes {
            event[*name] = value.clone();
        }
        event.to_string()
    }

    #[test]
    fn the_first_broken_line_names_the_reason() {
        use serde_json::json;
        assert_eq!(reason(&with(&[])), None);
        for (changes, expected) in [
            (vec![("user_id", json!(null))], Reason::MissingField),
            (vec![("user_id", json!(""))], Reason::MissingField),
            (vec![("user_id", json!({"a": 1}))], Reason::MissingField),
            (vec![("page_url", json!("a\nb"))], Reason::WrongType),
            (vec![("event_type", json!("zap")), ("user_id", json!(""))], Reason::UnknownEventType),
            (vec![("timestamp", json!("yesterday"))], Reason::BadTimestamp),
            (vec![("timestamp", json!((Timestamp(NOW.0 + 10_001)).to_string()))], Reason::FutureTimestamp),
            (vec![("value", json!("abc"))], Reason::WrongType),
            (vec![("value", json!(1e15))], Reason::WrongType),
            (vec![("value", json!("1_000"))], Reason::WrongType),
            (vec![("value", json!("5\u{2028}"))], Reason::WrongType),
        ] {
            assert_eq!(reason(&with(&changes)), Some(expected), "{changes:?}");
        }
        for text in ["", "{", "[]", "null", "{} {}", "{}x"] {
            assert_eq!(reason(text), Some(Reason::NotJson), "{text}");
        }
        assert_eq!(decode(b"\xff", NOW, Rules::default()).map_err(|r| r.reason), Err(Reason::NotJson));
        let long = with(&[("padding", json!("x".repeat(MAX_BYTES)))]);
        assert_eq!(reason(&long), Some(Reason::TooLong));
    }

    #[test]
    fn lenient_where_json_value_is() {
        use serde_json::json;
        let text = with(&[
            ("user_id", json!(42)),
            ("value", json!("12.345678")),
            ("timestamp", json!((Timestamp(NOW.0 + 9_000)).to_string())),
        ]);
        let Ok(Record::Event(event, ts)) = decode(text.as_bytes(), NOW, Rules::default()) else {
            panic!("{text}")
        };
        assert_eq!(event.user_id, "42");
        assert_eq!(event.value, Some(Decimal::new(123_457, 4)));
        assert_eq!(ts, NOW, "the arrival is earlier than the timestamp");
    }

    #[test]
    fn amounts_are_rounded_half_up() {
        for (text, cents) in [
            ("0.00005", Some(1)),
            ("-0.00005", Some(-1)),
            ("0.00004999999999999999999999999999999999999999", Some(0)),
            ("9999999999999.99995", Some(100_000_000_000_000_000)),
            ("10000000000000", None),
            ("00000000000012", None),
            ("0000000000012", Some(120_000)),
            ("9.9E+12", Some(99_000_000_000_000_000)),
            ("1E+13", None),
            ("1.23456E-2", Some(123)),
            ("1E-12", Some(0)),
            ("1E-13", None),
            ("12.5E+3", None),
            ("1E3", None),
            ("1e3", None),
            ("1E+03", None),
            ("1.", None),
            (".5", None),
            ("+1", None),
            ("-", None),
        ] {
            assert_eq!(read_amount(text), cents.map(|c| Some(Decimal::new(c, 4))).ok_or(()), "{text}");
        }
    }

    #[test]
    fn a_heartbeat_needs_site_and_time_only() {
        let mut out = Vec::new();
        crate::event::encode_heartbeat("shop", NOW, &mut out);
        assert_eq!(decode(&out, NOW, Rules::default()), Ok(Record::Heartbeat(NOW)));
    }

    fn text() -> impl Strategy<Value = String> {
        "[^\\x00-\\x1f]{1,12}"
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            ids in [text(), text(), text(), text(), text()], kind in 0usize..4, ms in 0i64..NOW.0,
            product in proptest::option::of(text()), referrer in proptest::option::of(text()), cents in proptest::option::of(0i64..10_000_000),
        ) {
            let [event_id, site_id, user_id, session_id, page_url] = ids.map(Cow::Owned);
            let event = Event {
                event_id, site_id, event_type: EventType::ALL[kind], user_id, session_id, page_url,
                product_id: product.map(Cow::Owned), timestamp: Timestamp(ms), referrer: referrer.map(Cow::Owned),
                user_agent: None, element: None, value: cents.map(|c| Decimal::new(c, 2)), currency: Some("EUR".into()),
            };
            let mut out = Vec::new();
            event.encode(&mut out);
            let decoded = decode(&out, NOW, Rules::default());
            prop_assert_eq!(decoded, Ok(Record::Event(event, Timestamp(ms))));
        }

        /// The short way gives the answer of the rule, also for what is nearly canonical.
        #[test]
        fn the_short_way_changes_nothing(
            ids in [text(), text(), text(), text(), text()], kind in 0usize..4, ms in NOW.0 - 5..NOW.0 + 20_000,
            product in proptest::option::of(text()), cents in proptest::option::of(0i64..10_000_000),
            spoil in proptest::option::of((any::<prop::sample::Index>(), prop_oneof![Just(b'"'), Just(b'\\'), Just(b','), Just(b'0'), any::<u8>()], 0u8..3)),
        ) {
            let [event_id, site_id, user_id, session_id, page_url] = ids.map(Cow::Owned);
            let event = Event {
                event_id, site_id, event_type: EventType::ALL[kind], user_id, session_id, page_url,
                product_id: product.map(Cow::Owned), timestamp: Timestamp(ms), referrer: None,
                user_agent: Some("Mozilla".into()), element: None, value: cents.map(|c| Decimal::new(c, 2)), currency: None,
            };
            let mut out = Vec::new();
            event.encode(&mut out);
            if let Some((at, byte, how)) = spoil {
                let at = at.index(out.len());
                match how {
                    0 => out[at] = byte,
                    1 => out.insert(at, byte),
                    _ => { out.remove(at); }
                }
            }
            if let Ok(text) = std::str::from_utf8(&out) {
                prop_assert_eq!(decode(&out, NOW, Rules::default()), decode_any(text, NOW, Rules::default()), "{}", text);
            }
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, NOW, Rules::default());
        }
    }
}

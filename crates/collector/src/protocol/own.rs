//! Our own format: `POST /v1/events`, one event or an array of them, as they stand in `clickstream.events`.
//!
//! | sent | becomes |
//! |---|---|
//! | `event_type`, `page_url` | as they are; the page made alike by the URL rules. Both are needed |
//! | `event_id` | as it is: send the same when you repeat the event. Without, one is made, and a repeat counts again |
//! | `site_id` | as it is; without, the site of the key, or the first of `--site` |
//! | `user_id` | as it is; without, the visitor by address and browser, for a day |
//! | `session_id` | as it is; without, one is made by the session gap |
//! | `timestamp` | with `--collector-time client`; otherwise the arrival |
//! | `sent_at` | when it was sent, by the same clock: corrects `timestamp` |
//! | `product_id`, `element`, `value`, `currency`, `referrer` | as they are |
//! | `user_agent` | as it is; without, that of the request |
//! | anything else | is dropped |
//!
//! What is read is read as [`clickstream_event::decode`] does: a number where a text is expected is its text, and so on.

use std::borrow::Cow;

use clickstream_event::event::HEARTBEAT;
use clickstream_event::validate::{MAX_BYTES, Reason};
use clickstream_event::{Event, EventType, Record, Rules, Timestamp, decode};
use serde_json::{Map, Value};

use crate::clock;
use crate::draft::{Draft, Fault, Item, Parsed};

use super::{messages, object, text};

/// Whoever sends may have any clock: what is too far ahead is a matter of the correction, not of the form.
const ANY_FUTURE: Rules = Rules { max_future_ms: i64::MAX / 4 };
/// Stands in for what the collector fills in.
const GAP: &str = "-";
/// Fields that the collector fills where a message leaves them out.
const FILLED: [&str; 5] = ["event_id", "site_id", "user_id", "session_id", "timestamp"];

/// The messages of a body. `key` is what the request named itself by.
pub fn read(body: &[u8], key: Option<&str>) -> Vec<Item> {
    let mut items = messages(body, |text| (None, message(text).into()));
    for item in &mut items {
        item.key = key.map(str::to_owned);
        if matches!(item.parsed, Parsed::Bad(_))
            && let Some(filled) = filled(&item.raw)
        {
            item.raw = filled;
        }
    }
    items
}

/// What is not an event, with what may be left out filled in: or the dead letter would name a field that nobody has to send.
fn filled(raw: &[u8]) -> Option<Vec<u8>> {
    let raw = std::str::from_utf8(raw).ok()?.trim_ascii();
    let fields = object(raw).ok()?;
    if fields.get("event_type").and_then(Value::as_str) == Some(HEARTBEAT) {
        return None;
    }
    let mut filled = raw.strip_suffix('}')?.to_owned();
    let mut first = fields.is_empty();
    // behind everything else: of a key that is there twice the last one counts
    for name in FILLED.into_iter().filter(|name| text(fields.get(*name)).is_none()) {
        let value = if name == "timestamp" { Timestamp::now().to_string() } else { GAP.to_owned() };
        filled.push_str(if first { "" } else { "," });
        filled.push_str(&format!("\"{name}\":\"{value}\""));
        first = false;
    }
    filled.push('}');
    // what grew too long by it would be so for another reason
    (filled.len() <= MAX_BYTES || raw.len() > MAX_BYTES).then(|| filled.into_bytes())
}

fn message(raw: &str) -> Result<Draft, Fault> {
    // most are whole, and then nothing has to be filled
    if let Ok(Record::Event(event, _)) = decode(raw.as_bytes(), Timestamp(0), ANY_FUTURE) {
        let sent = if raw.contains("\"sent_at\"") {
            time(text(object(raw)?.get("sent_at")), "sent_at")?
        } else {
            None
        };
        return Ok(draft(event, |_| false, sent));
    }
    let mut fields = object(raw)?;
    if let Some(name) = fields.get("event_type").and_then(Value::as_str)
        && name == HEARTBEAT
    {
        return Err(Fault {
            reason: Reason::UnknownEventType.name(),
            field: "event_type".into(),
            detail: "event_type: heartbeats are made by the pipeline itself".into(),
        });
    }
    let sent = time(text(fields.get("sent_at")), "sent_at");
    let created = time(text(fields.get("timestamp")), "timestamp");
    let missing: Vec<&str> = FILLED.into_iter().filter(|name| text(fields.get(*name)).is_none()).collect();
    for name in &missing {
        fields.insert((*name).to_owned(), Value::from(GAP));
    }
    // a wrong time is named last, as by the pipeline
    let at = created.as_ref().ok().copied().flatten().unwrap_or_default();
    fields.insert("timestamp".into(), Value::from(at.to_string()));
    let filled = Value::Object(std::mem::take(&mut fields)).to_string();
    match decode(filled.as_bytes(), Timestamp(0), ANY_FUTURE) {
        Ok(Record::Event(event, _)) => {
            created?;
            Ok(draft(event, |name| missing.contains(&name), sent?))
        }
        Ok(Record::Heartbeat(_)) => Err(Fault::not_json("the message is a heartbeat")),
        Err(rejection) => Err(fault(rejection.reason, &rejection.detail, &filled)),
    }
}

fn draft(event: Event<'_>, is_gap: impl Fn(&str) -> bool, sent: Option<Timestamp>) -> Draft {
    let given = |name: &str, text: Cow<'_, str>| (!is_gap(name)).then(|| text.into_owned());
    let own = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
    Draft {
        kind: event.event_type,
        event_id: given("event_id", event.event_id),
        site_id: given("site_id", event.site_id),
        user_id: given("user_id", event.user_id),
        session_id: given("session_id", event.session_id),
        address: Some(event.page_url.into_owned()),
        product_id: own(event.product_id),
        referrer: own(event.referrer),
        user_agent: own(event.user_agent),
        element: own(event.element),
        value: event.value,
        currency: own(event.currency),
        created: (!is_gap("timestamp")).then_some(event.timestamp),
        sent,
    }
}

/// A time that may be absent, but not be something else.
fn time(text: Option<String>, field: &str) -> Result<Option<Timestamp>, Fault> {
    match text {
        None => Ok(None),
        Some(text) => clock::read(&text).map(Some).ok_or_else(|| Fault {
            reason: Reason::BadTimestamp.name(),
            field: field.into(),
            detail: format!("{field} must be a time as 2026-11-25T14:05:10.123Z"),
        }),
    }
}

/// The rejection of the pipeline's own rule, with the field it is about.
pub(crate) fn fault(reason: Reason, detail: &str, json: &str) -> Fault {
    let field = match reason {
        Reason::MissingField => detail.to_owned(),
        Reason::UnknownEventType => "event_type".into(),
        Reason::BadTimestamp | Reason::FutureTimestamp => "timestamp".into(),
        Reason::WrongType if detail == "value" => "value".into(),
        Reason::WrongType => control_field(json),
        Reason::NotJson | Reason::TooLong | Reason::Late => String::new(),
    };
    let detail = match reason {
        Reason::MissingField => format!("{field} is missing or empty"),
        Reason::UnknownEventType => {
            let known: Vec<&str> = EventType::ALL.into_iter().map(EventType::name).collect();
            format!("event_type must be one of {}", known.join(", "))
        }
        Reason::WrongType if field == "value" => "value must be a number below 10^13".into(),
        Reason::WrongType => format!("{field} holds a control character"),
        _ => detail.to_owned(),
    };
    Fault { reason: reason.name(), field, detail }
}

fn control_field(json: &str) -> String {
    let fields: Map<String, Value> = serde_json::from_str(json).unwrap_or_default();
    let control = |value: &Value| value.as_str().is_some_and(|text| text.bytes().any(|b| b < 0x20));
    fields.into_iter().find(|(_, value)| control(value)).map_or_else(String::new, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn one(value: &Value) -> Result<Draft, Fault> {
        message(&value.to_string())
    }

    #[test]
    fn gaps_are_left_for_the_collector() {
        let draft =
            one(&json!({"event_type": "click", "page_url": "/a", "element": "buy", "user_id": 7})).unwrap();
        assert_eq!(draft.kind, EventType::Click);
        assert_eq!((draft.site_id, draft.session_id), (None, None));
        assert_eq!(draft.event_id, None);
        assert_eq!(draft.user_id.as_deref(), Some("7"));
        assert_eq!((draft.created, draft.sent), (None, None));
        let whole = json!({"event_id": "e", "site_id": "s", "event_type": "purchase", "user_id": "u", "session_id": "v",
            "page_url": "/a", "timestamp": "2026-11-25T14:05:10.123Z", "value": "9.5", "sent_at": "2026-11-25T14:05:11.000Z"});
        let draft = one(&whole).unwrap();
        assert_eq!(draft.created.unwrap().to_string(), "2026-11-25T14:05:10.123Z");
        assert_eq!(draft.sent.unwrap().to_string(), "2026-11-25T14:05:11.000Z");
        assert_eq!(draft.value.unwrap().to_string(), "9.5000");
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (value, reason, field) in [
            (json!({"page_url": "/"}), "missing_field", "event_type"),
            (json!({"event_type": "click"}), "missing_field", "page_url"),
            (json!({"event_type": "zap", "page_url": "/"}), "unknown_event_type", "event_type"),
            (
                json!({"event_type": "heartbeat", "site_id": "s", "timestamp": "2026-11-25T14:05:10.123Z"}),
                "unknown_event_type",
                "event_type",
            ),
            (json!({"event_type": "click", "page_url": "/\u{1}"}), "wrong_type", "page_url"),
            (json!({"event_type": "purchase", "page_url": "/", "value": "abc"}), "wrong_type", "value"),
            (
                json!({"event_type": "click", "page_url": "/", "timestamp": "noon"}),
                "bad_timestamp",
                "timestamp",
            ),
            (json!({"event_type": "click", "timestamp": "noon"}), "missing_field", "page_url"),
            (json!({"event_type": "purchase", "page_url": "/a", "value": "12,50"}), "wrong_type", "value"),
            (
                json!({"event_type": "zap", "page_url": "/", "user_id": null}),
                "unknown_event_type",
                "event_type",
            ),
            (json!({}), "missing_field", "event_type"),
            (json!(7), "not_json", ""),
        ] {
            let fault = one(&value).unwrap_err();
            assert_eq!((fault.reason, fault.field.as_str()), (reason, field), "{value}");
            if value["event_type"] == "heartbeat" {
                continue;
            }
            // the dead letter says the same
            let item = read(format!(" {value} ").as_bytes(), None).remove(0);
            let letter = decode(&item.raw, Timestamp::now(), Rules::default()).unwrap_err();
            assert_eq!(letter.reason.name(), reason, "{value}: {}", String::from_utf8_lossy(&item.raw));
        }
        let sent = br#"{"event_type" :"zap","page_url":"/" }"#;
        let filled = filled(sent).unwrap();
        assert!(filled.starts_with(&sent[..sent.len() - 1]), "what was sent stands there as it was");
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body in prop_oneof![any::<Vec<u8>>(), "[\\[{].{0,60}".prop_map(String::into_bytes)]) {
            let _ = read(&body, Some("k"));
        }
    }
}

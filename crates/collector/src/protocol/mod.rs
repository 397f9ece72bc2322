//! One file per protocol: what comes over the wire, and what of our event it becomes.

pub mod names;
pub mod own;
pub mod plausible;
pub mod segment;
pub mod snowplow;

use clickstream_event::json::number_text;
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::draft::{Fault, Item, Parsed};

/// The page of an event that happened on none, such as one that a server sends.
pub const NO_PAGE: &str = "(not set)";

/// What the tracker names itself by, and the message.
pub(crate) type Read = (Option<String>, Parsed);

/// A value as text: trackers send ids as numbers too.
pub(crate) fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number_text(&number.to_string()).into_owned()),
        _ => None,
    }
}

/// The first of several members that holds a text.
pub(crate) fn first_text(object: Option<&Map<String, Value>>, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| text(object?.get(*name)))
}

/// An amount of money; `field` is its name for people.
pub(crate) fn money(value: Option<&Value>, field: &str) -> Result<Option<Decimal>, Fault> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => amount(text, field).map(Some),
        Some(Value::Number(number)) => amount(&number.to_string(), field).map(Some),
        Some(_) => Err(Fault::wrong(field, "must be a number")),
    }
}

/// An amount of money written as text.
pub(crate) fn amount(text: &str, field: &str) -> Result<Decimal, Fault> {
    let text = text.trim();
    let amount = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    amount
        .or_else(|_| text.parse())
        .ok()
        .filter(|amount: &Decimal| amount.abs() < Decimal::new(10_000_000_000_000, 0))
        .ok_or_else(|| Fault::wrong(field, "must be a number below 10^13"))
}

/// Splits a JSON body into messages: the members of an array, or the one that it is. Each is read by `read`.
pub(crate) fn messages(body: &[u8], mut read: impl FnMut(&str) -> Read) -> Vec<Item> {
    let Ok(text) = std::str::from_utf8(body) else { return vec![unreadable(body, "the body is not UTF-8")] };
    if !text.trim_ascii_start().starts_with('[') {
        return vec![item(text, &mut read)];
    }
    match serde_json::from_str::<Vec<&RawValue>>(text) {
        Ok(members) => members.into_iter().map(|member| item(member.get(), &mut read)).collect(),
        Err(error) => vec![unreadable(body, &format!("the body is no JSON: {error}"))],
    }
}

/// One message.
pub(crate) fn item(raw: &str, read: &mut impl FnMut(&str) -> Read) -> Item {
    let (key, parsed) = read(raw);
    Item { raw: raw.as_bytes().to_vec(), key, parsed }
}

/// A body of which nothing can be read.
pub(crate) fn unreadable(body: &[u8], why: &str) -> Item {
    Item { raw: body.to_vec(), key: None, parsed: Parsed::Bad(Fault::not_json(why)) }
}

/// A message as an object.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, Fault> {
    match serde_json::from_str(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Fault::not_json("the message is no JSON object")),
        Err(error) => Err(Fault::not_json(format!("the message is no JSON: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn amounts_as_trackers_write_them() {
        for (value, expected) in [
            (json!(19.9), Some("19.9")),
            (json!("19.90"), Some("19.90")),
            (json!(1e3), Some("1000.0")),
            (json!("1e-3"), Some("0.001")),
            (json!(-5), Some("-5")),
            (json!(""), None),
            (json!(null), None),
        ] {
            assert_eq!(
                money(Some(&value), "v").unwrap().map(|d| d.to_string()).as_deref(),
                expected,
                "{value}"
            );
        }
        for value in [json!("abc"), json!(1e15), json!([1]), json!("NaN"), json!(true)] {
            assert_eq!(money(Some(&value), "v").unwrap_err().field, "v", "{value}");
        }
    }

    #[test]
    fn a_body_is_one_message_or_an_array_of_them() {
        let read = |text: &str| (None, Parsed::Bad(Fault::not_json(text)));
        let raws = |body: &[u8]| -> Vec<String> {
            messages(body, read)
                .into_iter()
                .map(|item| String::from_utf8_lossy(&item.raw).into_owned())
                .collect()
        };
        assert_eq!(raws(b"{\"a\":1}"), ["{\"a\":1}"]);
        assert_eq!(raws(b" [ {\"a\": 1}, 2 ]"), ["{\"a\": 1}", "2"]);
        assert_eq!(raws(b"[]"), [""; 0]);
        assert_eq!(raws(b"[1,"), ["[1,"]);
        assert_eq!(raws(b"\xff").len(), 1);
    }
}

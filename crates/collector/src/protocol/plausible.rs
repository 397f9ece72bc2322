//! Plausible's event API, as its script and `@plausible-analytics/tracker` send it: `POST /api/event`.
//!
//! | Plausible | our event |
//! |---|---|
//! | `n` = `pageview` | `page_view` |
//! | `n` = a goal named as in [`names`] (*Add to cart*, *Purchase*, …), or with revenue | `add_to_cart`, `purchase` |
//! | any other `n` | `click`, `element` = `n` |
//! | `n` = `engagement` | accepted, counted nowhere: it tells of time and scroll depth, which no field of an event holds |
//! | `d` | `site_id`, by `--collector-keys` or as it is; of several the first |
//! | `u` | `page_url` |
//! | `r` | `referrer` |
//! | `$.amount`, `$.currency` | `value` and `currency` of a purchase |
//! | `p.product_id` | `product_id` |
//! | – | `event_id`: Plausible sends none, and does not repeat; one is made that no other event has |
//! | – | `user_id`: Plausible sends none; the visitor by address and browser, for a day |
//! | – | `session_id`: Plausible sends none; one is made by the session gap |
//! | other `p`, `h`, `i`, `v`, `sd`, `e` | nothing |
//!
//! The long names (`name`, `domain`, `url`, `referrer`, `props`, `revenue`) are read as well.

use clickstream_event::EventType;
use serde_json::{Map, Value};

use crate::draft::{Draft, Fault, Item, Parsed};

use super::{Read, first_text, item, money, names, object, unreadable};

/// The message of a body.
pub fn read(body: &[u8]) -> Vec<Item> {
    match std::str::from_utf8(body) {
        Ok(raw) => vec![item(raw, &mut message)],
        Err(_) => vec![unreadable(body, "the body is not UTF-8")],
    }
}

fn message(raw: &str) -> Read {
    match object(raw) {
        Ok(fields) => (domain(&fields), parse(&fields)),
        Err(fault) => (None, fault.into()),
    }
}

fn domain(fields: &Map<String, Value>) -> Option<String> {
    let domains = first_text(Some(fields), &["d", "domain"])?;
    domains.split(',').map(str::trim).find(|domain| !domain.is_empty()).map(str::to_owned)
}

fn parse(fields: &Map<String, Value>) -> Parsed {
    let Some(name) = first_text(Some(fields), &["n", "name"]) else { return Fault::missing("n").into() };
    if name == "engagement" {
        return Parsed::NotCounted("engagement");
    }
    event(fields, name).into()
}

/// A member that is an object, or a text that holds one.
fn inner(fields: &Map<String, Value>, names: [&str; 2]) -> Option<Map<String, Value>> {
    match names.into_iter().find_map(|name| fields.get(name))? {
        Value::Object(object) => Some(object.clone()),
        Value::String(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

fn event(fields: &Map<String, Value>, name: String) -> Result<Draft, Fault> {
    let revenue = inner(fields, ["$", "revenue"]);
    let props = inner(fields, ["p", "props"]);
    let value = money(revenue.as_ref().and_then(|revenue| revenue.get("amount")), "$.amount")?;
    let kind = match name.as_str() {
        "pageview" => EventType::PageView,
        _ if value.is_some() => EventType::Purchase,
        name => names::kind_of(name),
    };
    let mut draft = Draft::new(kind);
    domain(fields).ok_or_else(|| Fault::missing("d"))?;
    draft.address = Some(first_text(Some(fields), &["u", "url"]).ok_or_else(|| Fault::missing("u"))?);
    draft.referrer = first_text(Some(fields), &["r", "referrer"]);
    draft.product_id = first_text(props.as_ref(), &["product_id"]);
    if kind == EventType::Purchase {
        draft.value = value;
        draft.currency = first_text(revenue.as_ref(), &["currency"]);
    }
    draft.element = Some(name).filter(|_| kind == EventType::Click);
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn one(value: &Value) -> Parsed {
        read(value.to_string().as_bytes()).remove(0).parsed
    }

    #[test]
    fn events_and_what_they_become() {
        let Parsed::Event(view) =
            one(&json!({"n": "pageview", "u": "https://a.example/x", "d": "a.example,all", "r": null}))
        else {
            panic!()
        };
        assert_eq!(view.kind, EventType::PageView);
        assert_eq!(read(br#"{"d": "a.example,all"}"#)[0].key.as_deref(), Some("a.example"));
        assert_eq!((view.referrer, view.element, view.user_id), (None, None, None));
        let Parsed::Event(goal) = one(
            &json!({"name": "Signup", "url": "https://a.example/x", "domain": "a.example", "p": "{\"product_id\":9}"}),
        ) else {
            panic!()
        };
        assert_eq!(
            (goal.kind, goal.element.as_deref(), goal.product_id.as_deref()),
            (EventType::Click, Some("Signup"), Some("9"))
        );
        let Parsed::Event(sale) =
            one(&json!({"n": "Donation", "u": "/x", "d": "a", "$": {"amount": "12.30", "currency": "USD"}}))
        else {
            panic!()
        };
        assert_eq!(
            (sale.kind, sale.value.unwrap().to_string().as_str(), sale.currency.as_deref()),
            (EventType::Purchase, "12.30", Some("USD"))
        );
        assert_eq!(
            one(&json!({"n": "engagement", "u": "/x", "d": "a", "e": 5})),
            Parsed::NotCounted("engagement")
        );
        for (value, field) in [
            (json!({}), "n"),
            (json!({"n": "x", "u": "/"}), "d"),
            (json!({"n": "x", "d": "a"}), "u"),
            (json!([]), ""),
        ] {
            let Parsed::Bad(fault) = one(&value) else { panic!("{value}") };
            assert_eq!(fault.field, field, "{value}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body in any::<Vec<u8>>()) {
            let _ = read(&body);
        }
    }
}

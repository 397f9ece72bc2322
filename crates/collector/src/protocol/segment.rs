//! Segment's HTTP API, as `analytics.js`, the Segment libraries for servers, and RudderStack's send it: `POST /v1/track`, `/v1/page`,
//! `/v1/screen`, `/v1/identify`, `/v1/group`, `/v1/alias`, `/v1/batch` and their short names `/v1/t`, `/v1/p`, …; all of them also without `/v1`.
//!
//! | Segment | our event |
//! |---|---|
//! | `page`, `screen` | `page_view` |
//! | `track` *Product Added* | `add_to_cart` |
//! | `track` *Order Completed* | one `purchase`, however many products it has |
//! | any other `track` | `click`, `element` = its name |
//! | `identify`, `group`, `alias` | accepted, counted nowhere |
//! | `messageId` | `event_id` |
//! | write key (Basic authorization or `writeKey`) | `site_id`, by `--collector-keys` or as it is |
//! | `anonymousId`, else `userId` | `user_id`: so a login in mid-visit makes no second visitor |
//! | `context.sessionId` (RudderStack) | `session_id`; without, one is made by the session gap |
//! | `context.page.url`, `properties.url`, `properties.path` | `page_url`; a screen's `name`; `(not set)` for a track of a server |
//! | `context.page.referrer`, `properties.referrer` | `referrer` |
//! | `context.userAgent` | `user_agent`; without, that of the request |
//! | `properties.product_id`, `.sku`; of an order with one product, that product's | `product_id` |
//! | `properties.revenue`, `.total`, `.value` | `value` of a purchase |
//! | `properties.currency` | `currency` |
//! | `originalTimestamp`, `timestamp`, `sentAt` | event time with `--collector-time client` |
//! | traits, campaigns, other properties, the products of an order with several, `integrations` | nothing: no field of an event holds them |

use clickstream_event::EventType;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::clock;
use crate::draft::{Draft, Fault, Item, Parsed};

use super::{NO_PAGE, Read, first_text, item, money, names, object, text, unreadable};

/// An event of Segment's is no longer, in bytes.
pub const MAX_EVENT: usize = 32 * 1024;
/// A batch is no longer, in bytes.
pub const MAX_BODY: usize = 500 * 1024;

/// The calls and their short names.
pub const CALLS: [(&str, &str); 9] = [
    ("track", "t"),
    ("page", "p"),
    ("screen", "s"),
    ("identify", "i"),
    ("group", "g"),
    ("alias", "a"),
    ("batch", "b"),
    ("import", "import"),
    ("metrics", "m"),
];

/// The messages of a body that was sent to `call` (its long name). `key` is the one of the authorization.
pub fn read(call: &str, body: &[u8], key: Option<&str>) -> Vec<Item> {
    let unreadable = |why: &str| vec![Item { key: key.map(str::to_owned), ..unreadable(body, why) }];
    let Ok(raw) = std::str::from_utf8(body) else { return unreadable("the body is not UTF-8") };
    match call {
        "metrics" => vec![Item {
            raw: Vec::new(),
            key: key.map(str::to_owned),
            parsed: Parsed::NotCounted("metrics of the client itself"),
        }],
        "batch" | "import" => {
            batch(raw, key).unwrap_or_else(|why| unreadable(&format!("the body is no batch: {why}")))
        }
        call => vec![item(raw, &mut |raw| message(raw, call, key, None))],
    }
}

fn batch(raw: &str, key: Option<&str>) -> Result<Vec<Item>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Batch<'b> {
        #[serde(borrow)]
        batch: Vec<&'b RawValue>,
        #[serde(default)]
        sent_at: Value,
        #[serde(default)]
        write_key: Value,
    }
    let batch: Batch<'_> = serde_json::from_str(raw)?;
    let own = text(Some(&batch.write_key));
    let key = key.or(own.as_deref());
    let mut read = |raw: &str| message(raw, "", key, Some(&batch.sent_at));
    Ok(batch.batch.iter().map(|message| item(message.get(), &mut read)).collect())
}

fn message(raw: &str, call: &str, key: Option<&str>, sent_at: Option<&Value>) -> Read {
    let key = key.map(str::to_owned);
    match object(raw) {
        Ok(fields) => (key.or_else(|| text(fields.get("writeKey"))), parse(raw, &fields, call, sent_at)),
        Err(fault) => (key, fault.into()),
    }
}

fn parse(raw: &str, fields: &Map<String, Value>, call: &str, sent_at: Option<&Value>) -> Parsed {
    if raw.len() > MAX_EVENT {
        return Fault {
            reason: "too_long",
            field: String::new(),
            detail: "the event is longer than 32 KB".into(),
        }
        .into();
    }
    let call = fields.get("type").and_then(Value::as_str).unwrap_or(call);
    match call {
        "identify" => Parsed::NotCounted("identify"),
        "group" => Parsed::NotCounted("group"),
        "alias" => Parsed::NotCounted("alias"),
        "page" | "screen" | "track" => event(fields, call, sent_at).into(),
        "" => Fault::missing("type").into(),
        _ => Fault::wrong("type", "must be track, page, screen, identify, group or alias").into(),
    }
}

fn event(fields: &Map<String, Value>, call: &str, sent_at: Option<&Value>) -> Result<Draft, Fault> {
    let properties = fields.get("properties").and_then(Value::as_object);
    let context = fields.get("context").and_then(Value::as_object);
    let page = context.and_then(|context| context.get("page")).and_then(Value::as_object);
    let name = first_text(Some(fields), &["event", "name"]);
    let kind = match call {
        "track" => names::kind_of(name.as_deref().ok_or_else(|| Fault::missing("event"))?),
        _ => EventType::PageView,
    };
    let mut draft = Draft::new(kind);
    draft.event_id = text(fields.get("messageId"));
    draft.user_id = first_text(Some(fields), &["anonymousId", "userId"]);
    draft.session_id = first_text(context, &["sessionId"]);
    draft.address = match call {
        // the properties of a page call are about the page itself
        "page" => first_text(properties, &["url", "path"])
            .or_else(|| first_text(page, &["url", "path"]))
            .or(name.clone()),
        "screen" => name.clone(),
        _ => first_text(page, &["url", "path"]).or_else(|| first_text(properties, &["url", "path"])),
    }
    .or_else(|| Some(NO_PAGE.to_owned()));
    draft.referrer = first_text(page, &["referrer"]).or_else(|| first_text(properties, &["referrer"]));
    draft.user_agent = first_text(context, &["userAgent"]);
    draft.product_id = first_text(properties, &["product_id", "productId", "sku"]);
    match kind {
        EventType::Click => draft.element = name,
        EventType::Purchase => {
            for member in ["revenue", "total", "value"] {
                if draft.value.is_none() {
                    draft.value =
                        money(properties.and_then(|p| p.get(member)), &format!("properties.{member}"))?;
                }
            }
            draft.currency = first_text(properties, &["currency"]);
            if draft.product_id.is_none()
                && let Some([Value::Object(product)]) =
                    properties.and_then(|p| p.get("products")).and_then(Value::as_array).map(Vec::as_slice)
            {
                draft.product_id = first_text(Some(product), &["product_id", "productId", "sku"]);
            }
        }
        EventType::PageView | EventType::AddToCart => {}
    }
    let time = |name: &str| fields.get(name).and_then(Value::as_str).and_then(clock::read);
    draft.created = time("originalTimestamp").or_else(|| time("timestamp"));
    draft.sent = sent_at.and_then(Value::as_str).and_then(clock::read).or_else(|| time("sentAt"));
    Ok(draft)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn one(call: &str, value: &Value) -> Parsed {
        read(call, value.to_string().as_bytes(), Some("k")).remove(0).parsed
    }

    fn draft(call: &str, value: &Value) -> Draft {
        match one(call, value) {
            Parsed::Event(draft) => *draft,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn calls_and_what_they_become() {
        let context = json!({"page": {"url": "https://a.example/x?y=1", "referrer": "https://b.example/"}, "userAgent": "UA"});
        let page = draft(
            "page",
            &json!({"messageId": "m1", "anonymousId": "a", "userId": "u", "context": context, "properties": {"url": "https://a.example/p"}}),
        );
        assert_eq!(page.kind, EventType::PageView);
        assert_eq!(page.address.as_deref(), Some("https://a.example/p"));
        assert_eq!((page.user_id.as_deref(), page.event_id.as_deref()), (Some("a"), Some("m1")));
        assert_eq!(
            (page.referrer.as_deref(), page.user_agent.as_deref()),
            (Some("https://b.example/"), Some("UA"))
        );

        let added = draft(
            "track",
            &json!({"event": "Product Added", "userId": 5, "context": context, "properties": {"product_id": "P1", "price": 3}}),
        );
        assert_eq!(
            (added.kind, added.product_id.as_deref(), added.value),
            (EventType::AddToCart, Some("P1"), None)
        );
        assert_eq!(
            (added.user_id.as_deref(), added.address.as_deref()),
            (Some("5"), Some("https://a.example/x?y=1"))
        );

        let order = draft(
            "track",
            &json!({"event": "Order Completed", "userId": "u", "properties": {"total": 27.5, "revenue": "25.00", "currency": "EUR", "products": [{"product_id": "P2"}]}}),
        );
        assert_eq!(order.kind, EventType::Purchase);
        assert_eq!(
            (order.value.unwrap().to_string().as_str(), order.currency.as_deref()),
            ("25.00", Some("EUR"))
        );
        assert_eq!((order.product_id.as_deref(), order.address.as_deref()), (Some("P2"), Some(NO_PAGE)));

        let other = draft("t", &json!({"type": "track", "event": "Signed Up", "userId": "u"}));
        assert_eq!((other.kind, other.element.as_deref()), (EventType::Click, Some("Signed Up")));
        assert_eq!(one("identify", &json!({"userId": "u"})), Parsed::NotCounted("identify"));
    }

    #[test]
    fn a_batch_has_the_time_it_was_sent_and_each_message_its_own_fault() {
        let batch = json!({"sentAt": "2026-11-25T14:05:11.000Z", "writeKey": "w", "batch": [
            {"type": "page", "anonymousId": "a", "timestamp": "2026-11-25T16:05:10.000+02:00"},
            {"type": "track", "anonymousId": "a"},
            {"type": "nonsense"}, 7, {"type": "alias"},
            {"type": "track", "event": "Order Completed", "properties": {"revenue": "lots"}},
        ]});
        let items = read("batch", batch.to_string().as_bytes(), None);
        let Parsed::Event(page) = &items[0].parsed else { panic!("{items:?}") };
        assert_eq!(page.created.unwrap().to_string(), "2026-11-25T14:05:10.000Z");
        assert_eq!(page.sent.unwrap().to_string(), "2026-11-25T14:05:11.000Z");
        assert!(items.iter().all(|item| item.key.as_deref() == Some("w")), "{items:?}");
        let fields: Vec<_> = items[1..]
            .iter()
            .map(|item| match &item.parsed {
                Parsed::Bad(fault) => fault.field.as_str(),
                Parsed::NotCounted(what) => what,
                Parsed::Event(_) => "event",
            })
            .collect();
        assert_eq!(fields, ["event", "type", "", "alias", "properties.revenue"]);
        assert_eq!(read("batch", b"{\"batch\":3}", None).len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body in ".{0,80}", call in "batch|track|page|b") {
            let _ = read(&call, body.as_bytes(), None);
        }
    }
}

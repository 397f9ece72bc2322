//! Snowplow's tracker protocol, as its trackers send it: `POST /com.snowplowanalytics.snowplow/tp2`, and `GET /i` with one event.
//!
//! | Snowplow | our event |
//! |---|---|
//! | `e=pv` | `page_view` |
//! | `e=se` | `add_to_cart` or `purchase` by its action (see [`names`]), else `click`, `element` = category/action/label |
//! | `e=ue` *link_click*, *button_click*, *submit_form*, *site_search* | `click`, `element` = what was clicked |
//! | `e=ue` *add_to_cart*; *snowplow_ecommerce_action* of that type | `add_to_cart` |
//! | `e=ue` *snowplow_ecommerce_action* `transaction`; `e=tr` | `purchase` |
//! | `e=ue` with a schema of your own | `click`, `element` = the schema's name |
//! | `e=pp`, `e=ti`, `e=ue` with another schema of Snowplow's | accepted, counted nowhere: pings, lines of an order, focus, timing, vitals |
//! | `eid` | `event_id` |
//! | `aid` | `site_id`, by `--collector-keys` or as it is |
//! | `duid`, else `tnuid`, `nuid`, `uid` | `user_id`; without, the visitor by address and browser, for a day |
//! | `sid` | `session_id`; without, one is made by the session gap |
//! | `url`, `refr` | `page_url` (`(not set)` where a server sends none), `referrer` |
//! | `ua` | `user_agent`; without, that of the request |
//! | the product entity, `sku` | `product_id` |
//! | `tr_tt`, `tr_cu`; the transaction entity; `se_va` of a purchase | `value`, `currency` |
//! | `dtm`, `stm`, `ttm` | event time with `--collector-time client` |
//! | other entities, screen, language, time zone, `cookie`, … | nothing. No cookie is set: `nuid` is only what the client sends |

use std::collections::HashMap;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use clickstream_event::{EventType, Timestamp};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::draft::{Draft, Fault, Item, Parsed};

use super::{NO_PAGE, Read, amount, first_text, item, money, names, object, text, unreadable};

/// With or without padding: trackers differ.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

type Params = HashMap<String, String>;

/// The events of a body of `tp2`.
pub fn read(body: &[u8]) -> Vec<Item> {
    #[derive(serde::Deserialize)]
    struct Payload<'b> {
        #[serde(borrow)]
        data: Vec<&'b RawValue>,
    }
    let Ok(raw) = std::str::from_utf8(body) else { return vec![unreadable(body, "the body is not UTF-8")] };
    match serde_json::from_str::<Payload<'_>>(raw) {
        Ok(payload) => payload.data.iter().map(|event| item(event.get(), &mut message)).collect(),
        Err(error) => vec![unreadable(body, &format!("the body is no payload_data: {error}"))],
    }
}

/// The event of a query of `GET /i`.
pub fn read_query(query: &str) -> Vec<Item> {
    let params: Params = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    vec![Item { raw: query.as_bytes().to_vec(), key: params.get("aid").cloned(), parsed: event(&params) }]
}

fn message(raw: &str) -> Read {
    match object(raw) {
        Ok(fields) => {
            let texts = fields.into_iter().filter_map(|(name, value)| Some((name, text(Some(&value))?)));
            let params: Params = texts.collect();
            (params.get("aid").cloned(), event(&params))
        }
        Err(fault) => (None, fault.into()),
    }
}

fn event(params: &Params) -> Parsed {
    let get = |name: &str| params.get(name).filter(|text| !text.is_empty()).cloned();
    let Some(e) = get("e") else { return Fault::missing("e").into() };
    let entities = entities(params);
    let sketch = match e.as_str() {
        "pv" => Ok(Sketch::of(EventType::PageView)),
        "pp" => return Parsed::NotCounted("page ping"),
        "ti" => return Parsed::NotCounted("line of an order"),
        "se" => structured(params),
        "tr" => total(params),
        "ue" => match self_describing(params, &entities) {
            Ok(Some(sketch)) => Ok(sketch),
            Ok(None) => return Parsed::NotCounted("self-describing event without a counterpart"),
            Err(fault) => Err(fault),
        },
        _ => Err(Fault::wrong("e", "must be pv, pp, se, ue, tr or ti")),
    };
    let sketch = match sketch {
        Ok(sketch) => sketch,
        Err(fault) => return fault.into(),
    };
    let mut draft = Draft::new(sketch.kind);
    draft.event_id = get("eid");
    draft.user_id = get("duid").or_else(|| get("tnuid")).or_else(|| get("nuid")).or_else(|| get("uid"));
    draft.session_id = get("sid");
    draft.address = get("url").or_else(|| Some(NO_PAGE.to_owned()));
    draft.referrer = get("refr");
    draft.user_agent = get("ua");
    draft.element = sketch.element;
    draft.product_id = sketch.product_id.or_else(|| product(&entities));
    draft.value = sketch.value;
    draft.currency = sketch.currency;
    let time = |name: &str| get(name).and_then(|ms| ms.parse().ok()).map(Timestamp);
    draft.created = time("ttm").or_else(|| time("dtm"));
    // a true timestamp needs no correction
    draft.sent = if params.contains_key("ttm") { None } else { time("stm") };
    Parsed::Event(Box::new(draft))
}

/// What differs between kinds of events.
struct Sketch {
    kind: EventType,
    element: Option<String>,
    product_id: Option<String>,
    value: Option<rust_decimal::Decimal>,
    currency: Option<String>,
}

impl Sketch {
    fn of(kind: EventType) -> Self {
        Self { kind, element: None, product_id: None, value: None, currency: None }
    }

    fn click(element: Option<String>) -> Self {
        Self { element, ..Self::of(EventType::Click) }
    }
}

fn structured(params: &Params) -> Result<Sketch, Fault> {
    let action = params.get("se_ac").filter(|a| !a.is_empty()).ok_or_else(|| Fault::missing("se_ac"))?;
    let mut sketch = Sketch::of(names::kind_of(action));
    match sketch.kind {
        EventType::Click => {
            let parts = ["se_ca", "se_ac", "se_la"].iter().filter_map(|name| params.get(*name));
            let parts: Vec<&str> = parts.map(String::as_str).filter(|part| !part.is_empty()).collect();
            sketch.element = Some(parts.join("/"));
        }
        EventType::Purchase => {
            sketch.value = params.get("se_va").map(|value| amount(value, "se_va")).transpose()?;
        }
        EventType::PageView | EventType::AddToCart => {}
    }
    Ok(sketch)
}

fn total(params: &Params) -> Result<Sketch, Fault> {
    let mut sketch = Sketch::of(EventType::Purchase);
    sketch.value = params.get("tr_tt").map(|value| amount(value, "tr_tt")).transpose()?;
    sketch.currency = params.get("tr_cu").filter(|code| !code.is_empty()).cloned();
    Ok(sketch)
}

/// A self-describing JSON: its vendor, its name, its data.
struct Described {
    vendor: String,
    name: String,
    data: Map<String, Value>,
}

fn described(value: &Value) -> Option<Described> {
    let schema = value.get("schema")?.as_str()?.strip_prefix("iglu:")?;
    let mut parts = schema.split('/');
    Some(Described {
        vendor: parts.next()?.to_owned(),
        name: parts.next()?.to_owned(),
        data: value.get("data").and_then(Value::as_object).cloned().unwrap_or_default(),
    })
}

/// A parameter that is JSON, plain or in base64.
fn json(params: &Params, plain: &str, coded: &str) -> Result<Option<Value>, Fault> {
    let bytes = match (params.get(plain), params.get(coded)) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(code)) => {
            BASE64.decode(code).map_err(|_| Fault::wrong(coded, "must be JSON in base64"))?
        }
        (None, None) => return Ok(None),
    };
    let name = if params.contains_key(plain) { plain } else { coded };
    serde_json::from_slice(&bytes).map(Some).map_err(|_| Fault::wrong(name, "must hold JSON"))
}

/// What is attached to the event; what cannot be read of it is left out.
fn entities(params: &Params) -> Vec<Described> {
    let Ok(Some(contexts)) = json(params, "co", "cx") else { return Vec::new() };
    let list = contexts.get("data").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(described).collect()
}

fn product(entities: &[Described]) -> Option<String> {
    let is_product = |entity: &&Described| entity.name == "product" || entity.name == "ecommerce_product";
    let mut products = entities.iter().filter(is_product);
    let one =
        products.next().and_then(|product| first_text(Some(&product.data), &["id", "product_id", "sku"]));
    one.filter(|_| products.next().is_none())
}

fn self_describing(params: &Params, entities: &[Described]) -> Result<Option<Sketch>, Fault> {
    let outer = json(params, "ue_pr", "ue_px")?.ok_or_else(|| Fault::missing("ue_pr"))?;
    let inner = outer.get("data").and_then(described);
    let Described { vendor, name, data } =
        inner.ok_or_else(|| Fault::wrong("ue_pr", "must hold a self-describing event"))?;
    let said = |names: &[&str]| Some(first_text(Some(&data), names).unwrap_or_else(|| name.clone()));
    if vendor.strip_prefix("com.snowplowanalytics").is_none() {
        return Ok(Some(Sketch::click(Some(name))));
    }
    Ok(match name.as_str() {
        "link_click" => Some(Sketch::click(said(&["elementId", "targetUrl"]))),
        "button_click" => Some(Sketch::click(said(&["id", "name", "label"]))),
        "submit_form" => Some(Sketch::click(said(&["formId"]))),
        "site_search" => Some(Sketch::click(Some(name))),
        "add_to_cart" => {
            let product_id = first_text(Some(&data), &["sku"]);
            Some(Sketch { product_id, ..Sketch::of(EventType::AddToCart) })
        }
        "snowplow_ecommerce_action" => match data.get("type").and_then(Value::as_str) {
            Some("add_to_cart") => Some(Sketch::of(EventType::AddToCart)),
            Some("transaction") => {
                let transaction = entities.iter().find(|entity| entity.name == "transaction");
                let data = transaction.map(|entity| &entity.data);
                Some(Sketch {
                    value: money(data.and_then(|data| data.get("revenue")), "revenue")?,
                    currency: first_text(data, &["currency"]),
                    ..Sketch::of(EventType::Purchase)
                })
            }
            Some(step @ ("list_click" | "promo_click")) => Some(Sketch::click(Some(step.to_owned()))),
            _ => None,
        },
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn one(event: Value) -> Parsed {
        let body = json!({"schema": "iglu:com.snowplowanalytics.snowplow/payload_data/jsonschema/1-0-4", "data": [event]});
        read(body.to_string().as_bytes()).remove(0).parsed
    }

    fn draft(event: Value) -> Draft {
        match one(event) {
            Parsed::Event(draft) => *draft,
            other => panic!("{other:?}"),
        }
    }

    fn ue(schema: &str, data: Value) -> String {
        json!({"schema": "iglu:com.snowplowanalytics.snowplow/unstruct_event/jsonschema/1-0-0",
            "data": {"schema": format!("iglu:{schema}"), "data": data}})
        .to_string()
    }

    #[test]
    fn events_and_what_they_become() {
        let view = draft(
            json!({"e": "pv", "url": "https://a.example/x", "refr": "https://b.example/", "eid": "i", "aid": "shop", "duid": "d", "sid": "s", "dtm": "1795583043021", "stm": "1795583044021"}),
        );
        assert_eq!((view.kind, view.event_id.as_deref()), (EventType::PageView, Some("i")));
        assert_eq!((view.user_id.as_deref(), view.session_id.as_deref()), (Some("d"), Some("s")));
        assert_eq!(
            (view.created, view.sent),
            (Some(Timestamp(1_795_583_043_021)), Some(Timestamp(1_795_583_044_021)))
        );

        let event = draft(json!({"e": "se", "se_ca": "shop", "se_ac": "add-to-basket"}));
        assert_eq!((event.kind, event.address.as_deref()), (EventType::AddToCart, Some(NO_PAGE)));
        let event =
            draft(json!({"e": "se", "se_ca": "video", "se_ac": "play", "se_la": "intro", "se_va": "3"}));
        assert_eq!((event.kind, event.element.as_deref()), (EventType::Click, Some("video/play/intro")));
        let event = draft(json!({"e": "tr", "tr_id": "o1", "tr_tt": "35.00", "tr_cu": "EUR"}));
        assert_eq!((event.kind, event.value.unwrap().to_string().as_str()), (EventType::Purchase, "35.00"));
        assert_eq!(one(json!({"e": "pp"})), Parsed::NotCounted("page ping"));
        assert_eq!(one(json!({"e": "ti"})), Parsed::NotCounted("line of an order"));
    }

    #[test]
    fn self_describing_events_plain_and_coded() {
        let link = ue(
            "com.snowplowanalytics.snowplow/link_click/jsonschema/1-0-1",
            json!({"targetUrl": "https://c.example/"}),
        );
        assert_eq!(draft(json!({"e": "ue", "ue_pr": link})).element.as_deref(), Some("https://c.example/"));
        let coded = BASE64.encode(ue("com.acme/signed_up/jsonschema/1-0-0", json!({})));
        let event = draft(json!({"e": "ue", "ue_px": coded.trim_end_matches('=')}));
        assert_eq!((event.kind, event.element.as_deref()), (EventType::Click, Some("signed_up")));
        let action = ue(
            "com.snowplowanalytics.snowplow.ecommerce/snowplow_ecommerce_action/jsonschema/1-0-2",
            json!({"type": "transaction"}),
        );
        let contexts = json!({"schema": "iglu:c/contexts/jsonschema/1-0-0", "data": [
            {"schema": "iglu:com.snowplowanalytics.snowplow.ecommerce/transaction/jsonschema/1-0-0", "data": {"revenue": 12.5, "currency": "USD"}},
            {"schema": "iglu:com.snowplowanalytics.snowplow.ecommerce/product/jsonschema/1-0-0", "data": {"id": "P7"}},
        ]}).to_string();
        let sale = draft(json!({"e": "ue", "ue_pr": action, "co": contexts}));
        assert_eq!(
            (sale.kind, sale.product_id.as_deref(), sale.currency.as_deref()),
            (EventType::Purchase, Some("P7"), Some("USD"))
        );
        let vitals = ue("com.snowplowanalytics.snowplow/web_vitals/jsonschema/1-0-0", json!({}));
        assert!(matches!(one(json!({"e": "ue", "ue_pr": vitals})), Parsed::NotCounted(_)));
        for (event, field) in [
            (json!({"e": "ue"}), "ue_pr"),
            (json!({"e": "ue", "ue_pr": "{"}), "ue_pr"),
            (json!({"e": "ue", "ue_px": "***"}), "ue_px"),
            (json!({"e": "zz"}), "e"),
            (json!({"e": "se"}), "se_ac"),
            (json!({"e": "tr", "tr_tt": "much"}), "tr_tt"),
            (json!({}), "e"),
            (json!(1), ""),
        ] {
            let Parsed::Bad(fault) = one(event.clone()) else { panic!("{event}") };
            assert_eq!(fault.field, field, "{event}");
        }
    }

    #[test]
    fn one_event_in_a_query() {
        let items = read_query("e=pv&url=https%3A%2F%2Fa.example%2Fx&aid=shop");
        let Parsed::Event(view) = &items[0].parsed else { panic!() };
        assert_eq!(view.address.as_deref(), Some("https://a.example/x"));
        assert_eq!(items[0].key.as_deref(), Some("shop"));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(body in any::<Vec<u8>>(), query in ".{0,60}") {
            let _ = (read(&body), read_query(&query));
        }
    }
}

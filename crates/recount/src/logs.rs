//! Generated logs: disorder, silence, copies, several sites, empty partitions, equal timestamps, hostile records.

use clickstream_event::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;

use crate::{Record, Shape, odd};

/// A log and how to window it.
#[derive(Clone, Debug)]
pub struct Case {
    /// The windows and partitions.
    pub shape: Shape,
    /// The records, in the order of their arrival.
    pub log: Vec<Record>,
}

/// What one step adds to a log.
#[derive(Clone, Debug)]
enum Step {
    Event { behind: i64, kind: usize, site: u8, page: u8, user: u8, session: u8, product: u8, cents: i64 },
    Copy { of: usize },
    Heartbeat,
    Hostile { which: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (prop_oneof![6 => 0i64..60, 2 => 60i64..140, 1 => 140i64..2_500], 0usize..4, 0u8..2, 0u8..4, 0u8..4, 0u8..3, 0u8..3, 0i64..100_000)
            .prop_map(|(behind, kind, site, page, user, session, product, cents)| Step::Event { behind, kind, site, page, user, session, product, cents }),
        2 => (0usize..12).prop_map(|of| Step::Copy { of }),
        2 => Just(Step::Heartbeat),
        2 => any::<usize>().prop_map(|which| Step::Hostile { which }),
    ]
}

/// Time from one record to the next: often none, sometimes silence for slides or whole windows.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0i64), 8 => 1i64..90, 3 => 90i64..900, 1 => 900i64..9_000]
}

/// Logs of up to `longest` records that begin at `begin`, for windows of any shape.
pub fn any_shape(begin: i64, longest: usize) -> impl Strategy<Value = Case> {
    (1i64..4, 1i64..6, 1usize..5).prop_flat_map(move |(slide_s, slices, partitions)| {
        let slide_ms = slide_s * 1_000;
        let shape = Shape { window_ms: slide_ms * slices, slide_ms, partitions };
        of_shape(shape, begin, longest, true)
    })
}

/// Logs for windows of one shape. Where `may_stall`, a partition may stay empty, so that nothing comes out; otherwise every
/// partition ends with a heartbeat after the last window.
pub fn of_shape(shape: Shape, begin: i64, longest: usize, may_stall: bool) -> impl Strategy<Value = Case> {
    numbered(shape, begin, longest, may_stall, 0)
}

/// The same for one log of several in one: ids of its events are counted from `first`, so that they are no copies of others.
pub fn numbered(
    shape: Shape,
    begin: i64,
    longest: usize,
    may_stall: bool,
    first: usize,
) -> impl Strategy<Value = Case> {
    let ends = prop_oneof![6 => Just(true), 1 => Just(false)];
    (vec((0..shape.partitions, pause(), step()), 1..longest), vec(ends, shape.partitions)).prop_map(
        move |(steps, ends)| {
            let mut writer = Writer { now: begin, log: Vec::new(), events: Vec::new() };
            for (n, (partition, pause, step)) in steps.into_iter().enumerate() {
                writer.now += pause;
                writer.take(first + n, partition as i32, step);
            }
            writer.now += shape.window_ms + shape.slide_ms + 200;
            for (partition, _) in ends.iter().enumerate().filter(|(_, ends)| **ends || !may_stall) {
                writer.take(0, partition as i32, Step::Heartbeat);
            }
            Case { shape, log: writer.log }
        },
    )
}

struct Writer {
    now: i64,
    log: Vec<Record>,
    events: Vec<Vec<u8>>,
}

impl Writer {
    fn take(&mut self, n: usize, partition: i32, step: Step) {
        let time = |ms: i64| Timestamp(ms).to_string();
        let value = match step {
            Step::Heartbeat => {
                json!({ "event_type": "heartbeat", "site_id": "a", "timestamp": time(self.now) })
                    .to_string()
                    .into_bytes()
            }
            Step::Copy { of } => match self.events.len().checked_sub(of + 1) {
                Some(index) => self.events[index].clone(),
                None => return,
            },
            Step::Hostile { which } => hostile(which, n, self.now),
            Step::Event { behind, kind, site, page, user, session, product, cents } => {
                let kind = ["page_view", "click", "add_to_cart", "purchase"][kind];
                let mut event = json!({ "event_id": format!("e{n}"), "site_id": (["a", "b"][usize::from(site)]), "event_type": kind,
                    "user_id": format!("u{user}"), "session_id": format!("s{session}"), "page_url": format!("/p{page}"),
                    "timestamp": time(self.now - behind) });
                if product > 0 {
                    event["product_id"] = json!(format!("sku{product}"));
                }
                if kind == "purchase" && cents > 0 {
                    event["value"] = json!(cents as f64 / 100.0);
                }
                let value = event.to_string().into_bytes();
                self.events.push(value.clone());
                value
            }
        };
        let offset = self.log.iter().filter(|record| record.partition == partition).count() as i64;
        self.log.push(Record { partition, offset, arrival: self.now, key: None, value: Some(value) });
    }
}

/// Number of hostile forms.
pub fn hostile_forms() -> usize {
    FORMS.len() + TIMES.len() + odd::FORMS.len()
}

/// A record that is no event, or hardly one. `n` keeps its id apart from all others of the log.
pub fn hostile(which: usize, n: usize, now: i64) -> Vec<u8> {
    let text = Timestamp(now).to_string();
    let (date, clock) = (&text[..10], &text[11..19]);
    let which = which % hostile_forms();
    if let Some(which) = which.checked_sub(FORMS.len() + TIMES.len()) {
        return odd::record(odd::FORMS[which], n, now);
    }
    let (form, time) = match which.checked_sub(FORMS.len()) {
        None => (FORMS[which].to_owned(), text.clone()),
        Some(which) => (
            EVENT.to_owned(),
            TIMES[which].replace("DATE", date).replace("CLOCK", clock).replace("HOUR", &clock[..5]),
        ),
    };
    match form.as_str() {
        "deep" => deep(60, &text, n),
        "huge" => {
            let value = EVENT.replace("TIME", &text).replace("ID", &format!("x{n}"));
            value.replace("\"/x\"", &format!("\"/{}\"", "x".repeat(40_000))).into_bytes()
        }
        "too long" => {
            let value = EVENT.replace("TIME", &text).replace("ID", &format!("x{n}"));
            value.replace("\"/x\"", &format!("\"/{}\"", "x".repeat(66_000))).into_bytes()
        }
        "not utf-8" => {
            let mut value = EVENT.replace("TIME", &text).replace("ID", &format!("x{n}")).into_bytes();
            let at = value.len() - 3;
            value[at] = 0xff;
            value
        }
        "empty" => Vec::new(),
        form => form.replace("TIME", &time).replace("ID", &format!("x{n}")).into_bytes(),
    }
}

fn deep(levels: usize, time: &str, n: usize) -> Vec<u8> {
    let nested = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let event = EVENT.replace("TIME", time).replace("ID", &format!("x{n}"));
    format!("{},\"nested\":{nested}}}", &event[..event.len() - 1]).into_bytes()
}

const EVENT: &str = r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#;

/// Forms of a timestamp, legal and illegal.
const TIMES: &[&str] = &[
    "DATETCLOCKZ",
    "DATETCLOCK.1Z",
    "DATETCLOCK.12Z",
    "DATETCLOCK.123456789Z",
    "DATETCLOCK.1234567890Z",
    "DATETCLOCK.Z",
    "DATETCLOCK+00:00",
    "DATETCLOCK-00:00",
    "DATETCLOCK.000+01:00",
    "DATEtCLOCKz",
    "DATE CLOCKZ",
    "DATE CLOCK",
    "DATETCLOCK",
    "DATETHOURZ",
    "DATET24:00:00Z",
    "DATET23:59:60Z",
    "DATET25:00:00Z",
    "DATETHOUR:61Z",
    "DATE",
    "CLOCK",
    "",
    " DATETCLOCKZ",
    "DATETCLOCKZ ",
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2024-02-29T10:00:00Z",
    "2023-02-29T10:00:00Z",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "10000-01-01T00:00:00Z",
    "+2026-01-01T00:00:00Z",
    "-2026-01-01T00:00:00Z",
    "2026-1-1T00:00:00Z",
    "2026-W01-1T00:00:00Z",
    "1795583043021",
    "now",
    "DATETCLOCK.٣Z",
    "DATETCLOCK,5Z",
];

/// Forms of a record. TIME is a good timestamp, ID an id of its own.
const FORMS: &[&str] = &[
    "deep",
    "huge",
    "too long",
    "not utf-8",
    "empty",
    "{",
    "}",
    "[]",
    "[1]",
    "null",
    "true",
    "17",
    "\"text\"",
    "{}",
    "{} {}",
    "{}x",
    "{\"a\":1,}",
    "{,}",
    "{\"a\"}",
    "{'a':1}",
    "{a:1}",
    "{\"a\":01}",
    "{\"a\":+1}",
    "{\"a\":.5}",
    "{\"a\":1.}",
    "{\"a\":NaN}",
    "{\"a\":Infinity}",
    "{\"a\":0x1F}",
    "{\"a\":\"\\x41\"}",
    "{\"a\":tru}",
    "\u{feff}{}",
    "// comment\n{}",
    "{}/* comment */",
    "\u{0}{}",
    "{\"a\":1}\u{0}",
    // members in another order, with spaces, with escapes
    r#" { "timestamp" : "TIME" , "page_url" : "/x" , "session_id" : "s2" , "user_id" : "u2" , "event_type" : "page_view" , "site_id" : "b" , "event_id" : "ID" } "#,
    r#"{"event_id":"ID","site_id":"a","event_type":"page\u005fview","user_id":"u\u0031","session_id":"s1","page_url":"\/x","timestamp":"TIME"}"#,
    r#"{"event\u005fid":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"caf\u00e9","session_id":"\ud83d\ude00","page_url":"/caf\u00e9/\ud83d\ude00","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/a\"b\\c","timestamp":"TIME"}"#,
    // lone surrogates, control characters
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"\ud800","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/\udc00x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x\ud800\u0041","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","referrer":"\ud800"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u\u0000","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s\u0001","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/a\nb","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","referrer":"a\nb"}"#,
    "{\"event_id\":\"ID\",\"site_id\":\"a\",\"event_type\":\"click\",\"user_id\":\"u1\",\"session_id\":\"s1\",\"page_url\":\"/a\tb\",\"timestamp\":\"TIME\"}",
    "{\"event_id\":\"ID\",\"site_id\":\"a\",\"event_type\":\"click\",\"user_id\":\"u1\",\"session_id\":\"s1\",\"page_url\":\"/\u{7f}\u{2028}\u{fffd}\",\"timestamp\":\"TIME\"}",
    // numbers, booleans, null, objects in the place of text
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":42,"session_id":1e3,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":-0,"session_id":0.1,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":12345678901234567890,"session_id":1e400,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":1.0,"session_id":100000000000000000000000000000,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":1E-7,"session_id":123456789.5,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":true,"session_id":false,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":null,"session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":{"id":1},"session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":["u1"],"session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":" ","session_id":" s1 ","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":1795583043021}"#,
    // repeated keys, other spellings
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","user_id":"u2","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","page_url":null}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","User_Id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"PAGE_VIEW","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click ","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":null,"user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_type":"heartbeat","timestamp":"TIME"}"#,
    r#"{"event_type":"heartbeat","site_id":"a","timestamp":"TIME","value":"much"}"#,
    // amounts
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":"12.345678"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":"1,5"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":""}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":-3.00005}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":1e15}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":99999999999999.9999}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":1.5e2}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":1e-3}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":null}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":true}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":7}"#,
    // products
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","product_id":""}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","product_id":7}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","product_id":{"a":1}}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","product_id":"a\u0002"}"#,
    // the canonical form, nearly
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","product_id":"sku1","value":5.25,"currency":"EUR"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","product_id":"sku1","value":05.25,"currency":"EUR"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","page_url":"/y"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x"} "#,
    r#"{"timestamp":"TIME","event_id":"","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","value":"x"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"wink","user_id":"u1","session_id":"s1","page_url":"/x"}"#,
];

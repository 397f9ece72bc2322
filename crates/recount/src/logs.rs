//! Generated logs and records: disorder, silence, copies, several sites, empty partitions, equal timestamps, hostile records.

use clickstream_event::{Record as Decoded, Rules, Timestamp, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;

pub use crate::hostile::{hostile, hostile_forms};
use crate::odd::{joined, members};
use crate::{Record, Shape};

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
        let shape = Shape { window_ms: slide_ms * slices, slide_ms, session_gap_ms: 30_000, partitions };
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
                    "user_id": format!("u{user}"), "session_id": format!("s{session}"), "page_url": (["/p0", "/p1", "/ｚ", "/😀"][usize::from(page)]),
                    "timestamp": time(self.now - behind) });
                if product > 0 {
                    event["product_id"] = json!(format!("sku{product}"));
                }
                if kind == "purchase" && cents > 0 {
                    event["value"] = json!(cents as f64 / 100.0);
                }
                let mut value = event.to_string().into_bytes();
                if n.is_multiple_of(2) {
                    value = canonical(&value);
                }
                self.events.push(value.clone());
                value
            }
        };
        let offset = self.log.iter().filter(|record| record.partition == partition).count() as i64;
        self.log.push(Record { partition, offset, arrival: self.now, key: None, value: Some(value) });
    }
}

/// The canonical form of an event.
fn canonical(value: &[u8]) -> Vec<u8> {
    let mut canonical = Vec::new();
    match decode(value, Timestamp(i64::MAX / 2), Rules::default()) {
        Ok(Decoded::Event(event, _)) => event.encode(&mut canonical),
        _ => panic!("{} is no event", value.escape_ascii()),
    }
    canonical
}

/// Texts, numbers and everything else that may stand for a member.
fn value() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "a",
        "Z",
        "7",
        ".",
        "-",
        "/",
        " ",
        "é",
        "😀",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{fffd}",
        "\u{ffff}",
        "\\n",
        "\\u0000",
        "\\u0001",
        "\\u001f",
        "\\u0041",
        "\\uD83D\\uDE00",
        "\\ud800",
        "\\udfff",
        "\\\"",
        "\\\\",
        "\\/",
        "\\b",
        "'",
        "[",
        "^",
        "&",
        "\t",
        "\\x",
        "\\u12",
        "E+",
        "T",
    ]);
    prop_oneof![
        4 => proptest::collection::vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat())),
        3 => "-?(0|[1-9][0-9]{0,15})(\\.[0-9]{1,7})?([eE][+-]?[0-9]{1,3})?",
        2 => "\"-?[0-9]{1,14}(\\.[0-9]{1,7})?(E[+-][0-9]{1,2})?\"",
        1 => select(vec!["null", "true", "false", "{}", "[]", "[\"a\"]", "{\"a\":\"b\"}", "01", "+1", ".5", "1.", "NaN", "''", "nul", "-", "\"\""])
            .prop_map(str::to_owned),
    ]
}

/// A record of any kind, from a valid one to rubbish.
pub fn any_record(n: usize, now: i64) -> impl Strategy<Value = Vec<u8>> {
    let names = vec![
        "site_id",
        "event_type",
        "user_id",
        "session_id",
        "page_url",
        "product_id",
        "value",
        "timestamp",
        "event_id",
        "page_url",
        "value",
        "product_id",
        "referrer",
        "currency",
        "more",
    ];
    let kind = select(vec!["click", "page_view", "purchase", "purchase", "heartbeat"]);
    let space = select(vec!["", "", "", " ", "\n", "\t\r", "\u{a0}"]);
    let spoilt = proptest::option::weighted(
        0.15,
        (any::<Index>(), 0..3usize, select(b"\"{}[],:\\\0\x01\x7f\xff\xc3 u0".to_vec())),
    );
    let changes = proptest::collection::vec((select(names), value(), any::<bool>()), 0..4);
    (kind, changes, space, any::<bool>(), any::<Index>(), spoilt).prop_map(
        move |(kind, changes, space, reversed, turn, spoilt)| {
            let mut all = members(n, now);
            all[3].1 = format!("\"{kind}\"");
            for (name, json, again) in changes {
                match all.iter_mut().find(|(member, _)| member == name) {
                    Some((_, value)) if !again => *value = json,
                    _ => all.push((name.to_owned(), json)),
                }
            }
            if reversed {
                let turn = turn.index(all.len());
                all.rotate_left(turn);
            }
            let mut bytes = joined(&all, space).into_bytes();
            if let Some((place, how, byte)) = spoilt {
                let at = place.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    _ => drop(bytes.remove(at)),
                }
            }
            bytes
        },
    )
}

//! Generated logs and records: disorder, silence, copies, several sites, empty partitions, equal timestamps, hostile records.

use std::collections::HashMap;

use clickstream_event::{Record as Decoded, Rules, Timestamp, decode};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

pub use crate::any_record::any_record;
pub use crate::hostile::{hostile, hostile_forms};
use crate::scenes::{AGENTS, Scene, scene};
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
    Event(Any),
    Copy { of: usize },
    Heartbeat,
    Hostile { which: usize },
    Scene(Scene),
}

/// An event like any other.
#[derive(Clone, Debug)]
struct Any {
    behind: i64,
    kind: usize,
    site: usize,
    page: usize,
    user: u8,
    session: u8,
    product: u8,
    cents: i64,
    agent: Option<usize>,
}

fn any_event() -> impl Strategy<Value = Any> {
    let behind = prop_oneof![6 => 0i64..60, 2 => 60i64..140, 1 => 140i64..2_500];
    let agent = proptest::option::weighted(0.05, 0..AGENTS.len());
    let place = (0usize..4, 0usize..2, 0usize..5);
    (behind, place, 0u8..4, 0u8..3, 0u8..3, 0i64..100_000, agent).prop_map(
        |(behind, (kind, site, page), user, session, product, cents, agent)| Any {
            behind,
            kind,
            site,
            page,
            user,
            session,
            product,
            cents,
            agent,
        },
    )
}

fn step(shape: Shape) -> impl Strategy<Value = Step> {
    prop_oneof![
        24 => any_event().prop_map(Step::Event),
        4 => (0usize..12).prop_map(|of| Step::Copy { of }),
        4 => Just(Step::Heartbeat),
        4 => any::<usize>().prop_map(|which| Step::Hostile { which }),
        1 => scene(shape).prop_map(Step::Scene),
    ]
}

/// Time from one record to the next: often none, sometimes silence for slides or whole windows.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![4 => Just(0i64), 8 => 1i64..90, 3 => 90i64..900, 1 => 900i64..9_000]
}

/// Logs of up to `longest` records, or a few more where something is staged, that begin at `begin`, for windows and sessions of any
/// shape.
pub fn any_shape(begin: i64, longest: usize) -> impl Strategy<Value = Case> {
    let gap = select(vec![1_000, 1_500, 2_000, 5_000, 30_000]);
    (1i64..4, 1i64..6, 1usize..5, gap).prop_flat_map(move |(slide_s, slices, partitions, session_gap_ms)| {
        let slide_ms = slide_s * 1_000;
        let shape = Shape { window_ms: slide_ms * slices, slide_ms, session_gap_ms, partitions };
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
    let mixed = vec((0..shape.partitions, pause(), step(shape)), 1..longest);
    // a few scenes and hardly anything else
    let staged = vec(
        (
            0..shape.partitions,
            pause(),
            prop_oneof![3 => scene(shape).prop_map(Step::Scene), 1 => step(shape)],
        ),
        1..5.min(longest.max(2)),
    );
    let steps = prop_oneof![2 => mixed, 1 => staged];
    // after the last window, after the last session has closed, or after everything that these events can cause
    let baseline_ms = 31 * shape.slide_ms;
    let rest = select(vec![0, shape.session_gap_ms, shape.session_gap_ms.max(baseline_ms).max(60_000)]);
    (steps, vec(ends, shape.partitions), rest).prop_map(move |(steps, ends, rest)| {
        let mut writer =
            Writer { shape, now: begin, entries: Vec::new(), events: Vec::new(), moments: HashMap::new() };
        for (n, (partition, pause, step)) in steps.into_iter().enumerate() {
            writer.now += pause;
            writer.take(first + n, partition, step);
        }
        writer.now += shape.window_ms + shape.slide_ms + 200 + rest;
        for (partition, _) in ends.iter().enumerate().filter(|(_, ends)| **ends || !may_stall) {
            writer.take(0, partition, Step::Heartbeat);
        }
        Case { shape, log: writer.finished() }
    })
}

struct Writer {
    shape: Shape,
    now: i64,
    entries: Vec<Entry>,
    events: Vec<Written>,
    /// Number of different events by site and event time.
    moments: HashMap<(String, i64), usize>,
}

/// An event that was written, of which copies may come.
struct Written {
    partition: usize,
    moment: (String, i64),
    value: Vec<u8>,
}

struct Entry {
    partition: usize,
    arrival: i64,
    value: Vec<u8>,
    /// Number of the event it is a copy of.
    copy_of: Option<usize>,
}

impl Writer {
    fn take(&mut self, n: usize, partition: usize, step: Step) {
        let time = |ms: i64| Timestamp(ms).to_string();
        match step {
            Step::Heartbeat => {
                let heartbeat =
                    json!({ "event_type": "heartbeat", "site_id": "a", "timestamp": time(self.now) });
                self.put(partition, heartbeat.to_string().into_bytes(), None);
            }
            Step::Copy { of } => {
                if let Some(index) = self.events.len().checked_sub(of + 1) {
                    self.put(partition, self.events[index].value.clone(), Some(index));
                }
            }
            Step::Hostile { which } => {
                let value = hostile(which, n, self.now);
                if let Ok(Decoded::Event(event, ts)) = decode(&value, Timestamp(self.now), Rules::default()) {
                    *self.moments.entry((event.site_id.to_string(), ts.0)).or_default() += 1;
                }
                self.put(partition, value, None);
            }
            Step::Event(any) => {
                let kind = ["page_view", "click", "add_to_cart", "purchase"][any.kind];
                let site = ["a", "b"][any.site];
                let ts = self.now - any.behind;
                let mut event = json!({ "event_id": format!("e{n}"), "site_id": site, "event_type": kind,
                    "user_id": format!("u{}", any.user), "session_id": format!("s{}", any.session),
                    "page_url": (["/p0", "/p1", "/ｚ", "/😀", "a"][any.page]), "timestamp": time(ts) });
                if any.product > 0 {
                    event["product_id"] = json!(format!("sku{}", any.product));
                }
                if kind == "purchase" && any.cents > 0 {
                    event["value"] = json!(any.cents as f64 / 100.0);
                }
                self.event(partition, site, ts, &event, any.agent, n.is_multiple_of(2));
            }
            Step::Scene(scene) => self.play(n, partition, scene),
        }
    }

    fn play(&mut self, n: usize, partition: usize, scene: Scene) {
        if let Some((unit, more)) = scene.begins {
            let begin = (self.now.div_euclid(unit) + 1) * unit + more;
            self.now = if begin < self.now { begin + unit } else { begin };
        }
        let begin = self.now;
        let mut acts: Vec<(i64, usize, _)> = scene
            .acts
            .into_iter()
            .enumerate()
            .map(|(m, act)| (begin + act.after + scene.lags[m % scene.lags.len()], m, act))
            .collect();
        acts.sort_by_key(|(arrival, m, _)| (*arrival, *m));
        for (arrival, m, act) in acts {
            self.now = self.now.max(arrival);
            let ts = begin + act.after;
            let mut event = json!({ "event_id": format!("e{n}.{m}"), "site_id": "a", "event_type": act.kind,
                "user_id": act.user, "session_id": act.session, "page_url": act.page, "timestamp": Timestamp(ts).to_string() });
            if let Some(product) = &act.product {
                event["product_id"] = json!(product);
            }
            let partition = if scene.is_spread { m % self.shape.partitions } else { partition };
            self.event(partition, "a", ts, &event, act.agent, m % 8 > 0);
        }
    }

    fn event(
        &mut self,
        partition: usize,
        site: &'static str,
        ts: i64,
        event: &Value,
        agent: Option<usize>,
        is_canonical: bool,
    ) {
        let mut text = event.to_string();
        if let Some(agent) = agent {
            text = format!("{},\"user_agent\":{}}}", &text[..text.len() - 1], AGENTS[agent]);
        }
        let value = if is_canonical { canonical(text.as_bytes()) } else { text.into_bytes() };
        self.put(partition, value.clone(), None);
        let moment = (site.to_owned(), ts);
        *self.moments.entry(moment.clone()).or_default() += 1;
        self.events.push(Written { partition, moment, value });
    }

    fn put(&mut self, partition: usize, value: Vec<u8>, copy_of: Option<usize>) {
        self.entries.push(Entry { partition, arrival: self.now, value, copy_of });
    }

    /// The log. Which of two copies in different partitions is read first decides the order among events of one millisecond, and
    /// is no matter of the log: such copies are left out.
    fn finished(self) -> Vec<Record> {
        let mut next = vec![0; self.shape.partitions];
        let mut log = Vec::new();
        for Entry { partition, arrival, value, copy_of } in self.entries {
            if let Some(index) = copy_of {
                let event = &self.events[index];
                if partition != event.partition && self.moments[&event.moment] > 1 {
                    continue;
                }
            }
            let offset = next[partition];
            next[partition] += 1;
            log.push(Record { partition: partition as i32, offset, arrival, key: None, value: Some(value) });
        }
        log
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

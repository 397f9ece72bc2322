//! Counts everything again, in the plainest way: every event into every window that holds it, sets for what is distinct, and
//! for everything about sessions and users their events in order, one after the other. `docs/metrics.md` is what it follows.
//!
//! Nothing of the product is used here but the decoder, which is checked against a second reading of each record, and the
//! limits of the rules.
//!
//! | module | recounts |
//! |---|---|
//! | [`read`] | what becomes of each record, and the watermark |
//! | [`windows`] | pages, products, sites, and the lists of pages |
//! | [`sessions`] | sessions, and what is counted over those that closed or began within a window |
//! | [`journeys`] | stays, transitions and paths |
//! | [`bots`] | who is a labelled bot, and when |
//! | [`traffic`] | spikes and drops |
//! | [`unusual`] | unusual users |

mod bots;
mod journeys;
mod read;
mod sessions;
mod traffic;
mod unusual;
mod windows;

use std::collections::BTreeMap;

use clickstream_event::detection::{BASELINE_SLIDES, UNUSUAL_MS};
use clickstream_event::{EventType, Timestamp, topic};
use serde_json::{Value, json};

use crate::Record;
use crate::golden::{self, Rows};

/// The windows, and the partitions of the log.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Length of a window in milliseconds.
    pub window_ms: i64,
    /// Distance of windows in milliseconds.
    pub slide_ms: i64,
    /// A session ends after so long without an event, in milliseconds.
    pub session_gap_ms: i64,
    /// Partitions of the log; one that is empty holds back all results.
    pub partitions: usize,
}

/// What should stand in the topics.
pub struct Expected {
    /// Rows by topic, by key fields.
    pub rows: Rows,
    /// Reason of every dead letter, by partition and offset.
    pub letters: BTreeMap<(i32, i64), &'static str>,
    /// Records that are heartbeats, counted, duplicates, dead letters.
    pub balance: [usize; 4],
    /// Late records.
    pub late: usize,
    /// End of the last window that holds an event.
    pub last_end: i64,
    /// The watermark at which everything is written that these events can cause: sessions have closed, and silence is noticed.
    pub settled: i64,
    /// Event time up to which all partitions have come.
    pub watermark: i64,
}

/// A counted event.
struct Event {
    ts: i64,
    partition: i32,
    offset: i64,
    site: String,
    kind: EventType,
    user: String,
    session: String,
    page: String,
    product: Option<String>,
    user_agent: Option<String>,
    /// In ten-thousandths.
    value: i128,
    /// Whether the user is a labelled bot at this event.
    is_bot: bool,
}

/// What can be spoken of: the shape of the windows, and the watermark up to which they are decided.
#[derive(Clone, Copy)]
struct Decided {
    shape: Shape,
    watermark: i64,
}

/// Things by their site and the end of a window.
type ByWindow<'a, T> = BTreeMap<(&'a str, i64), Vec<T>>;

impl Decided {
    /// Every thing in every window of the shape that holds its instant, as far as the windows are decided. A thing comes with its
    /// site and its instant.
    fn by_window<'a, T: Clone>(self, things: impl Iterator<Item = (&'a str, i64, T)>) -> ByWindow<'a, T> {
        self.by_span(self.shape.window_ms, things)
    }

    /// The same for windows of another length.
    fn by_span<'a, T: Clone>(
        self,
        span_ms: i64,
        things: impl Iterator<Item = (&'a str, i64, T)>,
    ) -> ByWindow<'a, T> {
        let slide_ms = self.shape.slide_ms;
        let mut windows = ByWindow::new();
        for (site, instant, thing) in things {
            let mut end = slide_end(instant, slide_ms);
            while end - span_ms <= instant && self.holds(end - 1) {
                windows.entry((site, end)).or_default().push(thing.clone());
                end += slide_ms;
            }
        }
        windows
    }

    /// Whether event time has come to this instant.
    fn holds(self, instant: i64) -> bool {
        instant <= self.watermark
    }

    /// A row of a window of the shape.
    fn row(self, site: &str, end: i64, fields: Value) -> Value {
        let base = json!({ "site_id": site, "window_start": time(end - self.shape.window_ms), "window_end": time(end) });
        merged([base, fields])
    }
}

/// Recounts a log.
pub fn recount(log: Vec<Record>, shape: Shape) -> Expected {
    let read::Read { mut events, letters, balance, late, watermark } = read::read(log, shape.partitions);
    events.sort_by_key(|event| (event.ts, event.partition, event.offset));
    let Shape { window_ms, slide_ms, session_gap_ms, .. } = shape;
    let last_end = events.iter().map(|e| slide_end(e.ts, slide_ms) - slide_ms + window_ms).max().unwrap_or(0);
    let settled = events.iter().map(|event| {
        let window = slide_end(event.ts + session_gap_ms - 1, slide_ms) - slide_ms + window_ms;
        let baseline = slide_end(event.ts, slide_ms) + i64::from(BASELINE_SLIDES) * slide_ms;
        let minute = slide_end(event.ts, UNUSUAL_MS);
        window.max(baseline).max(minute) - 1
    });
    let settled = settled.max().unwrap_or(0);

    let decided = Decided { shape, watermark };
    let mut rows: Rows = topic::RESULTS.into_iter().map(|name| (name, BTreeMap::new())).collect();
    let flags = bots::label(&mut events, decided);
    golden::put(&mut rows, topic::ANOMALIES, &flags);
    windows::count(&events, decided, &mut rows);
    let sessions = sessions::of(&events, session_gap_ms);
    sessions::count(&sessions, decided, &mut rows);
    journeys::count(&sessions, decided, &mut rows);
    golden::put(&mut rows, topic::ANOMALIES, &traffic::anomalies(&events, decided));
    golden::put(&mut rows, topic::ANOMALIES, &unusual::anomalies(&events, decided));
    Expected { rows, letters, balance, late, last_end, settled, watermark }
}

/// End of the slide that holds an instant.
fn slide_end(instant: i64, slide_ms: i64) -> i64 {
    (instant.div_euclid(slide_ms) + 1) * slide_ms
}

fn time(ms: i64) -> String {
    Timestamp(ms).to_string()
}

/// A share; `null` of nothing.
fn ratio(part: usize, whole: usize) -> Value {
    if whole == 0 { Value::Null } else { json!(part as f64 / whole as f64) }
}

/// ⌊v + ½⌋.
fn rounded(v: f64) -> i64 {
    (v + 0.5).floor() as i64
}

/// One object of several.
fn merged<const N: usize>(parts: [Value; N]) -> Value {
    let mut row = serde_json::Map::new();
    parts.iter().for_each(|fields| row.extend(fields.as_object().unwrap().clone()));
    Value::Object(row)
}

/// The key fields of a row as one text, as in [`recount()`].
pub fn key_of(name: &str, row: &Value) -> String {
    let at = |field: &str| Timestamp::parse(row[field].as_str().unwrap()).unwrap().0;
    let text = |field: &str| row[field].as_str().unwrap();
    let site = text("site_id");
    match name {
        topic::SESSIONS => format!("{site} {} {:?}", at("session_start"), text("session_id")),
        topic::ANOMALIES => format!("{site} {} {} {:?}", at("detected_at"), text("kind"), text("subject")),
        _ => {
            let of_window = format!("{site} {}", at("window_end"));
            match name {
                topic::PAGE_METRICS
                | topic::BOUNCE_RATES
                | topic::PROVISIONAL_BOUNCE_RATES
                | topic::ENTRY_EXIT_PAGES
                | topic::PAGE_ENGAGEMENT => format!("{of_window} {}", text("page_url")),
                topic::PRODUCT_METRICS => format!("{of_window} {}", text("product_id")),
                topic::TOP_PAGES | topic::HUMAN_TOP_PAGES | topic::TRENDING_PAGES => {
                    format!("{of_window} {}", row["rank"])
                }
                topic::PAGE_TRANSITIONS => {
                    format!("{of_window} {:?} {:?}", text("from_page"), text("to_page"))
                }
                topic::COMMON_PATHS => format!("{of_window} {} {}", row["length"], row["rank"]),
                topic::SITE_METRICS | topic::FUNNELS => of_window,
                _ => panic!("{name} is no topic of results"),
            }
        }
    }
}

/// The watermark at which a row is written.
pub fn written_at(name: &str, row: &Value, shape: Shape) -> i64 {
    let at = |field: &str| Timestamp::parse(row[field].as_str().unwrap()).unwrap().0;
    match name {
        topic::SESSIONS => at("session_end") + shape.session_gap_ms - 1,
        topic::ANOMALIES if row["kind"] == "bot" => at("detected_at"),
        topic::ANOMALIES => at("detected_at") - 1,
        _ => at("window_end") - 1,
    }
}

/// Whether two rows are the same; numbers may differ by 1e-9, or by what a double cannot hold.
pub fn same(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() < a.abs().mul_add(4.0 * f64::EPSILON, 1e-9)
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        (a, b) => a == b,
    }
}

//! Why a number is what it is: the events that made it, and those that nearly did.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clickstream_engine::{Config, Engine, Verdict, Window};
use clickstream_event::{Event, Record, Timestamp, decode, topic};
use serde::Serialize;

use super::prove::whole_from;
use super::row::Row;
use crate::logs::{Bounds, Log};

/// What a number is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A page.
    Page(String),
    /// A product.
    Product(String),
    /// The whole site.
    Site,
}

impl Subject {
    /// Whether an event is about it.
    fn is_of(&self, event: &Event<'_>) -> bool {
        match self {
            Self::Page(page) => event.page_url == *page,
            Self::Product(product) => event.product_id.as_deref() == Some(product),
            Self::Site => true,
        }
    }

    /// The text that a record must hold to be about it, if there is one.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Page(text) | Self::Product(text) => Some(text),
            Self::Site => None,
        }
    }

    /// The topic with its rows.
    pub fn topic(&self) -> &'static str {
        match self {
            Self::Page(_) => topic::PAGE_METRICS,
            Self::Product(_) => topic::PRODUCT_METRICS,
            Self::Site => topic::SITE_METRICS,
        }
    }
}

/// A record that counts, or nearly did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Line {
    /// Partition in the events topic.
    pub partition: i32,
    /// Offset there.
    pub offset: i64,
    /// Event time; the arrival of a record that is no event.
    pub event_time: Timestamp,
    /// Type of event.
    pub event_type: String,
    /// The user.
    pub user_id: String,
    /// The page.
    pub page_url: String,
    /// Why it does not count here; nothing for one that does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// The events behind the numbers of one row.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// The site.
    pub site_id: String,
    /// What it is about.
    pub subject: Subject,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after it.
    pub window_end: Timestamp,
    /// Whether the log reaches far enough for the window to have ended.
    pub ended: bool,
    /// The row as recounted; none if nothing counts.
    pub recount: Option<Row>,
    /// The row in the result topic.
    pub found: Option<serde_json::Value>,
    /// Events by user.
    pub users: BTreeMap<String, u64>,
    /// Events that count, in the order of their event time.
    pub counted: Vec<Line>,
    /// Records that do not.
    pub left_out: Vec<Line>,
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The site.
    pub site_id: String,
    /// What about.
    pub subject: Subject,
    /// First instant after the window.
    pub window_end: Timestamp,
}

/// For so long after the end of a window records that are left out of it are looked for, in milliseconds.
const AFTERWARDS_MS: i64 = 60_000;

/// An event so near to the window is listed among those left out, in milliseconds.
const NEAR_MS: i64 = 100;

/// Enough was read.
#[derive(Debug, thiserror::Error)]
#[error("enough was read")]
struct Stop;

/// Recounts the window and lists what it is made of.
pub fn explain(log: &dyn Log, config: Config, question: Question) -> Result<Explanation> {
    let Question { site_id, subject, window_end } = question;
    let windows = config.windows;
    if window_end.0 % windows.slide_ms() != 0 {
        let nearest = windows.first_start_at(window_end);
        bail!(
            "no window ends at {window_end}: with a slide of {} s windows end at {nearest}, {} …",
            windows.slide_ms() / 1000,
            Timestamp(nearest.0 + windows.slide_ms())
        );
    }
    let window_start = Timestamp(window_end.0 - windows.size_ms());
    let bounds = log.bounds(topic::EVENTS)?;
    // what counts in the window arrived after it began; copies and marks of before may matter for what does not
    let from = log.offsets_at(topic::EVENTS, Timestamp(window_start.0 - config.dedup_horizon_ms))?;
    let part =
        Bounds(bounds.0.iter().zip(&from).map(|((low, high), from)| ((*from).max(*low), *high)).collect());
    let whole_from = whole_from(log, &bounds)?;
    if let Some(first) = whole_from.filter(|first| *first > window_start) {
        bail!(
            "the log no longer reaches back to {window_start}: retention has removed what arrived before {first}"
        );
    }
    let mut engine = Engine::new(config, bounds.0.len());
    let mut explanation = Explanation {
        site_id,
        subject,
        window_start,
        window_end,
        ended: false,
        recount: None,
        found: None,
        users: BTreeMap::new(),
        counted: Vec::new(),
        left_out: Vec::new(),
    };
    let reading = log.read(topic::EVENTS, &part, &mut |record| {
        // once the window has ended nothing can count in it, but records that nearly did may follow for a while
        if engine.watermark().is_some_and(|watermark| watermark.0 >= window_end.0 + AFTERWARDS_MS) {
            return Err(Stop.into());
        }
        let decoded = decode(record.value.unwrap_or_default(), record.arrival, config.rules);
        let verdict = match &decoded {
            Ok(decoded) => engine.push_record(record.partition as usize, record.arrival, decoded),
            Err(rejection) => Verdict::Rejected(rejection.clone()),
        };
        match &decoded {
            Ok(Record::Event(event, ts)) => {
                explanation.event(record.partition, record.offset, event, *ts, &verdict)
            }
            Ok(Record::Heartbeat(_)) => {}
            Err(rejection) => explanation.rejected(
                record.partition,
                record.offset,
                record.arrival,
                record.value,
                rejection.to_string(),
            ),
        }
        for window in engine.closed().filter(|window| window.end == window_end) {
            explanation.recount = explanation.row(window);
        }
        Ok(())
    });
    match reading {
        Err(error) if !error.is::<Stop>() => return Err(error),
        _ => {}
    }
    explanation.ended = engine.watermark().is_some_and(|watermark| watermark.0 >= window_end.0 - 1);
    let order = |line: &Line| (line.event_time, line.partition, line.offset);
    explanation.counted.sort_by_key(order);
    // what went wrong first, what merely belongs elsewhere last
    explanation
        .left_out
        .sort_by_key(|line| (line.left_out.as_deref() == Some("in another window"), order(line)));
    explanation.found = explanation.written(log)?;
    Ok(explanation)
}

impl Explanation {
    fn event(&mut self, partition: i32, offset: i64, event: &Event<'_>, ts: Timestamp, verdict: &Verdict) {
        if event.site_id != self.site_id || !self.subject.is_of(event) {
            return;
        }
        let inside = |at: Timestamp| at >= self.window_start && at < self.window_end;
        let left_out = match verdict {
            Verdict::Counted if inside(ts) => None,
            Verdict::Counted if inside(event.timestamp) => Some(format!(
                "counts at its arrival, {ts}, because its timestamp {} is later than that",
                event.timestamp
            )),
            // all other events of the page would be a long list: only what is as near as disorder may bring it
            Verdict::Counted
                if (self.window_start.0 - NEAR_MS..self.window_end.0 + NEAR_MS).contains(&ts.0) =>
            {
                Some("in another window".to_owned())
            }
            Verdict::Duplicate if inside(ts) => {
                Some("duplicate: an event with this id counts already".to_owned())
            }
            Verdict::Late(lateness) if inside(ts) => Some(format!("late: {lateness}")),
            _ => return,
        };
        let line = Line {
            partition,
            offset,
            event_time: ts,
            event_type: event.event_type.name().to_owned(),
            user_id: event.user_id.to_string(),
            page_url: event.page_url.to_string(),
            left_out,
        };
        if line.left_out.is_none() {
            *self.users.entry(line.user_id.clone()).or_default() += 1;
            self.counted.push(line);
        } else {
            self.left_out.push(line);
        }
    }

    /// A record that is no event, but holds the text in question.
    fn rejected(
        &mut self,
        partition: i32,
        offset: i64,
        arrival: Timestamp,
        value: Option<&[u8]>,
        why: String,
    ) {
        let inside = arrival >= self.window_start && arrival < self.window_end;
        let about = match (self.subject.text(), value) {
            (Some(text), Some(value)) => String::from_utf8_lossy(value).contains(text),
            (text, _) => text.is_none(),
        };
        if inside && about {
            self.left_out.push(Line {
                partition,
                offset,
                event_time: arrival,
                event_type: String::new(),
                user_id: String::new(),
                page_url: String::new(),
                left_out: Some(format!("no valid event: {why}")),
            });
        }
    }

    fn row(&self, window: Window) -> Option<Row> {
        match &self.subject {
            Subject::Page(page) => window
                .pages
                .into_iter()
                .find(|row| row.site_id == self.site_id && row.page_url == *page)
                .map(Row::Page),
            Subject::Product(product) => window
                .products
                .into_iter()
                .find(|row| row.site_id == self.site_id && row.product_id == *product)
                .map(Row::Product),
            Subject::Site => window.sites.into_iter().find(|row| row.site_id == self.site_id).map(Row::Site),
        }
    }

    /// The newest row of the result topic with this key.
    fn written(&self, log: &dyn Log) -> Result<Option<serde_json::Value>> {
        let topic = self.subject.topic();
        let bounds = log.bounds(topic)?;
        let from = log.offsets_at(topic, self.window_end)?;
        let part =
            Bounds(bounds.0.iter().zip(from).map(|((low, high), from)| (from.max(*low), *high)).collect());
        let mut found = None;
        log.read(topic, &part, &mut |record| {
            let Some(row) = record.value.and_then(|value| Row::parse(topic, value)) else { return Ok(()) };
            let name = row.name().1;
            if row.window() == (self.window_start, self.window_end)
                && row.site() == self.site_id
                && self.subject.text().is_none_or(|text| name == text)
            {
                found = Some(serde_json::to_value(&row)?);
            }
            Ok(())
        })?;
        Ok(found)
    }
}

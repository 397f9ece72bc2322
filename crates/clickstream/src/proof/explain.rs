//! Why a number is what it is: the events that made it, and those that nearly did.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::ControlFlow;

use anyhow::{Result, bail};
use clickstream_engine::{Config, Engine, Verdict};
use clickstream_event::rows::{
    BounceRate, EntryExitPage, HumanTopPage, PageEngagement, PageMetrics, ProvisionalBounceRate, Session,
    TopPage, TrendingPage,
};
use clickstream_event::{Event, EventType, Record, Timestamp, topic};
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_128;

use super::narrow::Narrow;
use super::prove::whole_from;
use super::recounting::{Judged, recount};
use super::row::{self, Row};
use super::whole::Whole;
use super::written::{self, Compared};
use crate::logs::Log;
use crate::shell;

/// What a number is about.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A page.
    Page(String),
    /// A product.
    Product(String),
    /// A user.
    User(String),
    /// A session.
    Session(String),
    /// The whole site.
    Site,
}

impl Subject {
    /// Whether an event is about it.
    fn is_of(&self, event: &Event<'_>) -> bool {
        match self {
            Self::Page(page) => event.page_url == *page,
            Self::Product(product) => event.product_id.as_deref() == Some(product),
            Self::User(user) => event.user_id == *user,
            Self::Session(session) => event.session_id == *session,
            Self::Site => true,
        }
    }

    /// The text that a record must hold to be about it, if there is one.
    fn text(&self) -> Option<&str> {
        match self {
            Self::Page(text) | Self::Product(text) | Self::User(text) | Self::Session(text) => Some(text),
            Self::Site => None,
        }
    }

    /// What a row is about.
    pub fn of(row: &Row) -> Self {
        if let Some(page) = page_of(row) {
            return Self::Page(page.to_owned());
        }
        match row {
            Row::Transition(row) => Self::Page(row.to_page.clone()),
            Row::Path(row) => row.pages.last().map_or(Self::Site, |page| Self::Page(page.clone())),
            Row::Product(row) => Self::Product(row.product_id.clone()),
            Row::Session(row) => Self::Session(row.session_id.clone()),
            Row::Anomaly(row) if matches!(row.kind.as_str(), "bot" | "unusual_user") => {
                Self::User(row.subject.clone())
            }
            Row::Anomaly(row) if row.subject != row.site_id => Self::Page(row.subject.clone()),
            _ => Self::Site,
        }
    }

    /// How it is asked for on the command line, with a space before it.
    pub fn flag(&self) -> String {
        match self {
            Self::Page(page) => format!(" {}", shell::option("--page", page)),
            Self::Product(product) => format!(" {}", shell::option("--product", product)),
            Self::User(user) => format!(" {}", shell::option("--user", user)),
            Self::Session(session) => format!(" {}", shell::option("--session", session)),
            Self::Site => String::new(),
        }
    }

    /// Whether a row is about it.
    fn is_in(&self, row: &Row) -> bool {
        if let (Self::Page(page), Some(of)) = (self, page_of(row)) {
            return of == page;
        }
        match (self, row) {
            (Self::Page(page), Row::Transition(row)) => row.from_page == *page || row.to_page == *page,
            (Self::Page(page), Row::Path(row)) => row.pages.contains(page),
            (Self::Product(product), Row::Product(row)) => row.product_id == *product,
            (Self::User(user), Row::Session(row)) => row.user_id == *user,
            (Self::Session(session), Row::Session(row)) => row.session_id == *session,
            (Self::Page(subject) | Self::User(subject), Row::Anomaly(row)) => row.subject == *subject,
            (Self::Site, Row::Site(_) | Row::Funnel(_)) => true,
            (Self::Site, Row::Anomaly(row)) => row.subject == row.site_id,
            _ => false,
        }
    }
}

/// The page of a row that is about a single one.
fn page_of(row: &Row) -> Option<&str> {
    match row {
        Row::Page(PageMetrics { page_url, .. })
        | Row::Top(TopPage { page_url, .. })
        | Row::HumanTop(HumanTopPage { page_url, .. })
        | Row::Trending(TrendingPage { page_url, .. })
        | Row::Bounce(BounceRate { page_url, .. })
        | Row::ProvisionalBounce(ProvisionalBounceRate { page_url, .. })
        | Row::EntryExit(EntryExitPage { page_url, .. })
        | Row::Engagement(PageEngagement { page_url, .. }) => Some(page_url),
        _ => None,
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
    /// Type of event; empty of what is none.
    pub event_type: &'static str,
    /// The user.
    pub user_id: String,
    /// The page.
    pub page_url: String,
    /// What a purchase adds to the revenue, in the site's currency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Whether the user was a labelled bot at the time: then it counts, but not in the `human_` numbers.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub labelled_bot: bool,
    /// All that tells it from other events of its time, as far as anything can.
    #[serde(skip)]
    key: u128,
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
    /// Rows about it, by topic and key.
    pub rows: Vec<Compared>,
    /// Sessions it entered, of those that closed within the window; all sessions, for a site. The first of them.
    pub sessions: Vec<Session>,
    /// Events that count, by user.
    pub users: BTreeMap<String, u64>,
    /// The first events that count, in the order of their event time.
    pub counted: Vec<Line>,
    /// The first records that do not.
    pub left_out: Vec<Line>,
    /// How many there are of each.
    #[serde(skip)]
    pub totals: Totals,
    /// Other sites with events in the window, the first few.
    #[serde(skip)]
    pub other_sites: BTreeSet<String>,
    #[serde(skip)]
    narrow: Narrow,
    #[serde(skip)]
    keep: usize,
    /// Events of which it is not known yet whether they are of a labelled bot: the watermark has not passed them.
    #[serde(skip)]
    open: Vec<Line>,
    /// Events of labelled bots among those that are open, and how many are alike.
    #[serde(skip)]
    labelled: HashMap<(Timestamp, u128), u32>,
}

/// How many there are, listed or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Sessions.
    pub sessions: usize,
    /// Events that count.
    pub counted: usize,
    /// Records that do not.
    pub left_out: usize,
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
    /// Which of the events.
    pub narrow: Narrow,
    /// So many lines of each list are kept: memory shall not grow with the log where few are looked at.
    pub keep: usize,
}

/// For so long after the end of a window records that are left out of it are looked for, in milliseconds.
const AFTERWARDS_MS: i64 = 60_000;

/// An event so near to the window is listed among those left out, in milliseconds.
const NEAR_MS: i64 = 100;

/// What is left out because it counts in other windows.
const ELSEWHERE: &str = "in another window";

/// Other sites that are named.
const SITES_NAMED: usize = 10;

/// So many lines that are left out are kept before they are sorted and thinned out.
const SLACK: usize = 1_000;

/// What an event is known by where its place in the log is not: the engine does not keep that. No text holds a NUL.
fn key(partition: i32, event_type: EventType, texts: [&str; 4]) -> u128 {
    xxh3_128(format!("{partition}\0{}\0{}", event_type.name(), texts.join("\0")).as_bytes())
}

fn order(line: &Line) -> (Timestamp, i32, i64) {
    (line.event_time, line.partition, line.offset)
}

/// Recounts the window and lists what it is made of.
pub fn explain(log: &dyn Log, config: Config, question: Question) -> Result<Explanation> {
    let Question { site_id, subject, window_end, narrow, keep } = question;
    let windows = config.windows;
    if window_end.0 % windows.slide_ms() != 0 {
        let later = windows.first_start_at(window_end);
        bail!(
            "no window ends at {window_end}: with a slide of {} s windows end at {}, {later} …",
            windows.slide_ms() / 1000,
            Timestamp(later.0 - windows.slide_ms())
        );
    }
    let window_start = Timestamp(window_end.0 - windows.size_ms());
    let bounds = log.bounds(topic::EVENTS)?;
    // what counts in the window arrived after it began; what came before decides who was a labelled bot, which sessions go on, and
    // which events are copies
    let reach = Whole::reach_ms(windows, config.session_gap_ms).max(config.dedup_horizon_ms);
    let part = log.since(topic::EVENTS, &bounds, Timestamp(window_start.0 - reach))?;
    let whole_from = whole_from(log, &bounds)?;
    if let Some(first) = whole_from.filter(|first| *first > window_start) {
        bail!(
            "the log no longer reaches back to {window_start}: retention has removed what arrived before {first}"
        );
    }
    let mut engine = Engine::new(config, bounds.0.len());
    engine.watch_labels();
    let mut explanation = Explanation {
        site_id,
        subject,
        window_start,
        window_end,
        ended: false,
        rows: Vec::new(),
        sessions: Vec::new(),
        users: BTreeMap::new(),
        counted: Vec::new(),
        left_out: Vec::new(),
        totals: Totals::default(),
        other_sites: BTreeSet::new(),
        narrow,
        keep,
        open: Vec::new(),
        labelled: HashMap::new(),
    };
    recount(log, &mut engine, config.rules, &part, &mut |judged, engine| {
        let Judged { record, decoded, verdict } = judged;
        match decoded {
            Ok(Record::Event(event, ts)) => {
                explanation.event(record.partition, record.offset, event, *ts, verdict)
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
        if engine.has_closed() {
            explanation.take(engine, config.session_gap_ms);
        }
        // once the window has ended nothing can count in it, but records that nearly did may follow for a while
        match engine.watermark() {
            Some(watermark) if watermark.0 >= window_end.0 + AFTERWARDS_MS => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    })?;
    explanation.take(&mut engine, config.session_gap_ms);
    explanation.decide(Timestamp(i64::MAX));
    explanation.ended = engine.watermark().is_some_and(|watermark| watermark.0 >= window_end.0 - 1);
    explanation.thin_out();
    explanation.find_written(log, config.session_gap_ms)?;
    Ok(explanation)
}

impl Explanation {
    fn event(&mut self, partition: i32, offset: i64, event: &Event<'_>, ts: Timestamp, verdict: &Verdict) {
        let inside = |at: Timestamp| at >= self.window_start && at < self.window_end;
        if event.site_id != self.site_id {
            if self.other_sites.len() < SITES_NAMED && inside(ts) && *verdict == Verdict::Counted {
                self.other_sites.insert(event.site_id.to_string());
            }
            return;
        }
        if !self.subject.is_of(event) {
            return;
        }
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
                Some(ELSEWHERE.to_owned())
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
            event_type: event.event_type.name(),
            user_id: event.user_id.to_string(),
            page_url: event.page_url.to_string(),
            value: event
                .value
                .filter(|_| event.event_type == EventType::Purchase)
                .map(|value| value.to_string()),
            labelled_bot: false,
            key: key(
                partition,
                event.event_type,
                [
                    &event.user_id,
                    &event.session_id,
                    &event.page_url,
                    event.product_id.as_deref().unwrap_or_default(),
                ],
            ),
            left_out,
        };
        if line.left_out.is_none() {
            self.open.push(line);
        } else {
            self.leave_out(line);
        }
    }

    fn leave_out(&mut self, line: Line) {
        self.totals.left_out += 1;
        self.left_out.push(line);
        if self.left_out.len() >= self.keep.saturating_mul(2).max(SLACK) {
            self.thin_out();
        }
    }

    /// Keeps the first of what is left out: what went wrong first, what merely belongs elsewhere last.
    fn thin_out(&mut self) {
        self.left_out.sort_by_key(|line| (line.left_out.as_deref() == Some(ELSEWHERE), order(line)));
        self.left_out.truncate(self.keep);
    }

    /// Lists the events up to `time`: nothing that counts comes before it any more, and who was a labelled bot is known.
    fn decide(&mut self, time: Timestamp) {
        let middle = Timestamp(self.window_start.0 + (self.window_end.0 - self.window_start.0) / 2);
        let (mut decided, open) =
            std::mem::take(&mut self.open).into_iter().partition::<Vec<_>, _>(|line| line.event_time <= time);
        self.open = open;
        decided.sort_by_key(order);
        // of events that are alike in all but their place, the later ones are those after the label
        for line in decided.iter_mut().rev() {
            if let Some(alike) = self.labelled.get_mut(&(line.event_time, line.key)).filter(|n| **n > 0) {
                *alike -= 1;
                line.labelled_bot = true;
            }
        }
        for line in decided {
            if !self.narrow.takes(line.event_type, line.labelled_bot, line.event_time, middle) {
                continue;
            }
            self.totals.counted += 1;
            match self.users.get_mut(&line.user_id) {
                Some(events) => *events += 1,
                None => {
                    self.users.insert(line.user_id.clone(), 1);
                }
            }
            if self.counted.len() < self.keep {
                self.counted.push(line);
            }
        }
        self.labelled.retain(|(at, _), _| *at > time);
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
            self.leave_out(Line {
                partition,
                offset,
                event_time: arrival,
                event_type: "",
                user_id: String::new(),
                page_url: String::new(),
                value: None,
                labelled_bot: false,
                key: 0,
                left_out: Some(format!("no valid event: {why}")),
            });
        }
    }

    /// Takes what the recount has decided.
    fn take(&mut self, engine: &mut Engine, gap_ms: i64) {
        let sessions: Vec<_> = engine.sessions().collect();
        sessions.into_iter().for_each(|row| self.session(row, gap_ms));
        let anomalies: Vec<_> = engine.anomalies().collect();
        anomalies.into_iter().for_each(|row| self.recounted(row.into(), gap_ms));
        let end = self.window_end;
        for window in engine.closed().filter(|window| window.end == end) {
            row::of_window(window, &mut |row| self.recounted(row, gap_ms));
        }
        let labelled = engine.labelled().into_iter().filter(|event| event.site_id == self.site_id);
        for event in labelled {
            let key = key(
                event.partition as i32,
                event.event_type,
                [&event.user_id, &event.session_id, &event.page_url, &event.product_id],
            );
            *self.labelled.entry((event.event_time, key)).or_default() += 1;
        }
        if let Some(watermark) = engine.watermark() {
            self.decide(watermark);
        }
    }

    /// Whether a row is about the subject, and of this window.
    fn takes(&self, row: &Row, gap_ms: i64) -> bool {
        let at = row.settled_at(gap_ms);
        let of_window = match row {
            Row::Session(_) | Row::Anomaly(_) => at > self.window_start && at <= self.window_end,
            _ => row.span() == (self.window_start, self.window_end),
        };
        of_window && row.site() == self.site_id && self.subject.is_in(row)
    }

    fn session(&mut self, session: Session, gap_ms: i64) {
        let entered = match &self.subject {
            Subject::Page(page) => session.entry_page == *page,
            Subject::Site => true,
            _ => false,
        };
        let closed = session.session_end.0 + gap_ms;
        if entered
            && session.site_id == self.site_id
            && closed > self.window_start.0
            && closed <= self.window_end.0
        {
            self.totals.sessions += 1;
            if self.sessions.len() < self.keep {
                self.sessions.push(session.clone());
            }
        }
        self.recounted(session.into(), gap_ms);
    }

    fn recounted(&mut self, row: Row, gap_ms: i64) {
        if self.takes(&row, gap_ms) {
            self.rows.push(Compared { topic: row.topic(), recount: Some(row), found: None });
        }
    }

    /// Puts the newest rows of the result topics beside those of the recount.
    fn find_written(&mut self, log: &dyn Log, gap_ms: i64) -> Result<()> {
        let window = (self.window_start, self.window_end);
        let found = written::rows(log, &self.site_id, window, &|row| self.takes(row, gap_ms))?;
        written::put_beside(&mut self.rows, found);
        Ok(())
    }
}

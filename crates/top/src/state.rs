//! What is known, and how it is looked at. Pure: everything that happens comes in as an [`Update`] or an [`Action`].

use std::collections::{HashMap, VecDeque};

use clickstream_event::Timestamp;
use serde_json::Value;

use crate::keys::Action;
use crate::rows::{self, Order};
use crate::text::{number, word};
use crate::update::{Detail, Request, Rows, Update};

/// Sessions and anomalies that are kept.
const KEPT: usize = 500;
/// Windows whose pages are kept, for sparklines.
const WINDOWS: usize = 40;
/// Windows of the site that are kept.
const HISTORY: usize = 2_000;

/// A way to look at the results.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tab {
    /// Pages by views.
    #[default]
    Pages,
    /// Pages that rise.
    Trending,
    /// Sessions that ended.
    Sessions,
    /// Ways of visitors.
    Journeys,
    /// What is out of the ordinary.
    Anomalies,
    /// The pipeline itself.
    Pipeline,
}

impl Tab {
    /// All of them, in order.
    pub const ALL: [Self; 6] =
        [Self::Pages, Self::Trending, Self::Sessions, Self::Journeys, Self::Anomalies, Self::Pipeline];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pages => "Pages",
            Self::Trending => "Trending",
            Self::Sessions => "Sessions",
            Self::Journeys => "Journeys",
            Self::Anomalies => "Anomalies",
            Self::Pipeline => "Pipeline",
        }
    }

    fn step(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|tab| *tab == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()]
    }
}

/// How the connection is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Connection {
    /// It is being made.
    Connecting,
    /// The live stream runs.
    Live,
    /// It broke.
    Lost {
        /// Why.
        why: String,
        /// When the next attempt is made.
        retry_at: Timestamp,
        /// Attempts so far.
        attempts: u32,
    },
}

/// Everything that is shown.
#[derive(Debug)]
pub struct State {
    /// Where it comes from.
    pub url: String,
    /// How the connection is.
    pub connection: Connection,
    /// All sites.
    pub sites: Vec<String>,
    /// The site that is shown.
    pub site: String,
    /// The open tab.
    pub tab: Tab,
    /// The chosen line of each tab.
    pub chosen: HashMap<&'static str, usize>,
    /// How pages are sorted.
    pub order: Order,
    /// Only lines that hold this.
    pub filter: String,
    /// Whether the filter is being typed.
    pub typing: bool,
    /// Whether nothing new is shown.
    pub paused: bool,
    /// Whether help is open.
    pub help: bool,
    /// The page that is looked at closely.
    pub detail: Option<Detail>,
    /// Newest rows of each kind of the site.
    pub frames: HashMap<String, Rows>,
    /// Site metrics, the oldest window first.
    pub history: VecDeque<Value>,
    /// Views of each page in the newest windows, the oldest first.
    pub windows: VecDeque<(String, HashMap<String, f64>)>,
    /// Sessions that ended, the newest first.
    pub sessions: VecDeque<Value>,
    /// Anomalies, the newest first.
    pub anomalies: VecDeque<Value>,
    /// What the pipeline reported.
    pub pipeline: Option<Value>,
    /// Frames that we were too slow for.
    pub dropped: u64,
    /// The present.
    pub now: Timestamp,
    /// Whether there are colours.
    pub colour: bool,
    /// What came while it was paused.
    waiting: Vec<Update>,
}

/// What follows from a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Only another picture.
    Draw,
    /// Something is to be asked for.
    Ask(Request),
    /// The end.
    Quit,
}

impl State {
    /// Nothing is known yet.
    pub fn new(url: String, site: Option<String>, colour: bool) -> Self {
        Self {
            url,
            connection: Connection::Connecting,
            sites: Vec::new(),
            site: site.unwrap_or_default(),
            tab: Tab::default(),
            chosen: HashMap::new(),
            order: Order::default(),
            filter: String::new(),
            typing: false,
            paused: false,
            help: false,
            detail: None,
            frames: HashMap::new(),
            history: VecDeque::new(),
            windows: VecDeque::new(),
            sessions: VecDeque::new(),
            anomalies: VecDeque::new(),
            pipeline: None,
            dropped: 0,
            now: Timestamp::default(),
            colour,
            waiting: Vec::new(),
        }
    }

    /// Takes what came; what has to be asked for because of it is returned.
    pub fn apply(&mut self, update: Update) -> Option<Request> {
        match update {
            Update::Connected => self.connection = Connection::Live,
            Update::Disconnected { why, retry_ms, attempts } => {
                let retry_at = Timestamp(self.now.0 + retry_ms as i64);
                self.connection = Connection::Lost { why, retry_at, attempts };
            }
            Update::Dropped(frames) => self.dropped += frames,
            // an answer to a key is shown even so
            Update::Detail(detail) => {
                if self.detail.as_ref().is_some_and(|open| open.page == detail.page) {
                    self.detail = Some(*detail);
                }
            }
            update if self.paused => {
                // no more than a window or two of each kind are worth waiting for
                if self.waiting.len() >= 200 {
                    self.waiting.remove(0);
                }
                self.waiting.push(update);
            }
            update => return self.show(update),
        }
        None
    }

    fn show(&mut self, update: Update) -> Option<Request> {
        match update {
            Update::Sites { default, all } => {
                if self.site.is_empty() {
                    self.site = default.or_else(|| all.first().cloned()).unwrap_or_default();
                }
                self.sites = all;
            }
            Update::Pipeline(status) => self.pipeline = Some(status),
            Update::History(rows) => {
                self.history.clear();
                rows.into_iter().for_each(|row| self.remember_site(row));
            }
            Update::Past(rows) => self.remember_pages(&rows),
            Update::Rows(rows) => return self.rows(rows),
            _ => {}
        }
        None
    }

    fn rows(&mut self, rows: Rows) -> Option<Request> {
        if rows.site != self.site && rows.kind != "dead-letters" {
            if self.site.is_empty() {
                self.site.clone_from(&rows.site);
            } else {
                if !rows.site.is_empty() && !self.sites.contains(&rows.site) {
                    self.sites.push(rows.site);
                }
                return None;
            }
        }
        match rows.kind.as_str() {
            "sessions" => {
                merge(&mut self.sessions, rows.rows, &["session_id", "session_start"], "session_end")
            }
            "anomalies" => merge(
                &mut self.anomalies,
                rows.rows,
                &["kind", "rule", "subject", "detected_at"],
                "detected_at",
            ),
            _ => {
                let known = self.frames.get(&rows.kind);
                // after a break rows may come again; never go back
                if known.is_some_and(|known| known.window_end > rows.window_end) {
                    return None;
                }
                let mut ask = None;
                match rows.kind.as_str() {
                    "site-metrics" => rows.rows.iter().cloned().for_each(|row| self.remember_site(row)),
                    "page-metrics" => {
                        // while a window's rows come in, a list of fewer pages may be the newer one
                        let extent = |rows: &Rows| (rows.total, rows.rows.len());
                        let fewer = known.is_some_and(|known| {
                            known.window_end == rows.window_end && extent(known) > extent(&rows)
                        });
                        self.remember_pages(&rows);
                        if fewer {
                            return None;
                        }
                        ask = self.refresh(&rows);
                    }
                    _ => {}
                }
                self.frames.insert(rows.kind.clone(), rows);
                return ask;
            }
        }
        None
    }

    /// A new window came: what is open beside it is to be asked for again.
    fn refresh(&self, pages: &Rows) -> Option<Request> {
        if let Some(detail) = &self.detail {
            return Some(Request::Detail { site: self.site.clone(), page: detail.page.clone() });
        }
        let all = pages.rows.len() as u64 >= pages.total.min(1_000);
        (!all).then(|| Request::Pages(self.site.clone()))
    }

    fn remember_site(&mut self, row: Value) {
        let end = word(&row, "window_end").to_owned();
        if self.history.back().is_some_and(|last| word(last, "window_end") >= end.as_str()) {
            return;
        }
        self.history.push_back(row);
        if self.history.len() > HISTORY {
            self.history.pop_front();
        }
    }

    fn remember_pages(&mut self, rows: &Rows) {
        let views: HashMap<String, f64> = rows
            .rows
            .iter()
            .map(|row| (word(row, "page_url").to_owned(), number(row, "view_count")))
            .collect();
        match self.windows.iter_mut().find(|(end, _)| *end == rows.window_end) {
            Some((_, known)) => {
                for (page, views) in views {
                    // rows that are not all there yet are never more than they will be
                    let known = known.entry(page).or_default();
                    *known = known.max(views);
                }
            }
            None => {
                let at = self.windows.partition_point(|(end, _)| *end < rows.window_end);
                self.windows.insert(at, (rows.window_end.clone(), views));
            }
        }
        while self.windows.len() > WINDOWS {
            self.windows.pop_front();
        }
    }

    /// Does what a key asks for.
    pub fn act(&mut self, action: Action) -> Effect {
        match action {
            Action::Quit => return Effect::Quit,
            Action::Tab(tab) => {
                self.tab = tab;
                self.detail = None;
            }
            Action::NextTab => return self.act(Action::Tab(self.tab.step(1))),
            Action::PreviousTab => return self.act(Action::Tab(self.tab.step(Tab::ALL.len() - 1))),
            Action::Move(by) => {
                let last = self.lines().saturating_sub(1);
                let at = self.chosen.entry(self.tab.name()).or_insert(0);
                *at = at.saturating_add_signed(by as isize).min(last);
            }
            Action::Open => return self.open(),
            Action::Back => match () {
                () if self.help => self.help = false,
                () if self.detail.is_some() => self.detail = None,
                () => {
                    self.filter.clear();
                    self.typing = false;
                }
            },
            Action::Help => self.help = !self.help,
            Action::Pause => {
                self.paused = !self.paused;
                if !self.paused {
                    let asked = std::mem::take(&mut self.waiting)
                        .into_iter()
                        .filter_map(|update| self.show(update))
                        .last();
                    return asked.map_or(Effect::Draw, Effect::Ask);
                }
            }
            Action::Sort(by) => self.order = self.order.by(by),
            Action::Reverse => self.order.reverse = !self.order.reverse,
            Action::Filter => {
                self.typing = true;
                self.detail = None;
            }
            Action::Type(c) => {
                if self.filter.chars().count() < 100 {
                    self.filter.push(c);
                }
                self.chosen.insert(self.tab.name(), 0);
            }
            Action::Erase => {
                self.filter.pop();
            }
            Action::Typed => self.typing = false,
            Action::NextSite => return self.next_site(),
            Action::None => {}
        }
        Effect::Draw
    }

    fn open(&mut self) -> Effect {
        let Some(page) = rows::chosen_page(self) else { return Effect::Draw };
        self.detail = Some(Detail { page: page.clone(), ..Detail::default() });
        Effect::Ask(Request::Detail { site: self.site.clone(), page })
    }

    fn next_site(&mut self) -> Effect {
        let at = self.sites.iter().position(|site| *site == self.site).map_or(0, |at| at + 1);
        let Some(next) = self.sites.get(at).or(self.sites.first()).filter(|next| **next != self.site) else {
            return Effect::Draw;
        };
        self.site.clone_from(next);
        self.frames.clear();
        self.history.clear();
        self.windows.clear();
        self.sessions.clear();
        self.anomalies.clear();
        self.waiting.clear();
        self.chosen.clear();
        self.detail = None;
        Effect::Ask(Request::Site(self.site.clone()))
    }

    /// Lines of the open tab that can be chosen.
    pub fn lines(&self) -> usize {
        match self.tab {
            Tab::Pages => rows::pages(self).len(),
            Tab::Pipeline => 0,
            tab => rows::list(self, tab).len(),
        }
    }

    /// The chosen line of the open tab.
    pub fn choice(&self) -> usize {
        self.chosen.get(self.tab.name()).copied().unwrap_or(0).min(self.lines().saturating_sub(1))
    }

    /// Rows of a kind in the newest window.
    pub fn frame(&self, kind: &str) -> &[Value] {
        self.frames.get(kind).map_or(&[], |frame| &frame.rows)
    }

    /// A field of the pipeline's report.
    pub fn status(&self, field: &str) -> Option<&Value> {
        self.pipeline.as_ref()?.get(field)
    }
}

/// Puts rows that happen at an instant before those that are known, each once, the newest first.
fn merge(known: &mut VecDeque<Value>, new: Vec<Value>, key: &[&str], at: &str) {
    let same = |a: &Value, b: &Value| key.iter().all(|field| a.get(field) == b.get(field));
    for row in new {
        let place = known.partition_point(|other| word(other, at) > word(&row, at));
        let twin = known
            .iter()
            .skip(place)
            .take_while(|other| word(other, at) == word(&row, at))
            .any(|other| same(other, &row));
        if !twin {
            known.insert(place, row);
        }
    }
    known.truncate(KEPT);
}

#[cfg(test)]
mod tests;

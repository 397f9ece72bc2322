//! Lines in, page views out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use clickstream_event::Timestamp;
use clickstream_event::event::{Event, EventType};
use clickstream_event::page_url::UrlRules;

use crate::interned::{Interned, shortened};
use crate::line::{self, Format, Line};
use crate::rules::{self, Skip};
use crate::seconds::Seconds;
use crate::sessions::Sessions;
use crate::summary::{Summary, sample};
use crate::visitor::Salt;

/// Longest line that is read, in bytes; give no more of a longer one than a byte above.
pub const MAX_LINE: usize = 65_536;
/// Bytes of a referrer or user agent that are kept.
const MAX_TEXT: usize = 1_000;
/// Hosts that become sites at most.
const MAX_SITES: usize = 100;

/// How a log is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// Format of the lines.
    pub format: Format,
    /// The site of all lines; without, the host that a line names.
    pub site: Option<String>,
    /// The site of lines that name no host.
    pub fallback_site: String,
    /// How addresses become pages.
    pub urls: UrlRules,
    /// Gap that ends a session, in milliseconds.
    pub session_gap_ms: i64,
    /// How much older than the newest a line may be, in seconds.
    pub reorder_s: i64,
    /// The clock that no line may be ahead of, where lines keep their times; asked only about a line that is ahead of what it said last.
    pub clock: Option<fn() -> Timestamp>,
    /// How far a line may be ahead of `clock`, in milliseconds.
    pub max_future_ms: i64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Auto,
            site: None,
            fallback_site: "web".into(),
            urls: UrlRules::default(),
            session_gap_ms: 1_800_000,
            reorder_s: 5,
            clock: None,
            max_future_ms: 10_000,
        }
    }
}

/// A page view.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// When it was, by the log.
    pub time: Timestamp,
    /// Number of its session: to tell sessions apart, within one replay.
    pub session: u64,
    /// Its site.
    pub site: Arc<str>,
    /// Its page.
    pub page: Arc<str>,
    /// Where the visitor came from.
    pub referrer: Option<Arc<str>>,
    /// The browser.
    pub user_agent: Option<Arc<str>>,
    pub(crate) event_id: u128,
    pub(crate) user: u64,
}

impl View {
    /// Its visitor, as the event says it.
    pub fn user_id(&self) -> String {
        format!("v{:016x}", self.user)
    }

    /// Its session, as the event says it.
    pub fn session_id(&self) -> String {
        format!("s{:016x}", self.session)
    }

    /// Appends the event, as of `timestamp`, to `out`.
    pub fn encode(&self, timestamp: Timestamp, out: &mut Vec<u8>) {
        let event_id = format!("{:032x}", self.event_id);
        let event = Event {
            event_id: event_id.into(),
            site_id: (&*self.site).into(),
            event_type: EventType::PageView,
            user_id: self.user_id().into(),
            session_id: self.session_id().into(),
            page_url: (&*self.page).into(),
            product_id: None,
            timestamp,
            referrer: self.referrer.as_deref().map(Into::into),
            user_agent: self.user_agent.as_deref().map(Into::into),
            element: None,
            value: None,
            currency: None,
        };
        event.encode(out);
    }
}

struct Waiting {
    line_hash: u128,
    site: Arc<str>,
    page: Arc<str>,
    user: u64,
    referrer: Option<Arc<str>>,
    user_agent: Option<(Arc<str>, bool)>,
}

/// A view that was moved within its session, by its new time.
struct Moved(View, u64);

impl PartialEq for Moved {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}
impl Eq for Moved {}
impl PartialOrd for Moved {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Moved {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}
impl Moved {
    fn key(&self) -> (Timestamp, u64) {
        (self.0.time, self.1)
    }
}

/// Reads a log.
pub struct Replay {
    options: Options,
    salt: Salt,
    seconds: Seconds<Waiting>,
    sessions: Sessions,
    sites: Vec<Arc<str>>,
    /// The site of each host, as it was spelled; none for one too many.
    hosts: HashMap<Box<str>, Option<Arc<str>>>,
    pages: Interned<Option<Arc<str>>>,
    referrers: Interned<Arc<str>>,
    agents: Interned<(Arc<str>, bool)>,
    /// Views whose time may still be overtaken.
    moved: BinaryHeap<Reverse<Moved>>,
    /// How often each line came in the second.
    copies: HashMap<u128, u64>,
    made: u64,
    /// What the clock said last.
    now: Timestamp,
    summary: Summary,
}

impl Replay {
    /// Begins. Visitors and ids of events hang on `salt`.
    pub fn new(options: Options, salt: Salt) -> Self {
        Self {
            seconds: Seconds::new(options.reorder_s),
            sessions: Sessions::new(options.session_gap_ms),
            options,
            salt,
            sites: Vec::new(),
            hosts: HashMap::new(),
            pages: Interned::new(),
            referrers: Interned::new(),
            agents: Interned::new(),
            moved: BinaryHeap::new(),
            copies: HashMap::new(),
            made: 0,
            now: Timestamp(i64::MIN / 2),
            summary: Summary::default(),
        }
    }

    /// When a line was written, if it says so.
    pub fn time_of(&self, line: &[u8]) -> Option<i64> {
        let text = std::str::from_utf8(line.get(..line.len().min(MAX_LINE))?).ok()?;
        line::read(text, self.options.format).map(|line| line.time_ms)
    }

    /// Takes the next line; views that are complete go to `out`, in the order of their times.
    pub fn line(&mut self, raw: &[u8], out: &mut Vec<View>) {
        let raw = raw.trim_ascii();
        if raw.is_empty() {
            return;
        }
        self.summary.lines += 1;
        if let Err(why) = self.take(raw) {
            self.summary.skip(why, || sample(raw));
        }
        while let Some(second) = self.seconds.take() {
            self.give(second, out);
        }
    }

    /// The log is over, or silent: gives out what waits for older lines.
    pub fn finish(&mut self, out: &mut Vec<View>) {
        while let Some(second) = self.seconds.take_any() {
            self.give(second, out);
        }
        while let Some(Reverse(Moved(view, _))) = self.moved.pop() {
            out.push(view);
        }
    }

    /// Lines and views so far.
    pub fn progress(&self) -> (u64, u64) {
        (self.summary.lines, self.summary.views)
    }

    /// What became of the lines so far.
    pub fn summary(&self) -> Summary {
        Summary { sessions: self.sessions.count, ..self.summary.clone() }
    }

    fn take(&mut self, raw: &[u8]) -> Result<(), Skip> {
        if raw.len() > MAX_LINE {
            return Err(Skip::TooLong);
        }
        let text = String::from_utf8_lossy(raw);
        let line = line::read(&text, self.options.format).ok_or(Skip::Unreadable)?;
        rules::judge(&line)?;
        if self.is_future(&line) {
            return Err(Skip::Future);
        }
        let site = self.site(&line).ok_or(Skip::Host)?;
        let page = self.page(&line)?;
        let agent = line.user_agent.as_deref().unwrap_or_default();
        let user = self.salt.hash(&[site.as_bytes(), line.address.as_bytes(), agent.as_bytes()]) as u64;
        let user_agent = line.user_agent.as_deref().map(|agent| {
            self.agents.get(agent, |agent| (shortened(agent, MAX_TEXT), rules::declares_bot(agent)))
        });
        let referrer = line
            .referrer
            .as_deref()
            .map(|referrer| self.referrers.get(referrer, |text| shortened(text, MAX_TEXT)));
        let line_hash = self.salt.hash(&[raw]);
        let waiting = Waiting { line_hash, site, page, user, referrer, user_agent };
        self.seconds.put(line.time_ms, line.precise, waiting).map_err(|_| Skip::OutOfOrder)
    }

    /// Whether the pipeline would not take a line because of its time; it would also make all lines after it too old.
    fn is_future(&mut self, line: &Line<'_>) -> bool {
        let Some(clock) = self.options.clock else { return false };
        // a line that knows only its second may come to lie at the end of it
        let at = line.time_ms + if line.precise { 0 } else { 999 };
        if at > self.now.0 + self.options.max_future_ms {
            self.now = clock();
        }
        at > self.now.0 + self.options.max_future_ms
    }

    fn site(&mut self, line: &Line<'_>) -> Option<Arc<str>> {
        let host = match (&self.options.site, &line.host) {
            (Some(site), _) => site.as_str(),
            (None, Some(host)) => host,
            (None, None) => &self.options.fallback_site,
        };
        if let Some(known) = self.hosts.get(host) {
            return known.clone();
        }
        let name = if self.options.site.is_some() { host.to_owned() } else { host_name(host) };
        let known = self.sites.iter().find(|site| ***site == *name).map(Arc::clone);
        let site = known.or_else(|| {
            let site: Option<Arc<str>> = (self.sites.len() < MAX_SITES).then(|| name.into());
            self.sites.extend(site.clone());
            site
        });
        // a client may say any host: what is no site is remembered too, but not for ever
        if self.hosts.len() >= 20 * MAX_SITES {
            self.hosts.clear();
        }
        self.hosts.insert(host.into(), site.clone());
        site
    }

    fn page(&mut self, line: &Line<'_>) -> Result<Arc<str>, Skip> {
        if line.target.len() > rules::MAX_PAGE {
            return Err(Skip::TooLong);
        }
        let rules = &self.options.urls;
        let made = |target: &str| {
            let page = rules.page(target);
            let fits = !page.is_empty() && !page.chars().any(char::is_control);
            (fits && (rules.host || page.starts_with('/'))).then(|| Arc::from(page))
        };
        let page = match line.host.as_deref().filter(|_| rules.host && line.target.starts_with('/')) {
            Some(host) => self.pages.get(&format!("http://{host}{}", line.target), made),
            None => self.pages.get(&line.target, made),
        };
        let page = page.ok_or(Skip::BadRequest)?;
        // letters beyond ASCII take more room as %XX
        if page.len() > rules::MAX_PAGE { Err(Skip::TooLong) } else { Ok(page) }
    }

    /// Gives out a second.
    fn give(&mut self, second: Vec<(i64, Waiting)>, out: &mut Vec<View>) {
        self.copies.clear();
        for (time, waiting) in second {
            let copies = self.copies.entry(waiting.line_hash).or_insert(0);
            let event_id = waiting.line_hash.wrapping_add(u128::from(*copies));
            *copies += 1;
            let (began, at) = self.sessions.view(waiting.user, time);
            let session = self.salt.hash(&[&waiting.user.to_le_bytes(), &began.to_le_bytes()]) as u64;
            let view = View {
                time: Timestamp(at),
                session,
                site: waiting.site,
                page: waiting.page,
                referrer: waiting.referrer,
                user_agent: waiting.user_agent.as_ref().map(|(agent, _)| Arc::clone(agent)),
                event_id,
                user: waiting.user,
            };
            self.count(&view, waiting.user_agent.is_some_and(|(_, bot)| bot));
            self.made += 1;
            if at == time && self.moved.peek().is_none_or(|Reverse(moved)| moved.0.time > view.time) {
                out.push(view);
                continue;
            }
            self.moved.push(Reverse(Moved(view, self.made)));
            // what follows is not older than this line
            while self.moved.peek().is_some_and(|Reverse(moved)| moved.0.time.0 <= time) {
                out.extend(self.moved.pop().map(|Reverse(Moved(view, _))| view));
            }
        }
    }

    fn count(&mut self, view: &View, bot: bool) {
        let summary = &mut self.summary;
        summary.views += 1;
        summary.bot_views += u64::from(bot);
        match summary.sites.get_mut(&*view.site) {
            Some(count) => *count += 1,
            None => {
                summary.sites.insert(view.site.to_string(), 1);
            }
        }
        let (from, to) = summary.range.unwrap_or((view.time, view.time));
        summary.range = Some((from, to.max(view.time)));
    }
}

/// A host as a site: without port, in lower case.
fn host_name(host: &str) -> String {
    let bare = match host.rsplit_once(':') {
        Some((bare, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !bare.ends_with(':') => bare,
        _ => host,
    };
    let name: String = bare.trim_end_matches('.').chars().filter(|c| !c.is_control()).take(100).collect();
    if name.is_empty() { "web".into() } else { name.to_lowercase() }
}

#[cfg(test)]
mod tests;

//! The rules of `docs/metrics.md`, section Anomalies, straight from one site's events in their order.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, HashSet, VecDeque};

use clickstream_event::detection as limits;
use clickstream_event::journeys::Anomaly;
use clickstream_event::{Event, EventType, Timestamp, Windows};

/// Finds anomalies in events that are at most so many milliseconds out of order.
pub struct Rules {
    windows: Windows,
    disorder_ms: i64,
    waiting: BinaryHeap<Reverse<Waiting>>,
    taken: u64,
    pages: HashMap<String, u32>,
    page_names: Vec<String>,
    users: HashMap<String, User>,
    slide_end: i64,
    /// Events per page in the present slide, then of the slides before, the last one last.
    counts: Vec<u64>,
    past: VecDeque<Vec<u64>>,
    /// Users by minute of the clock.
    minute: i64,
    in_minute: HashMap<String, Minute>,
    site: String,
    found: Vec<Anomaly>,
}

/// What the rules ask of an event.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    ts: i64,
    number: u64,
    user: String,
    page: u32,
    view: bool,
    buys: bool,
    declared: bool,
    session: String,
    product: Option<String>,
}

#[derive(Default)]
struct User {
    /// The last events: time, page, whether a page view.
    last: VecDeque<(i64, u32, bool)>,
    labelled_until: i64,
    /// Last view of a product: when, in which session.
    viewed: BTreeMap<String, (i64, String)>,
}

#[derive(Default)]
struct Minute {
    pages: HashSet<u32>,
    sessions: HashSet<String>,
    blind_purchases: u64,
}

impl Rules {
    /// Rules that have seen nothing.
    pub fn new(windows: Windows, disorder_ms: i64) -> Self {
        Self {
            windows,
            disorder_ms,
            waiting: BinaryHeap::new(),
            taken: 0,
            pages: HashMap::new(),
            page_names: Vec::new(),
            users: HashMap::new(),
            slide_end: i64::MIN,
            counts: Vec::new(),
            past: VecDeque::new(),
            minute: i64::MIN,
            in_minute: HashMap::new(),
            site: String::new(),
            found: Vec::new(),
        }
    }

    /// Takes an event that is sent at time `at`.
    pub fn push(&mut self, event: &Event<'_>, at: Timestamp) {
        let page = match self.pages.get(&*event.page_url) {
            Some(page) => *page,
            None => {
                let page = self.page_names.len() as u32;
                self.pages.insert(event.page_url.to_string(), page);
                self.page_names.push(event.page_url.to_string());
                page
            }
        };
        if self.site.is_empty() {
            self.site = event.site_id.to_string();
        }
        let declared = event.user_agent.as_ref().is_some_and(|agent| {
            let agent = agent.to_ascii_lowercase();
            limits::BOT_WORDS.iter().any(|word| agent.contains(word))
        });
        self.taken += 1;
        self.waiting.push(Reverse(Waiting {
            ts: event.timestamp.0,
            number: self.taken,
            user: event.user_id.to_string(),
            page,
            view: event.event_type == EventType::PageView,
            buys: event.event_type == EventType::Purchase,
            declared,
            session: event.session_id.to_string(),
            product: event.product_id.as_ref().map(ToString::to_string),
        }));
        while self.waiting.peek().is_some_and(|first| first.0.ts <= at.0 - self.disorder_ms) {
            if let Some(Reverse(event)) = self.waiting.pop() {
                self.take(event);
            }
        }
    }

    /// What was found since the last time.
    pub fn found(&mut self) -> Vec<Anomaly> {
        std::mem::take(&mut self.found)
    }

    fn take(&mut self, event: Waiting) {
        let slide = self.windows.slide_ms();
        if self.slide_end == i64::MIN {
            self.slide_end = event.ts.div_euclid(slide) * slide + slide;
        }
        while event.ts >= self.slide_end {
            self.end_slide();
        }
        let minute = event.ts.div_euclid(limits::UNUSUAL_MS);
        if minute != self.minute {
            self.end_minute();
            self.minute = minute;
            let idle = event.ts - self.windows.size_ms();
            self.users.retain(|_, user| user.last.back().is_some_and(|last| last.0 > idle));
        }
        if self.counts.len() <= event.page as usize {
            self.counts.resize(event.page as usize + 1, 0);
        }
        self.counts[event.page as usize] += 1;
        let size = self.windows.size_ms();
        let user = self.users.entry(event.user.clone()).or_default();
        if user.last.len() == limits::FAST_EVENTS as usize {
            user.last.pop_front();
        }
        user.last.push_back((event.ts, event.page, event.view));
        if let Some(rule) = flag(user, event.declared, size) {
            if event.ts >= user.labelled_until {
                let anomaly = anomaly(&self.site, "bot", rule, &event.user, event.ts, event.ts, event.ts);
                self.found.push(anomaly);
            }
            user.labelled_until = event.ts + size;
        }
        let minute = self.in_minute.entry(event.user).or_default();
        minute.pages.insert(event.page);
        minute.sessions.insert(event.session.clone());
        let Some(product) = event.product else { return };
        if event.buys {
            let seen = user.viewed.get(&product);
            let known = seen.is_some_and(|(ts, session)| *session == event.session && event.ts - ts < size);
            minute.blind_purchases += u64::from(!known);
        } else if event.view {
            user.viewed.insert(product, (event.ts, event.session));
        }
    }

    fn end_minute(&mut self) {
        let end = (self.minute + 1) * limits::UNUSUAL_MS;
        for (user, minute) in self.in_minute.drain() {
            let rule = match () {
                () if minute.blind_purchases > 0 => "purchase",
                () if minute.pages.len() as u64 > limits::UNUSUAL_PAGES => "pages",
                () if minute.sessions.len() as u64 >= limits::UNUSUAL_SESSIONS => "sessions",
                () => continue,
            };
            let start = end - limits::UNUSUAL_MS;
            self.found.push(anomaly(&self.site, "unusual_user", rule, &user, end, start, end));
        }
    }

    fn end_slide(&mut self) {
        let end = self.slide_end;
        let start = end - self.windows.slide_ms();
        let n = self.past.len();
        if n >= limits::BASELINE_MIN_SLIDES as usize {
            let total = |counts: &Vec<u64>| counts.iter().sum::<u64>();
            let site = judge(total(&self.counts), self.past.iter().map(total), n);
            let pages = (0..self.page_names.len()).map(|page| {
                let of = |counts: &Vec<u64>| counts.get(page).copied().unwrap_or(0);
                (&self.page_names[page], judge(of(&self.counts), self.past.iter().map(of), n))
            });
            for (subject, judged) in pages.chain([(&self.site, site)]) {
                if let Some(kind) = judged {
                    self.found.push(anomaly(&self.site, kind, "z_score", subject, end, start, end));
                }
            }
        }
        if n == limits::BASELINE_SLIDES as usize {
            self.past.pop_front();
        }
        self.past.push_back(std::mem::take(&mut self.counts));
        self.slide_end += self.windows.slide_ms();
    }
}

/// Whether a slide with `x` events is a spike or a drop after `n` others.
fn judge(x: u64, past: impl Iterator<Item = u64>, n: usize) -> Option<&'static str> {
    let (sum, squares) = past.fold((0, 0), |(sum, squares), x| (sum + x, squares + x * x));
    let (x, n) = (x as f64, n as f64);
    let mean = sum as f64 / n;
    let variance = (squares as f64 / n - mean * mean).max(0.0);
    let deviation = variance.sqrt().max((limits::EXCESS_VARIANCE * mean).sqrt()).max(1.0);
    let z = (x - mean) / deviation;
    match () {
        () if z >= limits::SPIKE_Z && x >= limits::SPIKE_RATIO * mean && x >= limits::SPIKE_EVENTS as f64 => {
            Some("traffic_spike")
        }
        () if z <= -limits::DROP_Z && x <= limits::DROP_RATIO * mean => Some("traffic_drop"),
        () => None,
    }
}

/// The first rule by which a user's last event gives away a bot.
fn flag(user: &User, declared: bool, size: i64) -> Option<&'static str> {
    let last = |count: u32| {
        let from = user.last.len().checked_sub(count as usize)?;
        Some(user.last.range(from..))
    };
    let took = |count: u32| {
        let first = last(count)?.next()?.0;
        Some(user.last.back()?.0 - first)
    };
    let even = |count: u32| {
        let times: Option<Vec<i64>> = last(count).map(|events| events.map(|event| event.0).collect());
        let gaps: Vec<i64> = times.unwrap_or_default().windows(2).map(|pair| pair[1] - pair[0]).collect();
        let (sum, squares) = (gaps.iter().sum::<i64>(), gaps.iter().map(|gap| gap * gap).sum::<i64>());
        sum > 0 && 100 * (gaps.len() as i64 * squares - sum * sum) < sum * sum
    };
    let page = user.last.back().map(|event| event.1);
    match () {
        () if declared => Some("declared"),
        () if took(limits::FAST_EVENTS).is_some_and(|ms| ms < limits::FAST_MS) => Some("fast"),
        () if took(limits::METRONOME_EVENTS).is_some_and(|ms| ms <= size)
            && even(limits::METRONOME_EVENTS) =>
        {
            Some("metronome")
        }
        () if took(limits::REPEATED_EVENTS).is_some_and(|ms| ms < limits::REPEATED_MS)
            && last(limits::REPEATED_EVENTS)?.all(|event| Some(event.1) == page) =>
        {
            Some("repeated")
        }
        () if took(limits::CRAWL_EVENTS).is_some_and(|ms| ms <= size)
            && last(limits::CRAWL_EVENTS)?.all(|event| event.2) =>
        {
            Some("crawl")
        }
        () => None,
    }
}

fn anomaly(site: &str, kind: &str, rule: &str, subject: &str, at: i64, start: i64, end: i64) -> Anomaly {
    Anomaly {
        site_id: site.into(),
        kind: kind.into(),
        rule: rule.into(),
        subject: subject.into(),
        detected_at: Timestamp(at),
        window_start: Timestamp(start),
        window_end: Timestamp(end),
        observed: 0.0,
        expected: 0.0,
        score: 0.0,
        reason: String::new(),
    }
}

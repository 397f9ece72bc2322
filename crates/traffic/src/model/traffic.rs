//! All visitors together: an endless, repeatable stream of timed events at a given rate.
//!
//! Time is divided into slots, one event each. A slot goes to the visitor whose next step has been due the longest; when
//! nobody's is due, a new visitor arrives. So the rate is exact, and the number of visitors is whatever the rate can carry.
//! Slots come in bursts (±30 % in waves of 17 s) around the rate. The hour of the day changes who comes: in the evening
//! more returning visitors, at night fewer.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use clickstream_event::{Event, EventType, Timestamp};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::catalogue::Catalogue;
use super::session::{Manner, Session};

/// What the traffic shall be like.
#[derive(Clone, Debug)]
pub struct TrafficConfig {
    /// Same seed, same start, same events.
    pub seed: u64,
    /// Events per second.
    pub rate: f64,
    /// Time of the first event.
    pub start: Timestamp,
    /// The sites; visitors are spread over them evenly.
    pub sites: Vec<String>,
    /// Share of new visits that are bots, 0 to 1.
    pub bots: f64,
    /// Whether one page is the talk of the day for 20 s in every two minutes.
    pub spikes: bool,
}

/// An event, and when to send it.
#[derive(Clone, PartialEq, Debug)]
pub struct Timed {
    /// When it is sent; its timestamp is up to [`DISORDER_MS`] earlier.
    pub at: Timestamp,
    /// The event.
    pub event: Event<'static>,
    /// What is special about it, for tests of detection: `bot`, `spike`.
    pub truth: Option<&'static str>,
}

/// How far events are out of order, in milliseconds.
pub const DISORDER_MS: i64 = 50;
/// Visitors remembered, to come back.
const REMEMBERED: usize = 20_000;
const BURST_PERIOD_MS: f64 = 17_000.0;

/// The stream of events; see the module.
pub struct Traffic {
    config: TrafficConfig,
    rng: ChaCha8Rng,
    catalogue: Catalogue,
    now_ms: f64,
    /// Sessions by the time of their next step; the number breaks ties, so that the order is repeatable.
    due: BinaryHeap<Reverse<(i64, u64)>>,
    sessions: std::collections::HashMap<u64, (Session, usize)>,
    remembered: Vec<Arc<str>>,
    count: u64,
    visits: u64,
    run: String,
}

impl Traffic {
    /// Traffic from `config.start` on.
    pub fn new(config: TrafficConfig) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let catalogue = Catalogue::new(&mut rng, config.start.0);
        // ids must differ from run to run, and be the same for the same seed and start
        let run = format!("{:x}-{:x}", config.start.0, config.seed & 0xffff);
        Self {
            now_ms: config.start.0 as f64,
            config,
            rng,
            catalogue,
            due: BinaryHeap::new(),
            sessions: std::collections::HashMap::new(),
            remembered: Vec::new(),
            count: 0,
            visits: 0,
            run,
        }
    }

    /// Leaves out the time until `at`: after a stall nothing is made up for.
    pub fn skip_to(&mut self, at: Timestamp) {
        self.now_ms = self.now_ms.max(at.0 as f64);
    }

    /// Pages of the shop.
    pub fn page_count(&self) -> usize {
        self.catalogue.page_count()
    }

    /// Visits under way.
    pub fn open_visits(&self) -> usize {
        self.sessions.len()
    }

    fn arrive(&mut self, at: i64) -> u64 {
        let number = self.visits;
        self.visits += 1;
        let spike = self.config.spikes && at.rem_euclid(120_000) < 20_000 && self.rng.random_bool(0.5);
        let manner = match () {
            () if spike => Manner::Spike,
            () if self.config.bots > 0.0 && self.rng.random_bool(self.config.bots.min(1.0)) => Manner::Bot,
            () => Manner::Human,
        };
        // 0 at four in the morning, 1 at four in the afternoon (UTC)
        let hour = at.rem_euclid(86_400_000) as f64 / 3_600_000.0;
        let daytime = 0.5 - 0.5 * ((hour - 4.0) / 24.0 * std::f64::consts::TAU).cos();
        let returning = !self.remembered.is_empty() && self.rng.random_bool(0.25 + 0.2 * daytime);
        let user: Arc<str> = if returning && manner == Manner::Human {
            Arc::clone(&self.remembered[self.rng.random_range(0..self.remembered.len())])
        } else {
            let user: Arc<str> = format!("u{:08x}", self.rng.random::<u32>()).into();
            if self.remembered.len() < REMEMBERED {
                self.remembered.push(Arc::clone(&user));
            } else {
                let place = self.rng.random_range(0..REMEMBERED);
                self.remembered[place] = Arc::clone(&user);
            }
            user
        };
        let id: Arc<str> = format!("s{:x}-{number:x}", self.config.start.0 & 0xffff_ffff).into();
        let session = Session::begin(user, id, manner, &self.catalogue, &mut self.rng);
        let site = self.rng.random_range(0..self.config.sites.len().max(1));
        self.sessions.insert(number, (session, site));
        number
    }
}

impl Iterator for Traffic {
    type Item = Timed;

    fn next(&mut self) -> Option<Timed> {
        let burst = 1.0 + 0.3 * (self.now_ms / BURST_PERIOD_MS * std::f64::consts::TAU).sin();
        self.now_ms += 1000.0 / (self.config.rate * burst);
        let at = self.now_ms as i64;
        self.catalogue.drift(at);
        let number = match self.due.peek() {
            Some(Reverse((due, number))) if *due <= at => {
                let number = *number;
                self.due.pop();
                number
            }
            _ => self.arrive(at),
        };
        let (session, site) = self.sessions.get_mut(&number)?;
        let step = session.step(&self.catalogue, &mut self.rng);
        let product = step.product.map(|index| self.catalogue.product_at(index));
        let timestamp = Timestamp(at - self.rng.random_range(0..DISORDER_MS));
        let bought = step.kind == EventType::Purchase;
        let owned = |text: &str| Cow::Owned(text.to_owned());
        let event = Event {
            event_id: Cow::Owned(format!("{}-{:x}", self.run, self.count)),
            site_id: owned(self.config.sites.get(*site).map_or("shop", String::as_str)),
            event_type: step.kind,
            user_id: owned(&session.user),
            session_id: owned(&session.id),
            page_url: owned(&step.page_url),
            product_id: product.map(|p| owned(&p.id)),
            timestamp,
            referrer: session.referrer.map(Cow::Borrowed),
            user_agent: Some(Cow::Borrowed(session.user_agent)),
            element: step.element.map(Cow::Borrowed),
            value: product.filter(|_| bought).map(|p| p.price),
            currency: bought.then_some(Cow::Borrowed("EUR")),
        };
        let truth = match session.manner {
            Manner::Human => None,
            Manner::Bot => Some("bot"),
            Manner::Spike => Some("spike"),
        };
        match step.next_in_ms {
            Some(pause) => self.due.push(Reverse((at + pause, number))),
            None => {
                self.sessions.remove(&number);
            }
        }
        self.count += 1;
        Some(Timed { at: Timestamp(at), event, truth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{HashMap, HashSet};

    fn traffic(rate: f64, seed: u64) -> Traffic {
        Traffic::new(TrafficConfig {
            seed,
            rate,
            start: Timestamp(1_795_583_043_000),
            sites: vec!["shop".into()],
            bots: 0.0,
            spikes: false,
        })
    }

    #[test]
    fn the_same_seed_gives_the_same_events() {
        let first: Vec<Timed> = traffic(500.0, 7).take(5_000).collect();
        assert_eq!(first, traffic(500.0, 7).take(5_000).collect::<Vec<_>>());
        assert_ne!(first, traffic(500.0, 8).take(5_000).collect::<Vec<_>>());
        let ids: HashSet<_> = first.iter().map(|timed| &timed.event.event_id).collect();
        assert_eq!(ids.len(), first.len());
    }

    #[test]
    fn the_rate_holds_within_one_percent_and_disorder_within_its_bound() {
        for rate in [10.0, 1_000.0, 5_000.0] {
            let mut traffic = traffic(rate, 1);
            let start = traffic.config.start;
            // whole waves of bursts
            let seconds = 10.0 * BURST_PERIOD_MS / 1000.0;
            let mut count = 0.0;
            for timed in
                traffic.by_ref().take_while(|timed| ((timed.at.0 - start.0) as f64) < seconds * 1000.0)
            {
                let lag = timed.at.0 - timed.event.timestamp.0;
                assert!((0..DISORDER_MS).contains(&lag), "{lag}");
                count += 1.0;
            }
            assert!((count / seconds / rate - 1.0).abs() < 0.01, "{} at {rate}", count / seconds);
        }
    }

    #[test]
    fn visitors_behave_like_visitors() {
        let events: Vec<Event> = traffic(1_000.0, 3).take(600_000).map(|timed| timed.event).collect();
        let mut sessions: HashMap<&str, Vec<&Event>> = HashMap::new();
        for event in &events {
            sessions.entry(&event.session_id).or_default().push(event);
        }
        // the last ones are still open
        let closed: Vec<&Vec<&Event>> = sessions
            .values()
            .filter(|s| s[s.len() - 1].timestamp.0 < events[events.len() - 1].timestamp.0 - 120_000)
            .collect();
        let share = |condition: &dyn Fn(&[&Event]) -> bool| {
            closed.iter().filter(|s| condition(s)).count() as f64 / closed.len() as f64
        };
        let bounced = share(&|s| s.len() == 1);
        let cart = share(&|s| s.iter().any(|e| e.event_type == EventType::AddToCart));
        let bought = share(&|s| s.iter().any(|e| e.event_type == EventType::Purchase));
        assert!((0.35..0.60).contains(&bounced), "bounced {bounced}");
        assert!((0.05..0.15).contains(&cart), "cart {cart}");
        assert!((0.015..0.06).contains(&bought), "bought {bought}");
        for session in sessions.values() {
            let mut views: Vec<i64> = session
                .iter()
                .filter(|e| e.event_type == EventType::PageView)
                .map(|e| e.timestamp.0)
                .collect();
            views.sort_unstable();
            assert!(views.windows(2).all(|pair| pair[0] < pair[1]), "two views share a millisecond");
        }
        let mut pages: HashMap<&str, usize> = HashMap::new();
        for event in &events {
            *pages.entry(&event.page_url).or_default() += 1;
        }
        let mut counts: Vec<usize> = pages.values().copied().collect();
        counts.sort_unstable_by_key(|count| Reverse(*count));
        assert!(pages.len() > 150, "{} pages", pages.len());
        assert!(counts[0] > 10 * counts[counts.len() / 2], "popular pages stand out");
    }

    #[test]
    fn the_ranking_drifts() {
        let mut traffic = traffic(1_000.0, 5);
        let mut top = |n: usize| {
            let mut counts: HashMap<String, usize> = HashMap::new();
            for timed in traffic.by_ref().take(n) {
                if timed.event.page_url.starts_with("/p/") {
                    *counts.entry(timed.event.page_url.into_owned()).or_default() += 1;
                }
            }
            let mut ranked: Vec<_> = counts.into_iter().collect();
            ranked.sort_unstable_by_key(|(_, count)| Reverse(*count));
            ranked.into_iter().take(10).map(|(page, _)| page).collect::<Vec<_>>()
        };
        let before = top(60_000);
        top(300_000);
        assert_ne!(before, top(60_000));
    }

    #[test]
    fn memory_stays_bounded() {
        let mut traffic = traffic(5_000.0, 2);
        let open = |traffic: &mut Traffic, n: usize| {
            traffic.by_ref().take(n).for_each(drop);
            traffic.open_visits()
        };
        let early = open(&mut traffic, 400_000);
        let later = open(&mut traffic, 800_000);
        assert!(later < early * 2, "{early} visits grew to {later}");
    }
}

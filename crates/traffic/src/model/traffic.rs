//! All visitors together: an endless, repeatable stream of timed events at a given rate.
//!
//! Time is divided into slots, one event each. A slot goes to the visitor whose next step has been due the longest; when
//! nobody's is due, a new visitor arrives. So the rate is exact, and the number of visitors is whatever the rate can carry.
//! Slots come in bursts (±30 % in waves of 17 s) around the rate, and visitors hurry and linger with them: their pauses are
//! counted in slots, so that arrivals swing no more than all the rest. The hour of the day changes who comes: in the
//! evening more returning visitors, at night fewer.
//!
//! Bots and unusual users keep to the clock instead; each of their events takes the place of a slot, so they change nothing about the
//! rate. Spikes and drops do: the crowd of a spike comes in addition, and of a site's drop the lost events are left out.

use std::borrow::Cow;
use std::sync::Arc;

use clickstream_event::{Event, EventType, Timestamp};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::catalogue::Catalogue;
use super::due::{Due, Id, Places};
use super::episode::{Episode, Happening};
use super::manner::{Manner, Unusual};
use super::regulars::Regulars;
use super::session::{Session, Step};

/// What the traffic shall be like.
#[derive(Clone, Debug)]
pub struct TrafficConfig {
    /// Same seed, same start, same events.
    pub seed: u64,
    /// Events per second; held within 1 % but for spikes and drops.
    pub rate: f64,
    /// Time of the first event.
    pub start: Timestamp,
    /// The sites; visitors are spread over them evenly.
    pub sites: Vec<String>,
    /// Share of new visits that are bots, 0 to 1, of every [`super::manner::Bot`] alike.
    pub bots: f64,
    /// Share of new visits that are unusual users, 0 to 1, of every [`Unusual`] alike.
    pub unusual: f64,
    /// Whether there are spikes and drops, one every two minutes: see [`Episode`].
    pub spikes: bool,
}

/// An event, and when to send it.
#[derive(Clone, PartialEq, Debug)]
pub struct Timed {
    /// When it is sent; its timestamp is up to [`DISORDER_MS`] earlier.
    pub at: Timestamp,
    /// The event.
    pub event: Event<'static>,
    /// What is special about it, for tests of detection: `bot:`, `unusual:`, `spike:` or `drop:`, and the kind.
    pub truth: Option<&'static str>,
}

/// How far events are out of order, in milliseconds.
pub const DISORDER_MS: i64 = 50;
const BURST_PERIOD_MS: f64 = 17_000.0;
/// So long before the first event visitors begin to come, in milliseconds: otherwise all of the first slots would go to
/// people who arrive, and the pages on which they do would have a crowd.
const WARM_UP_MS: f64 = 60_000.0;
/// Slots that this may take; at rates that need more, the beginning is not quite as usual.
const WARM_UP_SLOTS: f64 = 300_000.0;

/// A visit under way.
struct Visit {
    session: Session,
    site: usize,
    truth: Option<&'static str>,
    /// Its events take the place of slots.
    owes: bool,
    /// It is in a heap of the clock, not of the slots.
    by_clock: bool,
    /// The last drop of the site it has lived to see, and whether it was lost in it.
    drop: Option<(u64, bool)>,
}

/// The stream of events; see the module.
pub struct Traffic {
    config: TrafficConfig,
    rng: ChaCha8Rng,
    catalogue: Catalogue,
    /// The time of the last slot, without what was skipped.
    slot_ms: f64,
    /// What was left out so far.
    skipped_ms: i64,
    /// The time that the slots so far would take if they came evenly: what pauses of people are counted in.
    even_ms: f64,
    by_slots: Due,
    by_clock: Due,
    /// Slots that were taken in advance.
    owed: i64,
    visits: Places<Visit>,
    regulars: Regulars,
    /// Number of the present episode, or of the next one.
    episode_number: u64,
    episode: Option<Episode>,
    count: u64,
    arrived: u64,
    run: String,
}

impl Traffic {
    /// Traffic from `config.start` on.
    pub fn new(config: TrafficConfig) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        let catalogue = Catalogue::new(&mut rng, config.start.0);
        // ids must differ from run to run, and be the same for the same seed and start
        let run = format!("{:x}-{:x}", config.start.0, config.seed & 0xffff);
        let episode =
            config.spikes.then(|| Episode::nth(0, config.seed, config.start, config.rate, &catalogue));
        let warm_up_ms = WARM_UP_MS.min(WARM_UP_SLOTS / config.rate * 1_000.0);
        let mut traffic = Self {
            slot_ms: config.start.0 as f64 - warm_up_ms,
            skipped_ms: 0,
            even_ms: 0.0,
            config,
            rng,
            catalogue,
            by_slots: Due::default(),
            by_clock: Due::default(),
            owed: 0,
            visits: Places::default(),
            regulars: Regulars::default(),
            episode_number: 0,
            episode,
            count: 0,
            arrived: 0,
            run,
        };
        while traffic.is_warming_up() {
            traffic.turn();
        }
        traffic
    }

    /// Whether it is not yet time for the first event.
    fn is_warming_up(&self) -> bool {
        self.slot_ms < self.config.start.0 as f64
    }

    /// Leaves out the time until `at`: after a stall nothing is made up for, and everybody goes on from where they were.
    pub fn skip_to(&mut self, at: Timestamp) {
        self.skipped_ms = self.skipped_ms.max(at.0 - self.slot_ms as i64);
    }

    /// Pages of the shop.
    pub fn page_count(&self) -> usize {
        self.catalogue.page_count()
    }

    /// Visits under way.
    pub fn open_visits(&self) -> usize {
        self.visits.len()
    }

    /// The spike or drop under way, or the next one. Its times do not count what was skipped.
    pub fn episode(&self) -> Option<&Episode> {
        self.episode.as_ref()
    }

    /// What happens to the shop at this time of the clock.
    fn happening(&self, clock: i64) -> Option<&Episode> {
        self.episode.as_ref().filter(|e| (e.start.0..e.end.0).contains(&clock))
    }

    /// Goes on to the next episode, closes and opens pages.
    fn follow_plan(&mut self, clock: i64) {
        let Some(episode) = &self.episode else { return };
        if clock >= episode.end.0 {
            self.catalogue.close(None);
            self.episode_number += 1;
            let TrafficConfig { seed, start, rate, .. } = self.config;
            self.episode = Some(Episode::nth(self.episode_number, seed, start, rate, &self.catalogue));
        } else if clock >= episode.start.0 && episode.what == Happening::PageDrop {
            self.catalogue.close(episode.page.clone());
        }
    }

    fn new_user(&mut self) -> Arc<str> {
        // short, and yet hardly ever the same for two users of a month
        format!("u{:010x}", self.rng.random::<u64>() & 0xff_ffff_ffff).into()
    }

    /// Begins a visit; its steps are not yet due.
    fn begin(&mut self, user: Arc<str>, manner: Manner, site: usize) -> Id {
        let number = self.arrived;
        self.arrived += 1;
        let id: Arc<str> = format!("s{:x}-{number:x}", self.config.start.0 & 0xffff_ffff).into();
        let crowd = self.episode.as_ref().filter(|_| manner == Manner::Crowd);
        let truth = match manner {
            Manner::Human => None,
            Manner::Crowd => crowd.map(|episode| episode.what.truth()),
            Manner::Bot(bot) => Some(bot.truth()),
            Manner::Unusual(unusual) => Some(unusual.truth()),
        };
        let aim = crowd.and_then(|episode| episode.page.clone());
        let session = Session::begin(user, id, manner, aim, &self.catalogue, &mut self.rng);
        let session = if self.is_warming_up() { session.unseen_before() } else { session };
        let by_clock = manner != Manner::Human;
        let owes = by_clock && manner != Manner::Crowd;
        self.visits.insert(number, Visit { session, site, truth, owes, by_clock, drop: None })
    }

    /// Somebody arrives in a slot; `None` for those who keep to the clock.
    fn arrive(&mut self, clock: i64) -> Option<Id> {
        let (bots, unusual) = (self.config.bots, self.config.unusual);
        let manner =
            if self.is_warming_up() { Manner::Human } else { Manner::draw(bots, unusual, &mut self.rng) };
        let at = clock + self.skipped_ms;
        // 0 at four in the morning, 1 at four in the afternoon (UTC)
        let hour = at.rem_euclid(86_400_000) as f64 / 3_600_000.0;
        let daytime = 0.5 - 0.5 * ((hour - 4.0) / 24.0 * std::f64::consts::TAU).cos();
        let returns = manner == Manner::Human && self.rng.random_bool(0.25 + 0.2 * daytime);
        let regular = if returns { self.regulars.come(clock, &mut self.rng) } else { None };
        let user = regular.unwrap_or_else(|| self.new_user());
        let site = self.rng.random_range(0..self.config.sites.len().max(1));
        let first = self.begin(Arc::clone(&user), manner, site);
        if manner == Manner::Human {
            return Some(first);
        }
        // this slot pays for the first event
        self.owed -= 1;
        let mut due = clock;
        self.by_clock.push(due, first);
        if manner == Manner::Unusual(Unusual::Sessions) {
            for _ in 0..self.rng.random_range(2..4) {
                due += self.rng.random_range(1_000..6_000);
                let more = self.begin(Arc::clone(&user), manner, site);
                self.by_clock.push(due, more);
            }
        }
        None
    }

    /// Takes a slot: who does something in it, and when.
    fn take_slot(&mut self, slot_ms: f64) -> Option<(Id, i64)> {
        self.slot_ms = slot_ms;
        self.even_ms += 1000.0 / self.config.rate;
        let clock = slot_ms as i64;
        self.catalogue.drift(clock + self.skipped_ms);
        self.follow_plan(clock);
        let crowd =
            self.happening(clock).filter(|e| matches!(e.what, Happening::PageSpike | Happening::SiteSpike));
        if let Some(strength) = crowd.map(|e| e.strength)
            && self.rng.random_bool(strength)
        {
            let user = self.new_user();
            let site = self.rng.random_range(0..self.config.sites.len().max(1));
            let id = self.begin(user, Manner::Crowd, site);
            self.by_clock.push(clock, id);
        }
        if self.owed > 0 {
            self.owed -= 1;
            return None;
        }
        match self.by_slots.peek() {
            Some((due, id)) if due <= self.even_ms as i64 => {
                self.by_slots.pop();
                Some((id, clock))
            }
            _ => self.arrive(clock).map(|id| (id, clock)),
        }
    }

    /// Whether a visit's event is lost in a drop of the site: of a person it is then lost for good.
    fn is_lost(&mut self, id: Id, clock: i64) -> bool {
        let dropping = self.happening(clock).filter(|e| e.what == Happening::SiteDrop).map(|e| e.strength);
        let Some(visit) = self.visits.get_mut(id) else { return true };
        if let Some(share) = dropping
            && !visit.owes
            && visit.drop.is_none_or(|(episode, lost)| !lost && episode != self.episode_number)
        {
            visit.drop = Some((self.episode_number, self.rng.random_bool(share)));
        }
        visit.drop.is_some_and(|(_, lost)| lost)
    }

    /// The event of a visit's step.
    fn event(&mut self, id: Id, step: Step, clock: i64) -> Option<Timed> {
        let at = clock + self.skipped_ms;
        let happening = self.happening(clock).map(|e| e.what);
        let Visit { session, site, truth, .. } = self.visits.get(id)?;
        let truth = truth.or(match happening {
            Some(what @ Happening::SiteDrop) => Some(what.truth()),
            Some(what @ Happening::PageDrop) if step.diverted => Some(what.truth()),
            _ => None,
        });
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
        self.count += 1;
        Some(Timed { at: Timestamp(at), event, truth })
    }

    /// Takes the next slot or the next step that is due by the clock; there may be no event in it.
    fn turn(&mut self) -> Option<Timed> {
        let burst = 1.0 + 0.3 * (self.slot_ms / BURST_PERIOD_MS * std::f64::consts::TAU).sin();
        let slot_ms = self.slot_ms + 1000.0 / (self.config.rate * burst);
        let (id, clock) = match self.by_clock.peek() {
            Some((due, id)) if due as f64 <= slot_ms => {
                self.by_clock.pop();
                (id, due)
            }
            _ => self.take_slot(slot_ms)?,
        };
        let unseen = self.is_warming_up() || self.is_lost(id, clock);
        let visit = self.visits.get_mut(id)?;
        let step = visit.session.step(&self.catalogue, &mut self.rng);
        let (pause, by_clock) = (step.next_in_ms, visit.by_clock);
        self.owed += i64::from(visit.owes);
        let timed = if unseen { None } else { self.event(id, step, clock) };
        match pause {
            Some(pause) if by_clock => self.by_clock.push(clock + pause, id),
            Some(pause) => self.by_slots.push(self.even_ms as i64 + pause, id),
            None => {
                if let Some(visit) = self.visits.remove(id)
                    && !visit.owes
                {
                    self.regulars.leave(visit.session.user, clock);
                }
            }
        }
        timed
    }
}

impl Iterator for Traffic {
    type Item = Timed;

    fn next(&mut self) -> Option<Timed> {
        loop {
            let timed = self.turn();
            if timed.is_some() {
                return timed;
            }
        }
    }
}

#[cfg(test)]
mod injected;
#[cfg(test)]
mod tests;

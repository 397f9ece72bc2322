//! Users who do in a minute what people do not.
//!
//! Of each event of the present minute its user, page and session are noted, 12 bytes. Only for the few users who may be
//! unusual, by counts that cost nothing, are the notes gone through when the minute ends.

use std::collections::{BTreeMap, BTreeSet};

use clickstream_event::detection::{UNUSUAL_MS, UNUSUAL_PAGES, UNUSUAL_SESSIONS};
use clickstream_event::rows::Anomaly;
use clickstream_event::{EventType, Timestamp};
use serde::{Deserialize, Serialize};

use crate::engine::Config;
use crate::names::Directory;
use crate::pairs::{Dated, Pairs, pair};
use crate::shard::{Counted, NO_PRODUCT};

/// What a user did in a minute.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Minute {
    /// Which minute, modulo 2^32.
    minute: u32,
    /// Events: no less than different pages.
    pub(crate) events: u32,
    /// Session of the last event, and how often it was another than the one before, plus one: no less than different sessions.
    session: u32,
    sessions: u32,
    /// Purchases of a product not viewed before.
    pub(crate) purchases: u32,
}

/// A user's last view of a product.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct View {
    date: u32,
    /// Milliseconds modulo 2^32.
    time: u32,
    session: u32,
}

impl Dated for View {
    #[inline]
    fn date(&self) -> u32 {
        self.date
    }
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Note {
    user: u32,
    page: u32,
    session: u32,
}

/// What may make a user unusual.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unusual {
    window_ms: i64,
    slices: u32,
    /// The minute that the notes are of.
    minute: i64,
    notes: Vec<Note>,
    /// Users who may be unusual, with their sites.
    suspects: BTreeMap<u32, u32>,
    views: Pairs<View>,
}

impl Unusual {
    /// Of windows of this shape.
    pub fn new(config: &Config) -> Self {
        let slices = config.windows.slices() as u32;
        let (notes, suspects) = (Vec::new(), BTreeMap::new());
        // a view less than a window ago may lie in the slice before the window
        let views = Pairs::new(slices + 1);
        Self { window_ms: config.windows.size_ms(), slices, minute: i64::MIN, notes, suspects, views }
    }

    /// Reads ahead what counting will need.
    #[inline]
    pub fn warm(&self, event: &Counted) -> u32 {
        match event.product {
            NO_PRODUCT => 0,
            _ if event.kind == 1 || event.kind == 2 => 0,
            product => self.views.warm(pair(product, event.user)),
        }
    }

    /// Takes the next event in order. All minutes before its own have been judged.
    #[inline]
    pub fn count(&mut self, event: &Counted, user: &mut Minute, slice: u32) {
        self.minute = event.ts.div_euclid(UNUSUAL_MS);
        self.notes.push(Note { user: event.user, page: event.page, session: event.session });
        if user.minute != self.minute as u32 || user.events == 0 {
            *user = Minute {
                minute: self.minute as u32,
                events: 0,
                session: event.session,
                sessions: 1,
                purchases: 0,
            };
        }
        user.events += 1;
        let mut is_suspect = u64::from(user.events) == UNUSUAL_PAGES + 1;
        if user.session != event.session {
            user.session = event.session;
            user.sessions += 1;
            is_suspect |= u64::from(user.sessions) == UNUSUAL_SESSIONS;
        }
        if event.product != NO_PRODUCT {
            let key = pair(event.product, event.user);
            match event.event_type() {
                EventType::PageView => {
                    *self.views.entry(key, slice) =
                        View { date: slice + 1, time: event.ts as u32, session: event.session };
                }
                EventType::Purchase => {
                    let was_viewed = self.views.get(key, slice).is_some_and(|view| {
                        view.session == event.session
                            && i64::from((event.ts as u32).wrapping_sub(view.time)) < self.window_ms
                    });
                    user.purchases += u32::from(!was_viewed);
                    is_suspect |= !was_viewed;
                }
                EventType::Click | EventType::AddToCart => {}
            }
        }
        if is_suspect {
            self.suspects.insert(event.user, event.site);
        }
    }

    /// Judges the minute once event time has come to its end; `purchases` gives how many strange ones a user made in it.
    pub fn pass(
        &mut self,
        time: i64,
        purchases: impl Fn(u32) -> u32,
        names: &Directory,
        found: &mut Vec<Anomaly>,
    ) {
        if self.notes.is_empty() || time < (self.minute + 1) * UNUSUAL_MS - 1 {
            return;
        }
        let mut pages_of: BTreeMap<u32, (u32, BTreeSet<u32>, BTreeSet<u32>)> = BTreeMap::new();
        for (user, site) in std::mem::take(&mut self.suspects) {
            match purchases(user) {
                0 => {
                    pages_of.insert(user, (site, BTreeSet::new(), BTreeSet::new()));
                }
                count => {
                    found.extend(rule(count.into(), 0, 0).map(|rule| self.anomaly(rule, site, user, names)))
                }
            }
        }
        if !pages_of.is_empty() {
            for note in &self.notes {
                if let Some((_, pages, sessions)) = pages_of.get_mut(&note.user) {
                    pages.insert(note.page);
                    sessions.insert(note.session);
                }
            }
            for (user, (site, pages, sessions)) in pages_of {
                let rule = rule(0, pages.len() as u64, sessions.len() as u64);
                found.extend(rule.map(|rule| self.anomaly(rule, site, user, names)));
            }
        }
        self.notes.clear();
    }

    fn anomaly(&self, rule: Rule, site: u32, user: u32, names: &Directory) -> Anomaly {
        let end = (self.minute + 1) * UNUSUAL_MS;
        let (observed, expected) = (rule.observed as f64, rule.expected as f64);
        Anomaly {
            site_id: names.sites.text(site).to_owned(),
            kind: "unusual_user".to_owned(),
            rule: rule.name.to_owned(),
            subject: names.users.text(user).to_owned(),
            detected_at: Timestamp(end),
            window_start: Timestamp(end - UNUSUAL_MS),
            window_end: Timestamp(end),
            observed,
            expected,
            score: if rule.expected == 0 { observed } else { observed / expected },
            reason: rule.reason,
        }
    }

    /// Ends a slice.
    pub fn next_slice(&mut self, slice: u32) {
        self.views.tidy(slice + 1, self.slices);
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.notes.capacity() * size_of::<Note>() + self.views.bytes()
    }
}

struct Rule {
    name: &'static str,
    observed: u64,
    expected: u64,
    reason: String,
}

/// The first rule that holds.
fn rule(purchases: u64, pages: u64, sessions: u64) -> Option<Rule> {
    let (name, observed, expected, reason) = if purchases > 0 {
        ("purchase", purchases, 0, format!("{purchases} × a purchase of a product not viewed before"))
    } else if pages > UNUSUAL_PAGES {
        ("pages", pages, UNUSUAL_PAGES, format!("{pages} different pages in a minute"))
    } else if sessions >= UNUSUAL_SESSIONS {
        ("sessions", sessions, UNUSUAL_SESSIONS - 1, format!("{sessions} sessions at the same time"))
    } else {
        return None;
    };
    Some(Rule { name, observed, expected, reason })
}

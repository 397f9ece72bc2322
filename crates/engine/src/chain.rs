//! All that depends on the order of events, and all that is known of sites: what happens once per event, in one place.
//!
//! Shards count what can be counted apart, pages and products; they are told who is a labelled bot.

use clickstream_event::rows::{Anomaly, Session};
use serde::{Deserialize, Serialize};

use crate::engine::Config;
use crate::journeys::{JourneyTotals, Journeys};
use crate::names::Directory;
use crate::shard::{Counted, KeyTotals, Totals};
use crate::traffic::Traffic;
use crate::users::{SiteTotals, Users};
use crate::visits::Visits;

/// Events whose state is read ahead for at once.
const BATCH: usize = 64;

/// The state of users, sessions and sites.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chain {
    users: Users,
    visits: Visits,
    journeys: Journeys,
    traffic: Traffic,
}

/// Totals of one window, by number.
pub struct WindowTotals {
    /// By page, with its views in the later half of the window.
    pub pages: Vec<(u32, KeyTotals, u32)>,
    /// By product.
    pub products: Vec<(u32, KeyTotals)>,
    /// By site, with its different sessions.
    pub sites: Vec<(u32, SiteTotals, u32)>,
    /// What sessions did.
    pub journeys: JourneyTotals,
}

impl Chain {
    /// Of windows of this shape.
    pub fn new(config: &Config) -> Self {
        Self {
            users: Users::new(config),
            visits: Visits::new(config),
            journeys: Journeys::new(config),
            traffic: Traffic::new(config),
        }
    }

    /// Takes the next events in order, all of one slice, and decides which are of labelled bots.
    pub fn count(
        &mut self,
        events: &mut [Counted],
        slice: u32,
        names: &Directory,
        sessions: &mut Vec<Session>,
        anomalies: &mut Vec<Anomaly>,
    ) {
        for batch in events.chunks_mut(BATCH) {
            let warm = |event: &Counted| self.users.warm(event) ^ self.visits.warm(event);
            std::hint::black_box(batch.iter().fold(0, |sum, event| sum ^ warm(event)));
            let further = |event: &Counted| self.visits.warm_further(event, &self.journeys);
            std::hint::black_box(batch.iter().fold(0, |sum, event| sum ^ further(event)));
            for event in batch {
                self.users.count(event, slice, names, anomalies);
                self.visits.count(event, slice, names, &mut self.journeys, sessions);
            }
        }
    }

    /// Event time has come to `time`, which lies in `slice`.
    pub fn pass(
        &mut self,
        time: i64,
        slice: u32,
        names: &mut Directory,
        sessions: &mut Vec<Session>,
        anomalies: &mut Vec<Anomaly>,
    ) {
        self.users.pass(time, names, anomalies);
        self.visits.pass(time, slice, names, &mut self.journeys, sessions);
    }

    /// Ends the slice that ends at `end`; `totals` are the shards'. Gives those of the window.
    pub fn end_slice(
        &mut self,
        slice: u32,
        end: i64,
        totals: Totals,
        names: &Directory,
        anomalies: &mut Vec<Anomaly>,
    ) -> WindowTotals {
        let sites = self.users.end_slice(slice);
        self.traffic.end_slice(end, &totals.slice_pages, self.users.last_slice(), names, anomalies);
        let later = |(page, totals)| (page, totals, self.traffic.later_views(page));
        let visits = &self.visits;
        let totals = WindowTotals {
            pages: merged(totals.pages).into_iter().map(later).collect(),
            products: merged(totals.products),
            sites: sites.into_iter().map(|(site, totals)| (site, totals, visits.active(site))).collect(),
            journeys: self.journeys.end_slice(slice, names),
        };
        self.visits.next_slice(slice);
        totals
    }

    /// The first event of all sessions that are open.
    pub fn oldest_session(&self) -> Option<i64> {
        self.visits.oldest()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.users.bytes() + self.visits.bytes() + self.journeys.bytes() + self.traffic.bytes()
    }
}

/// Adds up what shards say of the same key.
fn merged(mut totals: Vec<(u32, KeyTotals)>) -> Vec<(u32, KeyTotals)> {
    totals.sort_unstable_by_key(|(key, _)| *key);
    totals.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            kept.1.sums += later.1.sums;
            kept.1.users += later.1.users;
            kept.1.human_users += later.1.human_users;
        }
        same
    });
    totals
}

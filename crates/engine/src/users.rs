//! What a site's users did, in order: who is a labelled bot, who is unusual, how many there are.

use clickstream_event::detection::UNUSUAL_MS;
use clickstream_event::rows::Anomaly;
use clickstream_event::{EventType, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bots::Pace;
use crate::distinct::{Distinct, Seen};
use crate::engine::Config;
use crate::names::Directory;
use crate::shard::{Counted, Kinds};
use crate::sums::{Sums, adds_up};
use crate::unusual::{Minute, Unusual};

/// What a site sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SiteSums {
    /// Events by type.
    pub kinds: Kinds,
    /// Those that are not of labelled bots.
    pub human: Kinds,
    /// Values of purchases in ten-thousandths.
    pub revenue: i128,
    /// Those that are not of labelled bots.
    pub human_revenue: i128,
}

adds_up!(SiteSums { kinds, human, revenue, human_revenue });

/// Sums of a site and its different users in a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SiteTotals {
    /// What is summed.
    pub sums: SiteSums,
    /// Different users.
    pub users: u32,
    /// Different users with a purchase.
    pub buyers: u32,
    /// Different users over events that are not of labelled bots.
    pub human_users: u32,
    /// Different users with a purchase that is not of a labelled bot.
    pub human_buyers: u32,
}

/// A user.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[repr(align(64))]
struct User {
    pace: Pace,
    /// First instant at which the user is no labelled bot any more.
    label_end: i64,
    seen: Seen,
    human_seen: Seen,
    buyer_seen: Seen,
    human_buyer_seen: Seen,
    minute: Minute,
}

impl Default for User {
    fn default() -> Self {
        let (seen, human_seen, buyer_seen, human_buyer_seen) = (0, 0, 0, 0);
        let (pace, minute) = (Pace::default(), Minute::default());
        Self { pace, label_end: i64::MIN, seen, human_seen, buyer_seen, human_buyer_seen, minute }
    }
}

/// All users, by number, and what their sites sum.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Users {
    window_ms: i64,
    /// Slices after which no rule remembers anything.
    horizon: u32,
    list: Vec<User>,
    unusual: Unusual,
    sums: Sums<SiteSums>,
    users: Distinct,
    buyers: Distinct,
    human_users: Distinct,
    human_buyers: Distinct,
}

impl Users {
    /// Of windows of this shape.
    pub fn new(config: &Config) -> Self {
        let slices = config.windows.slices() as u32;
        Self {
            window_ms: config.windows.size_ms(),
            horizon: Self::horizon(config),
            list: Vec::new(),
            unusual: Unusual::new(config),
            sums: Sums::new(slices),
            users: Distinct::new(slices),
            buyers: Distinct::new(slices),
            human_users: Distinct::new(slices),
            human_buyers: Distinct::new(slices),
        }
    }

    /// For how many slices after its last event a user's state may matter.
    pub fn horizon(config: &Config) -> u32 {
        let longest = config.windows.size_ms().max(UNUSUAL_MS);
        (longest / config.windows.slide_ms()) as u32 + 2
    }

    /// Reads ahead what [`Users::count`] will need; see [`crate::recent::Recent::warm`].
    #[inline]
    pub fn warm(&self, event: &Counted) -> u32 {
        self.list.get(event.user as usize).map_or(0, |user| user.seen ^ user.minute.events ^ user.pace.warm())
            ^ self.unusual.warm(event)
    }

    /// Takes the next event in order, and decides whether its user is a labelled bot.
    #[inline]
    pub fn count(&mut self, event: &mut Counted, slice: u32, names: &Directory, found: &mut Vec<Anomaly>) {
        if event.user as usize >= self.list.len() {
            self.list.resize(event.user as usize + 1, User::default());
        }
        let user = &mut self.list[event.user as usize];
        if slice + 1 - user.seen.min(slice) > self.horizon {
            // nothing of what was before is remembered; the number may even have been another user's
            user.pace.reset();
        }
        let is_flagged = user.pace.next(event, self.window_ms);
        let was_labelled = event.ts < user.label_end;
        event.human = !is_flagged && !was_labelled;
        if is_flagged {
            user.label_end = event.ts + self.window_ms;
            if !was_labelled {
                found.extend(anomaly(user, event, self.window_ms, names));
            }
        }
        self.unusual.count(event, &mut user.minute, slice);

        let bought = event.event_type() == EventType::Purchase;
        let sums = self.sums.cell(event.site);
        sums.kinds.add(event.kind);
        sums.revenue += i128::from(event.value);
        self.users.touch(event.site, &mut user.seen, slice);
        if bought {
            self.buyers.touch(event.site, &mut user.buyer_seen, slice);
        }
        if event.human {
            sums.human.add(event.kind);
            sums.human_revenue += i128::from(event.value);
            self.human_users.touch(event.site, &mut user.human_seen, slice);
            if bought {
                self.human_buyers.touch(event.site, &mut user.human_buyer_seen, slice);
            }
        }
    }

    /// Event time has come to `time`: minutes that have ended are judged.
    pub fn pass(&mut self, time: i64, names: &Directory, found: &mut Vec<Anomaly>) {
        let list = &self.list;
        self.unusual.pass(
            time,
            |user| list.get(user as usize).map_or(0, |user| user.minute.purchases),
            names,
            found,
        );
    }

    /// Ends a slice and gives what each site did in the window that ends with it; then makes room for the next slice.
    pub fn end_slice(&mut self, slice: u32) -> Vec<(u32, SiteTotals)> {
        self.sums.end_slice();
        let totals = self.sums.window().map(|(site, sums)| {
            let totals = SiteTotals {
                sums,
                users: self.users.count(site),
                buyers: self.buyers.count(site),
                human_users: self.human_users.count(site),
                human_buyers: self.human_buyers.count(site),
            };
            (site, totals)
        });
        let totals = totals.collect();
        self.sums.next_slice();
        for distinct in [&mut self.users, &mut self.buyers, &mut self.human_users, &mut self.human_buyers] {
            distinct.next_slice(slice);
        }
        self.unusual.next_slice(slice);
        totals
    }

    /// Sites with events in the slice that ended last.
    pub fn last_slice(&self) -> &[(u32, SiteSums)] {
        self.sums.last_slice()
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<User>()
            + self.unusual.bytes()
            + self.users.bytes()
            + self.human_users.bytes()
    }
}

#[cold]
fn anomaly(user: &User, event: &Counted, window_ms: i64, names: &Directory) -> Option<Anomaly> {
    let flag = user.pace.why(event, window_ms)?;
    Some(Anomaly {
        site_id: names.sites.text(event.site).to_owned(),
        kind: "bot".to_owned(),
        rule: flag.rule.to_owned(),
        subject: names.users.text(event.user).to_owned(),
        detected_at: Timestamp(event.ts),
        window_start: Timestamp(event.ts - flag.took_ms),
        window_end: Timestamp(event.ts),
        observed: flag.observed,
        expected: flag.expected,
        score: flag.score,
        reason: flag.reason,
    })
}

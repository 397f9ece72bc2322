//! Sessions, in order of their events: how they begin, go on and close, and what they view one after the other.

use clickstream_event::rows::Session;
use clickstream_event::{EventType, Timestamp};
use serde::{Deserialize, Serialize};

use crate::distinct::{Distinct, Seen};
use crate::engine::Config;
use crate::journeys::Journeys;
use crate::names::Directory;
use crate::shard::{Counted, Kinds};
use crate::timers::Timers;

/// Different pages of a session.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Pages {
    /// The first of them, beside the rest of the session's state.
    few: [u32; FEW],
    count: u32,
    /// The others, sorted.
    more: Vec<u32>,
}

/// Pages that are kept beside the rest of a session's state.
const FEW: usize = 16;

impl Pages {
    #[inline]
    fn insert(&mut self, page: u32) {
        let count = self.count as usize;
        if self.few.iter().take(count).any(|known| *known == page) {
            return;
        }
        if count < FEW {
            self.few[count] = page;
            self.count += 1;
        } else if let Err(place) = self.more.binary_search(&page) {
            self.more.insert(place, page);
            self.count += 1;
        }
    }

    fn clear(&mut self) {
        self.count = 0;
        self.more.clear();
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        self.few.iter().take(self.count as usize).chain(&self.more).copied()
    }
}

/// A session, by the number of its name: the one that is open, or the last that was.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[repr(align(64))]
pub(crate) struct Visit {
    start: i64,
    last: i64,
    /// Slice of its first event.
    pub begin: u32,
    pub site: u32,
    user: u32,
    pub entry: u32,
    pub exit: u32,
    pub kinds: Kinds,
    is_open: bool,
    /// Whether a timer is set for its number.
    has_timer: bool,
    /// When any session of that name had its last event.
    seen: Seen,
    pub views: Views,
    pages: Pages,
}

/// The last page views of a session.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Views {
    /// Time and page of the last.
    pub at: i64,
    pub page: u32,
    /// The last ways from page to page without a break, the newest first, and how many of them there are.
    pub trail: [u32; 2],
    pub ways: u8,
    /// Whether there was a view at all.
    pub any: bool,
}

impl Visit {
    /// Reads each cache line.
    #[inline]
    fn warm(&self) -> u32 {
        self.start as u32
            ^ self.exit
            ^ self.pages.few[0]
            ^ self.pages.few[FEW - 1]
            ^ self.views.page
            ^ self.seen
    }

    /// Exactly one page view and nothing else so far.
    pub fn is_one_view(&self) -> bool {
        self.kinds.0 == [1, 0, 0, 0]
    }
}

/// All sessions, by number.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Visits {
    gap_ms: i64,
    slices: u32,
    gap_slices: u32,
    list: Vec<Visit>,
    timers: Timers,
    active: Distinct,
}

impl Visits {
    /// Of windows of this shape.
    pub fn new(config: &Config) -> Self {
        let slices = config.windows.slices() as u32;
        Self {
            gap_ms: config.session_gap_ms,
            slices,
            gap_slices: gap_slices(config),
            list: Vec::new(),
            timers: Timers::new(config.session_gap_ms),
            active: Distinct::new(slices),
        }
    }

    /// Reads ahead what [`Visits::count`] will need; see [`crate::recent::Recent::warm`].
    #[inline]
    pub fn warm(&self, event: &Counted) -> u32 {
        self.list.get(event.session as usize).map_or(0, Visit::warm)
    }

    /// The same for what is read next; call it for all events after [`Visits::warm`] was called for all.
    #[inline]
    pub fn warm_further(&self, event: &Counted, journeys: &Journeys) -> u32 {
        match self.list.get(event.session as usize) {
            Some(visit) if event.kind == 0 && visit.views.any => journeys.warm(visit.views.page, event.page),
            _ => 0,
        }
    }

    /// Takes the next event in order.
    #[inline]
    pub fn count(
        &mut self,
        event: &Counted,
        slice: u32,
        names: &Directory,
        journeys: &mut Journeys,
        closed: &mut Vec<Session>,
    ) {
        if event.session as usize >= self.list.len() {
            self.list.resize(event.session as usize + 1, Visit::default());
        }
        let visit = &mut self.list[event.session as usize];
        if visit.is_open && event.ts - visit.last >= self.gap_ms {
            close(visit, event.session, slice, names, journeys, closed);
        }
        if visit.is_open {
            if visit.is_one_view() {
                journeys.goes_on(visit, slice);
            }
            if visit.exit != event.page {
                visit.pages.insert(event.page);
            }
        } else {
            visit.is_open = true;
            (visit.start, visit.begin) = (event.ts, slice);
            (visit.site, visit.user, visit.entry) = (event.site, event.user, event.page);
            (visit.kinds, visit.views) = (Kinds::default(), Views::default());
            visit.pages.clear();
            visit.pages.insert(event.page);
            journeys.begins(visit, event, slice);
            if !visit.has_timer {
                visit.has_timer = true;
                self.timers.set(event.ts + self.gap_ms - 1, event.session);
            }
        }
        (visit.last, visit.exit) = (event.ts, event.page);
        visit.kinds.add(event.kind);
        self.active.touch(event.site, &mut visit.seen, slice);
        if event.event_type() == EventType::PageView {
            journeys.views(visit, event, slice);
        }
    }

    /// Event time has come to `time`, which lies in `slice`: closes the sessions that cannot go on.
    pub fn pass(
        &mut self,
        time: i64,
        slice: u32,
        names: &mut Directory,
        journeys: &mut Journeys,
        closed: &mut Vec<Session>,
    ) {
        while let Some((due, is_whole)) = self.timers.due(time) {
            let warm = |number: &u32| self.list.get(*number as usize).map_or(0, Visit::warm);
            std::hint::black_box(due.iter().fold(0, |sum, number| sum ^ warm(number)));
            for &number in &due {
                let visit = &mut self.list[number as usize];
                let end = visit.last + self.gap_ms - 1;
                if !visit.is_open {
                    visit.has_timer = false;
                } else if end <= time {
                    close(visit, number, slice, names, journeys, closed);
                    visit.has_timer = false;
                } else {
                    self.timers.set(end, number);
                    // what it refers to may not have been seen by others for long
                    if slice - visit.begin + self.gap_slices + 2 >= self.slices {
                        names.sites.keep(visit.site, slice);
                        names.users.keep(visit.user, slice);
                        visit.pages.iter().for_each(|page| names.pages.keep(page, slice));
                    }
                }
            }
            self.timers.give_back(due);
            if !is_whole {
                break;
            }
        }
    }

    /// Different sessions with an event in the window.
    pub fn active(&self, site: u32) -> u32 {
        self.active.count(site)
    }

    /// The first event of all sessions that are open.
    pub fn oldest(&self) -> Option<i64> {
        self.list.iter().filter(|visit| visit.is_open).map(|visit| visit.start).min()
    }

    /// Ends a slice.
    pub fn next_slice(&mut self, slice: u32) {
        self.active.next_slice(slice);
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let pages: usize = self.list.iter().map(|visit| visit.pages.more.capacity() * 4).sum();
        self.list.capacity() * size_of::<Visit>() + pages + self.active.bytes()
    }
}

/// Slices that a session gap may reach over.
pub(crate) fn gap_slices(config: &Config) -> u32 {
    (config.session_gap_ms / config.windows.slide_ms()) as u32 + 1
}

fn close(
    visit: &mut Visit,
    number: u32,
    slice: u32,
    names: &Directory,
    journeys: &mut Journeys,
    closed: &mut Vec<Session>,
) {
    visit.is_open = false;
    journeys.closes(visit, slice);
    let [views, clicks, carts, purchases] = visit.kinds.0.map(u64::from);
    let duration_ms = (visit.last - visit.start) as u64;
    let points = (views + 2 * clicks + 5 * carts + 10 * purchases) as f64 + duration_ms as f64 / 10_000.0;
    closed.push(Session {
        site_id: names.sites.text(visit.site).to_owned(),
        session_id: names.sessions.text(number).to_owned(),
        user_id: names.users.text(visit.user).to_owned(),
        session_start: Timestamp(visit.start),
        session_end: Timestamp(visit.last),
        duration_ms,
        event_count: visit.kinds.sum(),
        page_view_count: views,
        click_count: clicks,
        add_to_cart_count: carts,
        purchase_count: purchases,
        distinct_pages: u64::from(visit.pages.count),
        entry_page: names.pages.text(visit.entry).to_owned(),
        exit_page: names.pages.text(visit.exit).to_owned(),
        bounced: visit.is_one_view(),
        engagement_score: 100.0 * (1.0 - (-points / 20.0).exp()),
    });
}

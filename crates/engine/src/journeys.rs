//! What sessions add to windows: where they enter and leave, how far they get, how long they stay, which ways they take.

use clickstream_event::detection::stay_bounds;
use serde::{Deserialize, Serialize};

use crate::engine::Config;
use crate::names::Directory;
use crate::paths::{Path, Paths};
use crate::shard::Counted;
use crate::sums::{Sums, adds_up};
use crate::visits::{Visit, gap_slices};
use crate::ways::Ways;

/// Of a page: closed sessions that entered there, bounced, and ended there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Doors {
    /// Entered there.
    pub entries: u32,
    /// Of these, saw nothing else.
    pub bounces: u32,
    /// Ended there.
    pub exits: u32,
}

/// Of a page: sessions that began there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Begun {
    /// All.
    pub entries: i32,
    /// Closed, with exactly one page view.
    pub bounces: i32,
    /// Open, with exactly one page view so far.
    pub undecided: i32,
}

/// Of a site: closed sessions and how far they got.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Steps {
    /// All.
    pub sessions: u32,
    /// With a page view.
    pub viewed: u32,
    /// Of these, with an add to cart.
    pub carted: u32,
    /// Of these, with a purchase.
    pub purchased: u32,
}

/// Of a page: stays on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Stays {
    /// How many.
    pub count: u32,
    /// Their lengths, in milliseconds.
    pub total_ms: u64,
}

adds_up!(Doors { entries, bounces, exits });
adds_up!(Begun { entries, bounces, undecided });
adds_up!(Steps { sessions, viewed, carted, purchased });
adds_up!(Stays { count, total_ms });

/// Lengths of paths that are counted.
pub const PATH_LENGTHS: [usize; 2] = [3, 4];
/// Places of a list of paths.
const PATHS_LISTED: usize = 10;

/// Sums over sliding windows.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Journeys {
    gap_ms: i64,
    /// For how many slices a way may be in use.
    horizon: u32,
    doors: Sums<Doors>,
    begun: Sums<Begun>,
    steps: Sums<Steps>,
    /// Upper bounds of the classes of stays.
    bounds: Vec<i64>,
    stays: Sums<Stays>,
    /// Stays by page and class.
    classes: Sums<u32>,
    ways: Ways,
    /// By way.
    transitions: Sums<u32>,
    /// By page: transitions from it, and sessions that ended there.
    departures: Sums<u32>,
    paths: [Paths; 2],
}

/// Totals of one window.
pub struct JourneyTotals {
    /// By page.
    pub doors: Vec<(u32, Doors)>,
    /// By page.
    pub begun: Vec<(u32, Begun)>,
    /// By site.
    pub steps: Vec<(u32, Steps)>,
    /// By page, with the class of the median in milliseconds.
    pub stays: Vec<(u32, Stays, i64)>,
    /// From a page to a page, how often, of how many departures.
    pub transitions: Vec<(u32, u32, u32, u32)>,
    /// The most frequent paths by length and site.
    pub paths: [Vec<(u32, Vec<Path>)>; 2],
}

impl Journeys {
    /// Of windows of this shape.
    pub fn new(config: &Config) -> Self {
        let slices = config.windows.slices() as u32;
        Self {
            gap_ms: config.session_gap_ms,
            horizon: slices + 2 * gap_slices(config) + 2,
            doors: Sums::new(slices),
            begun: Sums::new(slices),
            steps: Sums::new(slices),
            bounds: stay_bounds(config.session_gap_ms),
            stays: Sums::new(slices),
            classes: Sums::new(slices),
            ways: Ways::default(),
            transitions: Sums::new(slices),
            departures: Sums::new(slices),
            paths: PATH_LENGTHS.map(|length| Paths::new(length, slices)),
        }
    }

    /// Reads ahead what a view of a page after another will need; see [`crate::recent::Recent::warm`].
    #[inline]
    pub(crate) fn warm(&self, from: u32, to: u32) -> u32 {
        self.ways.warm(from, to)
    }

    /// A session begins with an event.
    #[inline]
    pub(crate) fn begins(&mut self, visit: &Visit, event: &Counted, slice: u32) {
        debug_assert_eq!(visit.begin, slice);
        let undecided = i32::from(event.kind == 0);
        self.begun.add(visit.entry, Begun { entries: 1, bounces: 0, undecided });
    }

    /// A session that had one page view goes on.
    #[inline]
    pub(crate) fn goes_on(&mut self, visit: &Visit, slice: u32) {
        let decided = Begun { entries: 0, bounces: 0, undecided: -1 };
        self.begun.add_before(visit.entry, decided, (slice - visit.begin) as usize);
    }

    /// A session has a page view; what it had before stands in `visit`.
    #[inline]
    pub(crate) fn views(&mut self, visit: &mut Visit, event: &Counted, slice: u32) {
        let views = &mut visit.views;
        let stay_ms = event.ts - views.at;
        let (from, is_stay) = (views.page, views.any && stay_ms < self.gap_ms);
        (views.at, views.page, views.any) = (event.ts, event.page, true);
        if is_stay {
            *self.stays.cell(from) += Stays { count: 1, total_ms: stay_ms as u64 };
            let class = self.bounds.partition_point(|bound| *bound < stay_ms);
            *self.classes.cell(from * self.bounds.len() as u32 + class as u32) += 1;
        }
        if !is_stay || from == event.page {
            views.ways = 0;
            return;
        }
        let way = self.ways.number(from, event.page, slice);
        *self.transitions.cell(way) += 1;
        *self.departures.cell(from) += 1;
        if views.ways >= 1 {
            self.paths[0].add(views.trail[0], way, slice);
        }
        if views.ways >= 2 {
            self.paths[1].add(views.trail[1], way, slice);
        }
        views.trail = [way, views.trail[0]];
        views.ways = (views.ways + 1).min(2);
    }

    /// A session closes.
    pub(crate) fn closes(&mut self, visit: &Visit, slice: u32) {
        let bounces = u32::from(visit.is_one_view());
        self.doors.add(visit.entry, Doors { entries: 1, bounces, exits: 0 });
        self.doors.add(visit.exit, Doors { entries: 0, bounces: 0, exits: 1 });
        *self.departures.cell(visit.exit) += 1;
        let [views, _, carts, purchases] = visit.kinds.0;
        let viewed = u32::from(views > 0);
        let carted = viewed * u32::from(carts > 0);
        let purchased = carted * u32::from(purchases > 0);
        *self.steps.cell(visit.site) += Steps { sessions: 1, viewed, carted, purchased };
        if visit.is_one_view() {
            let decided = Begun { entries: 0, bounces: 1, undecided: -1 };
            self.begun.add_before(visit.entry, decided, (slice - visit.begin) as usize);
        }
    }

    /// Ends a slice and gives the totals of the window that ends with it; then makes room for the next slice.
    pub fn end_slice(&mut self, slice: u32, names: &Directory) -> JourneyTotals {
        self.doors.end_slice();
        self.begun.end_slice();
        self.steps.end_slice();
        self.stays.end_slice();
        self.classes.end_slice();
        self.transitions.end_slice();
        self.departures.end_slice();
        let way = |(way, count): (u32, u32)| {
            let (from, to) = self.ways.ends(way);
            (from, to, count, self.departures.get(from))
        };
        let totals = JourneyTotals {
            doors: self.doors.window().collect(),
            begun: self.begun.window().collect(),
            steps: self.steps.window().collect(),
            stays: self
                .stays
                .window()
                .map(|(page, stays)| (page, stays, self.median(page, stays.count)))
                .collect(),
            transitions: self.transitions.window().map(way).collect(),
            paths: self
                .paths
                .each_mut()
                .map(|paths| paths.end_slice(PATHS_LISTED, slice, &self.ways, &names.pages)),
        };
        self.doors.next_slice();
        self.begun.next_slice();
        self.steps.next_slice();
        self.stays.next_slice();
        self.classes.next_slice();
        self.transitions.next_slice();
        self.departures.next_slice();
        self.ways.release((slice + 2).saturating_sub(self.horizon));
        totals
    }

    /// The least bound of a class that at least half of a page's stays do not exceed.
    fn median(&self, page: u32, count: u32) -> i64 {
        let first = page * self.bounds.len() as u32;
        let mut within = 0;
        for (class, bound) in (first..).zip(&self.bounds) {
            within += self.classes.get(class);
            if 2 * u64::from(within) >= u64::from(count) {
                return *bound;
            }
        }
        self.gap_ms
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.doors.bytes()
            + self.begun.bytes()
            + self.steps.bytes()
            + self.stays.bytes()
            + self.classes.bytes()
            + self.ways.bytes()
            + self.transitions.bytes()
            + self.departures.bytes()
            + self.paths.iter().map(Paths::bytes).sum::<usize>()
    }
}

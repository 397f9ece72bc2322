//! The engine: records in, verdicts and closed windows out.
//!
//! Events are counted slice by slice (a slice is the stretch between two window bounds, one slide long). An event of the
//! slice the watermark stands in is counted at once; one of a later slice waits until the watermark gets there, which takes
//! no longer than the allowed disorder and the distance between the partitions. That is what makes exact counts of
//! different users cheap: see [`crate::distinct`].

use std::collections::BTreeMap;

use clickstream_event::{Record, Rules, Timestamp, Windows, decode};
use serde::{Deserialize, Serialize};

use crate::judge::{Judge, Verdict};
use crate::metric::{self, Window};
use crate::names::Names;
use crate::prepared::{Prepared, PreparedEvent, Preparer};
use crate::shard::{Counted, NO_PRODUCT, Shard, Totals};

/// What numbers mean, in one log. The same as the parameters of the Flink job.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Config {
    /// The sliding windows.
    pub windows: Windows,
    /// Allowed disorder of event times within a partition, in milliseconds.
    pub max_disorder_ms: i64,
    /// For how long after an event's arrival a copy of it is known as such, in milliseconds.
    pub dedup_horizon_ms: i64,
    /// A session ends after so long without an event, in milliseconds.
    pub session_gap_ms: i64,
    /// What is a valid event.
    pub rules: Rules,
    /// Seed of the fingerprints; any number, the results do not depend on it.
    pub seed: u64,
}

impl Config {
    /// The product's defaults for windows of this shape.
    pub fn new(windows: Windows) -> Self {
        Self {
            windows,
            max_disorder_ms: 100,
            dedup_horizon_ms: 120_000,
            session_gap_ms: 30_000,
            rules: Rules::default(),
            seed: 0,
        }
    }
}

/// Where counting is done: in shards, next to each other or each on a core of its own.
pub trait Shards {
    /// Counts an event of the present slice.
    fn count(&mut self, event: &Counted, slice: u32);
    /// Ends the slice; gives the totals of the window that ends with it, in any order, a key possibly more than once.
    fn end_slice(&mut self, slice: u32) -> Totals;
}

impl Shards for Box<dyn Shards + Send> {
    fn count(&mut self, event: &Counted, slice: u32) {
        (**self).count(event, slice);
    }

    fn end_slice(&mut self, slice: u32) -> Totals {
        (**self).end_slice(slice)
    }
}

impl Shards for Vec<Shard> {
    #[inline]
    fn count(&mut self, event: &Counted, slice: u32) {
        let n = self.len();
        self[event.user.shard(n)].count(event, slice);
        self[event.session.shard(n)].visit(event, slice);
    }

    fn end_slice(&mut self, slice: u32) -> Totals {
        let mut all = Totals::default();
        for shard in self {
            all.append(shard.end_slice(slice));
        }
        all
    }
}

/// The engine over one log.
#[derive(Clone, Debug)]
pub struct Engine<S = Vec<Shard>> {
    config: Config,
    state: State,
    shards: S,
    closed: Vec<Window>,
    sessions: Vec<clickstream_event::rows::Session>,
    anomalies: Vec<clickstream_event::rows::Anomaly>,
}

/// All that the engine knows besides its counters.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    seed: u64,
    judge: Judge,
    sites: Names,
    pages: Names,
    products: Names,
    /// The slice the watermark stands in: the first that is not over. `None` before the first event.
    slice: Option<u32>,
    /// First instant of that slice, and first after it.
    bounds: (i64, i64),
    /// Events of later slices.
    waiting: BTreeMap<u32, Vec<Counted>>,
    /// The newest slice with an event that was counted.
    last_event: Option<u32>,
    watermark: Option<i64>,
}

impl Engine {
    /// An engine for a log with so many partitions, on one core.
    pub fn new(config: Config, partitions: usize) -> Self {
        Self::with_shards(config, partitions, vec![Shard::new(config.windows.slices() as u32)])
    }

    /// The whole state, to be restored with [`Engine::restore`].
    pub fn save(&self) -> Snapshot<'_> {
        Snapshot { state: &self.state, shards: &self.shards }
    }

    /// An engine that goes on where [`Engine::save`] was called. `config` must be the same, but for the seed.
    pub fn restore(config: Config, saved: Saved) -> Self {
        let config = Config { seed: saved.state.seed, ..config };
        Self {
            config,
            state: saved.state,
            shards: saved.shards,
            closed: Vec::new(),
            sessions: Vec::new(),
            anomalies: Vec::new(),
        }
    }
}

/// The state of an engine, to be written by any `serde` format.
#[derive(Serialize)]
pub struct Snapshot<'e> {
    state: &'e State,
    shards: &'e Vec<Shard>,
}

/// The state of an engine as read back: the same form as [`Snapshot`].
#[derive(Deserialize)]
pub struct Saved {
    state: State,
    shards: Vec<Shard>,
}

impl<S: Shards> Engine<S> {
    /// An engine that counts in `shards`.
    pub fn with_shards(config: Config, partitions: usize, shards: S) -> Self {
        let state = State {
            seed: config.seed,
            judge: Judge::new(&config, partitions),
            sites: Names::default(),
            pages: Names::default(),
            products: Names::default(),
            slice: None,
            bounds: (0, 0),
            waiting: BTreeMap::new(),
            last_event: None,
            watermark: None,
        };
        Self { config, state, shards, closed: Vec::new(), sessions: Vec::new(), anomalies: Vec::new() }
    }

    /// Takes the next record of a partition: its arrival and its value.
    pub fn push(&mut self, partition: usize, arrival: Timestamp, value: Option<&[u8]>) -> Verdict {
        match decode(value.unwrap_or_default(), arrival, self.config.rules) {
            Ok(record) => self.push_record(partition, arrival, &record),
            Err(rejection) => Verdict::Rejected(rejection),
        }
    }

    /// Takes the next valid record of a partition, already decoded. Windows it closed are in [`Engine::closed`].
    #[inline]
    pub fn push_record(&mut self, partition: usize, arrival: Timestamp, record: &Record<'_>) -> Verdict {
        let prepared = self.preparer().prepare(record);
        self.push_prepared(partition, arrival, &prepared)
    }

    /// What prepares records for this engine, on any thread.
    pub fn preparer(&self) -> Preparer {
        Preparer { seed: self.config.seed }
    }

    /// Reads ahead what the next records will need: call it for a few dozen of them before they are pushed.
    #[inline]
    pub fn warm<'p>(&self, records: impl IntoIterator<Item = &'p Prepared<'p>>) {
        std::hint::black_box(records.into_iter().fold(0, |sum, record| sum ^ self.state.judge.warm(record)));
    }

    /// Takes the next valid record of a partition, already prepared.
    #[inline]
    pub fn push_prepared(
        &mut self,
        partition: usize,
        arrival: Timestamp,
        prepared: &Prepared<'_>,
    ) -> Verdict {
        let verdict = self.state.judge.judge(partition, arrival, prepared);
        if let (Verdict::Counted, Some(event)) = (&verdict, &prepared.event) {
            self.count(event, prepared.event_time);
        }
        if let Some(watermark) = self.state.judge.watermark()
            && self.state.watermark < Some(watermark.0)
        {
            self.state.watermark = Some(watermark.0);
            self.advance(watermark);
        }
        verdict
    }

    /// Event time up to which all partitions have come; windows that end at or before the next millisecond are closed.
    pub fn watermark(&self) -> Option<Timestamp> {
        self.state.watermark.map(Timestamp)
    }

    /// Windows that were closed since they were last taken, the oldest first. Every window with an event is closed once.
    pub fn closed(&mut self) -> std::vec::Drain<'_, Window> {
        self.closed.drain(..)
    }

    /// Sessions that closed since they were last taken.
    pub fn sessions(&mut self) -> std::vec::Drain<'_, clickstream_event::rows::Session> {
        self.sessions.drain(..)
    }

    /// Anomalies that were found since they were last taken.
    pub fn anomalies(&mut self) -> std::vec::Drain<'_, clickstream_event::rows::Anomaly> {
        self.anomalies.drain(..)
    }

    /// The first event of all sessions that are open.
    pub fn oldest_session(&self) -> Option<Timestamp> {
        None
    }

    /// Whether windows wait to be taken.
    pub fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// The shards.
    pub fn shards(&self) -> &S {
        &self.shards
    }

    /// Bytes held by ids of events and by names.
    pub fn front_bytes(&self) -> (usize, usize) {
        let names = self.state.sites.bytes() + self.state.pages.bytes() + self.state.products.bytes();
        (self.state.judge.bytes(), names)
    }

    fn slice_of(&self, ts: Timestamp) -> u32 {
        // room above for a window's length; in slides of one second this is the year 2106
        self.config.windows.slice(ts).clamp(0, i64::from(u32::MAX - 1_000)) as u32
    }

    #[inline]
    fn count(&mut self, event: &PreparedEvent<'_>, ts: Timestamp) {
        let slice = match self.state.slice {
            // nearly always; spares a division
            Some(slice) if (self.state.bounds.0..self.state.bounds.1).contains(&ts.0) => slice,
            _ => self.slice_of(ts),
        };
        let State { sites, pages, products, .. } = &mut self.state;
        let site = sites.number(event.site, 0, &event.site_id, slice);
        let counted = Counted {
            site,
            page: pages.number(event.page, site, &event.page_url, slice),
            product: match &event.product_id {
                Some(product) => products.number(event.product, site, product, slice),
                None => NO_PRODUCT,
            },
            kind: event.kind,
            user: event.user,
            session: event.session,
            value: event.value,
        };
        if self.state.slice == Some(slice) {
            self.shards.count(&counted, slice);
            self.state.last_event = Some(slice);
        } else {
            self.state.waiting.entry(slice).or_default().push(counted);
        }
    }

    /// Closes the windows that end by the watermark.
    fn advance(&mut self, watermark: Timestamp) {
        if watermark.0 + 1 < self.state.bounds.1 {
            return;
        }
        let open = self.slice_of(Timestamp(watermark.0 + 1));
        let first = || self.state.waiting.keys().next().map(|first| open.min(*first));
        let Some(mut slice) = self.state.slice.or_else(first) else { return };
        while slice < open {
            self.take_waiting(slice);
            if !self.in_window(slice) {
                // nothing for a whole window: go to where something is
                slice = self.state.waiting.keys().next().map_or(open, |next| open.min(*next));
                continue;
            }
            self.close(slice);
            slice += 1;
        }
        self.take_waiting(slice);
        self.state.slice = Some(slice);
        let slide = self.config.windows.slide_ms();
        self.state.bounds = (i64::from(slice) * slide, (i64::from(slice) + 1) * slide);
    }

    /// Whether the window that ends with `slice` holds an event.
    fn in_window(&self, slice: u32) -> bool {
        self.state.last_event.is_some_and(|last| slice - last < self.config.windows.slices() as u32)
    }

    fn take_waiting(&mut self, slice: u32) {
        if let Some(events) = self.state.waiting.remove(&slice) {
            events.iter().for_each(|event| self.shards.count(event, slice));
            self.state.last_event = Some(slice);
        }
    }

    #[cold]
    fn close(&mut self, slice: u32) {
        let totals = self.shards.end_slice(slice);
        let windows = self.config.windows;
        let end = Timestamp((i64::from(slice) + 1) * windows.slide_ms());
        let names = metric::Names {
            sites: &self.state.sites,
            pages: &self.state.pages,
            products: &self.state.products,
        };
        self.closed.push(metric::rows(totals, end, windows, names));
        let oldest = (slice + 2).saturating_sub(windows.slices() as u32);
        self.state.pages.release(oldest);
        self.state.products.release(oldest);
        self.state.sites.release(oldest);
    }
}

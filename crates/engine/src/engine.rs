//! The engine: records in, verdicts, closed windows, sessions and anomalies out.
//!
//! A counted event waits until the watermark has passed it; then it is counted in the order of event time, partition and
//! offset ([`crate::order`]). So everything that depends on an order comes to the same in every run, and slices (the stretches
//! between two window bounds, one slide long) follow each other, which is what makes exact counts of different users cheap: see
//! [`crate::distinct`]. An event waits no longer than the allowed disorder and the distance between the partitions.

use clickstream_event::rows::{Anomaly, Session};
use clickstream_event::{EventType, Record, Rules, Timestamp, Windows, decode};
use serde::{Deserialize, Serialize};

use crate::bots::Agents;
use crate::chain::Chain;
use crate::judge::{Judge, Verdict};
use crate::metric::{self, Window};
use crate::names::{Directory, Horizons};
use crate::order::{BUCKET_MS, Waiting};
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
    /// Counts events of the present slice.
    fn count(&mut self, events: &[Counted], slice: u32);
    /// Ends the slice; gives the totals of the window that ends with it, in any order, a key possibly more than once.
    fn end_slice(&mut self, slice: u32) -> Totals;
}

impl Shards for Box<dyn Shards + Send> {
    fn count(&mut self, events: &[Counted], slice: u32) {
        (**self).count(events, slice);
    }

    fn end_slice(&mut self, slice: u32) -> Totals {
        (**self).end_slice(slice)
    }
}

impl Shards for Vec<Shard> {
    fn count(&mut self, events: &[Counted], slice: u32) {
        let n = self.len();
        if let [shard] = self.as_mut_slice() {
            shard.count(events, slice);
            return;
        }
        for (number, shard) in self.iter_mut().enumerate() {
            let own: Vec<Counted> = events.iter().filter(|event| event.shard(n) == number).copied().collect();
            shard.count(&own, slice);
        }
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
    horizons: Horizons,
    state: State,
    shards: S,
    closed: Vec<Window>,
    sessions: Vec<Session>,
    anomalies: Vec<Anomaly>,
    /// Events on their way from those that wait to the counters.
    batch: Vec<Counted>,
    agents: Agents,
    /// The slice of the last event that came, and its first instant.
    arriving: (u32, i64),
    /// Events of labelled bots, where somebody wants to know.
    labelled: Option<Vec<Labelled>>,
}

/// An event of a user who was a labelled bot at the time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Labelled {
    /// The site.
    pub site_id: String,
    /// The user.
    pub user_id: String,
    /// Event time of the event.
    pub event_time: Timestamp,
    /// The partition it came in.
    pub partition: u32,
    /// Its type.
    pub event_type: EventType,
    /// Its session.
    pub session_id: String,
    /// Its page.
    pub page_url: String,
    /// Its product; empty if there is none.
    pub product_id: String,
}

/// All that the engine knows besides the counters of its shards.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct State {
    seed: u64,
    judge: Judge,
    names: Directory,
    waiting: Waiting,
    chain: Chain,
    /// The slice that event time stands in: the first that is not over. `None` before the first event.
    slice: Option<u32>,
    /// The newest slice with an event that was counted.
    last_event: u32,
    watermark: Option<i64>,
    /// Event time up to which everything is counted and decided.
    settled: i64,
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
        Self::assemble(config, saved.state, saved.shards)
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
            names: Directory::default(),
            waiting: Waiting::default(),
            chain: Chain::new(&config),
            slice: None,
            last_event: 0,
            watermark: None,
            settled: i64::MIN,
        };
        Self::assemble(config, state, shards)
    }

    fn assemble(config: Config, state: State, shards: S) -> Self {
        Self {
            config,
            horizons: Horizons::new(&config),
            state,
            shards,
            closed: Vec::new(),
            sessions: Vec::new(),
            anomalies: Vec::new(),
            batch: Vec::new(),
            agents: Agents::default(),
            arriving: (0, 0),
            labelled: None,
        }
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
    pub fn warm<'p>(&self, records: impl IntoIterator<Item = &'p Prepared<'p>> + Clone) {
        let (judge, names) = (&self.state.judge, &self.state.names);
        let warm = |record: &Prepared<'_>| match &record.event {
            Some(event) => {
                judge.warm(record) ^ names.users.warm(event.user) ^ names.sessions.warm(event.session)
            }
            None => 0,
        };
        std::hint::black_box(records.clone().into_iter().fold(0, |sum, record| sum ^ warm(record)));
        let further = |record: &Prepared<'_>| match &record.event {
            Some(event) => names.users.warm_further(event.user) ^ names.sessions.warm_further(event.session),
            None => 0,
        };
        std::hint::black_box(records.into_iter().fold(0, |sum, record| sum ^ further(record)));
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
            self.count(event, prepared.event_time, partition as u32);
        }
        if let Some(Timestamp(watermark)) = self.state.judge.watermark()
            && self.state.watermark < Some(watermark)
        {
            let before = self.state.watermark.replace(watermark);
            // a bucket at a time; slices end where buckets do
            let bucket = |time: i64| (time + 1).div_euclid(BUCKET_MS);
            if before.is_none_or(|before| bucket(before) < bucket(watermark)) {
                self.settle(bucket(watermark) * BUCKET_MS - 1);
            }
        }
        verdict
    }

    /// Event time up to which all partitions have come; windows that end at or before the next millisecond are closed.
    pub fn watermark(&self) -> Option<Timestamp> {
        self.state.watermark.map(Timestamp)
    }

    /// Windows that were closed since they were last taken, the oldest first. A window is closed once, if it holds anything.
    pub fn closed(&mut self) -> std::vec::Drain<'_, Window> {
        self.closed.drain(..)
    }

    /// Sessions that have closed since they were last taken.
    pub fn sessions(&mut self) -> std::vec::Drain<'_, Session> {
        self.settle_all();
        self.sessions.drain(..)
    }

    /// Anomalies that were found since they were last taken.
    pub fn anomalies(&mut self) -> std::vec::Drain<'_, Anomaly> {
        self.settle_all();
        self.anomalies.drain(..)
    }

    /// From now on, notes the events of labelled bots for [`Engine::labelled`].
    pub fn watch_labels(&mut self) {
        self.labelled = Some(Vec::new());
    }

    /// Events of labelled bots since they were last taken, in order.
    pub fn labelled(&mut self) -> Vec<Labelled> {
        self.settle_all();
        self.labelled.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The first event of all sessions that are open; what it takes grows with their number.
    pub fn oldest_session(&mut self) -> Option<Timestamp> {
        self.settle_all();
        self.state.chain.oldest_session().map(Timestamp)
    }

    /// Whether windows wait to be taken.
    pub fn has_closed(&self) -> bool {
        !self.closed.is_empty()
    }

    /// The shards.
    pub fn shards(&self) -> &S {
        &self.shards
    }

    /// Bytes held by ids of events, and by names and all that is not in the shards.
    pub fn front_bytes(&self) -> (usize, usize) {
        let State { judge, names, waiting, chain, .. } = &self.state;
        (judge.bytes(), names.bytes() + waiting.bytes() + chain.bytes())
    }

    #[inline]
    fn slice_of(&self, ts: i64) -> u32 {
        // room above for a window's length; in slides of one second this is the year 2106
        self.config.windows.slice(Timestamp(ts)).clamp(0, i64::from(u32::MAX - 100_000)) as u32
    }

    #[inline]
    fn count(&mut self, event: &PreparedEvent<'_>, ts: Timestamp, partition: u32) {
        let slide = self.config.windows.slide_ms();
        let (mut slice, mut start) = self.arriving;
        if !(start..start + slide).contains(&ts.0) {
            // a division, spared as a rule
            slice = self.slice_of(ts.0);
            start = i64::from(slice) * slide;
            self.arriving = (slice, start);
        }
        let names = &mut self.state.names;
        let site = names.sites.number(event.site, 0, &event.site_id, slice);
        self.state.waiting.push(Counted {
            ts: ts.0,
            value: event.value,
            site,
            page: names.pages.number(event.page, site, &event.page_url, slice),
            product: match &event.product_id {
                Some(product) => names.products.number(event.product, site, product, slice),
                None => NO_PRODUCT,
            },
            user: names.users.number(event.user, site, &event.user_id, slice),
            session: names.sessions.number(event.session, site, &event.session_id, slice),
            partition,
            kind: event.kind,
            declared: event
                .user_agent
                .as_deref()
                .is_some_and(|text| self.agents.name_a_bot(event.agent, text)),
            human: true,
            later_half: ts.0 - start >= slide / 2,
        });
    }

    fn settle_all(&mut self) {
        if let Some(watermark) = self.state.watermark {
            self.settle(watermark);
        }
    }

    /// Counts all events up to `time`, and decides what is decided by then.
    fn settle(&mut self, time: i64) {
        if time <= self.state.settled {
            return;
        }
        while let Some(first) = self.state.waiting.first().filter(|first| *first <= time) {
            self.pass(first - 1);
            let slice = self.slice_of(first);
            let mut batch = std::mem::take(&mut self.batch);
            self.state.waiting.take(time, &mut batch);
            if !batch.is_empty() {
                self.state.slice.get_or_insert(slice);
                self.state.last_event = slice;
                self.state.chain.count(
                    &mut batch,
                    slice,
                    &self.state.names,
                    &mut self.sessions,
                    &mut self.anomalies,
                );
                self.shards.count(&batch, slice);
                if let Some(labelled) = &mut self.labelled {
                    let names = &self.state.names;
                    let bots = batch.iter().filter(|event| !event.human);
                    labelled.extend(bots.map(|event| Labelled {
                        site_id: names.sites.text(event.site).to_owned(),
                        user_id: names.users.text(event.user).to_owned(),
                        event_time: Timestamp(event.ts),
                        partition: event.partition,
                        event_type: event.event_type(),
                        session_id: names.sessions.text(event.session).to_owned(),
                        page_url: names.pages.text(event.page).to_owned(),
                        product_id: names.products.text(event.product).to_owned(),
                    }));
                }
                batch.clear();
            }
            self.batch = batch;
            if time < first + BUCKET_MS - 1 {
                // what is left of the bucket lies after `time`
                break;
            }
        }
        self.pass(time);
        self.state.settled = time;
    }

    /// Event time has come to `time`: ends the slices that are over.
    fn pass(&mut self, time: i64) {
        let Some(mut slice) = self.state.slice else { return };
        let slide = self.config.windows.slide_ms();
        let open = self.slice_of(time + 1);
        while slice < open {
            if slice - self.state.last_event > self.horizons.silence() {
                // nothing to tell any more: go to where something is
                slice = open;
                break;
            }
            self.decide((i64::from(slice) + 1) * slide - 1, slice);
            self.close(slice);
            slice += 1;
        }
        self.state.slice = Some(slice);
        self.decide(time, slice);
    }

    /// Decides sessions and users by `time`, which lies in `slice`.
    fn decide(&mut self, time: i64, slice: u32) {
        let State { chain, names, .. } = &mut self.state;
        chain.pass(time, slice, names, &mut self.sessions, &mut self.anomalies);
    }

    #[cold]
    fn close(&mut self, slice: u32) {
        let totals = self.shards.end_slice(slice);
        let windows = self.config.windows;
        let end = Timestamp((i64::from(slice) + 1) * windows.slide_ms());
        let State { chain, names, .. } = &mut self.state;
        let totals = chain.end_slice(slice, end.0, totals, names, &mut self.anomalies);
        let window = metric::rows(totals, end, windows, names);
        if window.holds_anything() {
            self.closed.push(window);
        }
        names.release(slice, &self.horizons);
    }
}

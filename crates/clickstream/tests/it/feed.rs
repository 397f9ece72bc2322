//! One long log made of many: generated logs, cases worked out by hand and odd records, each in a stretch of event time of
//! its own, all in the past.

use clickstream_event::{Record as Decoded, Rules, Timestamp, decode};
use clickstream_recount::golden::{self, Case};
use clickstream_recount::{Shape, logs};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Partitions of the events topic.
pub const PARTITIONS: usize = 4;

/// A log to be written.
pub struct Feed {
    pub shape: Shape,
    /// Partition and value, in order.
    pub records: Vec<(i32, Option<Vec<u8>>)>,
    pub goldens: Vec<Placed>,
    pub logs: usize,
    /// Partitions that are written to; the others stay empty until `up` sends heartbeats.
    used: usize,
    /// Event time of the next record.
    now: i64,
    arrival: i64,
    /// Number of the next record, for ids.
    next: usize,
    runner: TestRunner,
}

/// A case worked out by hand, and where its records stand.
pub struct Placed {
    pub case: Case,
    pub site: String,
    /// Offset of its first record, by partition.
    pub offsets: Vec<i64>,
}

impl Feed {
    /// An empty log that begins `span_ms` ago; the same `seed` makes the same records.
    pub fn new(shape: Shape, span_ms: i64, seed: u64) -> Self {
        let arrival = Timestamp::now().0;
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed.to_le_bytes(); 4].concat());
        let used = shape.partitions;
        Self {
            shape: Shape { partitions: PARTITIONS, ..shape },
            records: Vec::new(),
            goldens: Vec::new(),
            logs: 0,
            used,
            now: (arrival - span_ms).div_euclid(60_000) * 60_000,
            arrival,
            next: 0,
            runner: TestRunner::new_with_rng(Config::default(), rng),
        }
    }

    fn put(&mut self, partition: usize, value: impl Into<Option<Vec<u8>>>) {
        self.records.push((partition as i32, value.into()));
        self.next += 1;
    }

    /// Leaves a gap in which no window reaches from one part to the next, and ends at a whole minute.
    fn part(&mut self) {
        self.now += self.shape.window_ms + 2 * self.shape.slide_ms + 1_000;
        self.now = (self.now.div_euclid(60_000) + 1) * 60_000;
        assert!(self.now < self.arrival, "the log would reach into the future");
        for partition in 0..self.used {
            self.heartbeat(partition);
        }
    }

    fn heartbeat(&mut self, partition: usize) {
        let mut value = Vec::new();
        clickstream_event::event::encode_heartbeat("a", Timestamp(self.now), &mut value);
        self.put(partition, value);
    }

    /// The first moments of 1970 and a leap day, on time because nothing has come before.
    pub fn antiquity(&mut self) {
        for text in [
            "1970-01-01T00:00:00Z",
            "1970-01-01T00:00:00.5Z",
            "1972-02-29T23:59:59.999Z",
            "2000-02-29T12:00:00.25Z",
        ] {
            let event = self.click().replace("TIME", text);
            self.put(0, event.into_bytes());
        }
        self.put(0, None);
        self.put(0, Vec::new());
    }

    fn click(&self) -> String {
        format!(
            r#"{{"event_id":"x{}","site_id":"a","event_type":"click","user_id":"u","session_id":"s","page_url":"/","timestamp":"TIME"}}"#,
            self.next
        )
    }

    /// A record, and if it is an event, twins of it in canonical form: one that is a copy, and one with an id of its own. Whoever
    /// reads any of its fields differently gives different rows.
    fn with_twins(&mut self, partition: usize, value: Vec<u8>) {
        let mut twins = Vec::new();
        if let Ok(Decoded::Event(mut event, _)) = decode(&value, Timestamp(self.arrival), Rules::default()) {
            for id in [event.event_id.to_string(), format!("twin{}", self.next)] {
                event.event_id = id.into();
                let mut twin = Vec::new();
                event.encode(&mut twin);
                twins.push(twin);
            }
        }
        self.put(partition, value);
        twins.into_iter().for_each(|twin| self.put(partition, twin));
    }

    /// Every hostile form once, one a second.
    pub fn hostile_forms(&mut self) {
        self.part();
        for which in 0..logs::hostile_forms() {
            let value = logs::hostile(which, self.next, self.now);
            self.with_twins(which % self.used, value);
            self.now += 1_000;
        }
    }

    /// Generated odd records. They share a partition, for ids that happen to be the same must have an order.
    pub fn odd(&mut self, count: usize) {
        self.part();
        for _ in 0..count {
            let value = logs::any_record(self.next, self.now).new_tree(&mut self.runner).unwrap().current();
            self.with_twins(1 % self.used, value);
            self.now += 37;
        }
    }

    /// Generated logs.
    pub fn generated(&mut self, count: usize, longest: usize) {
        for n in 0..count {
            self.part();
            let shape = Shape { partitions: self.used, ..self.shape };
            // now and then a partition stays behind until the next log
            let log = logs::numbered(shape, self.now + 21, longest, n % 4 == 3, self.next);
            let case = log.new_tree(&mut self.runner).unwrap().current();
            self.next += case.log.len() + longest;
            for record in case.log {
                self.now = self.now.max(record.arrival);
                self.put(record.partition as usize, record.value);
            }
            self.logs += 1;
        }
    }

    /// The cases worked out by hand for this shape, if their arrivals do not matter.
    pub fn goldens(&mut self) {
        let day = Timestamp::parse("2026-01-01T08:00:00.000Z").unwrap().0;
        let of = |shape: Shape| (shape.window_ms, shape.slide_ms, shape.session_gap_ms);
        let shape = of(self.shape);
        let fits = |case: &Case| of(case.shape) == shape && !case.arrivals_matter;
        for case in golden::cases().into_iter().filter(fits) {
            self.part();
            let site = format!("golden{}", self.goldens.len());
            let case = case.moved(self.now + 60_000 - day, &site);
            let offset =
                |p: usize| self.records.iter().filter(|(partition, _)| *partition == p as i32).count() as i64;
            let offsets = (0..PARTITIONS).map(offset).collect();
            for record in &case.log {
                self.put(record.partition as usize, record.value.clone());
            }
            self.now = case.log.iter().map(|record| record.arrival).fold(self.now + 120_000, i64::max);
            self.goldens.push(Placed { case, site, offsets });
        }
    }

    /// Events around the present and the allowed future, each in canonical form and with no more digits than it needs. Their
    /// arrival decides, so they are made to be written at once; gives the number of records before them.
    pub fn present(&mut self) -> usize {
        let before = self.records.len();
        let now = Timestamp::now().0;
        let round = (now / 10 + 999) * 10;
        let around_the_limit = (0..6).map(|n| round + n * 10).chain([now + 10_001, now + 10_003]);
        for at in [now - 60_000, now - 1, now, now + 5_000].into_iter().chain(around_the_limit) {
            let text = Timestamp(at).to_string();
            let short = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
            let click = self.click().replace("TIME", &text);
            if let Ok(Decoded::Event(event, _)) = decode(click.as_bytes(), Timestamp(at), Rules::default()) {
                let mut canonical = Vec::new();
                event.encode(&mut canonical);
                self.put(0, canonical);
            }
            let click = self.click().replace("TIME", &format!("{short}Z"));
            self.put(0, click.into_bytes());
        }
        before
    }
}

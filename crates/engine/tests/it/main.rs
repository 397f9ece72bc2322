//! The engine against a brute-force recount and against cases worked out by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::{BTreeMap, HashMap};

use clickstream_engine::{Config, Engine, Saved, Shard, Verdict, Window};
use clickstream_event::{Timestamp, Windows, topic};
use clickstream_recount::{Expected, Record, Shape, golden, logs, recount, same};
use proptest::prelude::*;

/// What came of a log.
struct Outcome {
    rows: golden::Rows,
    letters: BTreeMap<(i32, i64), &'static str>,
    balance: [usize; 4],
}

struct Run {
    engine: Engine,
    outcome: Outcome,
}

impl Run {
    fn new(shape: Shape, shards: usize, seed: u64) -> Self {
        let windows = Windows::new(shape.window_ms, shape.slide_ms).unwrap();
        // the recount knows a copy however late it comes
        let dedup_horizon_ms = 86_400_000;
        let session_gap_ms = shape.session_gap_ms;
        let config = Config { seed, session_gap_ms, dedup_horizon_ms, ..Config::new(windows) };
        let shards = vec![Shard::new(windows.slices() as u32); shards];
        let rows = topic::RESULTS.into_iter().map(|name| (name, BTreeMap::new())).collect();
        let outcome = Outcome { rows, letters: BTreeMap::new(), balance: [0; 4] };
        Self { engine: Engine::with_shards(config, shape.partitions, shards), outcome }
    }

    fn push(&mut self, record: &Record) {
        let verdict =
            self.engine.push(record.partition as usize, Timestamp(record.arrival), record.value.as_deref());
        let place = match &verdict {
            Verdict::Heartbeat => 0,
            Verdict::Counted => 1,
            Verdict::Duplicate => 2,
            Verdict::Late(_) | Verdict::Rejected(_) => 3,
        };
        self.outcome.balance[place] += 1;
        match &verdict {
            Verdict::Late(_) => {
                self.outcome.letters.insert((record.partition, record.offset), "late");
            }
            Verdict::Rejected(rejection) => {
                self.outcome.letters.insert((record.partition, record.offset), rejection.reason.name());
            }
            _ => {}
        }
        // sometimes early, sometimes late: that makes no difference
        if record.offset % 3 == 0 {
            self.take_all();
        }
    }

    fn take_all(&mut self) {
        let sessions: Vec<_> = self.engine.sessions().collect();
        golden::put(&mut self.outcome.rows, topic::SESSIONS, &sessions);
        let anomalies: Vec<_> = self.engine.anomalies().collect();
        golden::put(&mut self.outcome.rows, topic::ANOMALIES, &anomalies);
        let closed: Vec<Window> = self.engine.closed().collect();
        closed.iter().for_each(|window| self.take(window));
    }

    /// All that came of the log.
    fn end(mut self) -> Outcome {
        self.take_all();
        self.outcome
    }

    fn take(&mut self, window: &Window) {
        let rows = &mut self.outcome.rows;
        golden::put(rows, topic::PAGE_METRICS, &window.pages);
        golden::put(rows, topic::PRODUCT_METRICS, &window.products);
        golden::put(rows, topic::SITE_METRICS, &window.sites);
        golden::put(rows, topic::TOP_PAGES, &window.top);
        golden::put(rows, topic::HUMAN_TOP_PAGES, &window.human_top);
        golden::put(rows, topic::TRENDING_PAGES, &window.trending);
        golden::put(rows, topic::BOUNCE_RATES, &window.bounce_rates);
        golden::put(rows, topic::PROVISIONAL_BOUNCE_RATES, &window.provisional_bounce_rates);
        golden::put(rows, topic::PAGE_TRANSITIONS, &window.transitions);
        golden::put(rows, topic::ENTRY_EXIT_PAGES, &window.entry_exit);
        golden::put(rows, topic::COMMON_PATHS, &window.paths);
        golden::put(rows, topic::FUNNELS, &window.funnels);
        golden::put(rows, topic::PAGE_ENGAGEMENT, &window.engagement);
    }
}

fn compare(expected: &Expected, found: &Outcome) {
    for name in topic::RESULTS {
        let (expected, found) = (&expected.rows[name], &found.rows[name]);
        assert_eq!(expected.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>(), "{name}");
        for (key, row) in expected {
            assert!(same(row, &found[key]), "{name}\nexpected {row}\n   found {}", found[key]);
        }
    }
    assert_eq!(expected.letters, found.letters);
    assert_eq!(expected.balance, found.balance);
}

const BEGIN: i64 = 1_795_583_043_021;

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equals_a_recount(case in logs::any_shape(BEGIN, 60), shards in 1usize..4, seed: u64) {
        let mut run = Run::new(case.shape, shards, seed);
        case.log.iter().for_each(|record| run.push(record));
        compare(&recount(case.log, case.shape), &run.end());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// State that is written and read at any point changes nothing.
    #[test]
    fn goes_on_from_saved_state(case in logs::any_shape(BEGIN, 60), at in 0usize..60, seed: u64) {
        let mut run = Run::new(case.shape, 1, seed);
        let windows = Windows::new(case.shape.window_ms, case.shape.slide_ms).unwrap();
        for (n, record) in case.log.iter().enumerate() {
            if n == at {
                run.take_all();
                let bytes = postcard::to_stdvec(&run.engine.save()).unwrap();
                let saved: Saved = postcard::from_bytes(&bytes).unwrap();
                let config = Config { session_gap_ms: case.shape.session_gap_ms, ..Config::new(windows) };
                run.engine = Engine::restore(config, saved);
            }
            run.push(record);
        }
        compare(&recount(case.log, case.shape), &run.end());
    }

    /// In which order partitions are read changes nothing, unless copies differ: here all partitions are read one after the
    /// other.
    #[test]
    fn the_order_of_partitions_does_not_matter(case in logs::any_shape(BEGIN, 60)) {
        let mut run = Run::new(case.shape, 1, 0);
        let mut log = case.log.clone();
        log.sort_by_key(|record| record.partition);
        log.iter().for_each(|record| run.push(record));
        compare(&recount(case.log, case.shape), &run.end());
    }
}

#[test]
fn gives_the_rows_worked_out_by_hand() {
    for case in golden::cases() {
        let mut run = Run::new(case.shape, 1, 1);
        case.log.iter().for_each(|record| run.push(record));
        let found = run.end();
        case.check(&found.rows, &found.letters, found.balance);
        let expected = recount(case.log.clone(), case.shape);
        let rows: HashMap<_, _> = expected.rows;
        case.check(&rows, &expected.letters, expected.balance);
    }
}

#[test]
fn every_hostile_record_gets_one_verdict() {
    let shape = Shape { window_ms: 4_000, slide_ms: 2_000, session_gap_ms: 30_000, partitions: 1 };
    let mut run = Run::new(shape, 1, 0);
    let log: Vec<Record> = (0..logs::hostile_forms())
        .map(|n| Record {
            partition: 0,
            offset: n as i64,
            arrival: BEGIN,
            key: None,
            value: Some(logs::hostile(n, n, BEGIN)),
        })
        .collect();
    log.iter().for_each(|record| run.push(record));
    assert!(run.outcome.balance[1] > 20 && run.outcome.balance[3] > 60, "{:?}", run.outcome.balance);
    compare(&recount(log, shape), &run.end());
}

//! Rows that come after they were said to be missing.

use clickstream_engine::Config;
use clickstream_event::{Windows, topic};
use proptest::prelude::*;

use super::memory::{MemoryLog, lent};
use super::written;
use crate::logs::Log as _;
use crate::proof::Proof;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A row that was said to be missing is not any more when it comes.
    #[test]
    fn what_comes_late_is_not_missing(case in written(60), late in 0usize..15) {
        let log = MemoryLog::new(&case, &case.log);
        let windows = Windows::new(case.shape.window_ms, case.shape.slide_ms).unwrap();
        let bounds = log.bounds(topic::EVENTS).unwrap();
        let config = Config { session_gap_ms: case.shape.session_gap_ms, ..Config::new(windows) };
        let mut proof = Proof::new(config, bounds.0.len(), None, false);
        let reading = proof.reading();
        let late = topic::RESULTS[late % topic::RESULTS.len()];
        let take = |proof: &mut Proof, is_late: bool| {
            for name in topic::RESULTS.into_iter().filter(|name| (*name == late) == is_late) {
                log.topics[name][0].iter().for_each(|row| proof.take(reading.read(name, &lent(row))));
            }
        };
        take(&mut proof, false);
        log.read(topic::EVENTS, &bounds, &mut |record| { proof.event(record); Ok(()) }).unwrap();
        proof.settle(true);
        take(&mut proof, true);
        proof.settle(true);
        let report = proof.report();
        prop_assert_eq!(report.problems(), 0, "{}: {:#?}", late, report);
        prop_assert!(report.differences.is_empty());
    }
}

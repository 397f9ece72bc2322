//! The story of an event says what the recount of the whole log says.

use std::collections::HashMap;

use clickstream_engine::{Engine, Verdict};
use clickstream_event::{Record as Decoded, Rules, decode};
use proptest::prelude::*;

use super::*;
use crate::proof::trace::find::Which;
use crate::proof::trace::{Fate, Place, Trace, trace};

/// Rows are read where they were written after the event, and within an hour.
fn with_results_at_the_end(case: &Case) -> MemoryLog {
    let mut log = MemoryLog::new(case, &case.log);
    let end = case.log.iter().map(|record| record.arrival).max().unwrap();
    for name in topic::written() {
        log.records(name).iter_mut().for_each(|row| row.arrival = end);
    }
    log
}

fn verdicts(log: &MemoryLog, config: Config) -> HashMap<Place, Verdict> {
    let bounds = log.bounds(topic::EVENTS).unwrap();
    let mut engine = Engine::new(config, bounds.0.len());
    let mut verdicts = HashMap::new();
    log.read(topic::EVENTS, &bounds, &mut |record| {
        let verdict = engine.push(record.partition as usize, record.arrival, record.value);
        verdicts.insert(Place { partition: record.partition, offset: record.offset }, verdict);
        Ok(())
    })
    .unwrap();
    verdicts
}

fn config_of(case: &Case) -> Config {
    let windows = Windows::new(case.shape.window_ms, case.shape.slide_ms).unwrap();
    Config { session_gap_ms: case.shape.session_gap_ms, ..Config::new(windows) }
}

fn ask(log: &MemoryLog, config: Config, which: &Which) -> Result<Trace, String> {
    trace(log, config, (which, None), || Timestamp(0)).map_err(|error| error.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_story_says_what_the_whole_log_says(case in written(250), start in any::<prop::sample::Index>()) {
        let (config, log) = (config_of(&case), with_results_at_the_end(&case));
        let verdicts = verdicts(&log, config);
        for n in 0..8 {
            let record = &case.log[(start.index(case.log.len()) + n * 31) % case.log.len()];
            let place = Place { partition: record.partition, offset: record.offset };
            let story = ask(&log, config, &Which::Place(place)).unwrap();
            prop_assert_eq!(story.place, place);
            match (&verdicts[&place], &story.fate) {
                (Verdict::Counted, Fate::Counted) => {
                    prop_assert_eq!(story.windows.len() as i64, config.windows.slices());
                    let session = story.session.as_ref().unwrap();
                    let at = story.event_time.unwrap();
                    prop_assert!((session.start..=session.end).contains(&at));
                    if let Some(row) = &session.row {
                        prop_assert!(row.rows.agrees(), "{:?}", row);
                    }
                    for window in &story.windows {
                        prop_assert!((window.start..window.end).contains(&at));
                        prop_assert_eq!(window.closed.is_none(), window.rows.is_empty());
                        for row in &window.rows {
                            prop_assert!(row.rows.agrees(), "{:?}", row);
                        }
                    }
                }
                (Verdict::Duplicate, Fate::Duplicate { of: Some(of) }) => {
                    prop_assert_eq!(&verdicts[of], &Verdict::Counted);
                }
                (Verdict::Late(lateness), Fate::Late { high_mark, .. }) => {
                    prop_assert_eq!(lateness.high_mark, *high_mark);
                    prop_assert_eq!(story.dead_letter.unwrap().letter.reason, "late");
                }
                (Verdict::Rejected(rejection), Fate::Rejected { reason, .. }) => {
                    prop_assert_eq!(rejection.reason.name(), *reason);
                    prop_assert_eq!(story.dead_letter.unwrap().letter.reason, *reason);
                }
                (Verdict::Heartbeat, Fate::Heartbeat) => {}
                (expected, fate) => prop_assert!(false, "{:?} became {:?}", expected, fate),
            }
            let value = record.value.as_deref().unwrap_or_default();
            if let Ok(Decoded::Event(event, _)) = decode(value, Timestamp(record.arrival), Rules::default()) {
                let named = trace(&log, config, (&Which::Id(event.event_id.to_string()), Some(&event.site_id)), || Timestamp(0));
                prop_assert_eq!(&named.unwrap().event["event_id"], &story.event["event_id"]);
            }
        }
    }
}

#[test]
fn what_is_not_there_is_explained() {
    let records = [
        r#"{"event_id":"e1","site_id":"a","event_type":"click","user_id":"u","session_id":"s","page_url":"/","timestamp":"2026-11-25T05:04:03.021Z"}"#,
        r#"{"event_id":"e1","site_id":"b","event_type":"click","user_id":"u","session_id":"s","page_url":"/","timestamp":"2026-11-25T05:04:03.022Z"}"#,
    ];
    let shape = Shape { window_ms: 4_000, slide_ms: 2_000, session_gap_ms: 1_000, partitions: 1 };
    let record = |(n, value): (usize, &&str)| Record {
        partition: 0,
        offset: n as i64,
        arrival: BEGIN + n as i64,
        key: None,
        value: Some(value.as_bytes().to_vec()),
    };
    let case = Case { shape, log: records.iter().enumerate().map(record).collect() };
    let (config, log) = (config_of(&case), with_results_at_the_end(&case));
    let place = |partition, offset| Which::Place(Place { partition, offset });
    for (which, words) in [
        (place(3, 0), "there is no partition 3: clickstream.events has 1 partitions"),
        (place(0, 7), "holds the offsets 0 to 1 and not 7: nothing has been written there yet"),
        (
            Which::Id("e2".into()),
            "no event with the id `e2` stands in memory, which holds what has arrived since 2026-11-25T05:04:03.021Z",
        ),
        (Which::Id("e1".into()), "choose one with --site (a, b)"),
        (Which::Id(String::new()), "the event id is empty"),
        (Which::Recent, "no window with an event in it has been written"),
    ] {
        let said = ask(&log, config, &which).unwrap_err();
        assert!(said.contains(words), "{said}");
    }
    // the log ends before any window does
    let story = ask(&log, config, &place(0, 1)).unwrap();
    assert!(story.fate == Fate::Counted && story.windows.iter().all(|window| window.closed.is_none()));
    assert_eq!(story.session.unwrap().closed_at, None);
    let mut cut = log.clone();
    cut.low = vec![1];
    assert!(ask(&cut, config, &place(0, 0)).unwrap_err().contains("retention has removed it"));
}

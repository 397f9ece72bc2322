//! Where a job without usable checkpoint takes up a log, asked of a real Kafka.

use clickstream_event::{Timestamp, Windows, topic};
use clickstream_stack::job::resume::replay_start;
use clickstream_stack::job::template::{JobParameters, Start, UniqueUsers};

use crate::harness::World;
use crate::kafka::Writer;

/// Events of the past that were written just now: arrivals say nothing of when a session began.
#[test]
fn sessions_of_a_backfill_are_followed_back() {
    let mut world = World::new(&[]);
    world.start_kafka(2);
    let start = Timestamp::parse("2026-03-01T10:00:00Z").unwrap().0;
    let event = |n: i64, session: &str, at: i64| {
        let at = Timestamp(start + at);
        let json = format!(
            r#"{{"event_id":"{n}","site_id":"shop","event_type":"page_view","user_id":"u","session_id":"{session}","page_url":"/","timestamp":"{at}"}}"#
        );
        Some(json.into_bytes())
    };
    // one session for ten minutes, one that is over, one that begins later; in the other partition an event at the end
    let long = (0..=30).map(|n| (0, event(n, "long", n * 20_000)));
    let others =
        [(1, event(100, "over", 0)), (1, event(101, "late", 595_000)), (1, event(102, "end", 700_000))];
    let mut events: Vec<_> = long.collect();
    events.push((0, event(103, "end", 700_000)));
    events.extend(others);
    let writer = Writer::new(&world.kafka());
    writer.write(&events);
    let end = Timestamp(start + 660_000);
    let row = format!(r#"{{"site_id":"shop","window_end":"{end}"}}"#);
    writer.write_to(topic::SITE_METRICS, &[(0, Some(row.into_bytes()))]);

    let parameters = JobParameters {
        windows: Windows::new(60_000, 10_000).unwrap(),
        max_disorder_ms: 100,
        max_future_ms: 10_000,
        dedup_horizon_s: 120,
        session_gap_ms: 30_000,
        kafka: world.kafka(),
        unique_users: UniqueUsers::Distance,
    };
    let replay = |sound_until| match replay_start(&parameters, sound_until).unwrap() {
        Start::At(replay) => [replay.emit_from, replay.read_from, replay.sessions_from].map(|at| at - start),
        Start::Earliest => panic!("windows were written"),
    };
    // a window and 20 s before what was written last; the session that is open then began ten minutes ago
    assert_eq!(replay(None), [580_000, 0, 0]);
    // rows after this may be wrong; what is looked back anyway is more than any session then
    let sound = Timestamp(start + 200_000);
    assert_eq!(replay(Some(sound)), [120_000, 120_000 - 310_000, 120_000 - 310_000]);
}

//! Reading an access log: shared by the fuzz target and the test that replays the corpus.

use std::collections::HashSet;

use clickstream_event::{Record, Rules, decode};
use clickstream_replay::{Options, Replay, Salt};

/// Whatever the lines are, each becomes a view or is left out for a reason; views come in the order of their times, those of a session
/// at different ones, and each is an event that the pipeline takes.
pub fn check(bytes: &[u8]) {
    let mut replay = Replay::new(Options::default(), Salt::from_text("a key"));
    let mut views = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        let _ = replay.time_of(line);
        replay.line(line, &mut views);
    }
    replay.finish(&mut views);
    let summary = replay.summary();
    assert_eq!(summary.lines, summary.views + summary.left_out());
    assert_eq!(summary.views, views.len() as u64);
    assert!(summary.sessions <= summary.views && summary.bot_views <= summary.views);
    assert!(views.is_sorted_by_key(|view| view.time));
    let mut seen = HashSet::new();
    let mut ids = HashSet::new();
    let mut event = Vec::new();
    for view in &views {
        assert!(seen.insert((view.session, view.time)), "two views of a session at {}", view.time);
        event.clear();
        view.encode(view.time, &mut event);
        match decode(&event, view.time, Rules::default()) {
            Ok(Record::Event(decoded, at)) => {
                assert_eq!(
                    (at, &*decoded.page_url, &*decoded.site_id),
                    (view.time, &*view.page, &*view.site)
                );
                assert!(ids.insert(decoded.event_id.into_owned()), "two events with one id");
            }
            other => panic!("{}: {other:?}", event.escape_ascii()),
        }
    }
    // what is shown of a line cannot steer a terminal
    assert!(summary.skipped.values().all(|(_, sample)| !sample.chars().any(char::is_control)));
}

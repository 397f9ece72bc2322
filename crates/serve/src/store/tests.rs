use super::*;
use crate::testing::{every_kind, filed, letter, page, session};

fn open(dir: &Path, retention: Retention) -> Store {
    Store::open(&dir.join("results.db"), retention).unwrap()
}

fn kind(name: &str) -> &'static Kind {
    Kind::named(name).unwrap()
}

fn window(store: &Store, name: &str, at: i64) -> Listing {
    store
        .window(&WindowQuery { kind: kind(name), site: "shop", at, page: None, limit: 100, offset: 0 })
        .unwrap()
}

#[test]
fn history_survives_and_rows_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let rows = every_kind("shop", 60_000, "/a'; DROP TABLE result; --\u{1f}\u{0}");
    let store = open(dir.path(), Retention::default());
    let position = Position { topic: "t".into(), partition: 3, next: 18 };
    let marks = store.write(&filed(&rows), std::slice::from_ref(&position)).unwrap();
    assert_eq!(marks.len(), KINDS.len());
    let epoch = store.epoch().to_owned();
    drop(store);

    let store = open(dir.path(), Retention::default());
    assert_eq!(store.epoch(), epoch);
    assert_eq!(store.positions().unwrap(), [position]);
    assert_eq!(
        (store.sites(), store.default_site(), store.newest()),
        (vec!["shop".into()], Some("shop".into()), Some(60_000))
    );
    for (topic, json) in &rows {
        let kind = Kind::of_topic(topic).unwrap();
        let mark = marks.iter().find(|mark| mark.kind.name == kind.name).unwrap();
        assert_eq!(store.frame_rows(mark, 10).unwrap().rows, std::slice::from_ref(json), "{topic}");
    }
}

#[test]
fn a_part_that_is_not_shown_is_counted_with_the_next_that_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Retention::default());
    let part = |pages: std::ops::Range<u64>| {
        filed(&pages.map(|n| page("shop", 60_000, &format!("/{n}"), 100 - n)).collect::<Vec<_>>())
    };
    assert_eq!(store.write_part(&part(0..3), &[], true).unwrap().len(), 1);
    let version = store.version(kind("page-metrics"));
    assert!(store.write_part(&part(3..6), &[], false).unwrap().is_empty());
    // whoever asks now is not given an older answer
    assert!(store.version(kind("page-metrics")) > version);
    assert_eq!(window(&store, "page-metrics", 60_000).rows.len(), 6);
    let marks = store.write_part(&part(6..8), &[], true).unwrap();
    assert_eq!(store.frame_rows(&marks[0], 100).unwrap().rows.len(), 8);
    let listing = window(&store, "page-metrics", 60_000);
    assert_eq!((listing.total, listing.rows.len()), (Some(8), 8));
}

#[test]
fn a_row_that_comes_again_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Retention::default());
    let rows = filed(&every_kind("shop", 60_000, "/"));
    store.write(&rows, &[]).unwrap();
    let version = store.version(kind("funnels"));
    assert!(store.write(&rows, &[]).unwrap().is_empty());
    assert_eq!(store.version(kind("funnels")), version);
    assert_eq!(store.letter_counts().unwrap(), [("late".to_owned(), 1)]);
    // another row under the same key takes its place
    let marks = store.write(&filed(&[page("shop", 60_000, "/", 9)]), &[]).unwrap();
    assert_eq!(marks.len(), 1);
    let listing = window(&store, "page-metrics", 60_000);
    assert!(listing.total == Some(1) && listing.rows[0].contains("\"view_count\":9"));
}

#[test]
fn the_greatest_come_first_and_pages_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Retention::default());
    let rows: Vec<_> = (0..30).map(|n| page("shop", 60_000, &format!("/{n}"), n * 7 % 30)).collect();
    store.write(&filed(&rows), &[]).unwrap();
    let query = WindowQuery {
        kind: kind("page-metrics"),
        site: "shop",
        at: 60_000,
        page: None,
        limit: 10,
        offset: 25,
    };
    let listing = store.window(&query).unwrap();
    assert_eq!((listing.total, listing.rows.len(), listing.more), (Some(30), 5, false));
    let listing = store.window(&WindowQuery { offset: 0, ..query.clone() }).unwrap();
    assert!(listing.more && listing.rows[0].contains("\"view_count\":29"));
    let listing = store.window(&WindowQuery { page: Some("/4"), offset: 0, ..query.clone() }).unwrap();
    assert!(listing.total == Some(1) && listing.rows[0].contains("\"/4\""));
    store.write(&filed(&every_kind("shop", 60_000, "/p")), &[]).unwrap();
    for name in ["page-transitions", "common-paths", "top-pages"] {
        let find = |page| {
            store
                .window(&WindowQuery { kind: kind(name), page: Some(page), offset: 0, ..query.clone() })
                .unwrap()
        };
        assert_eq!((find("/p").total, find("/none").total), (Some(1), Some(0)), "{name}");
    }
}

#[test]
fn a_page_s_history_is_thinned_to_the_limit() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Retention::default());
    let rows: Vec<_> = (1..=100).map(|n| page("shop", n * 10_000, "/", n as u64)).collect();
    store.write(&filed(&rows), &[]).unwrap();
    let series =
        |limit| store.series(kind("page-metrics"), "shop", "/", (100_000, 1_000_000), limit).unwrap();
    assert_eq!((series(1_000).rows.len(), series(1_000).total), (91, Some(91)));
    let few = series(10);
    assert!(few.rows.len() <= 10 && few.rows.last().unwrap().contains("\"view_count\":100"));
    assert!(store.series(kind("page-metrics"), "shop", "/none", (0, 1_000_000), 10).unwrap().rows.is_empty());
}

#[test]
fn old_windows_are_thinned_and_then_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let retention = Retention {
        keep_ms: 600_000,
        detail_ms: 60_000,
        coarse_step_ms: 30_000,
        coarse_rows: 2,
        sessions: 3,
        ..Retention::default()
    };
    let store = open(dir.path(), retention);
    let mut rows = Vec::new();
    for end in (10_000..=1_000_000).step_by(10_000) {
        rows.extend(
            every_kind("shop", end, "/").into_iter().filter(|(topic, _)| topic.ends_with("site-metrics")),
        );
        rows.extend((0..5).map(|n| page("shop", end, &format!("/{n}"), n)));
        rows.push(session("shop", end, &format!("s{end}"), "/"));
    }
    store.write(&filed(&rows), &[]).unwrap();
    while store.tidy().unwrap() {}
    for limit in store.event_limits().unwrap() {
        while store.forget_events(&limit).unwrap() {}
    }
    let rows_at = |at| window(&store, "page-metrics", at).rows.len();
    assert_eq!(rows_at(1_000_000), 5, "the newest are whole");
    assert_eq!(rows_at(940_000), 5);
    assert_eq!(rows_at(930_000), 2, "a multiple of the step, its greatest rows");
    assert_eq!(rows_at(920_000), 0);
    assert_eq!(rows_at(390_000), 0, "older than all that is kept");
    let (total, windows) = store.windows("shop", (0, i64::MAX), 100, 0).unwrap();
    assert_eq!(total as usize, windows.len());
    let thinned = |from| store.thinned_up_to(kind("page-metrics"), "shop", (from, i64::MAX)).unwrap();
    assert_eq!((thinned(0), thinned(930_001)), (Some(930_000), None));
    assert!(windows[0].whole && !windows.last().unwrap().whole && windows.last().unwrap().at == 420_000);
    let sessions = EventQuery {
        kind: kind("sessions"),
        site: "shop",
        from: 0,
        to: i64::MAX,
        page: None,
        equal: Vec::new(),
        limit: 9,
        offset: 0,
    };
    assert_eq!(store.events(&sessions).unwrap().rows.len(), 3);
    let pages = "SELECT count(*) FROM session_page";
    assert_eq!(store.read(|db| db.query_row(pages, [], |row| row.get::<_, i64>(0))).unwrap(), 3);
    assert!(!store.tidy().unwrap());
}

#[test]
fn frames_can_be_asked_for_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Retention::default());
    for n in 1..=5 {
        store.write(&filed(&[page("shop", 60_000, &format!("/{n}"), 1), letter(0, n)]), &[]).unwrap();
    }
    assert_eq!(store.last_frame().unwrap(), 10);
    let (lost, frames) = store.frames_after(0, 100).unwrap();
    assert_eq!((lost, frames.len()), (0, 6), "one for the window, one for each batch of letters");
    let (lost, frames) = store.frames_after(8, 1).unwrap();
    assert_eq!((lost, frames.len(), frames[0].seq), (1, 1, 10));
    let empty = store.close_window("shop", 60_000, &[kind("page-metrics"), kind("funnels")]).unwrap();
    assert_eq!(empty.len(), 1, "only the kind without rows gets an empty window");
    assert_eq!(store.newest_window(kind("funnels"), "shop").unwrap(), Some(60_000));
}

#[test]
fn a_file_that_is_no_database_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("results.db");
    std::fs::write(&path, "this is no database, and long enough to be looked at as one. ".repeat(100))
        .unwrap();
    let store = Store::open(&path, Retention::default()).unwrap();
    assert!(store.sites().is_empty() && dir.path().join("results.broken").exists());
    store.write(&filed(&every_kind("shop", 60_000, "/")), &[]).unwrap();
}

#[test]
fn the_first_rows_of_a_window_are_found_without_sorting() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Retention::default());
    for order in ["weight DESC, key", "at DESC, key DESC"] {
        let at = if order.starts_with("at") { ">= 3" } else { "= 3" };
        let plan = format!(
            "EXPLAIN QUERY PLAN SELECT json FROM result WHERE kind = 'a' AND site = 'b' AND at {at} ORDER BY {order} LIMIT 9"
        );
        let steps: Vec<String> =
            store.read(|db| db.prepare(&plan)?.query_map([], |row| row.get(3))?.collect()).unwrap();
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{order}: {steps:?}");
    }
    let plan = format!(
        "EXPLAIN QUERY PLAN SELECT json FROM {} WHERE kind = ? AND site = 'b' AND at >= 3 AND at < 9 AND json ->> '$.bounced' = 1 AND page = '/'
         ORDER BY at DESC, key DESC LIMIT 9",
        super::read::SESSIONS_BY_PAGE
    );
    let steps: Vec<String> =
        store.read(|db| db.prepare(&plan)?.query_map(["sessions"], |row| row.get(3))?.collect()).unwrap();
    assert!(steps.len() == 2 && steps.iter().all(|step| step.starts_with("SEARCH")), "{steps:?}");
}

#[test]
fn sessions_of_a_page_are_those_that_began_or_ended_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Retention::default());
    let rows: Vec<_> =
        (0..40).map(|n| session("shop", 1_000 * n, &format!("s{n}"), ["/", "/a"][n as usize % 2])).collect();
    store.write(&filed(&rows), &[]).unwrap();
    // another row under the same key: it began elsewhere
    store.write(&filed(&[session("shop", 39_000, "s39", "/b")]), &[]).unwrap();
    let of = |page| {
        let query = EventQuery {
            kind: kind("sessions"),
            site: "shop",
            from: 10_000,
            to: 1_000_000,
            page: Some(page),
            equal: Vec::new(),
            limit: 12,
            offset: 0,
        };
        let listing = store.events(&query).unwrap();
        (
            listing.rows.len(),
            listing.more,
            listing.rows.first().is_some_and(|row| row.contains("s38") || row.contains("s37")),
        )
    };
    assert_eq!((of("/"), of("/a"), of("/none")), ((12, true, true), (12, true, true), (0, false, false)));
    assert_eq!(of("/b").0, 1);
}

use super::*;
use crate::keys::{By, action};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::*;
use serde_json::json;

fn rows(kind: &str, site: &str, end: &str, rows: Vec<Value>) -> Update {
    let total = rows.len() as u64;
    Update::Rows(Rows { kind: kind.into(), site: site.into(), window_end: end.into(), total, rows })
}

fn page(name: &str, views: u64) -> Value {
    json!({ "page_url": name, "view_count": views, "unique_users": 100 - views, "click_through_rate": null })
}

fn pages(end: &str, list: &[(&str, u64)]) -> Update {
    rows("page-metrics", "shop", end, list.iter().map(|(name, views)| page(name, *views)).collect())
}

fn state() -> State {
    let mut state = State::new("http://x".into(), None, false);
    state.apply(Update::Sites { default: Some("shop".into()), all: vec!["shop".into(), "blog".into()] });
    state.apply(pages("2026-11-26T10:00:10.000Z", &[("/", 9), ("/a", 5), ("/b", 2)]));
    state.apply(pages("2026-11-26T10:00:20.000Z", &[("/a", 8), ("/", 7), ("/c", 1)]));
    state
}

fn press(state: &mut State, code: KeyCode) -> Effect {
    let action = action(state, KeyEvent::new(code, KeyModifiers::NONE));
    state.act(action)
}

fn names(state: &State) -> Vec<String> {
    rows::pages(state).iter().map(|page| word(page.row, "page_url").to_owned()).collect()
}

#[test]
fn pages_are_sorted_filtered_and_compared() {
    let mut state = state();
    assert_eq!(names(&state), ["/a", "/", "/c"]);
    let changes: Vec<_> = rows::pages(&state).iter().map(|page| page.change).collect();
    assert_eq!(changes, [Some(3.0), Some(-2.0), None]);
    press(&mut state, KeyCode::Char('u'));
    assert_eq!(names(&state), ["/c", "/", "/a"]);
    press(&mut state, KeyCode::Char('n'));
    assert_eq!(names(&state), ["/", "/a", "/c"]);
    press(&mut state, KeyCode::Char('n'));
    assert_eq!(names(&state), ["/c", "/a", "/"]);
    assert_eq!(state.order, Order { by: By::Name, reverse: true });
    for c in ['/', 'A'] {
        press(&mut state, KeyCode::Char(c));
    }
    assert_eq!((names(&state), state.typing), (vec!["/a".to_owned()], true));
    press(&mut state, KeyCode::Char('q'));
    assert!(names(&state).is_empty(), "while typing, letters are letters");
    press(&mut state, KeyCode::Esc);
    assert_eq!(names(&state).len(), 3);
}

#[test]
fn a_page_is_asked_for_and_again_with_each_window() {
    let mut state = state();
    press(&mut state, KeyCode::Down);
    let wanted = Request::Detail { site: "shop".into(), page: "/".into() };
    assert_eq!(press(&mut state, KeyCode::Enter), Effect::Ask(wanted.clone()));
    let detail = |page: &str| {
        Update::Detail(Box::new(Detail { page: page.into(), series: vec![json!(1)], ..Detail::default() }))
    };
    state.apply(detail("/other"));
    assert!(state.detail.as_ref().unwrap().series.is_empty(), "an answer that comes too late is dropped");
    state.apply(detail("/"));
    assert_eq!(state.detail.as_ref().unwrap().series.len(), 1);
    assert_eq!(state.apply(pages("2026-11-26T10:00:30.000Z", &[("/", 1)])), Some(wanted));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.detail, None);
}

#[test]
fn more_pages_than_came_are_asked_for_once() {
    let mut state = state();
    let update = |given: usize| {
        let rows = (0..given).map(|n| page(&format!("/{n}"), 1)).collect();
        Update::Rows(Rows {
            kind: "page-metrics".into(),
            site: "shop".into(),
            window_end: "2026-11-26T11".into(),
            total: 150,
            rows,
        })
    };
    assert_eq!(state.apply(update(100)), Some(Request::Pages("shop".into())));
    assert_eq!(state.apply(update(150)), None);
    assert_eq!(state.apply(update(100)), None, "the shorter list does not come back");
    assert_eq!(state.frame("page-metrics").len(), 150);
}

#[test]
fn paused_it_stands_still_and_goes_on_with_what_came() {
    let mut state = state();
    press(&mut state, KeyCode::Char('p'));
    state.apply(pages("2026-11-26T10:00:30.000Z", &[("/new", 1)]));
    assert_eq!(names(&state)[0], "/a");
    press(&mut state, KeyCode::Char('p'));
    assert_eq!(names(&state), ["/new"]);
}

#[test]
fn another_site_begins_anew() {
    let mut state = state();
    assert_eq!(press(&mut state, KeyCode::Char('s')), Effect::Ask(Request::Site("blog".into())));
    assert!(state.frames.is_empty() && names(&state).is_empty());
    state.apply(pages("2026-11-26T10:00:30.000Z", &[("/", 1)]));
    assert!(names(&state).is_empty(), "rows of the site before");
    assert_eq!(press(&mut state, KeyCode::Char('s')), Effect::Ask(Request::Site("shop".into())));
}

#[test]
fn what_comes_twice_or_late_changes_nothing() {
    let mut state = state();
    let session = |id: &str, end: &str| json!({ "session_id": id, "session_start": "a", "session_end": end });
    state.apply(rows("sessions", "shop", "", vec![session("1", "10"), session("2", "20")]));
    state.apply(rows("sessions", "shop", "", vec![session("1", "10"), session("3", "15")]));
    let ids: Vec<&str> = state.sessions.iter().map(|row| word(row, "session_id")).collect();
    assert_eq!(ids, ["2", "3", "1"]);
    state.apply(pages("2026-11-26T10:00:00.000Z", &[("/old", 1)]));
    assert_eq!(names(&state)[0], "/a");
    let site = |end: &str| rows("site-metrics", "shop", end, vec![json!({ "window_end": end })]);
    for end in ["1", "2", "1", "2", "3"] {
        state.apply(site(end));
    }
    assert_eq!(state.history.len(), 3);
}

/// While a window's rows come in, lists hold some of its pages, and not always the most viewed.
#[test]
fn a_window_that_comes_in_parts_has_no_holes() {
    let mut state = state();
    let end = "2026-11-26T10:00:30.000Z";
    let part = |total: u64, pages: &[(&str, u64)]| {
        let list =
            pages.iter().map(|(page, n)| json!({ "page_url": page, "view_count": n, "window_end": end }));
        match rows("page-metrics", "shop", end, list.collect()) {
            Update::Rows(rows) => Update::Rows(Rows { total, ..rows }),
            other => other,
        }
    };
    let known =
        |state: &State, page: &str| state.windows.back().and_then(|(_, views)| views.get(page).copied());
    state.apply(part(2, &[("/x", 1), ("/y", 2)]));
    // the list of all that there is, but fewer are given
    state.apply(part(4, &[("/a", 9)]));
    assert_eq!(names(&state), ["/a"]);
    assert_eq!([known(&state, "/a"), known(&state, "/x")], [Some(9.0), Some(1.0)]);
    // an older list changes nothing of what is shown
    state.apply(part(3, &[("/x", 1), ("/y", 2), ("/z", 3)]));
    assert_eq!(names(&state), ["/a"]);
    assert_eq!(known(&state, "/z"), Some(3.0));
}

#[test]
fn a_break_is_known_until_it_is_over() {
    let mut state = state();
    state.now = Timestamp(1_000);
    state.apply(Update::Disconnected { why: "gone".into(), retry_ms: 500, attempts: 1 });
    assert_eq!(
        state.connection,
        Connection::Lost { why: "gone".into(), retry_at: Timestamp(1_500), attempts: 1 }
    );
    assert_eq!(names(&state).len(), 3, "what was known stays");
    state.apply(Update::Connected);
    assert_eq!(state.connection, Connection::Live);
}

proptest! {
    /// Whatever is pressed and whatever comes, there is a picture.
    #[test]
    fn any_keys_and_any_rows(
        keys in prop::collection::vec(prop_oneof![
            prop::sample::select(&[KeyCode::Enter, KeyCode::Esc, KeyCode::Up, KeyCode::Down, KeyCode::Tab, KeyCode::BackTab, KeyCode::End, KeyCode::PageDown, KeyCode::Backspace][..]),
            any::<char>().prop_map(KeyCode::Char),
            prop::sample::select(&['1', '2', '3', '4', '5', '6', '/', 'p', 's', 'r', 'v', 'n', '?'][..]).prop_map(KeyCode::Char),
        ], 0..30),
        text in any::<String>(), number: f64, kind in prop::sample::select(&["page-metrics", "trending-pages", "sessions", "page-transitions", "anomalies", "funnels", "common-paths", "entry-exit-pages", "site-metrics"][..]),
        size in (1u16..160, 1u16..50),
    ) {
        let mut state = state();
        let row = json!({
            "page_url": text, "from_page": text, "to_page": number, "view_count": number, "kind": text, "subject": text, "reason": text,
            "entry_page": text, "session_end": text, "duration_ms": number, "pages": [text, text], "window_end": text, "window_start": text,
            "sessions": number, "viewed": number, "score": number, "revenue": text,
        });
        state.apply(rows(kind, "shop", &text, vec![row.clone(), row.clone()]));
        state.apply(Update::Pipeline(json!({ "watermark": text, "window_ms": number, "slide_ms": 10, "partitions": [row], "components": [row] })));
        let mut terminal = ratatui::Terminal::new(ratatui::backend::TestBackend::new(size.0, size.1)).unwrap();
        for key in keys {
            press(&mut state, key);
            terminal.draw(|frame| crate::view::draw(&state, frame)).unwrap();
        }
        let picture = crate::terminal::plain(terminal.backend().buffer());
        prop_assert!(picture.chars().all(|c| c == '\n' || !c.is_control()));
    }
}

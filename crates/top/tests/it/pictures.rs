//! Every tab in three sizes. After a wanted change: `INSTA_UPDATE=always cargo test -p clickstream-top`, and look at the difference.

use clickstream_top::State;
use clickstream_top::keys::Action;
use clickstream_top::state::Tab;
use clickstream_top::terminal::plain;
use clickstream_top::update::Update;
use clickstream_top::view;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use crate::fixture;

pub fn picture(state: &State, (columns, lines): (u16, u16)) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| view::draw(state, frame)).unwrap();
    plain(terminal.backend().buffer())
}

fn look(name: &str, state: &State) {
    for size in [(40, 20), (80, 24), (140, 40)] {
        let picture = picture(state, size);
        assert!(picture.chars().all(|c| c == '\n' || !c.is_control()), "{picture}");
        insta::assert_snapshot!(format!("{name}_{}x{}", size.0, size.1), picture);
    }
}

#[test]
fn every_tab() {
    let mut state = fixture::state();
    for tab in Tab::ALL {
        state.act(Action::Tab(tab));
        look(&tab.name().to_lowercase(), &state);
    }
}

#[test]
fn pages_can_be_told_apart_in_narrow_terminals() {
    let mut state = fixture::state();
    for columns in [40, 50, 60, 72, 80, 100, 120] {
        for (tab, names) in [
            (Tab::Pages, &["/p/alder-desk-lamp", "/p/alder-notebook"][..]),
            (Tab::Trending, &["/p/alder-notebook", "/cart"]),
            (Tab::Sessions, &["/search", "/cart"]),
            (Tab::Journeys, &["/search", "/cart"]),
        ] {
            state.act(Action::Tab(tab));
            let picture = picture(&state, (columns, 24));
            for name in names {
                assert!(picture.contains(name), "{name} at {columns} columns:\n{picture}");
            }
            assert!(
                picture.contains(&format!("{}]", tab.name())),
                "the tab at {columns} columns:\n{picture}"
            );
        }
    }
}

#[test]
fn before_the_first_checkpoint_there_is_none_yet() {
    let mut state = fixture::state();
    state.act(Action::Tab(Tab::Pipeline));
    for (engine, expected) in [("flink", "checkpoint none yet"), ("embedded", "checkpoint none needed")] {
        state.apply(Update::Pipeline(serde_json::json!({ "engine": engine })));
        assert!(picture(&state, (120, 24)).contains(expected));
    }
}

#[test]
fn a_page_closely() {
    let mut state = fixture::state();
    state.act(Action::Open);
    state.apply(Update::Detail(Box::new(fixture::detail())));
    look("detail", &state);
}

#[test]
fn help_filter_and_breaks() {
    let mut state = fixture::state();
    state.act(Action::Help);
    look("help", &state);
    state.act(Action::Help);
    state.act(Action::Filter);
    "alder".chars().for_each(|c| {
        state.act(Action::Type(c));
    });
    look("filter", &state);
    state.act(Action::Back);
    state.apply(Update::Disconnected {
        why: "Connection refused (os error 111)".into(),
        retry_ms: 4_000,
        attempts: 3,
    });
    look("lost", &state);
    look("nothing_yet", &State::new("http://127.0.0.1:8080".into(), None, false));
}

#[test]
fn results_that_do_not_keep_up_are_called_so() {
    let mut state = fixture::state();
    let report =
        |second: i64| Update::Pipeline(serde_json::json!({ "at": fixture::at(second), "slide_ms": 10_000 }));
    state.apply(report(20));
    assert!(picture(&state, (80, 24)).contains("● live"));
    state.apply(report(26));
    assert!(picture(&state, (80, 24)).contains("● 26.0 s behind"));
}

#[test]
fn windows_that_should_have_ended_are_overdue() {
    let mut state = fixture::state();
    state.act(Action::Tab(Tab::Pipeline));
    state.now = fixture::at(120);
    for size in [(40, 20), (100, 30)] {
        let picture = picture(&state, size);
        assert!(picture.contains("overdue by 1:50\n"), "{picture}");
        assert!(!picture.contains("ends in 0 ms"), "{picture}");
    }
}

#[test]
fn dead_letters_are_named_whole_or_counted() {
    let mut state = fixture::state();
    state.act(Action::Tab(Tab::Pipeline));
    let picture = picture(&state, (100, 30));
    assert!(
        picture.contains(
            "dead letters late 2 101 · unknown_event_type 351 · not_json 331 · missing_field 107 · +2 more\n"
        ),
        "{picture}"
    );
}

#[test]
fn colours_only_where_they_are_wanted() {
    use ratatui::style::Color;
    let mut state = fixture::state();
    let colours = |state: &State| {
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
        terminal.draw(|frame| view::draw(state, frame)).unwrap();
        terminal
            .backend()
            .buffer()
            .content()
            .iter()
            .filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
            .count()
    };
    assert_eq!(colours(&state), 0);
    state.colour = true;
    assert!(colours(&state) > 50);
}

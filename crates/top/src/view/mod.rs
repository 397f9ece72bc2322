//! The picture: a pure function of the state.

mod anomalies;
mod chart;
mod detail;
mod header;
mod help;
mod journeys;
mod pages;
mod pipeline;
mod sessions;
mod table;
mod trending;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use crate::state::{State, Tab};
use crate::text::{fit, width};
use crate::theme::Theme;

/// Draws everything.
pub fn draw(state: &State, frame: &mut Frame<'_>) {
    let theme = Theme { colour: state.colour };
    let area = frame.area();
    if area.width < 40 || area.height < 12 {
        frame.render_widget(Line::raw("a little more room, please: 40 × 12 at least"), area);
        return;
    }
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(4), Constraint::Min(3), Constraint::Length(1)]).areas(area);
    header::draw(state, theme, head, frame);
    match (&state.detail, state.tab) {
        (Some(detail), _) => detail::draw(detail, theme, body, frame),
        (None, Tab::Pages) => pages::draw(state, theme, body, frame),
        (None, Tab::Trending) => trending::draw(state, theme, body, frame),
        (None, Tab::Sessions) => sessions::draw(state, theme, body, frame),
        (None, Tab::Journeys) => journeys::draw(state, theme, body, frame),
        (None, Tab::Anomalies) => anomalies::draw(state, theme, body, frame),
        (None, Tab::Pipeline) => pipeline::draw(state, theme, body, frame),
    }
    footer(state, theme, foot, frame);
    if state.help {
        help::draw(theme, area, frame);
    }
}

fn footer(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    if state.typing || !state.filter.is_empty() {
        let filter = fit(&state.filter, usize::from(area.width).saturating_sub(44));
        let (cursor, after) = if state.typing {
            ("▏", "Enter keep · Esc clear")
        } else {
            ("", "/ change · Esc clear · ? help")
        };
        let line = Line::from(vec![
            Span::styled(" / ", theme.accent()),
            Span::raw(filter),
            Span::styled(cursor, theme.accent()),
            Span::styled(format!("   {after}"), theme.faint()),
        ]);
        frame.render_widget(line, area);
        return;
    }
    let mut keys: Vec<(&str, &str)> = match (&state.detail, state.tab) {
        (Some(_), _) => vec![("Esc", "back")],
        (None, Tab::Pages) => {
            vec![("↑↓", "choose"), ("Enter", "page"), ("/", "filter"), ("v u c d n", "sort")]
        }
        (None, Tab::Pipeline) => vec![("1–6", "tabs")],
        (None, _) => vec![("↑↓", "choose"), ("Enter", "page"), ("/", "filter")],
    };
    keys.push(("p", if state.paused { "go on" } else { "pause" }));
    if state.sites.len() > 1 {
        keys.push(("s", "site"));
    }
    keys.extend([("?", "help"), ("q", "quit")]);
    let taken =
        |keys: &[(&str, &str)]| keys.iter().map(|(key, does)| width(key) + width(does) + 4).sum::<usize>();
    // help and the way out are always there; what does not fit before them is in the help
    while taken(&keys) > usize::from(area.width) + 1 && keys.len() > 2 {
        keys.remove(keys.len() - 3);
    }
    let mut spans = Vec::new();
    for (key, does) in keys {
        spans.push(Span::styled(format!(" {key} "), theme.accent()));
        spans.push(Span::styled(format!("{does} "), theme.faint()));
        spans.push(Span::raw(" "));
    }
    frame.render_widget(Line::from(spans), area);
}

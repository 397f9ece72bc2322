//! What is out of the ordinary, the newest first; the chosen one in full.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Paragraph, Wrap};

use super::table::{self, Fill, column, wide};
use crate::rows;
use crate::state::{State, Tab};
use crate::text::{clock, number, safe, significant, word};
use crate::theme::Theme;

pub fn draw(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let rows = rows::list(state, Tab::Anomalies);
    if rows.is_empty() {
        table::nothing("nothing is out of the ordinary", theme, area, frame);
        return;
    }
    let [list, rule, reason] =
        Layout::vertical([Constraint::Min(3), Constraint::Length(1), Constraint::Length(3)]).areas(area);
    let columns = [
        column("at", Fill::Left(8)),
        column("what", Fill::Left(13)),
        wide("rule", Fill::Left(10), 100),
        column("of", Fill::Rest(14)),
        column("observed", Fill::Right(8)).spare(2),
        column("expected", Fill::Right(8)).spare(3),
        column("score", Fill::Right(6)).spare(1),
    ];
    let lines: Vec<Vec<Span<'static>>> = rows
        .iter()
        .map(|row| {
            let style = match word(row, "kind") {
                "traffic_spike" => theme.good(),
                "traffic_drop" => theme.bad(),
                _ => theme.warn(),
            };
            vec![
                Span::styled(clock(word(row, "detected_at")), theme.faint()),
                Span::styled(word(row, "kind").replace('_', " "), style),
                Span::raw(word(row, "rule").to_owned()),
                Span::raw(word(row, "subject").to_owned()),
                Span::styled(significant(number(row, "observed")), theme.strong()),
                Span::raw(significant(number(row, "expected"))),
                Span::raw(significant(number(row, "score"))),
            ]
        })
        .collect();
    table::draw(&columns, &lines, Some(state.choice()), theme, list, frame);
    frame.render_widget(Line::styled("─".repeat(usize::from(rule.width)), theme.faint()), rule);
    if let Some(row) = rows.get(state.choice()) {
        let text = Text::raw(safe(word(row, "reason")));
        let inner = Rect { x: reason.x + 1, width: reason.width.saturating_sub(2), ..reason };
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), inner);
    }
}

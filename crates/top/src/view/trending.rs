//! Pages that rise within the window.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;

use super::chart::bar;
use super::table::{self, Fill, column};
use crate::rows;
use crate::state::{State, Tab};
use crate::text::{grown, number, thousands, word};
use crate::theme::Theme;

pub fn draw(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let rows = rows::list(state, Tab::Trending);
    let area = table::title(
        "Trending",
        "clearly more views in the later half of the window than in the earlier",
        theme,
        area,
        frame,
    );
    if rows.is_empty() {
        table::nothing("no page rises right now", theme, area, frame);
        return;
    }
    let columns = [
        column("#", Fill::Right(3)),
        column("page", Fill::Rest(20)),
        column("before", Fill::Right(7)).spare(2),
        column("now", Fill::Right(7)),
        column("growth", Fill::Right(8)).spare(1),
        column("score", Fill::Right(6)).spare(3),
        column("", Fill::Left(16)).spare(4),
    ];
    let top = rows.iter().map(|row| number(row, "score")).fold(1.0, f64::max);
    let lines: Vec<Vec<Span<'static>>> = rows
        .iter()
        .map(|row| {
            vec![
                Span::styled(format!("{}", number(row, "rank")), theme.faint()),
                Span::raw(word(row, "page_url").to_owned()),
                Span::raw(thousands(number(row, "prior_views") as u64)),
                Span::styled(thousands(number(row, "recent_views") as u64), theme.strong()),
                Span::styled(grown(number(row, "prior_views") as u64, number(row, "growth")), theme.good()),
                Span::raw(format!("{:.1}", number(row, "score"))),
                Span::styled(bar(number(row, "score") / top, 16), theme.bar()),
            ]
        })
        .collect();
    table::draw(&columns, &lines, Some(state.choice()), theme, area, frame);
}

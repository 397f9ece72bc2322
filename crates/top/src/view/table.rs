//! Tables: columns of fixed width, one that takes the rest, and a chosen line that stays in sight.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

use crate::text::{fit, fit_path, width};
use crate::theme::Theme;

/// How a column is filled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fill {
    /// Numbers, to the right.
    Right(usize),
    /// Texts, to the left.
    Left(usize),
    /// Pages, in a share of what the others leave.
    Rest,
}

/// A column.
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// How it is filled.
    pub fill: Fill,
    /// It is left out where there are fewer columns of letters.
    pub from: u16,
}

/// A column that is always there.
pub const fn column(name: &'static str, fill: Fill) -> Column {
    Column { name, fill, from: 0 }
}

/// A column for wide terminals.
pub const fn wide(name: &'static str, fill: Fill, from: u16) -> Column {
    Column { name, fill, from }
}

/// Draws a table; `chosen` is the chosen line, where one can be chosen.
pub fn draw(
    columns: &[Column],
    rows: &[Vec<Span<'static>>],
    chosen: Option<usize>,
    theme: Theme,
    area: Rect,
    frame: &mut Frame<'_>,
) {
    if area.height < 2 {
        return;
    }
    let widths = widths(columns, area.width);
    let heading = columns.iter().map(|column| Span::styled(column.name, theme.faint())).collect();
    frame.render_widget(line(columns, &widths, heading, None), Rect { height: 1, ..area });
    let room = usize::from(area.height) - 1;
    let at = chosen.unwrap_or(0);
    let first = at.saturating_sub(room.saturating_sub(1)).min(rows.len().saturating_sub(room));
    for (n, row) in rows.iter().enumerate().skip(first).take(room) {
        let style = (chosen == Some(n)).then(|| theme.chosen());
        let place = Rect { y: area.y + 1 + (n - first) as u16, height: 1, ..area };
        frame.render_widget(line(columns, &widths, row.clone(), style), place);
    }
}

/// The columns of letters each column gets; none for one that is left out.
fn widths(columns: &[Column], total: u16) -> Vec<Option<usize>> {
    let there = |column: &Column| total >= column.from;
    let fixed: usize = columns
        .iter()
        .filter(|column| there(column))
        .map(|column| match column.fill {
            Fill::Right(n) | Fill::Left(n) => n + 2,
            Fill::Rest => 2,
        })
        .sum();
    let shares = columns.iter().filter(|column| there(column) && column.fill == Fill::Rest).count().max(1);
    let rest = (usize::from(total) + 1).saturating_sub(fixed) / shares;
    columns
        .iter()
        .map(|column| {
            there(column).then_some(match column.fill {
                Fill::Right(n) | Fill::Left(n) => n,
                Fill::Rest => rest,
            })
        })
        .collect()
}

fn line(
    columns: &[Column],
    widths: &[Option<usize>],
    cells: Vec<Span<'static>>,
    whole: Option<Style>,
) -> Line<'static> {
    let mut spans = vec![Span::raw(" ")];
    for ((column, wide), cell) in columns.iter().zip(widths).zip(cells) {
        let Some(wide) = *wide else { continue };
        let text = match column.fill {
            Fill::Rest => fit_path(&cell.content, wide),
            _ => fit(&cell.content, wide),
        };
        let pad = " ".repeat(wide.saturating_sub(width(&text)));
        let text = if matches!(column.fill, Fill::Right(_)) {
            format!("{pad}{text}")
        } else {
            format!("{text}{pad}")
        };
        spans.push(Span::styled(text, cell.style));
        spans.push(Span::raw("  "));
    }
    let line = Line::from(spans);
    match whole {
        Some(style) => line.style(style),
        None => line,
    }
}

/// What stands where there are no rows.
pub fn nothing(text: &str, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let place = Rect {
        x: area.x + 1,
        y: area.y + 1.min(area.height),
        width: area.width.saturating_sub(1),
        height: 1,
    };
    if area.height > 1 {
        frame.render_widget(Line::styled(fit(text, usize::from(place.width)), theme.faint()), place);
    }
}

/// A heading of a part.
pub fn title(text: &str, about: &str, theme: Theme, area: Rect, frame: &mut Frame<'_>) -> Rect {
    let room = usize::from(area.width).saturating_sub(width(text) + 4);
    let line = Line::from(vec![
        Span::styled(format!(" {text}  "), theme.strong()),
        Span::styled(fit(about, room), theme.faint()),
    ]);
    if area.height > 0 {
        frame.render_widget(line, Rect { height: 1, ..area });
    }
    Rect { y: area.y + 1.min(area.height), height: area.height.saturating_sub(1), ..area }
}

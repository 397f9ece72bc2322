//! Tables: columns of fixed width, one that takes the rest, and a chosen line that stays in sight.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
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
    /// Pages, in a share of what the others leave; at least so much, as long as there is a column that can go.
    Rest(usize),
}

/// A column.
#[derive(Clone, Copy)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// How it is filled.
    pub fill: Fill,
    /// It is left out where there are fewer columns of letters.
    pub from: u16,
    /// Where pages would have too little room, the column with the highest number goes first; one with 0 never goes.
    pub spare: u8,
}

impl Column {
    /// Goes where pages would have too little room, and before those with lower numbers.
    pub const fn spare(self, spare: u8) -> Self {
        Self { spare, ..self }
    }
}

/// A column that is always there.
pub const fn column(name: &'static str, fill: Fill) -> Column {
    Column { name, fill, from: 0, spare: 0 }
}

/// A column for wide terminals.
pub const fn wide(name: &'static str, fill: Fill, from: u16) -> Column {
    Column { name, fill, from, spare: 0 }
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
    let columns = &fitted(columns, rows);
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

/// The same with room for the longest number of each column: a number is shown whole, or not at all.
fn fitted(columns: &[Column], rows: &[Vec<Span<'static>>]) -> Vec<Column> {
    let longest = |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|cell| width(&cell.content)).max();
    let fitted = columns.iter().enumerate().map(|(n, column)| match column.fill {
        Fill::Right(least) => Column { fill: Fill::Right(longest(n).unwrap_or(0).max(least)), ..*column },
        _ => *column,
    });
    fitted.collect()
}

/// The columns of letters each column gets; none for one that is left out.
fn widths(columns: &[Column], total: u16) -> Vec<Option<usize>> {
    let mut there: Vec<bool> = columns.iter().map(|column| total >= column.from).collect();
    loop {
        let shown = || columns.iter().zip(&there).filter_map(|(column, there)| there.then_some(column));
        let fixed: usize = shown()
            .map(|column| match column.fill {
                Fill::Right(n) | Fill::Left(n) => n + 2,
                Fill::Rest(_) => 2,
            })
            .sum();
        let least: Vec<usize> = shown()
            .filter_map(|column| match column.fill {
                Fill::Rest(least) => Some(least),
                _ => None,
            })
            .collect();
        let rest = (usize::from(total) + 1).saturating_sub(fixed) / least.len().max(1);
        let spare = (0..columns.len()).filter(|n| there[*n] && columns[*n].spare > 0);
        // what has no pages has to fit as it is
        let fits = least.iter().max().map_or(fixed <= usize::from(total) + 1, |least| rest >= *least);
        match spare.max_by_key(|n| columns[*n].spare) {
            Some(n) if !fits => there[n] = false,
            _ => {
                let width = |column: &Column| match column.fill {
                    Fill::Right(n) | Fill::Left(n) => n,
                    Fill::Rest(_) => rest,
                };
                let of = columns.iter().zip(&there);
                return of.map(|(column, there)| there.then(|| width(column))).collect();
            }
        }
    }
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
            Fill::Rest(_) => fit_path(&cell.content, wide),
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

/// Two areas beside each other in these shares; one above the other where both would be too narrow to be read.
pub fn beside([left, right]: [u16; 2], area: Rect) -> [Rect; 2] {
    let shares = [Constraint::Fill(left), Constraint::Fill(right)];
    match area.width {
        ..72 => Layout::vertical(shares).areas(area),
        _ => Layout::horizontal(shares).spacing(2).areas(area),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_never_cut() {
        let columns = [column("page", Fill::Rest(12)), column("in", Fill::Right(5))];
        let rows = [vec![Span::raw("/"), Span::raw("9")], vec![Span::raw("/a"), Span::raw("13 512")]];
        assert_eq!(fitted(&columns, &rows)[1].fill, Fill::Right(6));
        assert_eq!(fitted(&columns, &rows[..1])[1].fill, Fill::Right(5));
    }

    #[test]
    fn pages_keep_their_room() {
        let columns = [
            column("#", Fill::Right(3)),
            column("page", Fill::Rest(13)),
            column("views", Fill::Right(8)),
            column("change", Fill::Right(7)).spare(1),
            column("trend", Fill::Left(12)).spare(2),
            wide("cart", Fill::Right(6), 110).spare(3),
        ];
        assert_eq!(widths(&columns, 120), [Some(3), Some(73), Some(8), Some(7), Some(12), Some(6)]);
        assert_eq!(widths(&columns, 60)[4], Some(12));
        assert_eq!(widths(&columns, 50), [Some(3), Some(25), Some(8), Some(7), None, None]);
        assert_eq!(widths(&columns, 38), [Some(3), Some(13), Some(8), Some(7), None, None]);
        assert_eq!(widths(&columns, 37), [Some(3), Some(21), Some(8), None, None, None]);
        assert_eq!(widths(&columns, 10)[1], Some(0), "what is always there is always there");
        let plain = [column("a", Fill::Left(20)), column("b", Fill::Left(20)).spare(1)];
        assert_eq!(widths(&plain, 43), [Some(20), Some(20)]);
        assert_eq!(widths(&plain, 42), [Some(20), None]);
    }
}

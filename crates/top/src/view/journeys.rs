//! Ways of visitors: the funnel, from page to page, where they begin and end, and paths.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use serde_json::Value;

use super::chart::bar;
use super::table::{self, Fill, column};
use crate::rows;
use crate::state::{State, Tab};
use crate::text::{fit_path, number, percent, ratio, thousands, word};
use crate::theme::Theme;

pub fn draw(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let paths = (area.height / 3).clamp(4, 14);
    let [top, middle, bottom] =
        Layout::vertical([Constraint::Length(4), Constraint::Min(4), Constraint::Length(paths)]).areas(area);
    funnel(state, theme, top, frame);
    let [left, right] = table::beside([11, 8], middle);
    transitions(state, theme, left, frame);
    entries(state, theme, right, frame);
    common(state, theme, bottom, frame);
}

fn funnel(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let Some(row) = state.frame("funnels").first() else {
        let area = table::title("Funnel", "", theme, area, frame);
        table::nothing("no session has closed within the window", theme, area, frame);
        return;
    };
    let about =
        format!("of {} sessions that closed within the window", thousands(number(row, "sessions") as u64));
    let area = table::title("Funnel", &about, theme, area, frame);
    let viewed = number(row, "viewed").max(1.0);
    let room = usize::from(area.width).saturating_sub(40);
    for (n, (name, field, rate)) in [
        ("viewed", "viewed", None),
        ("put into the cart", "carted", ratio(row, "view_to_cart_rate")),
        ("purchased", "purchased", ratio(row, "cart_to_purchase_rate")),
    ]
    .into_iter()
    .enumerate()
    {
        let line = Line::from(vec![
            Span::raw(format!(" {name:<18}")),
            Span::styled(format!("{:>8} ", thousands(number(row, field) as u64)), theme.strong()),
            Span::styled(
                format!("{:>8}  ", if n == 0 { String::new() } else { percent(rate) }),
                theme.faint(),
            ),
            Span::styled(bar(number(row, field) / viewed, room), theme.bar()),
        ]);
        if (n as u16) < area.height {
            frame.render_widget(line, Rect { y: area.y + n as u16, height: 1, ..area });
        }
    }
}

fn transitions(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let rows = rows::list(state, Tab::Journeys);
    let area = table::title("From page to page", "", theme, area, frame);
    if rows.is_empty() {
        table::nothing("nobody went from one page to another yet", theme, area, frame);
        return;
    }
    let columns = [
        column("from", Fill::Rest(12)),
        column("to", Fill::Rest(12)),
        column("times", Fill::Right(6)),
        column("of all", Fill::Right(6)).spare(1),
    ];
    let lines: Vec<Vec<Span<'static>>> = rows.iter().map(|row| way(row, theme)).collect();
    table::draw(&columns, &lines, Some(state.choice()), theme, area, frame);
}

/// A transition as cells.
pub fn way(row: &Value, theme: Theme) -> Vec<Span<'static>> {
    vec![
        Span::raw(word(row, "from_page").to_owned()),
        Span::raw(word(row, "to_page").to_owned()),
        Span::styled(thousands(number(row, "transition_count") as u64), theme.strong()),
        Span::raw(
            ratio(row, "transition_rate").map_or_else(|| "–".into(), |rate| format!("{:.0} %", rate * 100.0)),
        ),
    ]
}

fn entries(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let area = table::title("Entry and exit", "", theme, area, frame);
    let bounces = state.frame("bounce-rates");
    let columns = [
        column("page", Fill::Rest(12)),
        column("in", Fill::Right(5)).spare(2),
        column("out", Fill::Right(5)).spare(1),
        column("bounce", Fill::Right(6)).spare(3),
    ];
    let lines: Vec<Vec<Span<'static>>> = state
        .frame("entry-exit-pages")
        .iter()
        .map(|row| {
            let page = word(row, "page_url");
            let bounce = bounces.iter().find(|other| word(other, "page_url") == page);
            vec![
                Span::raw(page.to_owned()),
                Span::raw(thousands(number(row, "entries") as u64)),
                Span::raw(thousands(number(row, "exits") as u64)),
                Span::raw(
                    bounce
                        .and_then(|row| ratio(row, "bounce_rate"))
                        .map_or_else(|| "–".into(), |rate| format!("{:.0} %", rate * 100.0)),
                ),
            ]
        })
        .collect();
    table::draw(&columns, &lines, None, theme, area, frame);
}

fn common(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let area = table::title("Common paths", "over three and four pages", theme, area, frame);
    let mut paths: Vec<&Value> = state.frame("common-paths").iter().collect();
    paths.sort_by(|a, b| number(b, "path_count").total_cmp(&number(a, "path_count")));
    for (n, row) in paths.into_iter().take(usize::from(area.height)).enumerate() {
        let pages: Vec<&str> = row
            .get("pages")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let room = usize::from(area.width).saturating_sub(12 + 3 * pages.len()) / pages.len().max(1);
        let path: Vec<String> = pages.iter().map(|page| fit_path(page, room)).collect();
        let line = Line::from(vec![
            Span::styled(format!(" {:>8}  ", thousands(number(row, "path_count") as u64)), theme.strong()),
            Span::raw(path.join(" → ")),
        ]);
        frame.render_widget(line, Rect { y: area.y + n as u16, height: 1, ..area });
    }
}

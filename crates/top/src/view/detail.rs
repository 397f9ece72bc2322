//! A page, looked at closely.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use serde_json::Value;

use super::chart;
use super::table::{self, Fill, column};
use crate::text::{clock, duration, number, percent, ratio, thousands, width, word};
use crate::theme::Theme;
use crate::update::Detail;

pub fn draw(detail: &Detail, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let area =
        table::title(&crate::text::fit(&detail.page, usize::from(area.width) - 4), "", theme, area, frame);
    let Some(newest) = detail.series.last() else {
        table::nothing("asking …", theme, area, frame);
        return;
    };
    // one list above the other needs more
    let ways = (area.height / 3).max(if area.width < 72 { 7 } else { 4 });
    let [facts, chart, ways] =
        Layout::vertical([Constraint::Length(2), Constraint::Min(5), Constraint::Length(ways)]).areas(area);
    figures(detail, newest, theme, facts, frame);
    let series: Vec<f64> = detail.series.iter().map(|row| number(row, "view_count")).collect();
    let ends = [detail.series.first(), detail.series.last()]
        .map(|row| row.map_or_else(String::new, |row| clock(word(row, "window_end"))));
    if series.len() > 1 {
        let about = format!("in the window that ended then; {} windows", thousands(series.len() as u64));
        let inner = table::title("Views", &about, theme, chart, frame);
        chart::lines(&series, ends, theme, inner, frame);
    } else {
        table::nothing("one window so far; a line needs two", theme, chart, frame);
    }
    let [left, right] = table::beside([1, 1], ways);
    ways_of(detail, "Came from", ("to_page", "from_page"), theme, left, frame);
    ways_of(detail, "Went to", ("from_page", "to_page"), theme, right, frame);
}

fn figures(detail: &Detail, row: &Value, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let whole = |row: &Value, field: &str| thousands(number(row, field) as u64);
    let [bounce, entry, stay] = &detail.facts;
    let fact =
        |row: &Option<Value>, show: &dyn Fn(&Value) -> String| row.as_ref().map_or_else(|| "–".into(), show);
    let lines = [
        vec![
            ("views", whole(row, "view_count")),
            ("users", whole(row, "unique_users")),
            ("clicks", whole(row, "click_count")),
            ("CTR", percent(ratio(row, "click_through_rate"))),
            ("cart", whole(row, "add_to_cart_count")),
            ("bought", whole(row, "purchase_count")),
            ("views by people", whole(row, "human_view_count")),
        ],
        vec![
            ("bounce", fact(bounce, &|row| percent(ratio(row, "bounce_rate")))),
            ("entries", fact(entry, &|row| whole(row, "entries"))),
            ("exits", fact(entry, &|row| whole(row, "exits"))),
            ("half stay at most", fact(stay, &|row| duration(number(row, "median_stay_ms")))),
            ("mean", fact(stay, &|row| duration(number(row, "mean_stay_ms")))),
        ],
    ];
    for (n, facts) in lines.into_iter().enumerate() {
        let mut spans = vec![Span::raw(" ")];
        let mut used = 1;
        for (name, value) in facts {
            used += width(name) + width(&value) + 4;
            if used > usize::from(area.width) {
                break;
            }
            spans.push(Span::styled(format!("{name} "), theme.faint()));
            spans.push(Span::styled(value, theme.strong()));
            spans.push(Span::raw("   "));
        }
        frame.render_widget(Line::from(spans), Rect { y: area.y + n as u16, height: 1, ..area });
    }
}

fn ways_of(
    detail: &Detail,
    name: &str,
    (own, other): (&str, &str),
    theme: Theme,
    area: Rect,
    frame: &mut Frame<'_>,
) {
    let area = table::title(name, "", theme, area, frame);
    let columns = [column("page", Fill::Rest(12)), column("times", Fill::Right(7))];
    let lines: Vec<Vec<Span<'static>>> = detail
        .transitions
        .iter()
        .filter(|row| word(row, own) == detail.page)
        .map(|row| {
            vec![
                Span::raw(word(row, other).to_owned()),
                Span::styled(thousands(number(row, "transition_count") as u64), theme.strong()),
            ]
        })
        .collect();
    if lines.is_empty() {
        table::nothing("nobody in this window", theme, area, frame);
        return;
    }
    table::draw(&columns, &lines, None, theme, area, frame);
}

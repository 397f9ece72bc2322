//! Sessions that have ended, the newest first.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Span;
use serde_json::Value;

use super::table::{self, Fill, column, wide};
use crate::rows;
use crate::state::{State, Tab};
use crate::text::{clock, duration, number, percent, thousands, word};
use crate::theme::Theme;

pub fn draw(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let rows = rows::list(state, Tab::Sessions);
    if rows.is_empty() {
        table::nothing("no session has ended yet", theme, area, frame);
        return;
    }
    let bounced = rows.iter().filter(|row| row.get("bounced").and_then(Value::as_bool) == Some(true)).count();
    let mut times: Vec<f64> = rows.iter().map(|row| number(row, "duration_ms")).collect();
    times.sort_by(f64::total_cmp);
    let alone = |row: &Value| {
        let counts = ["page_view_count", "click_count", "add_to_cart_count", "purchase_count"];
        number(row, "duration_ms") == 0.0 && counts.iter().map(|name| number(row, name)).sum::<f64>() <= 1.0
    };
    let bought = rows.iter().filter(|row| number(row, "purchase_count") > 0.0).count();
    let share = |n: usize| percent(Some(n as f64 / rows.len() as f64));
    // an event alone takes no time; that is not a time of 0 ms
    let median = match times[times.len() / 2] {
        0.0 => "one event".to_owned(),
        time => duration(time),
    };
    let about = format!(
        "the last {}: {} bounced, median {median}, {} bought",
        thousands(rows.len() as u64),
        share(bounced),
        share(bought)
    );
    let area = table::title("Sessions", &about, theme, area, frame);
    let columns = [
        column("ended", Fill::Left(8)),
        wide("user", Fill::Left(17), 110),
        column("entry", Fill::Rest(13)),
        column("exit", Fill::Rest(13)),
        column("time", Fill::Right(7)).spare(1),
        column("pages", Fill::Right(5)).spare(3),
        wide("clicks", Fill::Right(6), 100),
        wide("cart", Fill::Right(4), 100),
        column("score", Fill::Right(5)).spare(4),
        column("", Fill::Left(7)).spare(2),
    ];
    let lines: Vec<Vec<Span<'static>>> = rows
        .iter()
        .map(|row| {
            let whole = |field: &str| Span::raw(thousands(number(row, field) as u64));
            let mark = match () {
                () if number(row, "purchase_count") > 0.0 => Span::styled("bought", theme.good()),
                () if row.get("bounced").and_then(Value::as_bool) == Some(true) => {
                    Span::styled("bounced", theme.warn())
                }
                () => Span::raw(""),
            };
            vec![
                Span::styled(clock(word(row, "session_end")), theme.faint()),
                Span::raw(word(row, "user_id").to_owned()),
                Span::raw(word(row, "entry_page").to_owned()),
                Span::raw(word(row, "exit_page").to_owned()),
                Span::raw(if alone(row) {
                    "1 event".to_owned()
                } else {
                    duration(number(row, "duration_ms"))
                }),
                whole("page_view_count"),
                whole("click_count"),
                whole("add_to_cart_count"),
                Span::raw(format!("{:.0}", number(row, "engagement_score"))),
                mark,
            ]
        })
        .collect();
    table::draw(&columns, &lines, Some(state.choice()), theme, area, frame);
}

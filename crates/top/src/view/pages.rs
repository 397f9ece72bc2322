//! Pages by views, with what changed.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::chart::sparkline;
use super::table::{self, Fill, column, wide};
use crate::rows::{self, By};
use crate::state::State;
use crate::text::{number, percent, ratio, thousands, word};
use crate::theme::Theme;

pub fn draw(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let pages = rows::pages(state);
    if pages.is_empty() {
        let why = if state.filter.is_empty() {
            "no page yet: the first window is still to end"
        } else {
            "no page holds the filter"
        };
        table::nothing(why, theme, area, frame);
        return;
    }
    let spark = if area.width >= 120 { 32 } else { 12 };
    let mark = |by: By, plain: &'static str, marked: [&'static str; 2]| match state.order.by == by {
        true => marked[usize::from(state.order.reverse)],
        false => plain,
    };
    // what the pages are sorted by stays
    let spare = |by: By, spare: u8| if state.order.by == by { 0 } else { spare };
    let columns = [
        column("#", Fill::Right(3)),
        column(mark(By::Name, "page", ["page ▲", "page ▼"]), Fill::Rest(20)),
        column(mark(By::Views, "views", ["views▼", "views▲"]), Fill::Right(8)),
        column(mark(By::Change, "change", ["change▼", "change▲"]), Fill::Right(7))
            .spare(spare(By::Change, 1)),
        column(mark(By::Users, "users", ["users▼", "users▲"]), Fill::Right(7)).spare(spare(By::Users, 2)),
        column(mark(By::Clicks, "CTR", ["CTR▼", "CTR▲"]), Fill::Right(7)).spare(spare(By::Clicks, 3)),
        wide("cart", Fill::Right(6), 110),
        wide("bought", Fill::Right(6), 110),
        wide("by people", Fill::Right(9), 130),
        column("trend", Fill::Left(spark)).spare(4),
    ];
    let lines: Vec<Vec<Span<'static>>> = pages
        .iter()
        .map(|page| {
            let row = page.row;
            let name = word(row, "page_url");
            let trend: Vec<Option<f64>> =
                state.windows.iter().map(|(_, views)| views.get(name).copied()).collect();
            let whole = |field: &str| Span::raw(thousands(number(row, field) as u64));
            vec![
                Span::styled(page.rank.to_string(), theme.faint()),
                Span::raw(name.to_owned()),
                Span::styled(thousands(number(row, "view_count") as u64), theme.strong()),
                change(page.change, theme),
                whole("unique_users"),
                Span::raw(percent(ratio(row, "click_through_rate"))),
                whole("add_to_cart_count"),
                whole("purchase_count"),
                whole("human_view_count"),
                Span::styled(sparkline(&trend, spark), theme.bar()),
            ]
        })
        .collect();
    let total = state.frames.get("page-metrics").map_or(0, |frame| frame.total);
    let given = state.frame("page-metrics").len() as u64;
    let area = if given < total {
        let about = format!("the {} most viewed of {} pages", thousands(given), thousands(total));
        table::title("Pages", &about, theme, area, frame)
    } else {
        area
    };
    table::draw(&columns, &lines, Some(state.choice()), theme, area, frame);
}

fn change(by: Option<f64>, theme: Theme) -> Span<'static> {
    match by {
        None => Span::styled("new", theme.faint()),
        Some(by) if by > 0.0 => Span::styled(format!("+{}", thousands(by as u64)), theme.good()),
        Some(by) if by < 0.0 => Span::styled(format!("−{}", thousands(-by as u64)), theme.bad()),
        Some(_) => Span::styled("=", Style::new()),
    }
}

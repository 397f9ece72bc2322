//! A window as text: the site in one line, then the top pages.

use std::collections::{HashMap, VecDeque};

use clickstream_event::Timestamp;
use clickstream_event::rows::{Anomaly, TopPage};
use clickstream_top::text::{percent, thousands};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, ColumnConstraint, ContentArrangement, Table, Width};
use console::{StyledObject, style};

use super::sections::{self, View};
use crate::config::time_text;
use crate::results::Window;

/// Gives text a style, or leaves it plain.
pub type Paint<'p> = &'p dyn Fn(String) -> StyledObject<String>;

/// Draws windows, one after the other: it remembers the last, to show what changed.
#[derive(Default)]
pub struct WindowView {
    previous: HashMap<String, (u32, u64)>,
    /// When the first event arrived that stands in the log.
    pub log_begins: Option<Timestamp>,
}

impl WindowView {
    /// The window as text of at most `width` columns, with or without colour.
    ///
    /// `view` chooses what stands below the site's figures; `anomalies` are the newest, first the newest.
    pub fn draw(
        &self,
        window: &Window,
        view: View,
        anomalies: &VecDeque<Anomaly>,
        width: usize,
        colour: bool,
    ) -> String {
        let paint = |text: String| -> StyledObject<String> { style(text).force_styling(colour) };
        let site = &window.site;
        let mut text = format!(
            "{}  {} – {} UTC",
            paint(site.site_id.clone()).bold(),
            site.window_start.clock(),
            site.window_end.clock()
        );
        // all numbers grow until a window has been filled once
        let filled = self.log_begins.filter(|begins| *begins > site.window_start);
        if let Some(Timestamp(begins)) = filled {
            let seconds = (site.window_end.0 - begins).max(0) / 1_000;
            let size = time_text(site.window_end.0 - site.window_start.0);
            let note = format!("  filling: {} of {size}", time_text(seconds * 1_000));
            text.push_str(&paint(note).dim().to_string());
        }
        text.push('\n');
        let conversion = percent(site.conversion_rate);
        let mut facts = vec![
            format!("{} events", thousands(site.event_count)),
            format!("{} users", thousands(site.unique_users)),
            format!("{} sessions", thousands(site.active_sessions)),
            format!("conversion {conversion}"),
            format!("{} revenue", money(&site.revenue.to_string())),
        ];
        while facts.join(" · ").chars().count() > width && facts.len() > 1 {
            facts.pop();
        }
        text.push_str(&paint(facts.join(" · ")).dim().to_string());
        text.push_str("\n\n");
        match view {
            View::Top => text.push_str(&self.table(window, width, &paint)),
            view => text.push_str(&sections::draw(view, window, anomalies, width, &paint)),
        }
        // news stays for a window's length
        let news =
            anomalies.front().filter(|row| view != View::Anomalies && row.detected_at > site.window_start);
        if let Some(row) = news {
            text.push_str(&format!("\n{}\n", paint(sections::anomaly_line(row, width)).yellow()));
        }
        text
    }

    fn table(&self, window: &Window, width: usize, paint: Paint<'_>) -> String {
        let mut table = Table::new();
        table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        // rank, views, users, rate, change and their gaps take 45 columns; page and bar share the rest
        let room = width.saturating_sub(45).max(12);
        let bar_width = if width >= 76 { (room / 3).min(24) } else { 0 };
        let page_width = room.saturating_sub(bar_width).min(44);
        let mut header = vec!["#", "page", "views", "users", "CTR", "change"];
        if bar_width > 0 {
            header.push("");
        }
        table.set_header(
            header
                .into_iter()
                .map(|name| paint(name.to_owned()).dim().to_string())
                .map(Cell::new)
                .collect::<Vec<_>>(),
        );
        let most = window.top.iter().map(|row| row.view_count).max().unwrap_or(1).max(1);
        for row in &window.top {
            let mut cells = vec![
                Cell::new(row.rank),
                Cell::new(shorten(&row.page_url, page_width)),
                Cell::new(thousands(row.view_count)),
                Cell::new(thousands(row.unique_users)),
                Cell::new(percent(row.click_through_rate)),
                Cell::new(self.change(row, paint)),
            ];
            if bar_width > 0 {
                cells.push(Cell::new(
                    paint(bar(row.view_count as f64 / most as f64, bar_width)).cyan().to_string(),
                ));
            }
            table.add_row(cells);
        }
        for right in [0, 2, 3, 4] {
            if let Some(column) = table.column_mut(right) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        if let Some(column) = table.column_mut(1) {
            column.set_constraint(ColumnConstraint::Absolute(Width::Fixed(page_width as u16 + 2)));
        }
        table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    /// Places won or lost since the previous window, and the change of views.
    fn change(&self, row: &TopPage, paint: Paint<'_>) -> String {
        let Some((rank, views)) = self.previous.get(&row.page_url) else {
            return if self.previous.is_empty() {
                String::new()
            } else {
                paint("new".into()).cyan().to_string()
            };
        };
        let views = row.view_count as i64 - *views as i64;
        match row.rank.cmp(rank) {
            std::cmp::Ordering::Less => paint(format!("▲{} {views:+}", rank - row.rank)).green().to_string(),
            std::cmp::Ordering::Greater => paint(format!("▼{} {views:+}", row.rank - rank)).red().to_string(),
            std::cmp::Ordering::Equal => format!("=  {views:+}"),
        }
    }

    /// Remembers a window as the previous one.
    pub fn remember(&mut self, window: &Window) {
        self.previous =
            window.top.iter().map(|row| (row.page_url.clone(), (row.rank, row.view_count))).collect();
    }
}

/// A bar of eighths of a block.
pub fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// `text` with its control characters made visible, in at most `width` columns.
pub fn shorten(text: &str, width: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if clean.chars().count() <= width {
        return clean;
    }
    let kept: String = clean.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

/// A decimal with two digits of fraction.
fn money(text: &str) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let grouped = whole.parse().map_or_else(|_| whole.to_owned(), thousands);
    format!("{grouped}.{:0<2.2}", fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickstream_event::Timestamp;
    use clickstream_event::rows::{HumanCounts, SiteMetrics};

    fn window() -> Window {
        let (start, end) = (Timestamp(1_795_583_040_000), Timestamp(1_795_583_340_000));
        let site = SiteMetrics {
            site_id: "shop".into(),
            window_start: start,
            window_end: end,
            event_count: 300_123,
            view_count: 200_000,
            click_count: 80_000,
            add_to_cart_count: 500,
            purchase_count: 90,
            unique_users: 41_000,
            active_sessions: 45_000,
            click_through_rate: Some(0.4),
            conversion_rate: Some(0.0214),
            revenue: "12345.5".parse().unwrap(),
            human_event_count: 300_123,
            human: HumanCounts::default(),
            human_conversion_rate: None,
            human_revenue: "12345.5".parse().unwrap(),
        };
        let page = |rank: u32, page_url: &str, view_count| TopPage {
            site_id: "shop".into(),
            window_start: start,
            window_end: end,
            rank,
            page_url: page_url.into(),
            view_count,
            unique_users: view_count / 2,
            click_through_rate: if rank == 2 { None } else { Some(0.25) },
            human_view_count: view_count,
            human_unique_users: view_count / 2,
        };
        Window {
            site,
            top: vec![
                page(1, "/", 1_200),
                page(2, "/a/very/long/path/that/does/not/fit/anywhere/at/all\u{7}", 900),
                page(3, "/x", 30),
            ],
            trending: Vec::new(),
            bounce_rates: Vec::new(),
            provisional: Vec::new(),
            transitions: Vec::new(),
            paths: Vec::new(),
            funnel: None,
            latency_ms: 210,
        }
    }

    #[test]
    fn draws_plain_text_within_the_width() {
        let mut view = WindowView::default();
        let mut before = window();
        before.top[0].rank = 2;
        before.top[1].rank = 1;
        before.top.truncate(2);
        view.remember(&before);
        for width in [50, 80, 120] {
            let text = view.draw(&window(), View::Top, &VecDeque::new(), width, false);
            assert!(!text.contains('\u{1b}') && !text.contains('\u{7}'), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= width.max(58)), "{width}\n{text}");
            assert!(
                text.contains("05:04:00 – 05:09:00 UTC")
                    && text.contains("▲1")
                    && text.contains("▼1")
                    && text.contains("new"),
                "{text}"
            );
        }
        view.log_begins = Some(Timestamp(window().site.window_end.0 - 68_900));
        let filling = view.draw(&window(), View::Top, &VecDeque::new(), 120, false);
        assert!(filling.contains("05:09:00 UTC  filling: 1m 8s of 5m"), "{filling}");
        view.log_begins = Some(window().site.window_start);
        let wide = view.draw(&window(), View::Top, &VecDeque::new(), 120, false);
        assert!(!wide.contains("filling"));
        assert!(wide.contains("conversion 2.1 % · 12 345.50 revenue") && wide.contains('█'), "{wide}");
        // colour changes no column
        let coloured = view.draw(&window(), View::Top, &VecDeque::new(), 120, true);
        assert!(coloured.contains('\u{1b}'));
        let trimmed =
            |text: &str| -> Vec<String> { text.lines().map(|line| line.trim_end().to_owned()).collect() };
        assert_eq!(trimmed(&console::strip_ansi_codes(&coloured)), trimmed(&wide));
    }
}

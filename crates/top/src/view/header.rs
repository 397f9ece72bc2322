//! Site, window, its figures against the window before, proof, connection; and the tabs.

use clickstream_event::Timestamp;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use serde_json::Value;

use crate::compare;
use crate::state::{Connection, State, Tab};
use crate::text::{clock, duration, fit, number, percent, ratio, thousands, width, word};
use crate::theme::Theme;

pub fn draw(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let row = |n: u16| Rect { y: area.y + n, height: 1, ..area };
    where_and_when(state, theme, row(0), frame);
    figures(state, theme, row(1), frame);
    tabs(state, theme, row(2), frame);
    frame.render_widget(Line::styled("─".repeat(usize::from(area.width)), theme.faint()), row(3));
}

fn where_and_when(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let narrow = area.width < 60;
    let mut proven = proof(state, theme);
    if narrow {
        // the mark alone; the pipeline's tab says it in full
        proven.content = proven.content.chars().take(1).collect::<String>().into();
    }
    let right = [proven, connection(state, theme)];
    let right_width: usize = right.iter().map(|span| width(&span.content) + 2).sum();
    let room = usize::from(area.width).saturating_sub(right_width);
    let window = state.history.back().map_or_else(
        || "no window yet".to_owned(),
        |site| {
            let (start, end) = (word(site, "window_start"), word(site, "window_end"));
            // of another day only where a log of the past was read, or nothing runs any more
            let today = state.now.to_string();
            let day = end.get(..10).filter(|day| today.get(..10) != Some(*day)).unwrap_or_default();
            let zone = if narrow { "" } else { " UTC" };
            format!("{day} {} – {}{zone}", clock(start), clock(end)).trim_start().to_owned()
        },
    );
    let name = if state.site.is_empty() { "clickstream" } else { &state.site };
    let name = fit(name, room.saturating_sub(width(&window) + 4).max(8));
    let window = fit(&window, room.saturating_sub(width(&name) + 4));
    let pad = room.saturating_sub(width(&name) + width(&window) + 3);
    let mut spans = vec![
        Span::raw(" "),
        Span::styled(name, theme.accent()),
        Span::raw("  "),
        Span::raw(window),
        Span::raw(" ".repeat(pad)),
    ];
    for part in right {
        spans.push(part);
        spans.push(Span::raw("  "));
    }
    frame.render_widget(Line::from(spans), area);
}

/// What the proof beside the pipeline says.
pub fn proof(state: &State, theme: Theme) -> Span<'static> {
    let Some(proof) = state.status("proof") else { return Span::raw("") };
    match word(proof, "state") {
        "proven" => Span::styled(format!("✓ proven {}", clock(word(proof, "up_to"))), theme.good()),
        "refuted" => Span::styled(
            format!("✗ {} rows refuted", thousands(number(proof, "differing") as u64)),
            theme.bad(),
        ),
        "waiting" => Span::styled("… proof to come", theme.faint()),
        _ => Span::styled("proof off", theme.faint()),
    }
}

fn connection(state: &State, theme: Theme) -> Span<'static> {
    match &state.connection {
        _ if state.paused => Span::styled("▮▮ paused", theme.warn()),
        Connection::Live => match behind(state) {
            Some(ms) => Span::styled(format!("● {} behind", duration(ms)), theme.warn()),
            None => Span::styled("● live", theme.good()),
        },
        Connection::Connecting => Span::styled("○ connecting", theme.warn()),
        Connection::Lost { retry_at, attempts, .. } => {
            let left = (retry_at.0 - state.now.0).max(0) as f64 / 1e3;
            Span::styled(format!("○ lost; attempt {} in {:.0} s", attempts + 1, left.ceil()), theme.bad())
        }
    }
}

/// How old the newest window is, by the server's clock, where the next ones should be there by now.
fn behind(state: &State) -> Option<f64> {
    let at = |row: &Value, field: &str| Timestamp::parse(word(row, field)).map(|at| at.0 as f64);
    let status = state.pipeline.as_ref()?;
    let age = at(status, "at")? - at(state.history.back()?, "window_end")?;
    (age > 2.0 * number(status, "slide_ms") + 5_000.0).then_some(age)
}

fn figures(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    if let Connection::Lost { why, .. } = &state.connection {
        let text = fit(&format!("{}: {why}", state.url), usize::from(area.width).saturating_sub(2));
        frame.render_widget(Line::from(vec![Span::raw(" "), Span::styled(text, theme.bad())]), area);
        return;
    }
    let before = compare::before(&state.history);
    let Some(site) = state.history.back() else {
        let text = "waiting for the first window; it comes after one slide";
        frame.render_widget(Line::styled(format!(" {text}"), theme.faint()), area);
        return;
    };
    let whole = |field: &str| thousands(number(site, field) as u64);
    let narrow = area.width < 100;
    let [conversion, revenue] = if narrow { ["conv", "rev"] } else { ["conversion", "revenue"] };
    let gap = if narrow { "  " } else { "   " };
    let all = [
        ("views", whole("view_count"), change(site, before, "view_count")),
        ("users", whole("unique_users"), change(site, before, "unique_users")),
        (conversion, percent(ratio(site, "conversion_rate")), rate_change(site, before, "conversion_rate")),
        (revenue, money(number(site, "revenue")), change(site, before, "revenue")),
        ("sessions", whole("active_sessions"), change(site, before, "active_sessions")),
        ("events", whole("event_count"), change(site, before, "event_count")),
    ];
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    for (name, value, change) in all {
        let mut change = change.unwrap_or_default();
        if narrow {
            change.retain(|c| c != ' ');
        }
        used += width(name) + width(&value) + width(&change) + 2 + gap.len();
        if used > usize::from(area.width) + gap.len() {
            break;
        }
        let style = match change.chars().next() {
            Some('▲') => theme.good(),
            Some('▼') => theme.bad(),
            _ => Style::new(),
        };
        spans.push(Span::styled(format!("{name} "), theme.faint()));
        spans.push(Span::styled(value, theme.strong()));
        spans.push(Span::styled(format!(" {change}{gap}"), style));
    }
    frame.render_widget(Line::from(spans), area);
}

/// More or less than before, in percent.
fn change(now: &Value, before: Option<&Value>, field: &str) -> Option<String> {
    let (now, before) = (number(now, field), number(before?, field));
    (before > 0.0).then(|| arrow((now / before - 1.0) * 100.0, " %"))
}

/// The same of a rate, which there may be none of.
fn rate_change(now: &Value, before: Option<&Value>, field: &str) -> Option<String> {
    ratio(now, field).and_then(|_| change(now, before, field))
}

fn arrow(by: f64, unit: &str) -> String {
    match by {
        by if by >= 0.05 => format!("▲{by:.1}{unit}"),
        by if by <= -0.05 => format!("▼{:.1}{unit}", -by),
        _ => "=".into(),
    }
}

fn money(amount: f64) -> String {
    let cents = (amount * 100.0).round().max(0.0) as u64;
    format!("{}.{:02}", thousands(cents / 100), cents % 100)
}

fn tabs(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let mut spans = vec![Span::raw(" ")];
    for (n, tab) in Tab::ALL.into_iter().enumerate() {
        // where not all names fit, a number and the key to it do
        if tab != state.tab && area.width < 72 {
            spans.push(Span::styled(format!(" {} ", n + 1), theme.faint()));
            spans.push(Span::raw(" "));
            continue;
        }
        let fresh = tab == Tab::Anomalies && !state.anomalies.is_empty();
        let name = if fresh && area.width >= 90 {
            format!("{} ({})", tab.name(), state.anomalies.len())
        } else {
            tab.name().to_owned()
        };
        if tab == state.tab {
            spans.push(Span::styled(format!("[{} {name}]", n + 1), theme.accent()));
        } else {
            spans.push(Span::styled(format!(" {} ", n + 1), theme.faint()));
            spans.push(Span::raw(format!("{name} ")));
        }
        spans.push(Span::raw(" "));
    }
    frame.render_widget(Line::from(spans), area);
}

//! The pipeline itself: rates, lag, watermark, processes, proof.

use clickstream_event::Timestamp;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use serde_json::Value;

use super::chart::bar;
use super::header;
use super::table::{self, Fill, column, wide};
use crate::state::State;
use crate::text::{bytes, clock, duration, fit, number, ratio, safe, thousands, whole_items, width, word};
use crate::theme::Theme;

/// A window is written a little after its end as a rule, which is no news; milliseconds.
const OVERDUE_MS: f64 = 5_000.0;

pub fn draw(state: &State, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let Some(status) = &state.pipeline else {
        table::nothing("the pipeline has not reported yet", theme, area, frame);
        return;
    };
    let partitions = list(status, "partitions");
    let components = list(status, "components");
    let [top, windows, below] = Layout::vertical([
        Constraint::Length(4),
        Constraint::Length(if area.height >= 24 { 7 } else { 5 }),
        Constraint::Min(3),
    ])
    .areas(area);
    figures(state, status, theme, top, frame);
    open_windows(status, state.now, theme, windows, frame);
    let [left, right] = table::beside([1, 1], below);
    draw_partitions(&partitions, theme, left, frame);
    draw_components(&components, theme, right, frame);
}

fn list<'s>(status: &'s Value, field: &str) -> Vec<&'s Value> {
    status.get(field).and_then(Value::as_array).into_iter().flatten().collect()
}

fn figures(state: &State, status: &Value, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let whole = |n: f64| thousands(n.max(0.0) as u64);
    let delay = status.get("result_delay_ms").and_then(Value::as_array).map_or_else(
        || "–".to_owned(),
        |delay| match delay.as_slice() {
            [median, p95] => format!("{median} ms (p95 {p95})"),
            _ => "–".into(),
        },
    );
    let lag: Option<f64> = list(status, "partitions").iter().map(|row| ratio(row, "lag")).sum();
    let behind = Timestamp::parse(word(status, "watermark"))
        .map_or_else(|| "–".to_owned(), |at| duration((state.now.0 - at.0).max(0) as f64));
    let age = status.pointer("/job/checkpoint").and_then(|point| ratio(point, "age_ms"));
    let checkpoint = match age {
        Some(age) => format!("{} ago", duration(age)),
        None if word(status, "engine") == "embedded" => "none needed".into(),
        None => "none yet".into(),
    };
    let letters = status.get("dead_letters").and_then(Value::as_object);
    let mut dead: Vec<(&str, f64)> = letters
        .into_iter()
        .flatten()
        .filter_map(|(reason, n)| Some((reason.as_str(), n.as_f64().filter(|n| *n > 0.0)?)))
        .collect();
    // the most first: it is the others that are left out where not all have room
    dead.sort_by(|a, b| b.1.total_cmp(&a.1));
    let dead: Vec<String> =
        dead.into_iter().map(|(reason, n)| format!("{} {}", safe(reason), whole(n))).collect();
    let room = usize::from(area.width).saturating_sub(2 + width("dead letters "));
    let proof = status.get("proof").cloned().unwrap_or_default();
    let lines: [Vec<(&str, String)>; 3] = [
        vec![
            ("engine", word(status, "engine").to_owned()),
            ("state", word(status, "state").to_owned()),
            ("events", format!("{}/s", whole(number(status, "events_per_second")))),
            ("in the log", whole(number(status, "records_total"))),
            ("lag", lag.map_or_else(|| "–".into(), whole)),
        ],
        vec![
            ("results after", delay),
            ("watermark behind", behind),
            ("checkpoint", checkpoint),
            ("duplicates", ratio(status, "duplicates_total").map_or_else(|| "–".into(), whole)),
        ],
        vec![("dead letters", if dead.is_empty() { "none".into() } else { whole_items(&dead, room) })],
    ];
    for (n, facts) in lines.into_iter().enumerate() {
        let mut spans = vec![Span::raw(" ")];
        let mut room = usize::from(area.width).saturating_sub(2);
        for (name, value) in facts {
            let value = fit(&value, room.saturating_sub(width(name) + 1));
            let needed = width(name) + width(&value) + 4;
            if value.is_empty() || needed > room + 3 {
                break;
            }
            room = room.saturating_sub(needed);
            spans.push(Span::styled(format!("{name} "), theme.faint()));
            spans.push(Span::styled(value, theme.strong()));
            spans.push(Span::raw("   "));
        }
        frame.render_widget(Line::from(spans), Rect { y: area.y + n as u16, height: 1, ..area });
    }
    let line = Line::from(vec![
        Span::styled(" proof ", theme.faint()),
        header::proof(state, theme),
        Span::styled(format!("   {} rows compared", whole(number(&proof, "rows"))), theme.faint()),
    ]);
    frame.render_widget(line, Rect { y: area.y + 3, height: 1, ..area });
}

/// The windows that end next, each filled as far as the watermark has come.
fn open_windows(status: &Value, now: Timestamp, theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let (size, slide) = (number(status, "window_ms") as i64, number(status, "slide_ms") as i64);
    let about = "filled up to the watermark, which has to pass the end";
    let inner = table::title("Open windows", about, theme, area, frame);
    let Some(watermark) = Timestamp::parse(word(status, "watermark")).filter(|_| slide > 0 && size > 0)
    else {
        table::nothing("no watermark yet", theme, inner, frame);
        return;
    };
    let first = (watermark.0.div_euclid(slide) + 1) * slide;
    let room = usize::from(inner.width).saturating_sub(44);
    for n in 0..inner.height {
        let end = first + i64::from(n) * slide;
        let share = (watermark.0 - (end - size)) as f64 / size as f64;
        if share <= 0.0 {
            break;
        }
        let left = (end - now.0) as f64;
        // it has ended, and waits for the watermark
        let ends = match left {
            left if left >= 0.0 => format!("ends in {}", duration(left)),
            left if left >= -OVERDUE_MS => "ends now".to_owned(),
            left => format!("overdue by {}", duration(-left)),
        };
        let filled = bar(share, room);
        let pad = "·".repeat(room.saturating_sub(width(&filled)));
        let line = Line::from(vec![
            Span::raw(format!(" {} – {}  ", Timestamp(end - size).clock(), Timestamp(end).clock())),
            Span::styled(filled, theme.bar()),
            Span::styled(pad, theme.faint()),
            Span::styled(format!("  {ends}"), if left < -OVERDUE_MS { theme.warn() } else { theme.faint() }),
        ]);
        frame.render_widget(line, Rect { y: inner.y + n, height: 1, ..inner });
    }
}

fn draw_partitions(rows: &[&Value], theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let area = table::title("Partitions of the events", "", theme, area, frame);
    let columns = [
        column("#", Fill::Right(3)),
        column("records", Fill::Right(10)),
        column("per s", Fill::Right(6)),
        column("lag", Fill::Right(6)).spare(1),
        wide("newest", Fill::Left(8), 40).spare(2),
    ];
    let lines: Vec<Vec<Span<'static>>> = rows
        .iter()
        .map(|row| {
            vec![
                Span::styled(format!("{}", number(row, "partition")), theme.faint()),
                Span::raw(thousands(number(row, "end_offset") as u64)),
                Span::styled(thousands(number(row, "records_per_second") as u64), theme.strong()),
                Span::raw(ratio(row, "lag").map_or_else(|| "–".into(), |lag| thousands(lag as u64))),
                Span::raw(clock(word(row, "high_mark"))),
            ]
        })
        .collect();
    table::draw(&columns, &lines, None, theme, area, frame);
}

fn draw_components(rows: &[&Value], theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let area = table::title("Processes", "", theme, area, frame);
    let columns = [
        column("name", Fill::Left(12)),
        column("state", Fill::Left(10)),
        column("memory", Fill::Right(7)),
        wide("pid", Fill::Right(7), 48),
        wide("restarts", Fill::Right(8), 60),
    ];
    let lines: Vec<Vec<Span<'static>>> = rows
        .iter()
        .map(|row| {
            let state = word(row, "state");
            let style = match state {
                "ready" | "external" => theme.good(),
                "failed" => theme.bad(),
                _ => theme.warn(),
            };
            vec![
                Span::raw(word(row, "name").to_owned()),
                Span::styled(state.to_owned(), style),
                Span::raw(ratio(row, "memory_bytes").map_or_else(|| "–".into(), bytes)),
                Span::raw(ratio(row, "pid").map_or_else(|| "–".into(), |pid| format!("{pid:.0}"))),
                Span::raw(format!("{:.0}", number(row, "restarts"))),
            ]
        })
        .collect();
    table::draw(&columns, &lines, None, theme, area, frame);
}

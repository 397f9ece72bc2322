//! Lines and bars of letters.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Chart, Dataset, GraphType};

use crate::text::thousands;
use crate::theme::Theme;

const EIGHTHS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/// The newest values as a line of blocks, from the least to the greatest; `·` where none is known. What differs by less than a tenth is
/// nearly a flat line, not noise made large.
pub fn sparkline(values: &[Option<f64>], columns: usize) -> String {
    let newest = &values[values.len().saturating_sub(columns)..];
    let known = || newest.iter().flatten().copied();
    let (low, high) = known().fold((f64::INFINITY, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    let spare = ((high * 0.1 - (high - low)) / 2.0).max(0.0);
    let (base, span) = (low - spare, (high - low + 2.0 * spare).max(f64::MIN_POSITIVE));
    let mut line = " ".repeat(columns - newest.len());
    for value in newest {
        line.push_str(match value {
            None => "·",
            Some(_) if high <= 0.0 => EIGHTHS[0],
            Some(value) => EIGHTHS[(((value - base) / span * 7.0).round() as usize).min(7)],
        });
    }
    line
}

/// A share of a bar.
pub fn bar(share: f64, columns: usize) -> String {
    let eighths = (share.clamp(0.0, 1.0) * columns as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), PARTS[eighths % 8])
}

/// Values over time, as a line of dots with axes.
pub fn lines(series: &[f64], ends: [String; 2], theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let points: Vec<(f64, f64)> = series.iter().enumerate().map(|(n, value)| (n as f64, *value)).collect();
    let top = series.iter().fold(1.0_f64, |top, value| top.max(*value));
    let dataset = Dataset::default()
        .marker(Marker::Braille)
        .graph_type(GraphType::Line)
        .style(theme.bar())
        .data(&points);
    let labels =
        [0.0, top / 2.0, top].map(|value| Span::styled(thousands(value.round() as u64), theme.faint()));
    let ends = ends.map(|end| Span::styled(end, theme.faint()));
    let chart = Chart::new(vec![dataset])
        .x_axis(
            Axis::default()
                .bounds([0.0, series.len().saturating_sub(1).max(1) as f64])
                .labels(ends.map(Line::from))
                .style(theme.faint()),
        )
        .y_axis(Axis::default().bounds([0.0, top]).labels(labels.map(Line::from)).style(theme.faint()));
    frame.render_widget(chart, area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks() {
        assert_eq!(sparkline(&[Some(1.0), None, Some(8.0), Some(0.0)], 6), "  ▂·█▁");
        assert_eq!(sparkline(&[Some(1_000.0), Some(1_001.0)], 2), "▄▅");
        assert_eq!(sparkline(&[None], 1), "·");
        assert_eq!(sparkline(&[Some(0.0)], 1), "▁");
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(1.0 / 16.0, 2), "▏");
        assert_eq!(bar(7.0, 2), "██");
    }
}

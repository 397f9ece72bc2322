//! All keys, and what the marks mean.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use crate::theme::Theme;

const KEYS: [(&str, &str); 11] = [
    ("1 … 6  Tab  ← →", "tabs"),
    ("↑ ↓  PgUp PgDn  Home End", "choose a line (also j k g G)"),
    ("Enter", "look closely at the page; Esc back"),
    ("/", "only lines with a text; Esc all"),
    ("v u c d n", "sort pages: views, users, CTR, change, name"),
    ("r", "the other way round"),
    ("s", "next site"),
    ("p  Space", "stand still, or go on"),
    ("q  Ctrl-C", "quit"),
    ("", ""),
    ("?  h  Esc", "close this"),
];

const NOTES: [&str; 7] = [
    "▲ ▼ at the top compare with the window that ended where",
    "this one began, once that is a full one; \"change\" of a page",
    "with one slide before.",
    "The trend of a page is its views in the last windows.",
    "✓ proven: every row up to then equals a recount of the log.",
    "\"by people\" leaves out users labelled as bots.",
    "docs/metrics.md says what each number means.",
];

pub fn draw(theme: Theme, area: Rect, frame: &mut Frame<'_>) {
    let mut lines: Vec<Line<'static>> = KEYS
        .iter()
        .map(|(key, does)| {
            Line::from(vec![Span::styled(format!(" {key:<26}"), theme.accent()), Span::raw(*does)])
        })
        .collect();
    lines.extend(NOTES.iter().map(|note| Line::styled(format!(" {note}"), theme.faint())));
    let height = (lines.len() as u16 + 2).min(area.height);
    let width = 76.min(area.width);
    let place = Rect { x: (area.width - width) / 2, y: (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    frame.render_widget(
        Paragraph::new(lines).block(Block::bordered().title(" Keys ").style(theme.strong())),
        place,
    );
}

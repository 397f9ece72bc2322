//! Colours of the sixteen that every terminal has, or none: then weight and brightness tell.

use ratatui::style::{Color, Modifier, Style};

/// How things look.
#[derive(Clone, Copy, Debug)]
pub struct Theme {
    /// Whether there are colours.
    pub colour: bool,
}

impl Theme {
    fn fg(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    /// What matters.
    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What matters less.
    pub fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    /// Headings, and the tab that is open.
    pub fn accent(self) -> Style {
        self.fg(Color::Cyan).add_modifier(Modifier::BOLD)
    }

    /// Bars and lines.
    pub fn bar(self) -> Style {
        self.fg(Color::Cyan)
    }

    /// More than before; proven.
    pub fn good(self) -> Style {
        self.fg(Color::Green)
    }

    /// Less than before; refuted.
    pub fn bad(self) -> Style {
        let style = self.fg(Color::Red);
        if self.colour { style } else { style.add_modifier(Modifier::BOLD) }
    }

    /// Something is going on.
    pub fn warn(self) -> Style {
        self.fg(Color::Yellow)
    }

    /// The line that is chosen.
    pub fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

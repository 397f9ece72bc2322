//! What a key does.

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

pub use crate::rows::By;
use crate::state::{State, Tab};

/// Something to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// Nothing.
    None,
    /// Leave.
    Quit,
    /// Open a tab.
    Tab(Tab),
    /// The tab to the right.
    NextTab,
    /// The tab to the left.
    PreviousTab,
    /// Choose the line so many below.
    Move(i32),
    /// Look closely at the chosen page.
    Open,
    /// Close what is open.
    Back,
    /// Open or close help.
    Help,
    /// Stand still, or go on.
    Pause,
    /// Sort pages by a column.
    Sort(By),
    /// The other way round.
    Reverse,
    /// Begin a filter.
    Filter,
    /// A letter of the filter.
    Type(char),
    /// Take its last letter away.
    Erase,
    /// The filter is complete.
    Typed,
    /// The next site.
    NextSite,
}

/// Lines of a page of a list.
const PAGE: i32 = 10;

/// What a key does in this state.
pub fn action(state: &State, key: KeyEvent) -> Action {
    if key.kind == KeyEventKind::Release {
        return Action::None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return match key.code {
            KeyCode::Char('c' | 'd') => Action::Quit,
            KeyCode::Char('u') if state.typing => Action::Back,
            _ => Action::None,
        };
    }
    if state.typing {
        return match key.code {
            KeyCode::Char(c) if !c.is_control() => Action::Type(c),
            KeyCode::Backspace => Action::Erase,
            KeyCode::Enter | KeyCode::Down | KeyCode::Up => Action::Typed,
            KeyCode::Esc => Action::Back,
            _ => Action::None,
        };
    }
    match key.code {
        KeyCode::Char('q') => Action::Quit,
        KeyCode::Char('?' | 'h') => Action::Help,
        KeyCode::Esc | KeyCode::Backspace => Action::Back,
        _ if state.help => Action::Back,
        KeyCode::Char(digit @ '1'..='6') => Action::Tab(Tab::ALL[digit as usize - '1' as usize]),
        KeyCode::Tab | KeyCode::Right => Action::NextTab,
        KeyCode::BackTab | KeyCode::Left => Action::PreviousTab,
        KeyCode::Down | KeyCode::Char('j') => Action::Move(1),
        KeyCode::Up | KeyCode::Char('k') => Action::Move(-1),
        KeyCode::PageDown => Action::Move(PAGE),
        KeyCode::PageUp => Action::Move(-PAGE),
        KeyCode::Home | KeyCode::Char('g') => Action::Move(i32::MIN / 2),
        KeyCode::End | KeyCode::Char('G') => Action::Move(i32::MAX / 2),
        KeyCode::Enter => Action::Open,
        KeyCode::Char('p' | ' ') => Action::Pause,
        KeyCode::Char('/') => Action::Filter,
        KeyCode::Char('s') => Action::NextSite,
        KeyCode::Char('v') => Action::Sort(By::Views),
        KeyCode::Char('u') => Action::Sort(By::Users),
        KeyCode::Char('c') => Action::Sort(By::Clicks),
        KeyCode::Char('d') => Action::Sort(By::Change),
        KeyCode::Char('n') => Action::Sort(By::Name),
        KeyCode::Char('r') => Action::Reverse,
        _ => Action::None,
    }
}

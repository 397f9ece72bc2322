//! What the stack tells while it works; the console draws it.

use std::time::Duration;

/// Something worth showing.
#[derive(Clone, Debug)]
pub enum Progress {
    /// A step began.
    Started(String),
    /// A step's share, for a bar: `done` of `total` (0 where unknown).
    Advanced {
        /// The step, as in [`Progress::Started`].
        step: String,
        /// Units done.
        done: u64,
        /// Units in all.
        total: u64,
    },
    /// A step ended well.
    Done {
        /// The step, as in [`Progress::Started`].
        step: String,
        /// What to say about it.
        message: String,
        /// How long it took.
        took: Duration,
    },
    /// Something the user should know; everything goes on.
    Notice(String),
}

/// Receives [`Progress`]; called from several threads.
pub trait Observer: Send + Sync {
    /// Shows one piece of progress.
    fn on(&self, progress: Progress);
}

/// An observer that looks away.
pub struct Silent;

impl Observer for Silent {
    fn on(&self, _: Progress) {}
}

//! What people see: steps while starting ([`steps`]), commands to try ([`hints`]), a table per window ([`window`], [`sections`]), the live view ([`live`]).
//!
//! Drawing is pure where it can be: a view in, text out, the width as an argument.

pub mod hints;
pub mod live;
mod output;
pub mod sections;
pub mod steps;
pub mod window;

pub use output::{emit, reader_gone, redraws, tell};

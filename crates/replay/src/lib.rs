//! Access logs of web servers become page views.
//!
//! Pure: bytes of lines in, events out; no clock, no files, no randomness of its own. `docs/replay.md` has the rules in words.
//!
//! ```
//! use clickstream_replay::{Options, Replay, Salt};
//!
//! let mut replay = Replay::new(Options::default(), Salt::from_text("a secret"));
//! let mut views = Vec::new();
//! replay.line(br#"192.0.2.1 - - [26/Nov/2026:10:00:00 +0000] "GET /shoes?x=1 HTTP/1.1" 200 512"#, &mut views);
//! replay.finish(&mut views);
//! assert_eq!(&*views[0].page, "/shoes");
//! ```
//!
//! | module | does |
//! |---|---|
//! | [`line`](mod@line) | one line of any format as fields |
//! | `clf`, `json` | the formats |
//! | `clock`, `escape` | times and escapes as servers write them |
//! | [`rules`] | which lines are page views |
//! | [`visitor`] | who made a view, without keeping the address |
//! | `sessions` | when a visitor comes again |
//! | `seconds` | puts lines in order, spreads those of one second over it |
//! | [`replay`] | all of it together |
//! | [`retime`] | moves a log into the present |
//! | [`summary`] | what became of the lines |
//! | [`workload`] | generated lines, for tests and measurements |

mod clf;
mod clock;
mod escape;
mod interned;
mod json;
pub mod line;
pub mod replay;
pub mod retime;
pub mod rules;
mod seconds;
mod sessions;
pub mod summary;
pub mod visitor;
pub mod workload;

pub use line::{Format, Line};
pub use replay::{Options, Replay, View};
pub use retime::{Retimer, Speed};
pub use rules::Skip;
pub use summary::Summary;
pub use visitor::Salt;

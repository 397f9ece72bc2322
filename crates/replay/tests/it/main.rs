//! The samples of every server, and a million generated lines.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod generated;
mod samples;

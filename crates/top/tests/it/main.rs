//! Pictures of every tab, and a real server on a free port.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod fixture;
mod pictures;
mod server;

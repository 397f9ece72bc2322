//! The collector from outside: a real server on a free port, and a log in memory that can be made to fail.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on should panic")]

mod answers;
mod hostile;
mod repeats;
mod world;

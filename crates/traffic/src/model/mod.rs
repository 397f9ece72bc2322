//! The model of visitors: [`catalogue`] of pages, [`session`] walks, and [`Traffic`], the stream of all of them.

pub mod catalogue;
pub mod session;
mod traffic;

pub use traffic::{Timed, Traffic, TrafficConfig};

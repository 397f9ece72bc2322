//! The model of visitors: [`catalogue`] of pages, [`session`] walks, [`script`]s of bots, [`episode`]s of spikes and drops,
//! and [`Traffic`], the stream of all of them.

pub mod catalogue;
mod due;
pub mod episode;
pub mod manner;
mod regulars;
mod script;
pub mod session;
mod traffic;

pub use episode::{Episode, Happening};
pub use traffic::{DISORDER_MS, Timed, Traffic, TrafficConfig};

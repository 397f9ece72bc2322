//! `clickstream top`: pages, sessions, journeys, anomalies and the pipeline itself, live in a terminal.
//!
//! It knows nothing but the REST interface and the live stream of a running `up`, so it works as well from another machine.
//! What is shown is a pure function of [`State`]; what a key does is one too. Only `client` and `terminal` touch the world.
//!
//! | module | does |
//! |---|---|
//! | [`client`] | asks and listens; comes back after a break |
//! | [`update`] | what it brings |
//! | [`state`] | what is known, and how it is looked at |
//! | `rows` | lists: sorted, filtered |
//! | `compare` | which window the newest one is compared with |
//! | [`keys`] | what a key does |
//! | [`view`] | the picture |
//! | [`text`] | texts of strangers made harmless; numbers for people |
//! | `theme` | colours, or none |
//! | [`terminal`] | the loop; leaves the terminal as it found it |

pub mod client;
mod compare;
pub mod keys;
mod rows;
pub mod state;
pub mod terminal;
pub mod text;
mod theme;
pub mod update;
pub mod view;

pub use state::State;
pub use terminal::{Options, TopError, once, run};
pub use update::Update;

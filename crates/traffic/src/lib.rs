//! Visitors of a made-up shop, and the way of their events into Kafka.
//!
//! | module | does |
//! |---|---|
//! | [`model`] | who visits, what they look at, what they buy: an iterator of timed events, repeatable from its seed |
//! | [`inject`] | spoils a share of them: late, duplicate, malformed, from the future |
//! | [`pace`] | keeps the rate in real time without bursts of catch-up |
//! | [`producer`] | an idempotent Kafka producer that loses and doubles nothing |
//! | [`due`] | when the next event is due |
//! | [`heartbeat`] | keeps silent partitions from holding back results |
//! | [`generate`] | all of it together |

pub mod due;
pub mod generate;
pub mod heartbeat;
pub mod inject;
pub mod model;
pub mod pace;
pub mod producer;

pub use generate::{Generator, GeneratorConfig};
pub use inject::Injections;
pub use model::{Episode, Happening, Traffic, TrafficConfig};
pub use producer::{EventSink, KeyStrategy, Producer, ProducerError};

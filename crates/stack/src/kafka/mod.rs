//! The Kafka broker: configuration and start ([`broker`]), topics ([`topics`]).

pub mod broker;
pub mod topics;

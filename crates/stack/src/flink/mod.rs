//! Flink as a session cluster with an SQL Gateway: how its processes start ([`cluster`]), its two REST interfaces
//! ([`rest`], [`gateway`]), and the checkpoints it leaves ([`checkpoint`]).

pub mod checkpoint;
pub mod cluster;
pub mod gateway;
pub mod rest;

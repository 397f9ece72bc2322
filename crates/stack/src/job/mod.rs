//! The Flink job: its SQL ([`template`]), what is done to its compiled plan ([`plan`], [`lag`]), where it takes up the log
//! ([`resume`], `open_sessions`), when checkpoints are taken (`rhythm`), whether its state can be trusted (`pace`), the plan that comes
//! with the program ([`shipped`]), what Flink says of it ([`telemetry`]), how it is submitted ([`control`]) and kept
//! running (`watch`).

pub mod control;
pub mod lag;
mod open_sessions;
mod options;
mod pace;
pub mod plan;
pub mod resume;
mod rhythm;
pub mod shipped;
pub mod telemetry;
pub mod template;
mod times;
mod watch;

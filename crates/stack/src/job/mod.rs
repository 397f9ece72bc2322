//! The Flink job: its SQL ([`template`]), what is done to its compiled plan ([`plan`], [`lag`]), where it takes up the log
//! ([`resume`], `open_sessions`), when checkpoints are taken (`rhythm`), whether its state can be trusted (`outage`), the plan that comes
//! with the program ([`shipped`]), what Flink says of it ([`telemetry`]), and how it is submitted and kept running ([`control`]).

pub mod control;
pub mod lag;
mod open_sessions;
mod options;
mod outage;
pub mod plan;
pub mod resume;
mod rhythm;
pub mod shipped;
pub mod telemetry;
pub mod template;
mod times;

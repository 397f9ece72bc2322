//! The Flink job: its SQL ([`template`]), what is done to its compiled plan ([`plan`], [`lag`]), where it takes up the log
//! ([`resume`]), when checkpoints are taken (`rhythm`), the plan that comes with the program ([`shipped`]), and how it is submitted and kept running ([`control`]).

pub mod control;
pub mod lag;
mod options;
pub mod plan;
pub mod resume;
mod rhythm;
pub mod shipped;
pub mod template;
mod times;

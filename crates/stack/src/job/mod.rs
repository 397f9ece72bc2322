//! The Flink job: its SQL ([`template`]), what is done to its compiled plan ([`plan`]), where it takes up the log
//! ([`resume`]), and how it is submitted and kept running ([`control`]).

pub mod control;
pub mod plan;
pub mod resume;
pub mod template;

//! Reads a part of the events and has the engine judge each record, for whoever asks what became of some of them.

use std::ops::ControlFlow;

use anyhow::Result;
use clickstream_engine::{Engine, Verdict};
use clickstream_event::{Record, Rejection, Rules, decode, topic};

use crate::logs::{Bounds, Log, LogRecord, read_until};

/// A record, and what the recount makes of it.
pub struct Judged<'r> {
    /// As it stands in the log.
    pub record: LogRecord<'r>,
    /// As it is read, or why it cannot be.
    pub decoded: &'r Result<Record<'r>, Rejection>,
    /// What became of it.
    pub verdict: &'r Verdict,
}

/// Gives all records of this part to the engine, in the order of their arrival, until `take` has enough.
pub fn recount(
    log: &dyn Log,
    engine: &mut Engine,
    rules: Rules,
    part: &Bounds,
    take: &mut dyn FnMut(Judged<'_>, &mut Engine) -> ControlFlow<()>,
) -> Result<()> {
    read_until(log, topic::EVENTS, part, &mut |record| {
        let decoded = decode(record.value.unwrap_or_default(), record.arrival, rules);
        let verdict = match &decoded {
            Ok(decoded) => engine.push_record(record.partition as usize, record.arrival, decoded),
            Err(rejection) => Verdict::Rejected(rejection.clone()),
        };
        take(Judged { record, decoded: &decoded, verdict: &verdict }, engine)
    })
}

//! One plan for every start.
//!
//! From what time on windows are written is a matter of each start: it stands in the queries, and so in the plan. To compile a plan takes
//! Flink ten seconds and more. So it is compiled once, for times that no log has, and at each start the right ones take their place.

use clickstream_event::Timestamp;

use super::template::{Replay, Start};

/// A start whose times are found again in a plan: 2001-02-03 04:05:06, and a number that is no whole second.
pub(super) const PLACEHOLDER: Replay =
    Replay { read_from: 0, emit_from: 981_173_106_000, sessions_from: 981_173_106_789 };

/// Before every window: the first one with an event of 1970 begins before 1970.
const LONG_AGO: i64 = -2_208_988_800_000;

/// The plan for a start; nothing, if it does not hold every time of [`PLACEHOLDER`].
pub(super) fn put_in(plan: &str, start: Start) -> Option<String> {
    let (emit_from, sessions_from) = match start {
        Start::Earliest => (LONG_AGO, LONG_AGO),
        Start::At(replay) => (replay.emit_from, replay.sessions_from),
    };
    let swap =
        |plan: String, from: String, to: String| plan.contains(&from).then(|| plan.replace(&from, &to));
    let plan = swap(plan.to_owned(), literal(PLACEHOLDER.emit_from), literal(emit_from))?;
    let plan = swap(plan, PLACEHOLDER.emit_from.to_string(), emit_from.to_string())?;
    swap(plan, PLACEHOLDER.sessions_from.to_string(), sessions_from.to_string())
}

/// A whole second as Flink writes it in a plan.
fn literal(ms: i64) -> String {
    Timestamp(ms / 1_000 * 1_000).to_string().replace('T', " ").replace(".000Z", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_takes_its_place() {
        let plan = r#"[{"value":"2001-02-03 04:05:06"},{"value":981173106000},{"value":981173106789},"x >= 981173106000"]"#;
        let replay = Replay { read_from: 1, emit_from: 1_795_727_780_000, sessions_from: 1_795_727_210_021 };
        assert_eq!(
            put_in(plan, Start::At(replay)).unwrap(),
            r#"[{"value":"2026-11-26 21:16:20"},{"value":1795727780000},{"value":1795727210021},"x >= 1795727780000"]"#
        );
        assert_eq!(
            put_in(plan, Start::Earliest).unwrap(),
            r#"[{"value":"1900-01-01 00:00:00"},{"value":-2208988800000},{"value":-2208988800000},"x >= -2208988800000"]"#
        );
        assert_eq!(put_in("[981173106000]", Start::Earliest), None);
    }
}

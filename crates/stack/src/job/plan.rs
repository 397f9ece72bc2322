//! What SQL cannot say: two changes to the compiled plan, a JSON file that `COMPILE PLAN` writes and `EXECUTE PLAN` runs.
//!
//! 1. **LAG row by row.** SQL gives LAG no frame, and Flink's default for it is RANGE: all rows with the same time are
//!    added before any of them is answered. Two events of one user in the same millisecond then see each other as the
//!    previous one, both seem to be repetitions, and the user is missed in every window that holds them. With
//!    `isRows` the rows are taken one after the other, and the first of them sees the true predecessor.
//! 2. **How long deduplication remembers.** `table.exec.state.ttl` holds for the whole job and must exceed a window; event
//!    ids need the dedup horizon only, and they are the larger part of the state.
//!
//! <https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/dev/table/concepts/overview/#configure-operator-level-state-ttl>

use serde_json::Value;

use crate::error::{Result, StackError};

/// What was changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Changes {
    /// OVER aggregations with LAG that now go row by row.
    pub lag: usize,
    /// Deduplications with a time to live of their own.
    pub dedup: usize,
}

/// Makes both changes to the plan in `json`. The plan must have them: a plan without any means that Flink's format is
/// not the one we know, and the job would count wrongly.
pub fn adapt(json: &str, dedup_ttl_s: i64, expect_lag: bool) -> Result<(String, Changes)> {
    let fail = |why: &str| StackError::Template { file: "the compiled plan".into(), why: why.into() };
    let mut plan: Value = serde_json::from_str(json).map_err(|e| fail(&e.to_string()))?;
    let mut changes = Changes::default();
    let nodes = plan.get_mut("nodes").and_then(Value::as_array_mut).ok_or_else(|| fail("it has no nodes"))?;
    for node in nodes {
        let kind = node.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if kind.contains("over-aggregate") {
            for group in
                node.pointer_mut("/overSpec/groups").and_then(Value::as_array_mut).into_iter().flatten()
            {
                let is_lag = group.get("aggCalls").is_some_and(|calls| calls.to_string().contains("LAG"));
                if let (true, Some(is_rows)) = (is_lag, group.get_mut("isRows")) {
                    *is_rows = Value::Bool(true);
                    changes.lag += 1;
                }
            }
        } else if kind.contains("deduplicate") {
            if let Some(ttl) = node.pointer_mut("/state/0/ttl") {
                *ttl = Value::String(format!("{dedup_ttl_s} s"));
                changes.dedup += 1;
            }
        }
    }
    if changes.dedup != 1 || (changes.lag == 0) == expect_lag {
        return Err(fail(&format!(
            "it has {} deduplications and {} LAGs in the known format",
            changes.dedup, changes.lag
        )));
    }
    Ok((plan.to_string(), changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_what_it_knows_and_refuses_what_it_does_not() {
        let plan = r#"{"nodes":[
            {"type":"stream-exec-over-aggregate_1","overSpec":{"groups":[{"isRows":false,"aggCalls":[{"name":"LAG"}]}]}},
            {"type":"stream-exec-over-aggregate_1","overSpec":{"groups":[{"isRows":true,"aggCalls":[{"name":"MAX"}]}]}},
            {"type":"stream-exec-deduplicate_1","state":[{"index":0,"ttl":"360 s","name":"deduplicateState"}]}]}"#;
        let (changed, changes) = adapt(plan, 180, true).unwrap();
        assert_eq!(changes, Changes { lag: 1, dedup: 1 });
        assert!(!changed.contains("false") && changed.contains("\"180 s\""));
        assert!(adapt(plan, 180, false).is_err());
        assert!(adapt(r#"{"nodes":[]}"#, 180, true).is_err());
    }
}

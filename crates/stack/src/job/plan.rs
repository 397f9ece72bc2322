//! What SQL cannot say: one change to the compiled plan, a JSON file that `COMPILE PLAN` writes and `EXECUTE PLAN` runs.
//!
//! `table.exec.state.ttl` holds for the whole job and must exceed a window. Deduplication needs the ids of events for the
//! dedup horizon only, and they are a large part of the state, so it gets a time to live of its own.
//!
//! <https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/dev/table/concepts/overview/#configure-operator-level-state-ttl>

use serde_json::Value;

use crate::error::{Result, StackError};

/// Gives deduplication in the plan `json` its time to live. A plan without one means that Flink's format is not the one we
/// know: then better no job than one that forgets ids too early.
///
/// A LAG in event time is refused. SQL gives LAG no frame, and Flink's default is RANGE: rows of one millisecond are all
/// added before any is answered, so two events of one user see each other as the previous one and the user is missed in
/// every window that holds them. `sorted_events.sql` and a LAG in processing time do it right.
pub fn adapt(json: &str, dedup_ttl_s: i64) -> Result<String> {
    let fail = |why: &str| StackError::Template { file: "the compiled plan".into(), why: why.into() };
    let mut plan: Value = serde_json::from_str(json).map_err(|e| fail(&e.to_string()))?;
    let mut changed = 0;
    let nodes = plan.get_mut("nodes").and_then(Value::as_array_mut).ok_or_else(|| fail("it has no nodes"))?;
    for node in nodes {
        let kind = node.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if kind.contains("over-aggregate") {
            let text = node.get("description").and_then(Value::as_str).unwrap_or_default();
            if text.contains("LAG(") && !text.contains("orderBy=[sorted_order") {
                return Err(fail(&format!("a LAG is not over rows sorted before: {text}")));
            }
        } else if kind.contains("deduplicate")
            && let Some(ttl) = node.pointer_mut("/state/0/ttl")
        {
            *ttl = Value::String(format!("{dedup_ttl_s} s"));
            changed += 1;
        }
    }
    if changed != 1 {
        return Err(fail(&format!("it has {changed} deduplications in the known format")));
    }
    Ok(plan.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_what_it_knows_and_refuses_what_it_does_not() {
        let plan = |order: &str| {
            r#"{"nodes":[
            {"type":"stream-exec-over-aggregate_1","description":"OverAggregate(orderBy=[ORDER ASC], select=[LAG(slice, 1) AS w0$o0])"},
            {"type":"stream-exec-deduplicate_1","state":[{"index":0,"ttl":"360 s","name":"deduplicateState"}]}]}"#
                .replace("ORDER", order)
        };
        assert!(adapt(&plan("sorted_order"), 180).unwrap().contains("\"180 s\""));
        assert!(adapt(&plan("event_time"), 180).is_err());
        assert!(adapt(r#"{"nodes":[]}"#, 180).is_err());
    }
}

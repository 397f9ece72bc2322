//! What SQL cannot say: four changes to the compiled plan, a JSON file that `COMPILE PLAN` writes and `EXECUTE PLAN` runs.
//!
//! **Memory.** `table.exec.state.ttl` holds for the whole job and must exceed a window. Deduplication needs the ids of events for the
//! dedup horizon only, and they are a large part of the state, so it gets a time to live of its own. What is remembered of a
//! session must outlive the session gap, which may be much longer than a window; so that has one, too. And a running total must not be forgotten before it has come
//! back to zero, however slowly event time goes.
//!
//! **No detours.** Between two keyed operators Flink sends every row through a network buffer, to the task of its key. With
//! parallelism 1 there is one such task, and the row is written, read and copied for nothing, seven times on its way. Where
//! the receiver keeps no row, its exchange is taken out of the plan, and Flink chains it to the sender: one thread, plain
//! calls. The sort does keep rows, and a chained sender hands over the same row object again and again; its exchange stays,
//! and divides the job into two busy threads.
//!
//! **Event time computed once.** The source has the rule for an event's time twice: for watermarks, and for a timestamp of the record that
//! the Kafka source does not ask for. Flink compiles both anew for each partition, at the end of every start; the second is optional in a plan.
//!
//! **LAG without a list**, for the sake of memory: [`lag`].
//!
//! <https://nightlies.apache.org/flink/flink-docs-release-2.2/docs/dev/table/concepts/overview/#configure-operator-level-state-ttl>

use std::time::Duration;

use serde_json::Value;

use super::{lag, options};
use crate::error::{Result, StackError};

/// How long a running total is kept after its last change, at least, in days. It comes back to zero by itself, within a window of event
/// time; were it forgotten before, as it could be when a job falls behind, the numbers of its page would stay wrong.
const RUNNING_TOTAL_DAYS: i64 = 1;

/// Which form of the changes below a plan has: raise it when they change, or a plan that was kept would go on as it is.
pub const REVISION: u32 = 3;

/// How long state is kept, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Lifetimes {
    /// Ids of events.
    pub dedup_s: i64,
    /// What is remembered of a session.
    pub session_s: i64,
    /// A window: running totals are kept for two of them, and for a day at least.
    pub window_s: i64,
}

/// Gives deduplication, sessions and running totals in the plan `json` their times to live. A plan without one means that Flink's format is not the one we
/// know: then better no job than one that forgets ids too early.
///
/// A LAG in event time is refused. SQL gives LAG no frame, and Flink's default is RANGE: rows of one millisecond are all
/// added before any is answered, so two events of one user see each other as the previous one and the user is missed in
/// every window that holds them. `sorted_events.sql` and a LAG in processing time do it right.
pub fn adapt(json: &str, lifetimes: Lifetimes, parallelism: u32) -> Result<String> {
    let Lifetimes { dedup_s, session_s, window_s } = lifetimes;
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
            let ttl = if text.contains("orderBy=[slide_order") {
                Some(format!("{} d", (2 * window_s + 86_399).div_euclid(86_400).max(RUNNING_TOTAL_DAYS)))
            } else {
                text.contains("partitionBy=[site_id, session_id]").then(|| format!("{session_s} s"))
            };
            if let Some(ttl) = ttl {
                node["configuration"]["table.exec.state.ttl"] = ttl.into();
            }
        } else if kind.contains("deduplicate")
            && let Some(ttl) = node.pointer_mut("/state/0/ttl")
        {
            *ttl = Value::String(format!("{dedup_s} s"));
            changed += 1;
        } else if let Some(abilities) =
            node.pointer_mut("/scanTableSource/abilities").and_then(Value::as_array_mut)
        {
            for ability in abilities.iter_mut().filter_map(Value::as_object_mut) {
                ability.remove("rowtimeExpr");
            }
        }
    }
    if changed != 1 {
        return Err(fail(&format!("it has {changed} deduplications in the known format")));
    }
    if parallelism == 1 {
        remove_exchanges(&mut plan);
    }
    lag::replace(&mut plan).ok_or_else(|| fail("a LAG does not stand in it in the known form"))?;
    Ok(plan.to_string())
}

/// Has a plan's state kept for `longer` where it has a time to live of its own; running totals are kept long enough.
pub fn keep_longer(json: &str, longer: Duration) -> Result<String> {
    let fail = |why: &str| StackError::Template { file: "the compiled plan".into(), why: why.into() };
    let mut plan: Value = serde_json::from_str(json).map_err(|e| fail(&e.to_string()))?;
    for node in plan.get_mut("nodes").and_then(Value::as_array_mut).into_iter().flatten() {
        for place in ["/state/0/ttl", "/configuration/table.exec.state.ttl"] {
            if let Some(ttl) = node.pointer_mut(place)
                && let Some(longer) = ttl.as_str().and_then(|ttl| options::longer_ttl(ttl, longer))
            {
                *ttl = longer.into();
            }
        }
    }
    Ok(plan.to_string())
}

/// Takes out every exchange whose only receiver keeps no row: deduplication, and OVER in processing time.
fn remove_exchanges(plan: &mut Value) {
    let list =
        |plan: &Value, name: &str| plan.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let (nodes, mut edges) = (list(plan, "nodes"), list(plan, "edges"));
    let id = |edge: &Value, end: &str| edge.get(end).and_then(Value::as_i64);
    let node =
        |wanted: Option<i64>| nodes.iter().find(|node| node.get("id").and_then(Value::as_i64) == wanted);
    let text =
        |node: &Value, name: &str| node.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let keeps_no_row = |node: &Value| {
        let description = text(node, "description");
        let in_processing_time = ["sorted_order", "slide_order", "processing_time"]
            .iter()
            .any(|order| description.contains(&format!("orderBy=[{order}")));
        match text(node, "type") {
            kind if kind.contains("deduplicate") => true,
            kind if kind.contains("over-aggregate") => in_processing_time,
            _ => false,
        }
    };
    let mut removed = Vec::new();
    for exchange in nodes.iter().filter(|node| text(node, "type").contains("exchange")) {
        let this = exchange.get("id").and_then(Value::as_i64);
        let receivers: Vec<_> =
            edges.iter().filter(|edge| id(edge, "source") == this).map(|edge| id(edge, "target")).collect();
        let [receiver] = receivers[..] else { continue };
        if !node(receiver).is_some_and(keeps_no_row) {
            continue;
        }
        edges.retain(|edge| id(edge, "source") != this);
        for edge in edges.iter_mut().filter(|edge| id(edge, "target") == this) {
            edge["target"] = receiver.into();
        }
        removed.push(this);
    }
    plan["nodes"] = nodes
        .iter()
        .filter(|node| !removed.contains(&node.get("id").and_then(Value::as_i64)))
        .cloned()
        .collect();
    plan["edges"] = edges.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIMES: Lifetimes = Lifetimes { dedup_s: 180, session_s: 400, window_s: 300 };

    #[test]
    fn totals_outlive_the_window() {
        let plan = r#"{"nodes":[
            {"type":"stream-exec-over-aggregate_1","configuration":{},"description":"OverAggregate(orderBy=[slide_order ASC])"},
            {"type":"stream-exec-deduplicate_1","state":[{"ttl":"360 s"}]}],"edges":[]}"#;
        let day = 86_400;
        for (window_s, days) in [(300, 1), (day / 2, 1), (day / 2 + 1, 2), (3 * day, 6)] {
            let changed = adapt(plan, Lifetimes { window_s, ..LIFETIMES }, 1).unwrap();
            assert!(changed.contains(&format!("\"table.exec.state.ttl\":\"{days} d\"")), "{changed}");
        }
    }

    #[test]
    fn changes_what_it_knows_and_refuses_what_it_does_not() {
        let plan = |order: &str| {
            r#"{"nodes":[
            {"type":"stream-exec-over-aggregate_1","description":"OverAggregate(orderBy=[ORDER ASC], select=[LAG(slice, 1) AS w0$o0])"},
            {"type":"stream-exec-table-source-scan_1","scanTableSource":{"abilities":[{"type":"WatermarkPushDown","watermarkExpr":1,"rowtimeExpr":2}]}},
            {"type":"stream-exec-deduplicate_1","state":[{"index":0,"ttl":"360 s","name":"deduplicateState"}]}]}"#
                .replace("ORDER", order)
        };
        let changed = adapt(&plan("sorted_order"), LIFETIMES, 1).unwrap();
        assert!(changed.contains("watermarkExpr") && !changed.contains("rowtimeExpr"), "{changed}");
        assert!(changed.contains("\"180 s\""), "{changed}");
        assert!(adapt(&plan("event_time"), LIFETIMES, 1).is_err());
        assert!(adapt(r#"{"nodes":[]}"#, LIFETIMES, 1).is_err());
    }

    #[test]
    fn state_is_kept_longer_but_for_totals() {
        let plan = r#"{"nodes":[{"state":[{"ttl":"361 s"}]},{"configuration":{"table.exec.state.ttl":"90 s"}},{"configuration":{"table.exec.state.ttl":"1 d"}},{}]}"#;
        let longer = keep_longer(plan, Duration::from_secs(100)).unwrap();
        let expected = r#"{"nodes":[{"state":[{"ttl":"461 s"}]},{"configuration":{"table.exec.state.ttl":"190 s"}},{"configuration":{"table.exec.state.ttl":"1 d"}},{}]}"#;
        assert_eq!(
            serde_json::from_str::<Value>(&longer).unwrap(),
            serde_json::from_str::<Value>(expected).unwrap()
        );
    }

    #[test]
    fn a_row_makes_no_detour_to_the_only_task_unless_that_keeps_it() {
        let plan = r#"{"nodes":[
            {"id":1,"type":"stream-exec-calc_1"},
            {"id":2,"type":"stream-exec-exchange_1"},
            {"id":3,"type":"stream-exec-deduplicate_1","state":[{"ttl":"360 s"}]},
            {"id":4,"type":"stream-exec-exchange_1"},
            {"id":5,"type":"stream-exec-over-aggregate_1","description":"OverAggregate(orderBy=[event_time ASC])"},
            {"id":6,"type":"stream-exec-exchange_1"},
            {"id":7,"type":"stream-exec-over-aggregate_1","description":"OverAggregate(orderBy=[sorted_order ASC])"}],
            "edges":[{"source":1,"target":2},{"source":2,"target":3},{"source":3,"target":4},{"source":4,"target":5},
            {"source":5,"target":6},{"source":6,"target":7}]}"#;
        let edges = |parallelism| -> Vec<(i64, i64)> {
            let plan: Value = serde_json::from_str(&adapt(plan, LIFETIMES, parallelism).unwrap()).unwrap();
            assert_eq!(plan["nodes"].as_array().unwrap().len(), plan["edges"].as_array().unwrap().len() + 1);
            let end = |edge: &Value, name: &str| edge[name].as_i64().unwrap();
            plan["edges"].as_array().unwrap().iter().map(|e| (end(e, "source"), end(e, "target"))).collect()
        };
        assert_eq!(edges(1), [(1, 3), (3, 4), (4, 5), (5, 7)]);
        assert_eq!(edges(2).len(), 6);
    }
}

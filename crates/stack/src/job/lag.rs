//! LAG without a list.
//!
//! Flink's LAG keeps a linked list for every key, as objects and, once a snapshot has passed, as bytes as well: some 400 bytes for a
//! user on a page where one number would do. What came before is as well told by an aggregate that does not know of the present
//! row yet. So every row comes twice: first it is *asked*, and answered with what stands in the state, then it is *told*, and dropped.
//!
//! ```text
//! Over[COUNT(*), LAG(x)]    becomes    Expand[asked, told]
//!                                      Over[COUNT(*) of asked rows, LAST_VALUE(x) of told rows]
//!                                      Calc[asked rows only]
//! ```
//!
//! The other aggregates count a row when it is asked, so they include it as before. A LAG of a number is a MAX: all of ours are times,
//! or ordered as times are, and rows come in that order.

use serde_json::{Value, json};

/// What the rows are told apart by: two columns behind the others.
const MARKS: [&str; 2] = ["is_asked", "is_told"];

/// Replaces each LAG; nothing, if a node is not of the form that is known.
pub(super) fn replace(plan: &mut Value) -> Option<()> {
    let nodes = plan.get("nodes")?.as_array()?.clone();
    let mut edges = plan.get("edges").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut newest = nodes.iter().filter_map(|node| node.get("id")?.as_i64()).max().unwrap_or_default();
    let mut all = Vec::with_capacity(nodes.len() + 16);
    for mut node in nodes {
        if !has_lag(&node) {
            all.push(node);
            continue;
        }
        let over = node.get("id")?.as_i64()?;
        let (expand, calc) = (newest + 1, newest + 2);
        newest = calc;
        for edge in &mut edges {
            if edge.get("target")?.as_i64()? == over {
                edge["target"] = expand.into();
            }
            if edge.get("source")?.as_i64()? == over {
                edge["source"] = calc.into();
            }
        }
        let forward = json!({ "type": "FORWARD" });
        edges.extend([(expand, over), (over, calc)].map(|(source, target)| {
            json!({ "source": source, "target": target, "shuffle": forward, "shuffleMode": "PIPELINED" })
        }));
        let answer = node.get("outputType")?.clone();
        let input = node.pointer("/overSpec/originalInputFields")?.as_u64()? as usize;
        all.push(twice(expand, &node, input)?);
        ask_and_tell(&mut node, input)?;
        let filter = asked_only(calc, &node, answer, input)?;
        all.extend([node, filter]);
    }
    plan["nodes"] = all.into();
    plan["edges"] = edges.into();
    Some(())
}

fn has_lag(node: &Value) -> bool {
    let groups = node.pointer("/overSpec/groups").and_then(Value::as_array).into_iter().flatten();
    let calls = groups.filter_map(|group| group.get("aggCalls")?.as_array()).flatten();
    calls.into_iter().any(is_lag)
}

fn is_lag(call: &Value) -> bool {
    call.get("internalName").and_then(Value::as_str) == Some("$LAG$1")
}

/// The fields of a row.
fn fields(of: &Value) -> Option<&Vec<Value>> {
    of.get("fields")?.as_array()
}

fn reference(index: usize, field: &Value) -> Option<Value> {
    Some(json!({ "kind": "INPUT_REF", "inputIndex": index, "type": field.get("fieldType")? }))
}

/// The fields of the OVER's input, and the marks.
fn marked(node: &Value, input: usize) -> Option<Vec<Value>> {
    let mut all = fields(node.get("outputType")?)?.get(..input)?.to_vec();
    all.extend(MARKS.map(|name| json!({ "name": name, "fieldType": "BOOLEAN NOT NULL" })));
    Some(all)
}

/// A node that hands on every row twice.
fn twice(id: i64, over: &Value, input: usize) -> Option<Value> {
    let row = fields(over.get("outputType")?)?.get(..input)?;
    let projection = |asked: bool| -> Option<Vec<Value>> {
        let mut all: Vec<Value> =
            row.iter().enumerate().map(|(n, field)| reference(n, field)).collect::<Option<_>>()?;
        all.extend(
            [asked, !asked]
                .map(|mark| json!({ "kind": "LITERAL", "value": mark, "type": "BOOLEAN NOT NULL" })),
        );
        Some(all)
    };
    Some(json!({
        "id": id, "type": "stream-exec-expand_1", "description": "Expand(asked, told)",
        "projects": [projection(true)?, projection(false)?],
        "inputProperties": over.get("inputProperties")?,
        "outputType": { "type": "ROW", "fields": marked(over, input)? },
    }))
}

/// Has the OVER answer for asked rows, and remember told ones.
fn ask_and_tell(over: &mut Value, input: usize) -> Option<()> {
    let mut row = marked(over, input)?;
    let output = over.pointer_mut("/outputType/fields")?.as_array_mut()?;
    row.extend(output.drain(input..));
    *output = row;
    over["overSpec"]["originalInputFields"] = (input + MARKS.len()).into();
    for group in over.pointer_mut("/overSpec/groups")?.as_array_mut()? {
        for call in group.get_mut("aggCalls")?.as_array_mut()? {
            if call.get("filterArg")?.as_i64()? >= 0 {
                return None;
            }
            call["filterArg"] = (input + usize::from(is_lag(call))).into();
            if is_lag(call) {
                // with an offset or a default it is another question
                let [_] = call.get("argList")?.as_array()?[..] else { return None };
                let is_number = call.get("type")?.as_str()?.starts_with("BIGINT");
                call["internalName"] = if is_number { "$MAX$1" } else { "$LAST_VALUE$1" }.into();
            }
            // constants come after the row's fields
            for argument in call.get_mut("argList")?.as_array_mut()? {
                let index = argument.as_u64()? as usize;
                if index >= input {
                    *argument = (index + MARKS.len()).into();
                }
            }
        }
    }
    let text = over.get("description")?.as_str()?.replace("LAG(", "PREVIOUS(");
    over["description"] = text.into();
    Some(())
}

/// A node that lets asked rows through, as the OVER handed them on before.
fn asked_only(id: i64, over: &Value, answer: Value, input: usize) -> Option<Value> {
    let row = fields(over.get("outputType")?)?;
    let kept = row.iter().enumerate().filter(|(n, _)| !(input..input + MARKS.len()).contains(n));
    let projection: Vec<Value> = kept.map(|(n, field)| reference(n, field)).collect::<Option<_>>()?;
    Some(json!({
        "id": id, "type": "stream-exec-calc_1", "description": "Calc(asked rows only)",
        "projection": projection, "condition": reference(input, row.get(input)?)?,
        "inputProperties": over.get("inputProperties")?, "outputType": answer,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(lag: &Value) -> Value {
        let field = |name: &str, kind: &str| json!({ "name": name, "fieldType": kind });
        let count =
            json!({ "internalName": "$COUNT$1", "argList": [], "filterArg": -1, "type": "BIGINT NOT NULL" });
        json!({
            "nodes": [
                { "id": 1, "type": "stream-exec-calc_1" },
                { "id": 2, "type": "stream-exec-over-aggregate_1", "description": "Over(LAG(ts))", "inputProperties": [],
                  "overSpec": { "groups": [{ "aggCalls": [count, lag] }], "originalInputFields": 2 },
                  "outputType": { "type": "ROW", "fields": [field("user", "STRING"), field("ts", "BIGINT NOT NULL"),
                                                            field("n", "BIGINT NOT NULL"), field("previous", "BIGINT")] } },
                { "id": 3, "type": "stream-exec-sink_1" },
            ],
            "edges": [{ "source": 1, "target": 2 }, { "source": 2, "target": 3 }],
        })
    }

    fn lag() -> Value {
        json!({ "internalName": "$LAG$1", "argList": [1], "filterArg": -1, "type": "BIGINT" })
    }

    #[test]
    fn asks_then_tells() {
        let mut plan = plan(&lag());
        replace(&mut plan).unwrap();
        let edges = plan["edges"].as_array().unwrap();
        let ends: Vec<_> =
            edges.iter().map(|e| (e["source"].as_i64().unwrap(), e["target"].as_i64().unwrap())).collect();
        assert_eq!(ends, [(1, 4), (5, 3), (4, 2), (2, 5)]);
        let node = |id: i64| plan["nodes"].as_array().unwrap().iter().find(|node| node["id"] == id).unwrap();
        let marks = |n: usize| [2, 3].map(|at| node(4)["projects"][n][at]["value"] == true);
        assert_eq!((marks(0), marks(1)), ([true, false], [false, true]));
        let calls = node(2).pointer("/overSpec/groups/0/aggCalls").unwrap();
        assert_eq!((&calls[0]["filterArg"], &calls[1]["filterArg"]), (&json!(2), &json!(3)));
        assert_eq!(calls[1]["internalName"], "$MAX$1");
        let names = |id: i64| -> Vec<&str> {
            fields(&node(id)["outputType"])
                .unwrap()
                .iter()
                .map(|field| field["name"].as_str().unwrap())
                .collect()
        };
        assert_eq!(names(2), ["user", "ts", "is_asked", "is_told", "n", "previous"]);
        assert_eq!(names(5), ["user", "ts", "n", "previous"]);
        let passed: Vec<_> = node(5)["projection"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["inputIndex"].as_i64().unwrap())
            .collect();
        assert_eq!((passed, &node(5)["condition"]["inputIndex"]), (vec![0, 1, 4, 5], &json!(2)));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        let mut with_offset = lag();
        with_offset["argList"] = json!([1, 2]);
        assert!(replace(&mut plan(&with_offset)).is_none());
        let mut other =
            plan(&json!({ "internalName": "$MAX$1", "argList": [1], "filterArg": -1, "type": "BIGINT" }));
        let before = other.clone();
        replace(&mut other).unwrap();
        assert_eq!(other, before);
    }
}

//! Flink's job as a graph, from what its REST says at `/jobs/<id>`.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::Value;

/// A job.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct JobGraph {
    /// Flink's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Flink's word for its state.
    pub state: String,
    /// Its tasks, sources first.
    pub vertices: Vec<Vertex>,
    /// The last complete checkpoint, if the caller knows it: `{"id", "age_ms", "duration_ms", "size_bytes"}` as far as known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<Value>,
}

/// A task: one or more operators in a chain.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Vertex {
    /// Flink's id.
    pub id: String,
    /// What it does.
    pub name: String,
    /// Subtasks.
    pub parallelism: u64,
    /// Flink's word for its state.
    pub status: String,
    /// The vertices it reads from.
    pub inputs: Vec<String>,
    /// Records read and written so far.
    pub records: [u64; 2],
    /// Records read and written per second, since the status before; of a source what it wrote.
    pub per_second: [f64; 2],
    /// Shares of the time since the status before, 0 to 1: busy, held back by what comes after, idle.
    pub busy: Option<f64>,
    /// See `busy`.
    pub back_pressured: Option<f64>,
    /// See `busy`.
    pub idle: Option<f64>,
    /// The sums Flink gave, to tell the shares next time: busy, back-pressured, idle, in milliseconds.
    #[serde(skip)]
    pub accumulated_ms: [u64; 3],
}

impl JobGraph {
    /// Reads the answer of `/jobs/<id>`. `before` is the graph of `seconds` ago: rates and shares are of the time between.
    /// `None` if it is no such answer.
    pub fn from_flink(answer: &Value, before: Option<(&JobGraph, f64)>) -> Option<JobGraph> {
        let text = |value: &Value, name: &str| {
            value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let mut inputs = HashMap::<String, Vec<String>>::new();
        for node in answer.pointer("/plan/nodes").and_then(Value::as_array).into_iter().flatten() {
            let from = node.get("inputs").and_then(Value::as_array).into_iter().flatten();
            inputs.insert(text(node, "id"), from.map(|input| text(input, "id")).collect());
        }
        let vertices = answer.get("vertices")?.as_array()?;
        let vertices = vertices
            .iter()
            .map(|vertex| {
                let metric = |name: &str| {
                    let value = vertex.get("metrics").and_then(|metrics| metrics.get(name));
                    value.and_then(|value| {
                        value.as_u64().or_else(|| value.as_f64().map(|f| f.max(0.0) as u64))
                    })
                };
                let id = text(vertex, "id");
                let mut new = Vertex {
                    inputs: inputs.remove(&id).unwrap_or_default(),
                    name: text(vertex, "name"),
                    parallelism: vertex.get("parallelism").and_then(Value::as_u64).unwrap_or(1),
                    status: text(vertex, "status"),
                    records: ["read-records", "write-records"].map(|name| metric(name).unwrap_or(0)),
                    accumulated_ms: [
                        "accumulated-busy-time",
                        "accumulated-backpressured-time",
                        "accumulated-idle-time",
                    ]
                    .map(|name| metric(name).unwrap_or(0)),
                    id,
                    ..Vertex::default()
                };
                let old = before.and_then(|(graph, seconds)| {
                    Some((graph.vertices.iter().find(|old| old.id == new.id)?, seconds))
                });
                if let Some((old, seconds)) = old {
                    new.compare(old, seconds);
                }
                new
            })
            .collect();
        Some(JobGraph {
            id: text(answer, "jid"),
            name: text(answer, "name"),
            state: text(answer, "state"),
            vertices,
            checkpoint: None,
        })
    }
}

impl Vertex {
    fn compare(&mut self, old: &Vertex, seconds: f64) {
        let seconds = seconds.max(0.001);
        for (place, rate) in self.per_second.iter_mut().enumerate() {
            *rate = self.records[place].saturating_sub(old.records[place]) as f64 / seconds;
        }
        let spent: Vec<f64> = (0..3)
            .map(|place| self.accumulated_ms[place].saturating_sub(old.accumulated_ms[place]) as f64)
            .collect();
        let all: f64 = spent.iter().sum();
        let share = |place: usize| (all > 0.0).then(|| spent[place] / all);
        (self.busy, self.back_pressured, self.idle) = (share(0), share(1), share(2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer(read: u64, busy: u64, idle: u64) -> Value {
        json!({
            "jid": "ab", "name": "clickstream", "state": "RUNNING",
            "vertices": [
                { "id": "v1", "name": "Source", "parallelism": 2, "status": "RUNNING", "metrics": {
                    "read-records": 0, "write-records": read, "accumulated-busy-time": "NaN",
                    "accumulated-backpressured-time": 0, "accumulated-idle-time": idle } },
                { "id": "v2", "name": "Window", "parallelism": 2, "status": "RUNNING", "metrics": {
                    "read-records": read, "write-records": 7, "accumulated-busy-time": busy as f64,
                    "accumulated-backpressured-time": 0, "accumulated-idle-time": idle } },
            ],
            "plan": { "nodes": [{ "id": "v2", "inputs": [{ "id": "v1" }] }, { "id": "v1" }] },
        })
    }

    #[test]
    fn rates_and_shares_are_of_the_time_between() {
        let before = JobGraph::from_flink(&answer(1_000, 100, 900), None).unwrap();
        assert_eq!(before.vertices[1].busy, None);
        let now = JobGraph::from_flink(&answer(3_000, 400, 1_600), Some((&before, 2.0))).unwrap();
        assert_eq!(now.vertices[1].inputs, ["v1"]);
        assert_eq!(now.vertices[1].per_second, [1_000.0, 0.0]);
        assert_eq!(now.vertices[1].busy, Some(0.3));
        assert_eq!(now.vertices[0].idle, Some(1.0));
        assert_eq!(JobGraph::from_flink(&json!({ "errors": [] }), None), None);
    }
}

//! Small logs with the rows a person worked out by hand, in `tests/golden/<metric>/`.
//!
//! A case is one JSON file: the `log`, and the `balance`, `rows` and `letters` that must come of it. Times are of one day. Of the
//! topics that `rows` names all rows are compared, of a row the fields that stand there. The text `SITE` stands for the id of the
//! site.
//!
//! An entry of the log is one of
//! - `[partition, arrival, value]`, a record of any kind; a text is the record itself;
//! - `[partition, time, event_type, user_id, session_id, page_url]`, an event that arrives at its time, with more fields in an object
//!   after these;
//! - `[partition, time]`, a heartbeat;
//! - `{"times": n, "every_ms": ms, "event": …}`, events of the second form one after the other; in texts `{n}` is the number of each,
//!   from 0.
//!
//! Records stand in the log in the order of their arrival, those of one arrival as in the file.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use clickstream_event::Timestamp;
use serde_json::{Map, Value, json};

use crate::{Record, Shape};

/// Rows by topic, by key fields.
pub type Rows = HashMap<&'static str, BTreeMap<String, Value>>;

/// Puts rows of a topic among the others; none may be there yet.
pub fn put<T: serde::Serialize>(rows: &mut Rows, name: &'static str, more: &[T]) {
    for row in more {
        let row = serde_json::to_value(row).unwrap();
        let before = rows.get_mut(name).unwrap().insert(crate::key_of(name, &row), row);
        assert_eq!(before, None, "a row is given once");
    }
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Metric and file.
    pub name: String,
    /// Windows and partitions.
    pub shape: Shape,
    /// The log.
    pub log: Vec<Record>,
    /// Whether the arrivals decide something, so that it holds only in a log whose arrivals can be chosen.
    pub arrivals_matter: bool,
    /// Records by kind: heartbeats, counted, duplicates, dead.
    pub balance: [usize; 4],
    rows: Map<String, Value>,
    letters: Value,
    source: Value,
    later_by: i64,
}

/// A time of the cases' day, in milliseconds since the epoch.
fn at(time: &str) -> i64 {
    Timestamp::parse(&format!("2026-01-01T{time}Z")).unwrap_or_else(|| panic!("{time} is no time")).0
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden");
    let mut cases = Vec::new();
    for metric in std::fs::read_dir(&root).unwrap().flatten() {
        for file in std::fs::read_dir(metric.path()).unwrap().flatten() {
            let text = std::fs::read_to_string(file.path()).unwrap();
            let name = format!("{}/{}", metric.file_name().display(), file.file_name().display());
            let case = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
            cases.push(Case::read(name, case, 0, "shop"));
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() >= 6, "{}", root.display());
    cases
}

impl Case {
    /// The same case so many milliseconds later and on a site of its own, to stand in one log with others. Windows move with it
    /// where `later_by` is a multiple of the slide.
    pub fn moved(&self, later_by: i64, site: &str) -> Self {
        Self::read(self.name.clone(), self.source.clone(), later_by, site)
    }

    fn read(name: String, case: Value, later_by: i64, site: &str) -> Self {
        let mut entries: Vec<(i32, i64, Value)> =
            case["log"].as_array().unwrap().iter().flat_map(|entry| records(entry, &name)).collect();
        entries.sort_by_key(|(_, arrival, _)| *arrival);
        let mut log: Vec<Record> = Vec::new();
        for (partition, arrival, value) in entries {
            let value = match value {
                Value::Object(mut fields) => {
                    fields.insert("site_id".into(), json!(site));
                    let time = at(fields["timestamp"].as_str().unwrap()) + later_by;
                    fields["timestamp"] = json!(Timestamp(time).to_string());
                    fields
                        .values_mut()
                        .filter(|value| **value == "SITE")
                        .for_each(|value| *value = json!(site));
                    Value::Object(fields).to_string()
                }
                text => text.as_str().unwrap().to_owned(),
            };
            let offset = log.iter().filter(|record| record.partition == partition).count() as i64;
            let arrival = arrival + later_by;
            log.push(Record { partition, offset, arrival, key: None, value: Some(value.into_bytes()) });
        }
        let shape = Shape {
            window_ms: case["window_ms"].as_i64().unwrap(),
            slide_ms: case["slide_ms"].as_i64().unwrap(),
            session_gap_ms: case["session_gap_ms"].as_i64().unwrap_or(30_000),
            partitions: log.iter().map(|record| record.partition as usize + 1).max().unwrap(),
        };
        Self {
            name,
            shape,
            log,
            arrivals_matter: case["arrivals_matter"] == true,
            balance: ["heartbeats", "counted", "duplicates", "dead"]
                .map(|kind| case["balance"][kind].as_u64().unwrap() as usize),
            rows: case["rows"].as_object().unwrap().clone(),
            letters: case["letters"].clone(),
            source: case,
            later_by,
        }
    }

    /// Checks what came of the log; `letters` are reasons by partition and offset.
    pub fn check(&self, rows: &Rows, letters: &BTreeMap<(i32, i64), &'static str>, balance: [usize; 4]) {
        assert_eq!(self.balance, balance, "{}", self.name);
        let letters: Value =
            letters.iter().map(|((p, o), reason)| (format!("{p}:{o}"), json!(reason))).collect();
        assert_eq!(self.letters, letters, "{}", self.name);
        for (topic, wanted) in &self.rows {
            let rows: Vec<&Value> = rows[topic.as_str()].values().collect();
            let wanted = wanted.as_array().unwrap();
            assert_eq!(rows.len(), wanted.len(), "{}: rows of {topic}: {rows:#?}", self.name);
            for row in wanted {
                assert!(
                    rows.iter().any(|found| self.holds(row, found)),
                    "{}: no row of {topic} is {row}: {rows:#?}",
                    self.name
                );
            }
        }
    }

    /// Whether `found` has all fields of `wanted`.
    fn holds(&self, wanted: &Value, found: &Value) -> bool {
        let is_time = |field: &str| {
            field.starts_with("window_")
                || field.starts_with("session_s")
                || field == "session_end"
                || field == "detected_at"
        };
        wanted.as_object().unwrap().iter().all(|(field, value)| match value {
            Value::String(time) if is_time(field) => {
                found[field] == Timestamp(at(time) + self.later_by).to_string()
            }
            Value::String(text) if text == "SITE" => found[field] == found["site_id"],
            _ => crate::same(value, &found[field]),
        })
    }
}

/// The records of an entry of a log: partition, arrival, and value.
fn records(entry: &Value, name: &str) -> Vec<(i32, i64, Value)> {
    if let Some(times) = entry["times"].as_i64() {
        let event = &entry["event"];
        let (first, every_ms) = (at(event[1].as_str().unwrap()), entry["every_ms"].as_i64().unwrap());
        let numbered = |n: i64| {
            let event = event.to_string().replace("{n}", &n.to_string());
            let mut event: Value = serde_json::from_str(&event).unwrap();
            event[1] = json!(clock(first + n * every_ms));
            records(&event, name)
        };
        return (0..times).flat_map(numbered).collect();
    }
    let entry = entry.as_array().unwrap_or_else(|| panic!("{name}: {entry} is no entry of a log"));
    let time = entry[1].clone();
    let value = match &entry[2..] {
        [] => json!({ "event_type": "heartbeat", "timestamp": time }),
        [value] => value.clone(),
        [kind, user, session, page, more @ ..] => {
            let mut event = json!({ "timestamp": time, "event_id": entry_id(entry), "event_type": kind, "user_id": user,
                "session_id": session, "page_url": page });
            if let Some(more) = more.first() {
                event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            }
            event
        }
        _ => panic!("{name}: {entry:?} is no entry of a log"),
    };
    vec![(entry[0].as_i64().unwrap() as i32, at(time.as_str().unwrap()), value)]
}

/// An id for an event that was given none: all that is known of it.
fn entry_id(entry: &[Value]) -> String {
    entry.iter().map(Value::to_string).collect::<Vec<_>>().join(" ").replace('"', "")
}

/// The time of a day as in the cases.
fn clock(ms: i64) -> String {
    Timestamp(ms).to_string()[11..23].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recount;

    #[test]
    fn the_recount_gives_the_rows_worked_out_by_hand() {
        for case in cases() {
            let expected = recount(case.log.clone(), case.shape);
            case.check(&expected.rows, &expected.letters, expected.balance);
            // nothing more comes of it when time goes on, so that a case can stand in a longer log
            let mut log = case.log.clone();
            for partition in 0..case.shape.partitions as i32 {
                let later = Timestamp(at("10:00:00.000"));
                let value = format!(r#"{{"event_type":"heartbeat","site_id":"shop","timestamp":"{later}"}}"#);
                let value = Some(value.into_bytes());
                log.push(Record {
                    partition,
                    offset: i64::from(u16::MAX),
                    arrival: later.0,
                    key: None,
                    value,
                });
            }
            let expected = recount(log, case.shape);
            let [heartbeats, rest @ ..] = expected.balance;
            let [counted, duplicates, dead] = rest;
            let balance = [heartbeats - case.shape.partitions, counted, duplicates, dead];
            case.check(&expected.rows, &expected.letters, balance);
        }
    }
}

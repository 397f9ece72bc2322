//! Small logs with the rows a person worked out by hand, in `tests/golden/<metric>/`.
//!
//! A case is one JSON file: the `log` as `[partition, arrival, value]`, and the `balance`, `rows` and `letters` that must come of
//! it. Times are of one day; of rows only the fields that stand there are compared.

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
        let at = |time: &str| at(time) + later_by;
        let mut log: Vec<Record> = Vec::new();
        for entry in case["log"].as_array().unwrap() {
            let partition = entry[0].as_i64().unwrap() as i32;
            let value = match &entry[2] {
                Value::Object(fields) => {
                    let mut fields = fields.clone();
                    fields.insert("site_id".into(), json!(site));
                    fields["timestamp"] =
                        json!(Timestamp(at(fields["timestamp"].as_str().unwrap())).to_string());
                    Value::Object(fields).to_string()
                }
                text => text.as_str().unwrap().to_owned(),
            };
            let offset = log.iter().filter(|record| record.partition == partition).count() as i64;
            let arrival = at(entry[1].as_str().unwrap());
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
        wanted.as_object().unwrap().iter().all(|(field, value)| match field.as_str() {
            "window_end" => {
                found[field] == Timestamp(at(value.as_str().unwrap()) + self.later_by).to_string()
            }
            _ => crate::same(value, &found[field]),
        })
    }
}

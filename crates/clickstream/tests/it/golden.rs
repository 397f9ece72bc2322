//! Small logs with the rows a person worked out by hand: they check the recount that everything else is checked against.

use std::fs;

use clickstream_event::Timestamp;
use serde_json::{Value, json};

use crate::harness::Record;
use crate::recount::recount;

const DAY: &str = "2026-01-01T";

/// A time of the day as the cases write it, in milliseconds since the epoch.
fn at(time: &str) -> i64 {
    Timestamp::parse(&format!("{DAY}{time}Z")).unwrap().0
}

fn record(entry: &Value, offset: i64) -> Record {
    let value = match &entry[2] {
        Value::Object(fields) => {
            let mut fields = fields.clone();
            fields.insert("site_id".into(), json!("shop"));
            fields["timestamp"] = json!(format!("{DAY}{}Z", fields["timestamp"].as_str().unwrap()));
            Value::Object(fields).to_string()
        }
        text => text.as_str().unwrap().to_owned(),
    };
    Record {
        partition: entry[0].as_i64().unwrap() as i32,
        offset,
        arrival: at(entry[1].as_str().unwrap()),
        key: None,
        value: Some(value.into_bytes()),
    }
}

#[test]
fn the_recount_gives_the_rows_worked_out_by_hand() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    let mut cases = 0;
    for file in fs::read_dir(dir).unwrap() {
        let path = file.unwrap().path();
        let name = path.display();
        let case: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let mut next = [0i64; 4];
        let log = case["log"].as_array().unwrap().iter().map(|entry| {
            let next = &mut next[entry[0].as_u64().unwrap() as usize];
            *next += 1;
            record(entry, *next - 1)
        });
        let found =
            recount(log.collect(), case["window_ms"].as_i64().unwrap(), case["slide_ms"].as_i64().unwrap());
        let [heartbeats, counted, duplicates, dead] = found.balance;
        assert_eq!(
            case["balance"],
            json!({ "heartbeats": heartbeats, "counted": counted, "duplicates": duplicates, "dead": dead }),
            "{name}"
        );
        let letters: Value =
            found.letters.iter().map(|((p, o), reason)| (format!("{p}:{o}"), json!(reason))).collect();
        assert_eq!(case["letters"], letters, "{name}");
        for (topic, wanted) in case["rows"].as_object().unwrap() {
            let rows: Vec<&Value> = found.rows[topic.as_str()].values().collect();
            let wanted = wanted.as_array().unwrap();
            assert_eq!(rows.len(), wanted.len(), "{name}: rows of {topic}: {rows:#?}");
            for row in wanted {
                let holds = |found: &&&Value| {
                    row.as_object().unwrap().iter().all(|(field, value)| match field.as_str() {
                        "window_end" => found[field] == format!("{DAY}{}Z", value.as_str().unwrap()),
                        _ if value.is_f64() => {
                            found[field].as_f64().is_some_and(|f| (f - value.as_f64().unwrap()).abs() < 1e-9)
                        }
                        _ => &found[field] == value,
                    })
                };
                assert!(
                    rows.iter().any(|found| holds(&found)),
                    "{name}: no row of {topic} is {row}: {rows:#?}"
                );
            }
        }
        cases += 1;
    }
    assert!(cases >= 4);
}

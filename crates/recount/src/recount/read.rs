//! What becomes of each record, and how far event time has come.

use std::collections::{BTreeMap, HashMap, HashSet};

use clickstream_event::{Reason, Record as Decoded, Rules, Timestamp, decode};
use serde_json::Value;

use super::Event;
use crate::Record;

/// The allowed disorder, as by default, in milliseconds.
const MAX_DISORDER: i64 = 100;

/// A log, read.
pub(super) struct Read {
    /// What counts.
    pub events: Vec<Event>,
    /// Reason of every dead letter, by partition and offset.
    pub letters: BTreeMap<(i32, i64), &'static str>,
    /// Records that are heartbeats, counted, duplicates, dead letters.
    pub balance: [usize; 4],
    /// Late records.
    pub late: usize,
    /// Event time up to which all partitions have come.
    pub watermark: i64,
}

/// Reads a log, one partition after the other.
pub(super) fn read(mut log: Vec<Record>, partitions: usize) -> Read {
    log.sort_by_key(|record| (record.partition, record.offset));
    let mut marks: HashMap<i32, i64> = HashMap::new();
    let mut letters = BTreeMap::new();
    let mut seen = HashSet::new();
    let mut events = Vec::new();
    let mut balance = [0; 4];
    let mut late = 0;
    for record in &log {
        let place = (record.partition, record.offset);
        match classify(record) {
            Err(reason) => {
                letters.insert(place, reason.name());
            }
            Ok(decoded) => {
                let ts = decoded.event_time().0;
                let mark = marks.entry(record.partition).or_insert(ts);
                *mark = (*mark).max(ts);
                if ts < *mark - MAX_DISORDER {
                    letters.insert(place, "late");
                    late += 1;
                } else if let Decoded::Event(event, _) = decoded {
                    if !seen.insert((event.site_id.to_string(), event.event_id.to_string())) {
                        balance[2] += 1;
                        continue;
                    }
                    balance[1] += 1;
                    events.push(Event {
                        ts,
                        partition: record.partition,
                        offset: record.offset,
                        site: event.site_id.to_string(),
                        kind: event.event_type,
                        user: event.user_id.to_string(),
                        session: event.session_id.to_string(),
                        page: event.page_url.to_string(),
                        product: event.product_id.as_ref().map(ToString::to_string),
                        user_agent: event.user_agent.as_ref().map(ToString::to_string),
                        value: event.value.map_or(0, |value| ten_thousandths(&value.to_string())),
                        is_bot: false,
                    });
                } else {
                    balance[0] += 1;
                }
            }
        }
    }
    balance[3] = letters.len();
    assert_eq!(balance.iter().sum::<usize>(), log.len(), "every record is exactly one of these");
    let lowest = if marks.len() == partitions { marks.values().min().copied() } else { None };
    // a partition without records holds back everything, whatever the time
    let watermark = lowest.map_or(i64::MIN, |mark| mark - MAX_DISORDER - 1);
    Read { events, letters, balance, late, watermark }
}

/// The decoder's answer, after a second, independent look at the record.
fn classify<'r>(record: &'r Record) -> Result<Decoded<'r>, Reason> {
    let Some(value) = &record.value else { return Err(Reason::NotJson) };
    let decoded = decode(value, Timestamp(record.arrival), Rules::default());
    let object = std::str::from_utf8(value)
        .ok()
        .and_then(|text| serde_json::from_str::<serde_json::Map<String, Value>>(text).ok());
    let beyond = is_beyond_serde(&String::from_utf8_lossy(value));
    match (&decoded, object) {
        (Ok(_), None) if !beyond => panic!("decoded what is no object: {record:?}"),
        (Ok(Decoded::Event(event, ts)), Some(object)) => {
            match &object["user_id"] {
                Value::String(user) => assert_eq!(*user, event.user_id),
                Value::Number(user) if user.is_u64() => assert_eq!(user.to_string(), event.user_id),
                _ => {}
            }
            assert_eq!(object["event_type"], event.event_type.name());
            assert!(ts.0 <= record.arrival && event.timestamp.0 <= record.arrival + 10_000);
        }
        (Err(rejection), None) if !beyond => {
            assert!(matches!(rejection.reason, Reason::NotJson | Reason::TooLong), "{rejection}: {record:?}")
        }
        _ => {}
    }
    decoded.map_err(|rejection| rejection.reason)
}

/// Whether a record may hold what serde_json's own values cannot: half a surrogate pair, a number beyond a double, more than
/// 128 levels.
fn is_beyond_serde(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let has_exponent =
        |part: &str| part.trim_start_matches('+').bytes().take_while(u8::is_ascii_digit).count() >= 3;
    text.contains("\\ud")
        || text.split('e').skip(1).any(has_exponent)
        || text.split(|c: char| !c.is_ascii_digit()).any(|digits| digits.len() > 300)
        || text.matches(['[', '{']).count() > 127
}

/// Ten-thousandths of an amount, which has at most four digits of fraction.
fn ten_thousandths(amount: &str) -> i128 {
    let (whole, fraction) = amount.split_once('.').unwrap_or((amount, ""));
    format!("{whole}{fraction:0<4}").parse().unwrap()
}

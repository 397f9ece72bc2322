//! What of a row the store has to know to file it. The row itself is kept as the text it came as.

use clickstream_event::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::kind::Kind;

/// The fields by which rows are filed, whatever their kind.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Fields {
    site_id: Option<String>,
    window_end: Option<Timestamp>,
    page_url: Option<String>,
    product_id: Option<String>,
    from_page: Option<String>,
    to_page: Option<String>,
    rank: Option<u64>,
    length: Option<u64>,
    session_id: Option<String>,
    session_start: Option<Timestamp>,
    session_end: Option<Timestamp>,
    kind: Option<String>,
    subject: Option<String>,
    detected_at: Option<Timestamp>,
    view_count: Option<u64>,
    event_count: Option<u64>,
    entries: Option<u64>,
    exits: Option<u64>,
    transition_count: Option<u64>,
    stay_count: Option<u64>,
    reason: Option<String>,
    source_partition: Option<i64>,
    source_offset: Option<i64>,
}

/// A row as it is filed.
#[derive(Clone, PartialEq, Debug)]
pub struct Filed {
    /// Its kind.
    pub kind: &'static str,
    /// Its site; empty for dead letters.
    pub site: String,
    /// Its window's end, or the instant it happened at; of a dead letter nothing (0).
    pub at: i64,
    /// What tells it from the other rows of its kind, site and instant.
    pub key: String,
    /// What orders it among them, greatest first.
    pub weight: i64,
    /// For dead letters the reason, else nothing.
    pub reason: Option<String>,
    /// The row, as it stands in its topic.
    pub json: String,
}

/// Why a row cannot be filed.
#[derive(Debug, thiserror::Error)]
pub enum Unfit {
    /// Its topic is no result topic.
    #[error("{0} is no result topic")]
    Topic(String),
    /// It is no JSON object, or a field has another type than it should.
    #[error("it is no row: {0}")]
    Json(#[from] serde_json::Error),
    /// A field of its key is not there.
    #[error("{kind} has no {field}")]
    Missing {
        /// The kind.
        kind: &'static str,
        /// The field.
        field: &'static str,
    },
}

/// Separates the parts of a key; in the parts themselves it is escaped, so that different keys stay different.
const SEPARATOR: char = '\u{1f}';

/// The key of a row: of one part the part itself, which look-ups by page rely on.
pub fn key(parts: &[&str]) -> String {
    match parts {
        [part] => (*part).to_owned(),
        parts => {
            let escaped: Vec<_> = parts
                .iter()
                .map(|part| part.replace('\u{1e}', "\u{1e}0").replace(SEPARATOR, "\u{1e}1"))
                .collect();
            escaped.join("\u{1f}")
        }
    }
}

/// Files a row of `topic`.
pub fn file(topic: &str, json: &[u8]) -> Result<Filed, Unfit> {
    let kind = Kind::of_topic(topic).ok_or_else(|| Unfit::Topic(topic.to_owned()))?;
    let text: &RawValue = serde_json::from_slice(json)?;
    let fields: Fields = serde_json::from_str(text.get())?;
    let missing = |field| Unfit::Missing { kind: kind.name, field };
    let mut parts = Vec::with_capacity(kind.key.len());
    for field in kind.key {
        let part = match *field {
            "page_url" => fields.page_url.clone(),
            "product_id" => fields.product_id.clone(),
            "from_page" => fields.from_page.clone(),
            "to_page" => fields.to_page.clone(),
            "session_id" => fields.session_id.clone(),
            "session_start" => fields.session_start.map(|at| at.to_string()),
            "kind" => fields.kind.clone(),
            "subject" => fields.subject.clone(),
            "detected_at" => fields.detected_at.map(|at| at.to_string()),
            // of one width, so that text orders like numbers
            "rank" => fields.rank.map(|n| format!("{n:06}")),
            "length" => fields.length.map(|n| format!("{n:02}")),
            "source_partition" => fields.source_partition.map(|n| n.to_string()),
            _ => fields.source_offset.map(|n| n.to_string()),
        };
        parts.push(part.ok_or_else(|| missing(field))?);
    }
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    let letter = kind.name == "dead-letters";
    let at = match kind.name {
        "sessions" => fields.session_end.ok_or_else(|| missing("session_end"))?.0,
        "anomalies" => fields.detected_at.ok_or_else(|| missing("detected_at"))?.0,
        "dead-letters" => 0,
        _ => fields.window_end.ok_or_else(|| missing("window_end"))?.0,
    };
    let weight = match kind.name {
        "site-metrics" => fields.event_count,
        // a page that many leave from and nobody enters at, as a cart, is no small one
        "entry-exit-pages" => Some(fields.entries.unwrap_or(0).saturating_add(fields.exits.unwrap_or(0))),
        _ => match kind.weight {
            Some("view_count") => fields.view_count,
            Some("entries") => fields.entries,
            Some("transition_count") => fields.transition_count,
            Some("stay_count") => fields.stay_count,
            _ => None,
        },
    };
    Ok(Filed {
        kind: kind.name,
        site: if letter { String::new() } else { fields.site_id.ok_or_else(|| missing("site_id"))? },
        at,
        key: key(&parts),
        weight: i64::try_from(weight.unwrap_or(0)).unwrap_or(i64::MAX),
        reason: letter.then(|| fields.reason.unwrap_or_else(|| "unknown".to_owned())),
        json: text.get().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickstream_event::topic;

    #[test]
    fn files_rows_as_they_stand() {
        let json = br#"{ "site_id":"shop","window_start":"1970-01-01T00:00:00.000Z","window_end":"1970-01-01T00:00:10.000Z","from_page":"/","to_page":"/a","transition_count":7,"transition_rate":0.50 }"#;
        let filed = file(topic::PAGE_TRANSITIONS, json).unwrap();
        assert_eq!(
            (filed.at, filed.key.as_str(), filed.weight, filed.site.as_str()),
            (10_000, "/\u{1f}/a", 7, "shop")
        );
        assert!(filed.json.contains("0.50"), "not a digit is changed");
        let letter = br#"{"reason":"late","detail":null,"source_partition":1,"source_offset":77,"raw":"x"}"#;
        let filed = file(topic::DEAD_LETTERS, letter).unwrap();
        assert_eq!((filed.key.as_str(), filed.reason.as_deref()), ("1\u{1f}77", Some("late")));
        let cart = br#"{"site_id":"shop","window_end":"1970-01-01T00:00:10.000Z","page_url":"/cart","entries":1,"exits":152}"#;
        assert_eq!(file(topic::ENTRY_EXIT_PAGES, cart).unwrap().weight, 153);
    }

    #[test]
    fn different_parts_make_different_keys() {
        let all = [["a\u{1f}", "b"], ["a", "\u{1f}b"], ["a\u{1e}1", "b"], ["a", "b"]];
        let keys: std::collections::BTreeSet<_> = all.iter().map(|parts| key(parts)).collect();
        assert_eq!(keys.len(), all.len());
        assert_eq!(key(&["/\u{1f}"]), "/\u{1f}");
    }

    #[test]
    fn says_what_is_wrong() {
        for (topic, json, expected) in [
            ("clickstream.events", "{}", "no result topic"),
            (topic::FUNNELS, "{", "no row"),
            (topic::FUNNELS, "{}", "no window_end"),
            (topic::TOP_PAGES, r#"{"site_id":"s","window_end":"1970-01-01T00:00:10.000Z"}"#, "no rank"),
            (topic::FUNNELS, r#"{"site_id":7}"#, "no row"),
        ] {
            let error = file(topic, json.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}

//! What all rows of result topics have in common: a topic, a key, a site, and a time from which on they are settled.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::rows::{
    Anomaly, BounceRate, CommonPath, EntryExitPage, Funnel, HumanTopPage, PageEngagement, PageMetrics,
    PageTransition, ProductMetrics, ProvisionalBounceRate, Session, SiteMetrics, TopPage, TrendingPage,
};
use crate::{Timestamp, topic};

/// A row of a result topic.
pub trait ResultRow: Serialize {
    /// The topic it stands in.
    fn topic(&self) -> &'static str;
    /// The site.
    fn site(&self) -> &str;
    /// First and last bound of the time it is about: its window, the session, what an anomaly looked at.
    fn span(&self) -> (Timestamp, Timestamp);
    /// What tells it from the other rows of its topic and site, besides a window's end: the values of the key fields.
    fn names(&self) -> Vec<String>;
}

/// The key fields of the rows of a topic, in order.
pub fn key_fields(topic: &str) -> &'static [&'static str] {
    match topic {
        topic::PAGE_METRICS
        | topic::BOUNCE_RATES
        | topic::PROVISIONAL_BOUNCE_RATES
        | topic::ENTRY_EXIT_PAGES
        | topic::PAGE_ENGAGEMENT => &["site_id", "window_end", "page_url"],
        topic::PRODUCT_METRICS => &["site_id", "window_end", "product_id"],
        topic::TOP_PAGES | topic::HUMAN_TOP_PAGES | topic::TRENDING_PAGES => {
            &["site_id", "window_end", "rank"]
        }
        topic::PAGE_TRANSITIONS => &["site_id", "window_end", "from_page", "to_page"],
        topic::COMMON_PATHS => &["site_id", "window_end", "length", "rank"],
        topic::SESSIONS => &["site_id", "session_id", "session_start"],
        topic::ANOMALIES => &["site_id", "kind", "subject", "detected_at"],
        _ => &["site_id", "window_end"],
    }
}

/// Whether rows of the topic belong to a sliding window.
pub fn is_windowed(topic: &str) -> bool {
    !matches!(topic, topic::SESSIONS | topic::ANOMALIES)
}

macro_rules! windowed {
    ($($row:ty, $topic:ident, [$($name:ident),*];)*) => {$(
        impl ResultRow for $row {
            fn topic(&self) -> &'static str {
                topic::$topic
            }

            fn site(&self) -> &str {
                &self.site_id
            }

            fn span(&self) -> (Timestamp, Timestamp) {
                (self.window_start, self.window_end)
            }

            fn names(&self) -> Vec<String> {
                vec![$(self.$name.to_string()),*]
            }
        }
    )*};
}

windowed! {
    PageMetrics, PAGE_METRICS, [page_url];
    ProductMetrics, PRODUCT_METRICS, [product_id];
    SiteMetrics, SITE_METRICS, [];
    TopPage, TOP_PAGES, [rank];
    HumanTopPage, HUMAN_TOP_PAGES, [rank];
    TrendingPage, TRENDING_PAGES, [rank];
    BounceRate, BOUNCE_RATES, [page_url];
    ProvisionalBounceRate, PROVISIONAL_BOUNCE_RATES, [page_url];
    PageTransition, PAGE_TRANSITIONS, [from_page, to_page];
    EntryExitPage, ENTRY_EXIT_PAGES, [page_url];
    CommonPath, COMMON_PATHS, [length, rank];
    Funnel, FUNNELS, [];
    PageEngagement, PAGE_ENGAGEMENT, [page_url];
    Anomaly, ANOMALIES, [kind, subject, detected_at];
}

impl ResultRow for Session {
    fn topic(&self) -> &'static str {
        topic::SESSIONS
    }

    fn site(&self) -> &str {
        &self.site_id
    }

    fn span(&self) -> (Timestamp, Timestamp) {
        (self.session_start, self.session_end)
    }

    fn names(&self) -> Vec<String> {
        vec![self.session_id.clone(), self.session_start.to_string()]
    }
}

/// Appends the key of a row as it stands in Kafka: a JSON object of its key fields.
pub fn write_key(row: &impl ResultRow, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut key = Map::new();
    let mut names = row.names().into_iter();
    for field in key_fields(row.topic()) {
        let value = match *field {
            "site_id" => Value::from(row.site()),
            "window_end" => Value::from(row.span().1.to_string()),
            // numbers in keys are whole
            "rank" | "length" => Value::from(names.next().unwrap_or_default().parse::<u64>().unwrap_or(0)),
            _ => Value::from(names.next().unwrap_or_default()),
        };
        key.insert((*field).to_owned(), value);
    }
    serde_json::to_writer(out, &key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_as_in_kafka() {
        let row = CommonPath {
            site_id: "shop".into(),
            window_start: Timestamp(0),
            window_end: Timestamp(10_000),
            length: 3,
            rank: 1,
            pages: vec!["/".into(), "/a".into(), "/".into()],
            path_count: 7,
        };
        let mut key = Vec::new();
        write_key(&row, &mut key).unwrap();
        let key: serde_json::Value = serde_json::from_slice(&key).unwrap();
        assert_eq!(
            key,
            serde_json::json!({ "site_id": "shop", "window_end": "1970-01-01T00:00:10.000Z", "length": 3, "rank": 1 })
        );
    }
}

//! What all rows of result topics have in common: a topic, a key, a site, and a time from which on they are settled.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, Serializer};

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
    fn name_parts(&self) -> [Option<KeyPart<'_>>; 3];

    /// The same as text.
    fn names(&self) -> Vec<String> {
        self.name_parts().into_iter().flatten().map(|part| part.text().into_owned()).collect()
    }
}

/// The value of a key field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyPart<'r> {
    /// A name.
    Text(&'r str),
    /// A whole number.
    Number(u64),
    /// A time.
    Time(Timestamp),
}

impl KeyPart<'_> {
    /// As text.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Number(number) => Cow::Owned(number.to_string()),
            Self::Time(at) => Cow::Owned(at.to_string()),
        }
    }
}

impl Serialize for KeyPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Time(at) => at.serialize(serializer),
        }
    }
}

impl<'r> From<&'r String> for KeyPart<'r> {
    fn from(text: &'r String) -> Self {
        Self::Text(text)
    }
}

impl From<&u32> for KeyPart<'_> {
    fn from(number: &u32) -> Self {
        Self::Number((*number).into())
    }
}

impl From<&Timestamp> for KeyPart<'_> {
    fn from(at: &Timestamp) -> Self {
        Self::Time(*at)
    }
}

fn three<'r, const N: usize>(parts: [KeyPart<'r>; N]) -> [Option<KeyPart<'r>>; 3] {
    let mut parts = parts.into_iter();
    [parts.next(), parts.next(), parts.next()]
}

/// The key fields of a row, in order, with their values.
pub fn key_parts<R: ResultRow + ?Sized>(row: &R) -> [Option<(&'static str, KeyPart<'_>)>; 4] {
    let mut names = row.name_parts().into_iter().flatten();
    let mut fields = key_fields(row.topic()).iter();
    std::array::from_fn(|_| {
        let field = *fields.next()?;
        let part = match field {
            "site_id" => KeyPart::Text(row.site()),
            "window_end" => KeyPart::Time(row.span().1),
            _ => names.next()?,
        };
        Some((field, part))
    })
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

            fn name_parts(&self) -> [Option<KeyPart<'_>>; 3] {
                three([$(KeyPart::from(&self.$name)),*])
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

    fn name_parts(&self) -> [Option<KeyPart<'_>>; 3] {
        three([KeyPart::from(&self.session_id), KeyPart::from(&self.session_start)])
    }
}

/// Appends the key of a row as it stands in Kafka: a JSON object of its key fields, those by name in order.
pub fn write_key(row: &impl ResultRow, out: &mut Vec<u8>) -> serde_json::Result<()> {
    let mut parts = key_parts(row);
    // absent ones first; they are left out
    parts.sort_unstable_by_key(|part| part.map(|(field, _)| field));
    let mut serializer = serde_json::Serializer::new(out);
    let mut map = serializer.serialize_map(None)?;
    for (field, part) in parts.into_iter().flatten() {
        map.serialize_entry(field, &part)?;
    }
    map.end()
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
        assert_eq!(
            String::from_utf8(key).unwrap(),
            r#"{"length":3,"rank":1,"site_id":"shop","window_end":"1970-01-01T00:00:10.000Z"}"#
        );
        assert_eq!(row.names(), ["3", "1"]);
    }
}

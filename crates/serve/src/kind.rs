//! Kinds of result rows: their names, topics, fields, and the order in which a list shows them.
//!
//! REST, CSV, the live stream and the OpenAPI description all read this one table; a test compares it with the row
//! types of `clickstream-event`.

use clickstream_event::topic;

/// What a field of a row holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Type {
    /// Text.
    Text,
    /// A point in time, RFC 3339.
    Time,
    /// A whole number.
    Count,
    /// A number.
    Number,
    /// A number, or `null` where its denominator is 0.
    Ratio,
    /// Yes or no.
    Flag,
    /// Texts in order.
    Texts,
}

/// A field of a row.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub is: Type,
}

/// A kind of result rows.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Short name: the topic without `clickstream.`; also the name of its events in the live stream.
    pub name: &'static str,
    /// The Kafka topic.
    pub topic: &'static str,
    /// What one row is about.
    pub about: &'static str,
    /// Key fields besides the site and the window's end, in order.
    pub key: &'static [&'static str],
    /// The field that orders a window's rows, greatest first; none: by key. Of entry and exit pages it is entries and exits together.
    pub weight: Option<&'static str>,
    /// Fields that hold a page, for the `page_url` filter.
    pub pages: &'static [&'static str],
    /// Whether its rows belong to a window; others happen at an instant of their own.
    pub windowed: bool,
    /// All fields, in the order of the row.
    pub fields: &'static [Field],
}

impl Kind {
    /// The kind with this short name.
    pub fn named(name: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.name == name)
    }

    /// The kind whose rows stand in this topic.
    pub fn of_topic(topic: &str) -> Option<&'static Kind> {
        KINDS.iter().find(|kind| kind.topic == topic)
    }

    /// Those with rows for every window.
    pub fn windowed() -> impl Iterator<Item = &'static Kind> {
        KINDS.iter().filter(|kind| kind.windowed)
    }

    /// Its place among all kinds.
    pub fn index(&self) -> usize {
        KINDS.iter().position(|kind| kind.name == self.name).unwrap_or(0)
    }
}

macro_rules! fields {
    ($($name:ident: $is:ident),* $(,)?) => {
        &[$(Field { name: stringify!($name), is: Type::$is }),*]
    };
}

macro_rules! windowed {
    ($name:literal, $topic:ident, $about:literal, $key:expr, $weight:expr, $pages:expr, { $($field:ident: $is:ident),* $(,)? }) => {
        Kind {
            name: $name,
            topic: topic::$topic,
            about: $about,
            key: &$key,
            weight: $weight,
            pages: &$pages,
            windowed: true,
            fields: fields! { site_id: Text, window_start: Time, window_end: Time, $($field: $is),* },
        }
    };
}

/// All kinds, in the order in which they are listed.
pub const KINDS: [Kind; 16] = [
    windowed!("site-metrics", SITE_METRICS, "the whole site in a window", [], None, [], {
        event_count: Count, view_count: Count, click_count: Count, add_to_cart_count: Count, purchase_count: Count,
        unique_users: Count, active_sessions: Count, click_through_rate: Ratio, conversion_rate: Ratio, revenue: Number,
        human_event_count: Count, human_view_count: Count, human_click_count: Count, human_add_to_cart_count: Count,
        human_purchase_count: Count, human_unique_users: Count, human_click_through_rate: Ratio,
        human_conversion_rate: Ratio, human_revenue: Number,
    }),
    windowed!("page-metrics", PAGE_METRICS, "a page in a window", ["page_url"], Some("view_count"), ["page_url"], {
        page_url: Text, view_count: Count, click_count: Count, add_to_cart_count: Count, purchase_count: Count,
        unique_users: Count, click_through_rate: Ratio, human_view_count: Count, human_click_count: Count,
        human_add_to_cart_count: Count, human_purchase_count: Count, human_unique_users: Count,
        human_click_through_rate: Ratio,
    }),
    windowed!("product-metrics", PRODUCT_METRICS, "a product in a window", ["product_id"], Some("view_count"), [], {
        product_id: Text, view_count: Count, click_count: Count, add_to_cart_count: Count, purchase_count: Count,
        unique_users: Count, click_through_rate: Ratio,
    }),
    windowed!("top-pages", TOP_PAGES, "a rank of the most viewed pages", ["rank"], None, ["page_url"], {
        rank: Count, page_url: Text, view_count: Count, unique_users: Count, click_through_rate: Ratio,
        human_view_count: Count, human_unique_users: Count,
    }),
    windowed!("human-top-pages", HUMAN_TOP_PAGES, "a rank of the most viewed pages without labelled bots", ["rank"], None, ["page_url"], {
        rank: Count, page_url: Text, human_view_count: Count, human_unique_users: Count,
        human_click_through_rate: Ratio,
    }),
    windowed!("trending-pages", TRENDING_PAGES, "a rank of the pages that rise", ["rank"], None, ["page_url"], {
        rank: Count, page_url: Text, recent_views: Count, prior_views: Count, growth: Number, score: Number,
    }),
    windowed!("bounce-rates", BOUNCE_RATES, "an entry page, over sessions that closed within the window", ["page_url"], Some("entries"), ["page_url"], {
        page_url: Text, entries: Count, bounces: Count, bounce_rate: Ratio,
    }),
    windowed!("provisional-bounce-rates", PROVISIONAL_BOUNCE_RATES, "an entry page, over sessions that began within the window", ["page_url"], Some("entries"), ["page_url"], {
        page_url: Text, entries: Count, bounces: Count, undecided: Count, provisional_bounce_rate: Ratio,
    }),
    windowed!("page-transitions", PAGE_TRANSITIONS, "a way from one page to another", ["from_page", "to_page"], Some("transition_count"), ["from_page", "to_page"], {
        from_page: Text, to_page: Text, transition_count: Count, transition_rate: Ratio,
    }),
    windowed!("entry-exit-pages", ENTRY_EXIT_PAGES, "a page where sessions began or ended", ["page_url"], Some("entries"), ["page_url"], {
        page_url: Text, entries: Count, exits: Count, sessions: Count, entry_rate: Ratio, exit_rate: Ratio,
    }),
    windowed!("common-paths", COMMON_PATHS, "a rank of the ways over three or four pages", ["length", "rank"], None, ["pages"], {
        length: Count, rank: Count, pages: Texts, path_count: Count,
    }),
    windowed!("funnels", FUNNELS, "from view to purchase, over sessions that closed within the window", [], None, [], {
        sessions: Count, viewed: Count, carted: Count, purchased: Count, view_to_cart_rate: Ratio,
        cart_to_purchase_rate: Ratio, conversion_rate: Ratio,
    }),
    windowed!("page-engagement", PAGE_ENGAGEMENT, "how long a page was stayed on", ["page_url"], Some("stay_count"), ["page_url"], {
        page_url: Text, stay_count: Count, mean_stay_ms: Number, median_stay_ms: Count,
    }),
    Kind {
        name: "sessions",
        topic: topic::SESSIONS,
        about: "a session that has closed",
        key: &["session_id", "session_start"],
        weight: None,
        pages: &["entry_page", "exit_page"],
        windowed: false,
        fields: fields! {
            site_id: Text, session_id: Text, user_id: Text, session_start: Time, session_end: Time,
            duration_ms: Count, event_count: Count, page_view_count: Count, click_count: Count,
            add_to_cart_count: Count, purchase_count: Count, distinct_pages: Count, entry_page: Text,
            exit_page: Text, bounced: Flag, engagement_score: Number,
        },
    },
    Kind {
        name: "anomalies",
        topic: topic::ANOMALIES,
        about: "something out of the ordinary",
        key: &["kind", "subject", "detected_at"],
        weight: None,
        pages: &["subject"],
        windowed: false,
        fields: fields! {
            site_id: Text, kind: Text, rule: Text, subject: Text, detected_at: Time, window_start: Time,
            window_end: Time, observed: Number, expected: Number, score: Number, reason: Text,
        },
    },
    Kind {
        name: "dead-letters",
        topic: topic::DEAD_LETTERS,
        about: "a record that counts nowhere",
        key: &["source_partition", "source_offset"],
        weight: None,
        pages: &[],
        windowed: false,
        fields: fields! {
            reason: Text, detail: Text, source_partition: Count, source_offset: Count, raw: Text,
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use clickstream_event::result_row::{is_windowed, key_fields};

    #[test]
    fn every_result_topic_has_a_kind_with_its_key() {
        for topic in topic::RESULTS {
            let kind = Kind::of_topic(topic).unwrap();
            assert_eq!(topic.strip_prefix("clickstream."), Some(kind.name));
            assert_eq!(kind.windowed, is_windowed(topic), "{topic}");
            let own: Vec<_> = key_fields(topic)
                .iter()
                .filter(|name| !["site_id", "window_end"].contains(name))
                .copied()
                .collect();
            assert_eq!(own, kind.key, "{topic}");
            assert_eq!(Kind::named(kind.name).unwrap().index(), kind.index());
        }
        assert!(Kind::named("clickstream.sessions").is_none());
    }

    #[test]
    fn fields_are_those_of_the_rows_in_their_order() {
        let rows = crate::testing::every_kind("shop", 60_000, "/");
        assert_eq!(rows.len(), KINDS.len());
        for (topic, json) in rows {
            let kind = Kind::of_topic(topic).unwrap();
            let places: Vec<_> = kind
                .fields
                .iter()
                .map(|field| {
                    json.find(&format!("\"{}\":", field.name))
                        .unwrap_or_else(|| panic!("{topic}: no {}", field.name))
                })
                .collect();
            assert!(places.is_sorted(), "{topic}");
            let row: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!(row.as_object().unwrap().len(), kind.fields.len(), "{topic}");
        }
    }

    #[test]
    fn weights_and_pages_are_fields() {
        for kind in &KINDS {
            let has = |name: &&str| kind.fields.iter().any(|field| field.name == *name);
            assert!(kind.weight.iter().all(has) && kind.pages.iter().all(has), "{}", kind.name);
            assert!(kind.key.iter().all(has), "{}", kind.name);
        }
    }
}

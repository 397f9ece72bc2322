//! A row of a result topic, reduced to what is compared: its key, when it is settled, and what it says.

use clickstream_engine::Window;
use clickstream_event::result_row::{self, ResultRow, is_windowed, key_parts};
use clickstream_event::rows::{
    Anomaly, BounceRate, CommonPath, EntryExitPage, Funnel, HumanTopPage, PageEngagement, PageMetrics,
    PageTransition, ProductMetrics, ProvisionalBounceRate, Session, SiteMetrics, TopPage, TrendingPage,
};
use clickstream_event::{Timestamp, topic};
use serde::Serialize;

use super::content::Content;
use super::key::{Parts, RowKey, named_by, plainly_names};
use super::proven::Slot;

macro_rules! rows {
    ($($variant:ident $row:ident $topic:ident,)*) => {
        /// A row of any result topic.
        #[derive(Clone, PartialEq, Debug, Serialize)]
        #[serde(untagged)]
        #[allow(missing_docs)]
        pub enum Row {
            $($variant($row)),*
        }

        impl Row {
            /// Reads a row; `None` for what is none.
            pub fn parse(name: &str, value: &[u8]) -> Option<Self> {
                // once for all of its texts
                let value = std::str::from_utf8(value).ok()?;
                match name {
                    $(topic::$topic => serde_json::from_str(value).ok().map(Self::$variant),)*
                    _ => None,
                }
            }

            fn inner(&self) -> &dyn Inner {
                match self {
                    $(Self::$variant(row) => row),*
                }
            }
        }

        $(impl From<$row> for Row {
            fn from(row: $row) -> Self {
                Self::$variant(row)
            }
        })*
    };
}

rows! {
    Page PageMetrics PAGE_METRICS,
    Product ProductMetrics PRODUCT_METRICS,
    Site SiteMetrics SITE_METRICS,
    Top TopPage TOP_PAGES,
    HumanTop HumanTopPage HUMAN_TOP_PAGES,
    Trending TrendingPage TRENDING_PAGES,
    Session Session SESSIONS,
    Bounce BounceRate BOUNCE_RATES,
    ProvisionalBounce ProvisionalBounceRate PROVISIONAL_BOUNCE_RATES,
    Transition PageTransition PAGE_TRANSITIONS,
    EntryExit EntryExitPage ENTRY_EXIT_PAGES,
    Path CommonPath COMMON_PATHS,
    Funnel Funnel FUNNELS,
    Engagement PageEngagement PAGE_ENGAGEMENT,
    Anomaly Anomaly ANOMALIES,
}

/// Who takes rows of all types as they are.
pub trait TakeRow {
    /// Takes the next row.
    fn take_row<R: ResultRow + Into<Row>>(&mut self, row: R);
}

/// Gives all rows of a window of the recount.
pub fn of_window(window: Window, take: &mut dyn FnMut(Row)) {
    struct AsRows<'t>(&'t mut dyn FnMut(Row));
    impl TakeRow for AsRows<'_> {
        fn take_row<R: ResultRow + Into<Row>>(&mut self, row: R) {
            (self.0)(row.into());
        }
    }
    each_of_window(window, &mut AsRows(take));
}

/// The same without making them one type.
pub fn each_of_window(window: Window, take: &mut impl TakeRow) {
    let Window {
        end: _,
        pages,
        products,
        sites,
        top,
        human_top,
        trending,
        bounce_rates,
        provisional_bounce_rates,
        transitions,
        entry_exit,
        paths,
        funnels,
        engagement,
    } = window;
    pages.into_iter().for_each(|row| take.take_row(row));
    products.into_iter().for_each(|row| take.take_row(row));
    sites.into_iter().for_each(|row| take.take_row(row));
    top.into_iter().for_each(|row| take.take_row(row));
    human_top.into_iter().for_each(|row| take.take_row(row));
    trending.into_iter().for_each(|row| take.take_row(row));
    bounce_rates.into_iter().for_each(|row| take.take_row(row));
    provisional_bounce_rates.into_iter().for_each(|row| take.take_row(row));
    transitions.into_iter().for_each(|row| take.take_row(row));
    entry_exit.into_iter().for_each(|row| take.take_row(row));
    paths.into_iter().for_each(|row| take.take_row(row));
    funnels.into_iter().for_each(|row| take.take_row(row));
    engagement.into_iter().for_each(|row| take.take_row(row));
}

/// [`ResultRow`] through one pointer.
trait Inner {
    fn topic(&self) -> &'static str;
    fn site(&self) -> &str;
    fn span(&self) -> (Timestamp, Timestamp);
    fn names(&self) -> Vec<String>;
    fn key_parts(&self) -> Parts<'_>;
    fn content(&self) -> Content;
    fn write_key(&self, out: &mut Vec<u8>) -> serde_json::Result<()>;
}

impl<T: ResultRow> Inner for T {
    fn topic(&self) -> &'static str {
        ResultRow::topic(self)
    }
    fn site(&self) -> &str {
        ResultRow::site(self)
    }
    fn span(&self) -> (Timestamp, Timestamp) {
        ResultRow::span(self)
    }
    fn names(&self) -> Vec<String> {
        ResultRow::names(self)
    }
    fn key_parts(&self) -> Parts<'_> {
        key_parts(self)
    }
    fn content(&self) -> Content {
        Content::of(self)
    }
    fn write_key(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        result_row::write_key(self, out)
    }
}

impl Row {
    /// The topic it stands in.
    pub fn topic(&self) -> &'static str {
        self.inner().topic()
    }

    /// The site.
    pub fn site(&self) -> &str {
        self.inner().site()
    }

    /// First and last bound of the time it is about.
    pub fn span(&self) -> (Timestamp, Timestamp) {
        self.inner().span()
    }

    /// From when on, in event time, nothing can change it: the end of its window, the session's end plus the gap.
    pub fn settled_at(&self, session_gap_ms: i64) -> Timestamp {
        let (_, end) = self.span();
        match self {
            Self::Session(_) => Timestamp(end.0 + session_gap_ms),
            _ => end,
        }
    }

    /// What tells it from other rows of its site and window: the values of these key fields.
    pub fn names(&self) -> Vec<String> {
        self.inner().names()
    }

    /// The key.
    pub fn key(&self) -> RowKey {
        RowKey::of(self.topic(), &self.inner().key_parts())
    }

    /// Where it is remembered once it was compared.
    pub fn slot(&self, key: RowKey) -> Slot {
        let at = match self {
            Self::Session(session) => session.session_start,
            Self::Anomaly(anomaly) => anomaly.detected_at,
            _ => self.span().1,
        };
        Slot { key, at, windowed: is_windowed(self.topic()) }
    }

    /// Appends the record's key that names it.
    pub fn write_key(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
        self.inner().write_key(out)
    }

    /// Whether the record's key names the same row as its value does.
    pub fn has_key(&self, key: Option<&[u8]>) -> bool {
        let Some(key) = key else { return false };
        plainly_names(key, &self.inner().key_parts()) || named_by(self.topic(), key) == Some(self.key())
    }

    /// All it says.
    pub fn content(&self) -> Content {
        self.inner().content()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"site_id":"shop","window_start":"2026-11-25T11:15:00.000Z","window_end":"2026-11-25T11:20:00.000Z","page_url":"/","view_count":3,"click_count":1,"add_to_cart_count":0,"purchase_count":0,"unique_users":2,"click_through_rate":0.3333333333333333,"human_view_count":3,"human_click_count":0,"human_add_to_cart_count":0,"human_purchase_count":0,"human_unique_users":2,"human_click_through_rate":0.0}"#;

    fn page(text: &str) -> Row {
        Row::parse(topic::PAGE_METRICS, text.as_bytes()).unwrap()
    }

    #[test]
    fn content_is_what_a_row_says() {
        let row = page(ROW);
        let same = |other: &Row| row.content().equals(&other.content());
        assert!(same(&page(&ROW.replace("0.3333333333333333", "0.33333333331"))));
        for (from, to) in [
            ("\"view_count\":3", "\"view_count\":4"),
            ("\"unique_users\":2", "\"unique_users\":1"),
            ("\"human_unique_users\":2", "\"human_unique_users\":1"),
            ("0.3333333333333333", "0.333333"),
            ("0.3333333333333333", "null"),
            ("11:15:00.000Z", "11:15:10.000Z"),
        ] {
            let other = page(&ROW.replacen(from, to, 1));
            assert!(!same(&other), "{to}");
            assert_eq!(row.key(), other.key());
        }
        assert_ne!(row.key(), page(&ROW.replace("\"/\"", "\"/x\"")).key());
        assert_ne!(row.key(), page(&ROW.replace("11:20:00.000Z", "11:20:10.000Z")).key());
    }

    #[test]
    fn money_is_exact_but_for_zeros_at_the_end() {
        let site = |revenue: &str| {
            let text = format!(
                r#"{{"site_id":"shop","window_start":"2026-11-25T11:15:00.000Z","window_end":"2026-11-25T11:20:00.000Z","event_count":3,"view_count":2,"click_count":1,"add_to_cart_count":0,"purchase_count":0,"unique_users":2,"active_sessions":2,"click_through_rate":0.5,"conversion_rate":null,"revenue":{revenue},"human_event_count":0,"human_view_count":0,"human_click_count":0,"human_add_to_cart_count":0,"human_purchase_count":0,"human_unique_users":0,"human_click_through_rate":null,"human_conversion_rate":null,"human_revenue":0}}"#
            );
            Row::parse(topic::SITE_METRICS, text.as_bytes()).unwrap().content()
        };
        assert!(site("12.5").equals(&site("12.5000")) && site("10").equals(&site("10.0000")));
        assert!(!site("12.5").equals(&site("12.5001")) && !site("10").equals(&site("100")));
        assert!(!site("98765432109876.5432").equals(&site("98765432109876.5431")));
    }

    #[test]
    fn the_records_key_must_name_the_row() {
        let row = page(ROW);
        let key = r#"{"site_id":"shop","window_end":"2026-11-25T11:20:00.000Z","page_url":"/"}"#;
        assert!(row.has_key(Some(key.as_bytes())));
        assert!(!row.has_key(Some(key.replace("\"/\"", "\"/x\"").as_bytes())));
        assert!(!row.has_key(Some(br#"{"site_id":"shop"}"#)) && !row.has_key(None));
    }
}

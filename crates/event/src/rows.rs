//! Rows of the result topics, field for field as they stand in Kafka.
//!
//! Ratios are `null` where the denominator is zero. Money is exact: a decimal, written as a plain JSON number.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
pub use crate::journeys::*;

/// What one page did in one window.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct PageMetrics {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// The page.
    pub page_url: String,
    /// What happened there.
    #[serde(flatten)]
    pub counts: Counts,
    /// The same without labelled bots.
    #[serde(flatten)]
    pub human: HumanCounts,
}

/// What one product did in one window.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ProductMetrics {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// The product.
    pub product_id: String,
    /// What happened with it.
    #[serde(flatten)]
    pub counts: Counts,
}

/// The counts that pages and products share.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Page views.
    pub view_count: u64,
    /// Clicks.
    pub click_count: u64,
    /// Products put into a cart.
    pub add_to_cart_count: u64,
    /// Purchases.
    pub purchase_count: u64,
    /// Exact number of different users over all events.
    pub unique_users: u64,
    /// Clicks per view.
    pub click_through_rate: Option<f64>,
}

/// [`Counts`] of the events that are not of labelled bots.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct HumanCounts {
    /// Page views.
    pub human_view_count: u64,
    /// Clicks.
    pub human_click_count: u64,
    /// Products put into a cart.
    pub human_add_to_cart_count: u64,
    /// Purchases.
    pub human_purchase_count: u64,
    /// Exact number of different users over these events.
    pub human_unique_users: u64,
    /// Clicks per view.
    pub human_click_through_rate: Option<f64>,
}

/// What the whole site did in one window.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SiteMetrics {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// All events.
    pub event_count: u64,
    /// Page views.
    pub view_count: u64,
    /// Clicks.
    pub click_count: u64,
    /// Products put into a cart.
    pub add_to_cart_count: u64,
    /// Purchases.
    pub purchase_count: u64,
    /// Exact number of different users.
    pub unique_users: u64,
    /// Exact number of different sessions.
    pub active_sessions: u64,
    /// Clicks per view.
    pub click_through_rate: Option<f64>,
    /// Users with a purchase per user.
    pub conversion_rate: Option<f64>,
    /// Sum of the purchases' values.
    #[serde(with = "exact")]
    pub revenue: Decimal,
    /// All events that are not of labelled bots.
    pub human_event_count: u64,
    /// What these did.
    #[serde(flatten)]
    pub human: HumanCounts,
    /// Users with such a purchase per user.
    pub human_conversion_rate: Option<f64>,
    /// Sum of the values of such purchases.
    #[serde(with = "exact")]
    pub human_revenue: Decimal,
}

/// One line of a top list.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TopPage {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// Place, from 1: most views first, then by name.
    pub rank: u32,
    /// The page.
    pub page_url: String,
    /// Its page views.
    pub view_count: u64,
    /// Its different users.
    pub unique_users: u64,
    /// Its clicks per view.
    pub click_through_rate: Option<f64>,
    /// Its page views without labelled bots.
    pub human_view_count: u64,
    /// Its different users without labelled bots.
    pub human_unique_users: u64,
}

/// One line of a top list without labelled bots.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct HumanTopPage {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// Place, from 1: most views first, then by name.
    pub rank: u32,
    /// The page.
    pub page_url: String,
    /// Its page views.
    pub human_view_count: u64,
    /// Its different users.
    pub human_unique_users: u64,
    /// Its clicks per view.
    pub human_click_through_rate: Option<f64>,
}

/// One line of a list of pages that rise.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrendingPage {
    /// The site.
    pub site_id: String,
    /// First instant of the window.
    pub window_start: Timestamp,
    /// First instant after the window.
    pub window_end: Timestamp,
    /// Place, from 1: highest score first, then by name.
    pub rank: u32,
    /// The page.
    pub page_url: String,
    /// Views in the later half of the window.
    pub recent_views: u64,
    /// Views in the earlier half.
    pub prior_views: u64,
    /// (recent − prior) / max(prior, 1).
    pub growth: f64,
    /// (recent − prior) / √(recent + prior): by how many deviations two Poisson counts differ.
    pub score: f64,
}

/// A record that counts nowhere.
///
/// A restart may write a letter a second time: `source_partition` and `source_offset` say which record it is.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Name of a [`crate::Reason`].
    pub reason: String,
    /// What exactly was wrong.
    pub detail: Option<String>,
    /// Partition of the record in the events topic.
    pub source_partition: i32,
    /// Its offset there.
    pub source_offset: i64,
    /// Its value, in base64 where it is not UTF-8; `null` where it had none.
    pub raw: Option<String>,
}

/// Decimals as JSON numbers, digit for digit: a double would round large sums.
mod exact {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};
    use serde_json::value::RawValue;

    pub fn serialize<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(value.to_string()).map_err(ser::Error::custom)?.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Decimal::from_str_exact(text.get())
            .or_else(|_| Decimal::from_scientific(text.get()))
            .map_err(|_| de::Error::custom(format!("{text} is no amount")))
    }
}

/// The value of a record as a dead letter carries it: the text, or base64 of bytes that are no UTF-8.
pub fn raw_text(value: &[u8]) -> String {
    use base64::Engine as _;
    match std::str::from_utf8(value) {
        Ok(text) => text.to_owned(),
        Err(_) => base64::engine::general_purpose::STANDARD.encode(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_flink_writes() {
        let text = r#"{"site_id":"shop","window_start":"2026-11-25T11:15:00.000Z","window_end":"2026-11-25T11:20:00.000Z","event_count":3,"view_count":2,"click_count":1,"add_to_cart_count":0,"purchase_count":0,"unique_users":2,"active_sessions":2,"click_through_rate":0.5,"conversion_rate":null,"revenue":12.5000,"human_event_count":3,"human_view_count":2,"human_click_count":1,"human_add_to_cart_count":0,"human_purchase_count":0,"human_unique_users":2,"human_click_through_rate":0.5,"human_conversion_rate":null,"human_revenue":12.5}"#;
        let row: SiteMetrics = serde_json::from_str(text).unwrap();
        assert_eq!(row.revenue, Decimal::new(125, 1));
        let large = text.replace("12.5000", "98765432109876.5432");
        let row: SiteMetrics = serde_json::from_str(&large).unwrap();
        assert!(serde_json::to_string(&row).unwrap().contains(r#""revenue":98765432109876.5432,"#));
        assert_eq!(row.conversion_rate, None);
        let text = r#"{"site_id":"shop","window_start":"2026-11-25T11:15:00.000Z","window_end":"2026-11-25T11:20:00.000Z","page_url":"/","view_count":0,"click_count":1,"add_to_cart_count":0,"purchase_count":0,"unique_users":1,"click_through_rate":null,"human_view_count":0,"human_click_count":0,"human_add_to_cart_count":0,"human_purchase_count":0,"human_unique_users":0,"human_click_through_rate":null}"#;
        let row: PageMetrics = serde_json::from_str(text).unwrap();
        assert_eq!(row.counts.click_count, 1);
    }
}

//! A row of a result topic, reduced to what is compared: its key, and a fingerprint of everything it says.

use clickstream_event::rows::{PageMetrics, ProductMetrics, SiteMetrics, TopPage};
use clickstream_event::{Timestamp, topic};
use serde::Serialize;
use serde_json::Value;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// A row of any result topic.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(untagged)]
pub enum Row {
    /// Of the page metrics.
    Page(PageMetrics),
    /// Of the product metrics.
    Product(ProductMetrics),
    /// Of the site metrics.
    Site(SiteMetrics),
    /// Of the top pages.
    Top(TopPage),
}

/// The key of a row, and the window it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RowKey {
    /// End of the window.
    pub window_end: Timestamp,
    /// Fingerprint of topic, site, window end and name or rank.
    fingerprint: u128,
}

impl RowKey {
    /// The least key of a window that ends at `window_end`.
    pub fn first_of(window_end: Timestamp) -> Self {
        Self { window_end, fingerprint: 0 }
    }

    fn of(topic: &str, site: &str, window_end: Timestamp, name: &str) -> Self {
        let text = format!("{topic}\u{0}{site}\u{0}{}\u{0}{name}", window_end.0);
        Self { window_end, fingerprint: xxh3_128(text.as_bytes()) }
    }
}

/// The key of the row that a record's key names.
pub fn named_by(topic: &str, key: &[u8]) -> Option<RowKey> {
    let key: Value = serde_json::from_slice(key).ok()?;
    let window_end = Timestamp::parse(key["window_end"].as_str()?)?;
    let name = match topic {
        topic::PAGE_METRICS => key["page_url"].as_str()?.to_owned(),
        topic::PRODUCT_METRICS => key["product_id"].as_str()?.to_owned(),
        topic::TOP_PAGES => key["rank"].to_string(),
        _ => String::new(),
    };
    Some(RowKey::of(topic, key["site_id"].as_str()?, window_end, &name))
}

impl Row {
    /// Reads a row; `None` for what is none.
    pub fn parse(topic: &str, value: &[u8]) -> Option<Self> {
        match topic {
            topic::PAGE_METRICS => serde_json::from_slice(value).ok().map(Self::Page),
            topic::PRODUCT_METRICS => serde_json::from_slice(value).ok().map(Self::Product),
            topic::SITE_METRICS => serde_json::from_slice(value).ok().map(Self::Site),
            topic::TOP_PAGES => serde_json::from_slice(value).ok().map(Self::Top),
            _ => None,
        }
    }

    /// The topic it stands in.
    pub fn topic(&self) -> &'static str {
        match self {
            Self::Page(_) => topic::PAGE_METRICS,
            Self::Product(_) => topic::PRODUCT_METRICS,
            Self::Site(_) => topic::SITE_METRICS,
            Self::Top(_) => topic::TOP_PAGES,
        }
    }

    /// The site.
    pub fn site(&self) -> &str {
        match self {
            Self::Page(row) => &row.site_id,
            Self::Product(row) => &row.site_id,
            Self::Site(row) => &row.site_id,
            Self::Top(row) => &row.site_id,
        }
    }

    /// First instant of the window, and first after it.
    pub fn window(&self) -> (Timestamp, Timestamp) {
        match self {
            Self::Page(row) => (row.window_start, row.window_end),
            Self::Product(row) => (row.window_start, row.window_end),
            Self::Site(row) => (row.window_start, row.window_end),
            Self::Top(row) => (row.window_start, row.window_end),
        }
    }

    /// What tells it from other rows of its site and window: the field and its value.
    pub fn name(&self) -> (&'static str, String) {
        match self {
            Self::Page(row) => ("page_url", row.page_url.clone()),
            Self::Product(row) => ("product_id", row.product_id.clone()),
            Self::Site(_) => ("", String::new()),
            Self::Top(row) => ("rank", row.rank.to_string()),
        }
    }

    /// The key.
    pub fn key(&self) -> RowKey {
        let (_, window_end) = self.window();
        RowKey::of(self.topic(), self.site(), window_end, &self.name().1)
    }

    /// Whether the record's key names the same row as its value does.
    pub fn has_key(&self, key: Option<&[u8]>) -> bool {
        let (Some(Value::Object(key)), Ok(row)) =
            (key.and_then(|key| serde_json::from_slice(key).ok()), serde_json::to_value(self))
        else {
            return false;
        };
        let fields = if matches!(self, Self::Site(_)) { 2 } else { 3 };
        key.len() == fields && key.iter().all(|(field, value)| row.get(field) == Some(value))
    }

    /// A fingerprint of all it says. Equal for two rows of one key exactly when all counts, times and names are equal and all
    /// ratios are within 1e-9 of each other.
    pub fn content(&self) -> u64 {
        let mut hash = Xxh3::new();
        let (start, _) = self.window();
        hash.update(&start.0.to_le_bytes());
        let mut number = |n: u64| hash.update(&n.to_le_bytes());
        match self {
            Self::Page(PageMetrics { counts, .. }) | Self::Product(ProductMetrics { counts, .. }) => {
                [
                    counts.view_count,
                    counts.click_count,
                    counts.add_to_cart_count,
                    counts.purchase_count,
                    counts.unique_users,
                ]
                .into_iter()
                .for_each(&mut number);
                ratio(counts.click_through_rate, counts.view_count).into_iter().for_each(number);
            }
            Self::Site(row) => {
                [row.event_count, row.view_count, row.click_count, row.add_to_cart_count, row.purchase_count]
                    .into_iter()
                    .for_each(&mut number);
                [row.unique_users, row.active_sessions].into_iter().for_each(&mut number);
                ratio(row.click_through_rate, row.view_count).into_iter().for_each(&mut number);
                ratio(row.conversion_rate, row.unique_users).into_iter().for_each(number);
                hash.update(row.revenue.normalize().to_string().as_bytes());
            }
            Self::Top(row) => {
                [row.view_count, row.unique_users].into_iter().for_each(&mut number);
                ratio(row.click_through_rate, row.view_count).into_iter().for_each(number);
                hash.update(row.page_url.as_bytes());
            }
        }
        hash.digest()
    }
}

/// A ratio as the whole number it was made of, if it is within 1e-9 of such a ratio; as it is otherwise.
fn ratio(ratio: Option<f64>, denominator: u64) -> [u64; 2] {
    match ratio {
        None => [0, 0],
        Some(ratio) => {
            let numerator = (ratio * denominator as f64).round();
            let exact = numerator >= 0.0 && (ratio - numerator / denominator as f64).abs() <= 1e-9;
            if exact { [1, numerator as u64] } else { [2, ratio.to_bits()] }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"site_id":"shop","window_start":"2026-11-25T11:15:00.000Z","window_end":"2026-11-25T11:20:00.000Z","page_url":"/","view_count":3,"click_count":1,"add_to_cart_count":0,"purchase_count":0,"unique_users":2,"click_through_rate":0.3333333333333333}"#;

    fn page(text: &str) -> Row {
        Row::parse(topic::PAGE_METRICS, text.as_bytes()).unwrap()
    }

    #[test]
    fn content_is_what_a_row_says() {
        let row = page(ROW);
        assert_eq!(row.content(), page(&ROW.replace("0.3333333333333333", "0.33333333331")).content());
        for (from, to) in [
            ("\"view_count\":3", "\"view_count\":4"),
            ("\"unique_users\":2", "\"unique_users\":1"),
            ("0.3333333333333333", "0.333333"),
            ("0.3333333333333333", "null"),
            ("11:15:00.000Z", "11:15:10.000Z"),
        ] {
            let other = page(&ROW.replace(from, to));
            assert_ne!(row.content(), other.content(), "{to}");
            assert_eq!(row.key(), other.key());
        }
        assert_ne!(row.key(), page(&ROW.replace("\"/\"", "\"/x\"")).key());
        assert_ne!(row.key(), page(&ROW.replace("11:20:00.000Z", "11:20:10.000Z")).key());
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

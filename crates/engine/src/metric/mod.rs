//! Rows of the result topics from the totals of a window: one file per metric, named as its `.sql` file.

pub mod page_metrics;
pub mod product_metrics;
pub mod site_metrics;
pub mod top_pages;

use std::collections::BTreeMap;

use clickstream_event::rows::{
    BounceRate, CommonPath, Counts, EntryExitPage, Funnel, HumanTopPage, PageEngagement, PageMetrics,
    PageTransition, ProductMetrics, ProvisionalBounceRate, SiteMetrics, TopPage, TrendingPage,
};
use clickstream_event::{Timestamp, Windows};

use crate::names;
use crate::shard::{KeyTotals, Kinds, SiteTotals, Totals};

/// All rows of one window.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Window {
    /// First instant after the window.
    pub end: Timestamp,
    /// A row per page.
    pub pages: Vec<PageMetrics>,
    /// A row per product.
    pub products: Vec<ProductMetrics>,
    /// A row per site.
    pub sites: Vec<SiteMetrics>,
    /// At most ten rows per site, by site and rank.
    pub top: Vec<TopPage>,
    /// The same without labelled bots.
    pub human_top: Vec<HumanTopPage>,
    /// Pages that rise, by site and rank.
    pub trending: Vec<TrendingPage>,
    /// A row per entry page of sessions that closed within the window.
    pub bounce_rates: Vec<BounceRate>,
    /// A row per entry page of sessions that began within the window.
    pub provisional_bounce_rates: Vec<ProvisionalBounceRate>,
    /// A row per pair of pages.
    pub transitions: Vec<PageTransition>,
    /// A row per page where sessions began or ended.
    pub entry_exit: Vec<EntryExitPage>,
    /// Frequent paths, by site, length and rank.
    pub paths: Vec<CommonPath>,
    /// A row per site in which sessions closed.
    pub funnels: Vec<Funnel>,
    /// A row per page with stays.
    pub engagement: Vec<PageEngagement>,
}

/// Names of the numbers in totals.
#[derive(Clone, Copy)]
pub struct Names<'e> {
    /// Of sites.
    pub sites: &'e names::Names,
    /// Of pages.
    pub pages: &'e names::Names,
    /// Of products.
    pub products: &'e names::Names,
}

/// Where a row belongs.
#[derive(Clone, Copy)]
struct Bounds {
    start: Timestamp,
    end: Timestamp,
}

/// The rows of the window that ends at `end`.
pub fn rows(totals: Totals, end: Timestamp, windows: Windows, names: Names<'_>) -> Window {
    let bounds = Bounds { start: Timestamp(end.0 - windows.size_ms()), end };
    let pages = page_metrics::rows(&merged(totals.pages, add_keys), bounds, names);
    Window {
        end,
        top: top_pages::rows(&pages),
        pages,
        products: product_metrics::rows(&merged(totals.products, add_keys), bounds, names),
        sites: site_metrics::rows(&merged(totals.sites, add_sites), bounds, names),
        ..Window::default()
    }
}

/// Adds up what shards say of the same key.
fn merged<T: Copy>(mut totals: Vec<(u32, T)>, add: fn(&mut T, T)) -> Vec<(u32, T)> {
    totals.sort_unstable_by_key(|(key, _)| *key);
    totals.dedup_by(|later, kept| {
        let same = later.0 == kept.0;
        if same {
            add(&mut kept.1, later.1);
        }
        same
    });
    totals
}

fn add_keys(sum: &mut KeyTotals, more: KeyTotals) {
    sum.kinds += more.kinds;
    sum.users += more.users;
}

fn add_sites(sum: &mut SiteTotals, more: SiteTotals) {
    sum.sums += more.sums;
    sum.users += more.users;
    sum.buyers += more.buyers;
    sum.sessions += more.sessions;
}

/// The counts that pages and products share.
fn counts(totals: KeyTotals) -> Counts {
    let [views, clicks, carts, purchases] = totals.kinds.0.map(u64::from);
    Counts {
        view_count: views,
        click_count: clicks,
        add_to_cart_count: carts,
        purchase_count: purchases,
        unique_users: u64::from(totals.users),
        click_through_rate: ratio(clicks, views),
    }
}

/// A ratio, `None` where the denominator is zero.
pub fn ratio(numerator: u64, denominator: u64) -> Option<f64> {
    (denominator > 0).then(|| numerator as f64 / denominator as f64)
}

fn sum(kinds: Kinds) -> u64 {
    kinds.0.into_iter().map(u64::from).sum()
}

/// Groups rows by site, in the order of the sites' names.
fn by_site<T>(rows: &[T], site: fn(&T) -> &str) -> BTreeMap<&str, Vec<&T>> {
    let mut groups: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for row in rows {
        groups.entry(site(row)).or_default().push(row);
    }
    groups
}

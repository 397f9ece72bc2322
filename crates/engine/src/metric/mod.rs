//! Rows of the result topics from the totals of a window: one file per metric, named as its `.sql` file.

pub mod bounce_rates;
pub mod common_paths;
pub mod entry_exit_pages;
pub mod funnels;
pub mod human_top_pages;
pub mod page_engagement;
pub mod page_metrics;
pub mod page_transitions;
pub mod product_metrics;
pub mod provisional_bounce_rates;
pub mod site_metrics;
pub mod top_pages;
pub mod trending_pages;

use std::collections::BTreeMap;

use clickstream_event::rows::{
    BounceRate, CommonPath, Counts, EntryExitPage, Funnel, HumanCounts, HumanTopPage, PageEngagement,
    PageMetrics, PageTransition, ProductMetrics, ProvisionalBounceRate, SiteMetrics, TopPage, TrendingPage,
};
use clickstream_event::{Timestamp, Windows};

use crate::chain::WindowTotals;
use crate::names::Directory;
use crate::shard::{KeyTotals, Kinds};

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

impl Window {
    /// How many rows there are.
    pub fn row_count(&self) -> usize {
        self.pages.len()
            + self.products.len()
            + self.sites.len()
            + self.top.len()
            + self.human_top.len()
            + self.trending.len()
            + self.bounce_rates.len()
            + self.provisional_bounce_rates.len()
            + self.transitions.len()
            + self.entry_exit.len()
            + self.paths.len()
            + self.funnels.len()
            + self.engagement.len()
    }

    /// Whether there is any row in it.
    pub fn holds_anything(&self) -> bool {
        // where there is any other row, there is one of these
        !(self.sites.is_empty() && self.funnels.is_empty() && self.provisional_bounce_rates.is_empty())
    }
}

/// Where a row belongs, and the names of the numbers in totals.
#[derive(Clone, Copy)]
struct Place<'e> {
    start: Timestamp,
    end: Timestamp,
    names: &'e Directory,
}

impl Place<'_> {
    /// A site's id.
    fn site(&self, site: u32) -> String {
        self.names.sites.text(site).to_owned()
    }

    /// The id of a page's site, and the page.
    fn page(&self, page: u32) -> (String, String) {
        (self.site(self.names.pages.site(page)), self.names.pages.text(page).to_owned())
    }
}

/// The rows of the window that ends at `end`.
pub fn rows(totals: WindowTotals, end: Timestamp, windows: Windows, names: &Directory) -> Window {
    let place = Place { start: Timestamp(end.0 - windows.size_ms()), end, names };
    let pages = page_metrics::rows(&totals.pages, place);
    let journeys = totals.journeys;
    Window {
        end,
        top: top_pages::rows(&pages),
        human_top: human_top_pages::rows(&pages),
        pages,
        products: product_metrics::rows(&totals.products, place),
        sites: site_metrics::rows(&totals.sites, place),
        trending: trending_pages::rows(&totals.pages, place),
        bounce_rates: bounce_rates::rows(&journeys.doors, place),
        provisional_bounce_rates: provisional_bounce_rates::rows(&journeys.begun, place),
        transitions: page_transitions::rows(&journeys.transitions, place),
        entry_exit: entry_exit_pages::rows(&journeys.doors, &journeys.steps, place),
        paths: common_paths::rows(journeys.paths, place),
        funnels: funnels::rows(&journeys.steps, place),
        engagement: page_engagement::rows(&journeys.stays, place),
    }
}

/// The counts that pages and products share.
fn counts(totals: &KeyTotals) -> Counts {
    let [views, clicks, carts, purchases] = totals.sums.kinds.0.map(u64::from);
    Counts {
        view_count: views,
        click_count: clicks,
        add_to_cart_count: carts,
        purchase_count: purchases,
        unique_users: u64::from(totals.users),
        click_through_rate: ratio(clicks, views),
    }
}

/// The counts of people that pages and sites share.
fn human(kinds: Kinds, users: u32) -> HumanCounts {
    let [views, clicks, carts, purchases] = kinds.0.map(u64::from);
    HumanCounts {
        human_view_count: views,
        human_click_count: clicks,
        human_add_to_cart_count: carts,
        human_purchase_count: purchases,
        human_unique_users: u64::from(users),
        human_click_through_rate: ratio(clicks, views),
    }
}

/// A ratio, `None` where the denominator is zero.
pub fn ratio(numerator: u64, denominator: u64) -> Option<f64> {
    (denominator > 0).then(|| numerator as f64 / denominator as f64)
}

/// Groups rows by site, in the order of the sites' names.
fn by_site<T>(rows: &[T], site: fn(&T) -> &str) -> BTreeMap<&str, Vec<&T>> {
    let mut groups: BTreeMap<&str, Vec<&T>> = BTreeMap::new();
    for row in rows {
        groups.entry(site(row)).or_default().push(row);
    }
    groups
}

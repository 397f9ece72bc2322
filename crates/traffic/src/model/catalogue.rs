//! The shop: its pages, its products, and how popular each is at a given time.
//!
//! Popularity follows Zipf's law (weight 1/rank^s), as page visits do. The ranking drifts: every page has a slow wave
//! of its own on top of its rank, so at any time some page rises and another falls.

use std::sync::Arc;

use rand::Rng;
use rand_distr::Distribution;
use rand_distr::weighted::WeightedAliasIndex;
use rust_decimal::Decimal;

/// Exponent of Zipf's law for products and articles.
const ZIPF: f64 = 1.05;
/// The popularity of pages is computed anew after this time, in milliseconds.
const DRIFT_STEP_MS: i64 = 5_000;

const CATEGORIES: [&str; 10] =
    ["books", "audio", "cameras", "garden", "kitchen", "lighting", "outdoor", "toys", "watches", "writing"];
const MAKES: [&str; 12] = [
    "alder", "birch", "cobalt", "delta", "ember", "fjord", "grove", "harbor", "indigo", "juniper", "kestrel",
    "lumen",
];
const KINDS: [&str; 14] = [
    "desk-lamp",
    "headphones",
    "notebook",
    "tripod",
    "kettle",
    "backpack",
    "fountain-pen",
    "planter",
    "puzzle",
    "wristwatch",
    "speaker",
    "lens",
    "tent",
    "novel",
];
const TOPICS: [&str; 8] = [
    "how-to-choose",
    "behind-the-scenes-of",
    "ten-years-of",
    "caring-for",
    "the-story-of",
    "a-guide-to",
    "testing",
    "why-we-love",
];

/// Pages that are one of a kind; the first of all pages.
const SINGLES: [&str; 5] = ["/", "/search", "/cart", "/checkout", "/login"];
/// Number of the first page.
pub const HOME: usize = 0;
/// Number of the page to search.
pub const SEARCH: usize = 1;
/// Number of the cart's page.
pub const CART: usize = 2;
/// Number of the page to check out.
pub const CHECKOUT: usize = 3;
/// Number of the page to log in.
pub const LOGIN: usize = 4;

/// A thing that is sold.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its id.
    pub id: String,
    /// Its page.
    pub page: Arc<str>,
    /// Its price.
    pub price: Decimal,
}

/// All pages and products.
#[derive(Clone, Debug)]
pub struct Catalogue {
    products: Vec<Product>,
    articles: Vec<Arc<str>>,
    categories: Vec<Arc<str>>,
    singles: Vec<Arc<str>>,
    closed: Option<Arc<str>>,
    product_choice: WeightedAliasIndex<f64>,
    article_choice: WeightedAliasIndex<f64>,
    waves: Vec<Wave>,
    drifted_at: i64,
}

/// A page's own rise and fall.
#[derive(Clone, Debug)]
struct Wave {
    period_ms: f64,
    phase: f64,
}

impl Catalogue {
    /// A shop drawn by `rng`, as it is at time `at` (milliseconds since the epoch).
    pub fn new(rng: &mut impl Rng, at: i64) -> Self {
        let products: Vec<Product> = MAKES
            .iter()
            .flat_map(|make| KINDS.iter().map(move |kind| (make, kind)))
            .enumerate()
            .map(|(n, (make, kind))| Product {
                id: format!("P{:04}", 1000 + n),
                page: format!("/p/{make}-{kind}").into(),
                price: Decimal::new(rng.random_range(4..300) * 100 - 5, 2),
            })
            .collect();
        let articles: Vec<Arc<str>> = TOPICS
            .iter()
            .flat_map(|topic| KINDS.iter().take(6).map(move |kind| format!("/journal/{topic}-{kind}").into()))
            .collect();
        let count = products.len() + articles.len();
        let waves = (0..count)
            .map(|_| Wave {
                period_ms: rng.random_range(1_200_000.0..7_200_000.0),
                phase: rng.random_range(0.0..std::f64::consts::TAU),
            })
            .collect();
        let uniform = |n: usize| WeightedAliasIndex::new(vec![1.0; n]);
        let mut catalogue = Self {
            product_choice: uniform(products.len()).unwrap_or_else(|_| unreachable!("weights are positive")),
            article_choice: uniform(articles.len()).unwrap_or_else(|_| unreachable!("weights are positive")),
            products,
            articles,
            categories: CATEGORIES.iter().map(|name| format!("/c/{name}").into()).collect(),
            singles: SINGLES.iter().map(|page| Arc::from(*page)).collect(),
            closed: None,
            waves,
            drifted_at: i64::MIN,
        };
        catalogue.drift(at);
        catalogue
    }

    /// Lets popularity drift to time `at`.
    pub fn drift(&mut self, at: i64) {
        if at < self.drifted_at.saturating_add(DRIFT_STEP_MS) {
            return;
        }
        self.drifted_at = at;
        let weight = |rank: usize, wave: &Wave| {
            let swing = (at as f64 / wave.period_ms * std::f64::consts::TAU + wave.phase).sin();
            (rank as f64 + 1.0).powf(-ZIPF) * (0.6 * swing).exp()
        };
        let (for_products, for_articles) = self.waves.split_at(self.products.len());
        let choose = |waves: &[Wave]| {
            WeightedAliasIndex::new(waves.iter().enumerate().map(|(rank, wave)| weight(rank, wave)).collect())
        };
        if let (Ok(products), Ok(articles)) = (choose(for_products), choose(for_articles)) {
            self.product_choice = products;
            self.article_choice = articles;
        }
    }

    /// A product, popular ones more often.
    pub fn product(&self, rng: &mut impl Rng) -> usize {
        self.product_choice.sample(rng)
    }
    /// The product of that number.
    pub fn product_at(&self, index: usize) -> &Product {
        &self.products[index % self.products.len()]
    }
    /// The product that a page shows.
    pub fn product_of(&self, page: &str) -> Option<usize> {
        self.products.iter().position(|product| &*product.page == page)
    }
    /// An article, popular ones more often.
    pub fn article(&self, rng: &mut impl Rng) -> Arc<str> {
        Arc::clone(&self.articles[self.article_choice.sample(rng)])
    }
    /// A category page.
    pub fn category(&self, rng: &mut impl Rng) -> Arc<str> {
        Arc::clone(&self.categories[rng.random_range(0..self.categories.len())])
    }
    /// All pages of the shop.
    pub fn page_count(&self) -> usize {
        self.singles.len() + self.categories.len() + self.articles.len() + self.products.len()
    }
    /// The page of that number, beginning anew after the last, and the product it shows.
    pub fn page(&self, number: usize) -> (Arc<str>, Option<usize>) {
        let mut number = number % self.page_count();
        for pages in [&self.singles, &self.categories, &self.articles] {
            match pages.get(number) {
                Some(page) => return (Arc::clone(page), None),
                None => number -= pages.len(),
            }
        }
        (Arc::clone(&self.product_at(number).page), Some(number))
    }

    /// A page that few look at as a rule; another one for each of four successive numbers.
    pub fn obscure(&self, number: u64, rng: &mut impl Rng) -> Arc<str> {
        let quarter = |n: usize| 4 * n + (number % 4) as usize;
        if rng.random_bool(0.7) {
            Arc::clone(&self.products[quarter(rng.random_range(5..30))].page)
        } else {
            Arc::clone(&self.articles[quarter(rng.random_range(3..12))])
        }
    }
    /// A page that many look at, but not the first one.
    pub fn prominent(&self, rng: &mut impl Rng) -> Arc<str> {
        match rng.random_range(0..4) {
            0 => Arc::clone(&self.singles[SEARCH]),
            1 => self.category(rng),
            2 => Arc::clone(&self.products[rng.random_range(0..5)].page),
            _ => Arc::clone(&self.articles[rng.random_range(0..2)]),
        }
    }

    /// From now on nobody gets to this page, or to all of them again.
    pub fn close(&mut self, page: Option<Arc<str>>) {
        self.closed = page;
    }
    /// Whether nobody gets to this page.
    pub fn is_closed(&self, page: &str) -> bool {
        self.closed.as_deref() == Some(page)
    }
    /// The page of that number among those that are one of a kind.
    pub fn single(&self, number: usize) -> Arc<str> {
        Arc::clone(&self.singles[number])
    }
}

//! The shop: its pages, its products, and how popular each is at a given time.
//!
//! Popularity follows Zipf's law (weight 1/rank^s), as page visits do. The ranking drifts: every page has a slow wave
//! of its own on top of its rank, so at any time some page rises and another falls.

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

/// A thing that is sold.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its id.
    pub id: String,
    /// Its page.
    pub page: String,
    /// Its price.
    pub price: Decimal,
}

/// All pages and products.
#[derive(Clone, Debug)]
pub struct Catalogue {
    products: Vec<Product>,
    articles: Vec<String>,
    categories: Vec<String>,
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
                page: format!("/p/{make}-{kind}"),
                price: Decimal::new(rng.random_range(4..300) * 100 - 5, 2),
            })
            .collect();
        let articles: Vec<String> = TOPICS
            .iter()
            .flat_map(|topic| KINDS.iter().take(6).map(move |kind| format!("/journal/{topic}-{kind}")))
            .collect();
        let count = products.len() + articles.len();
        let waves = (0..count)
            .map(|_| Wave {
                period_ms: rng.random_range(180_000.0..1_800_000.0),
                phase: rng.random_range(0.0..std::f64::consts::TAU),
            })
            .collect();
        let uniform = |n: usize| WeightedAliasIndex::new(vec![1.0; n]);
        let mut catalogue = Self {
            product_choice: uniform(products.len()).unwrap_or_else(|_| unreachable!("weights are positive")),
            article_choice: uniform(articles.len()).unwrap_or_else(|_| unreachable!("weights are positive")),
            products,
            articles,
            categories: CATEGORIES.iter().map(|name| format!("/c/{name}")).collect(),
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
            (rank as f64 + 1.0).powf(-ZIPF) * (0.9 * swing).exp()
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
    /// An article, popular ones more often.
    pub fn article(&self, rng: &mut impl Rng) -> &str {
        &self.articles[self.article_choice.sample(rng)]
    }
    /// A category page.
    pub fn category(&self, rng: &mut impl Rng) -> &str {
        &self.categories[rng.random_range(0..self.categories.len())]
    }
    /// All pages of the shop.
    pub fn page_count(&self) -> usize {
        self.products.len() + self.articles.len() + self.categories.len() + 4
    }
}

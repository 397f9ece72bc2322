//! One visit: a walk over kinds of pages with the rates of an ordinary shop.
//!
//! Of all sessions about 40 % see one page and leave, about 8 % put something into the cart, about 3 % buy. A page is read
//! for a time that is log-normally distributed around a few seconds, as dwell times are
//! (C. Liu, R. W. White, S. Dumais: Understanding web browsing behaviors through Weibull analysis of dwell time, 2010,
//! finds the same shape: many short visits, a long tail).

use std::sync::Arc;

use clickstream_event::EventType;
use rand::Rng;
use rand_distr::{Distribution, LogNormal};

use super::catalogue::Catalogue;

/// The kind of page a visitor is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    Home,
    Category,
    Search,
    Product(usize),
    Cart,
    Checkout,
    Article,
}

/// What a session does next.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub kind: EventType,
    /// Where.
    pub page_url: Arc<str>,
    /// The product concerned.
    pub product: Option<usize>,
    /// The element clicked.
    pub element: Option<&'static str>,
    /// Time until the session's next step in milliseconds; `None` when this was the last one.
    pub next_in_ms: Option<i64>,
}

/// How a visitor behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// As people do.
    Human,
    /// A page view every 250 ms, one page after the other.
    Bot,
    /// Comes for one page that is the talk of the day.
    Spike,
}

/// A visit under way.
#[derive(Clone, Debug)]
pub struct Session {
    /// The visitor.
    pub user: Arc<str>,
    /// The visit.
    pub id: Arc<str>,
    /// Where the visitor came from.
    pub referrer: Option<&'static str>,
    /// The visitor's browser.
    pub user_agent: &'static str,
    /// How it behaves.
    pub manner: Manner,
    page: Page,
    url: Arc<str>,
    /// Actions on the current page that are still to come, last first.
    actions: Vec<(EventType, Option<&'static str>)>,
    in_cart: Option<usize>,
    /// The page is to be shown; otherwise an action is due.
    arriving: bool,
    bounces: bool,
    left: u32,
}

/// Page that the spike is about.
pub const SPIKE_PAGE: usize = 40;

const REFERRERS: [Option<&str>; 6] = [
    None,
    Some("https://search.example/"),
    Some("https://search.example/"),
    Some("https://news.example/today"),
    Some("https://social.example/feed"),
    Some("https://mail.example/newsletter"),
];
const BROWSERS: [&str; 5] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Mobile Safari/537.36",
];

impl Session {
    /// A new visit.
    pub fn begin(
        user: Arc<str>,
        id: Arc<str>,
        manner: Manner,
        catalogue: &Catalogue,
        rng: &mut impl Rng,
    ) -> Self {
        let page = match manner {
            Manner::Spike => Page::Product(SPIKE_PAGE),
            Manner::Bot => Page::Category,
            Manner::Human => match rng.random_range(0..100) {
                0..35 => Page::Home,
                35..45 => Page::Category,
                45..50 => Page::Search,
                50..75 => Page::Product(catalogue.product(rng)),
                _ => Page::Article,
            },
        };
        Self {
            user,
            id,
            referrer: REFERRERS[rng.random_range(0..REFERRERS.len())],
            user_agent: BROWSERS[rng.random_range(0..BROWSERS.len())],
            manner,
            page,
            url: url(page, catalogue, rng),
            actions: Vec::new(),
            in_cart: None,
            arriving: true,
            bounces: manner == Manner::Human && rng.random_bool(0.40),
            left: if manner == Manner::Bot { 120 } else { 40 },
        }
    }

    /// Does the next step.
    pub fn step(&mut self, catalogue: &Catalogue, rng: &mut impl Rng) -> Step {
        self.left = self.left.saturating_sub(1);
        if self.arriving {
            self.arriving = false;
            self.plan_actions(rng);
            let step = self.did(EventType::PageView, None);
            return self.after(step, catalogue, rng);
        }
        let (kind, element) = self.actions.pop().unwrap_or((EventType::Click, Some("link")));
        if kind == EventType::AddToCart
            && let Page::Product(product) = self.page
        {
            self.in_cart = Some(product);
        }
        let step = self.did(kind, element);
        if kind == EventType::Purchase {
            self.in_cart = None;
        }
        self.after(step, catalogue, rng)
    }

    fn did(&self, kind: EventType, element: Option<&'static str>) -> Step {
        let product = match self.page {
            Page::Product(product) => Some(product),
            Page::Cart | Page::Checkout => self.in_cart,
            _ => None,
        };
        Step { kind, page_url: Arc::clone(&self.url), product, element, next_in_ms: None }
    }

    /// What the visitor will do on the page just shown.
    fn plan_actions(&mut self, rng: &mut impl Rng) {
        if self.bounces || self.manner == Manner::Bot {
            return;
        }
        match self.page {
            Page::Product(_) => {
                if rng.random_bool(0.16) {
                    self.actions.push((EventType::AddToCart, Some("add-to-cart")));
                }
                if rng.random_bool(0.35) {
                    self.actions.push((EventType::Click, Some("gallery")));
                }
            }
            Page::Checkout if self.in_cart.is_some() && rng.random_bool(0.72) => {
                self.actions.push((EventType::Purchase, None));
            }
            Page::Home | Page::Category if rng.random_bool(0.30) => {
                self.actions.push((EventType::Click, Some("teaser")))
            }
            Page::Search if rng.random_bool(0.50) => self.actions.push((EventType::Click, Some("result"))),
            Page::Article if rng.random_bool(0.15) => self.actions.push((EventType::Click, Some("share"))),
            _ => {}
        }
    }

    /// Adds to a step when the next one is due, after walking on if nothing is left to do here.
    fn after(&mut self, mut step: Step, catalogue: &Catalogue, rng: &mut impl Rng) -> Step {
        if self.left == 0 || self.bounces {
            return step;
        }
        if self.manner == Manner::Bot {
            self.page = Page::Product(rng.random_range(0..10_000));
            self.url = url(self.page, catalogue, rng);
            self.arriving = true;
            step.next_in_ms = Some(250);
            return step;
        }
        if !self.actions.is_empty() {
            step.next_in_ms = Some(pause(rng, 1_800.0));
            return step;
        }
        let Some(next) = self.walk(catalogue, rng) else { return step };
        self.page = next;
        self.url = url(next, catalogue, rng);
        self.arriving = true;
        step.next_in_ms = Some(pause(rng, 5_500.0));
        step
    }

    /// The next page by the walk's rates, or the end of the visit.
    fn walk(&self, catalogue: &Catalogue, rng: &mut impl Rng) -> Option<Page> {
        let draw = rng.random_range(0..100);
        let product = |rng: &mut _| Page::Product(catalogue.product(rng));
        match self.page {
            Page::Home => match draw {
                0..20 => None,
                20..55 => Some(Page::Category),
                55..70 => Some(Page::Search),
                70..88 => Some(product(rng)),
                _ => Some(Page::Article),
            },
            Page::Category | Page::Search => match draw {
                0..18 => None,
                18..78 => Some(product(rng)),
                78..90 => Some(Page::Category),
                _ => Some(Page::Search),
            },
            Page::Product(_) if self.in_cart.is_some() => match draw {
                0..8 => None,
                8..68 => Some(Page::Cart),
                _ => Some(product(rng)),
            },
            Page::Product(_) => match draw {
                0..28 => None,
                28..66 => Some(product(rng)),
                66..88 => Some(Page::Category),
                _ => Some(Page::Home),
            },
            Page::Cart => match draw {
                0..22 => None,
                22..78 => Some(Page::Checkout),
                _ => Some(product(rng)),
            },
            Page::Checkout => match draw {
                0..75 => None,
                _ => Some(Page::Home),
            },
            Page::Article => match draw {
                0..48 => None,
                48..78 => Some(Page::Article),
                78..90 => Some(Page::Home),
                _ => Some(product(rng)),
            },
        }
    }
}

fn url(page: Page, catalogue: &Catalogue, rng: &mut impl Rng) -> Arc<str> {
    match page {
        Page::Home => "/".into(),
        Page::Category => catalogue.category(rng).into(),
        Page::Search => "/search".into(),
        Page::Product(index) => catalogue.product_at(index).page.as_str().into(),
        Page::Cart => "/cart".into(),
        Page::Checkout => "/checkout".into(),
        Page::Article => catalogue.article(rng).into(),
    }
}

/// A log-normal pause around `median_ms`; never so short that two views of a session could share a millisecond.
fn pause(rng: &mut impl Rng, median_ms: f64) -> i64 {
    let factor = LogNormal::new(0.0, 0.7).map_or(1.0, |distribution| distribution.sample(rng));
    ((median_ms * factor) as i64).clamp(250, 60_000)
}

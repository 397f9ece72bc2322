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

use super::catalogue::{CART, CHECKOUT, Catalogue, HOME, LOGIN, SEARCH};
use super::manner::{Bot, Manner, Unusual};
use super::script::Script;

/// The kind of page a visitor is on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    Home,
    Category,
    Search,
    Product(usize),
    Cart,
    Checkout,
    Login,
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
    /// Whether the visitor wanted to a page that nobody gets to, and is here instead.
    pub diverted: bool,
    /// Time until the session's next step in milliseconds; `None` when this was the last one.
    pub next_in_ms: Option<i64>,
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
    diverted: bool,
    script: Option<Script>,
    page: Page,
    url: Arc<str>,
    /// Actions on the current page that are still to come, last first.
    actions: Vec<(EventType, Option<&'static str>)>,
    in_cart: Option<usize>,
    /// The page is to be shown; otherwise an action is due.
    arriving: bool,
    bounces: bool,
    /// Does not leave before all steps are done.
    stays: bool,
    /// Only looks.
    looks_only: bool,
    /// Pauses are so many times as long as usual.
    tempo: f64,
    left: u32,
}

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

/// Bots that say what they are.
const DECLARED: [&str; 6] = [
    "Mozilla/5.0 (compatible; Examplebot/2.1; +https://bot.example/about)",
    "Mozilla/5.0 (compatible; ShopSpider/1.0)",
    "PriceCrawler/3.2",
    "python-requests/2.32.3",
    "curl/8.14.1",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/138.0.0.0 Safari/537.36",
];

impl Session {
    /// A new visit; of a crowd that comes for one page, with that page.
    pub fn begin(
        user: Arc<str>,
        id: Arc<str>,
        manner: Manner,
        aim: Option<Arc<str>>,
        catalogue: &Catalogue,
        rng: &mut impl Rng,
    ) -> Self {
        let script = Script::of(manner, catalogue, rng);
        let declared = manner == Manner::Bot(Bot::Declared);
        let parallel = manner == Manner::Unusual(Unusual::Sessions);
        let person = matches!(manner, Manner::Human | Manner::Crowd);
        // few are in a hurry, flipping through pages, and a few only read
        let hasty = person && rng.random_bool(0.01);
        let reader = person && rng.random_bool(0.002);
        let agents: &[&'static str] = if declared { &DECLARED } else { &BROWSERS };
        let pace = LogNormal::new(0.0, 0.25).map_or(1.0, |distribution| distribution.sample(rng));
        let mut session = Self {
            user,
            id,
            referrer: REFERRERS[rng.random_range(0..REFERRERS.len())],
            user_agent: agents[rng.random_range(0..agents.len())],
            manner,
            diverted: false,
            script,
            page: Page::Home,
            url: catalogue.single(HOME),
            actions: Vec::new(),
            in_cart: None,
            arriving: true,
            bounces: person && !hasty && !reader && rng.random_bool(0.40),
            stays: parallel || (hasty || reader) && rng.random_bool(0.5),
            looks_only: reader,
            tempo: if hasty { 0.2 * pace } else { pace },
            left: match () {
                () if declared => rng.random_range(3..20),
                () if parallel => rng.random_range(20..30),
                () => 40,
            },
        };
        let page = match rng.random_range(0..100) {
            0..33 => Page::Home,
            33..35 => Page::Login,
            35..45 => Page::Category,
            45..50 => Page::Search,
            50..75 => Page::Product(catalogue.product(rng)),
            _ => Page::Article,
        };
        match aim.map(|aim| (catalogue.product_of(&aim), aim)) {
            Some((product, aim)) => {
                (session.page, session.url) = (product.map_or(Page::Article, Page::Product), aim);
            }
            None => session.go(page, catalogue, rng),
        }
        session
    }

    /// Goes to a page, or to another like it where nobody gets to that one.
    fn go(&mut self, page: Page, catalogue: &Catalogue, rng: &mut impl Rng) {
        self.diverted = false;
        self.page = page;
        self.url = url(self.page, catalogue, rng);
        while catalogue.is_closed(&self.url) {
            self.diverted = true;
            self.page = match self.page {
                Page::Product(_) => Page::Product(catalogue.product(rng)),
                Page::Category | Page::Article => self.page,
                _ => Page::Category,
            };
            self.url = url(self.page, catalogue, rng);
        }
        self.arriving = true;
    }

    /// Does the next step.
    pub fn step(&mut self, catalogue: &Catalogue, rng: &mut impl Rng) -> Step {
        if let Some(script) = &mut self.script {
            return script.step(catalogue, rng);
        }
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
        let page_url = Arc::clone(&self.url);
        Step { kind, page_url, product, element, diverted: self.diverted, next_in_ms: None }
    }

    /// What the visitor will do on the page just shown.
    fn plan_actions(&mut self, rng: &mut impl Rng) {
        if self.bounces || self.looks_only {
            return;
        }
        match self.page {
            Page::Product(_) => {
                if rng.random_bool(0.16) {
                    self.actions.push((EventType::AddToCart, Some("add-to-cart")));
                }
                if rng.random_bool(0.35) {
                    // most look at one picture, some at many
                    let pictures = if rng.random_bool(0.05) { rng.random_range(3..10) } else { 1 };
                    self.actions.extend((0..pictures).map(|_| (EventType::Click, Some("gallery"))));
                }
            }
            Page::Checkout if self.in_cart.is_some() && rng.random_bool(0.72) => {
                self.actions.push((EventType::Purchase, None));
            }
            Page::Home | Page::Category if rng.random_bool(0.30) => {
                self.actions.push((EventType::Click, Some("teaser")))
            }
            Page::Search if rng.random_bool(0.50) => self.actions.push((EventType::Click, Some("result"))),
            Page::Login if rng.random_bool(0.85) => self.actions.push((EventType::Click, Some("log-in"))),
            Page::Article if rng.random_bool(0.15) => self.actions.push((EventType::Click, Some("share"))),
            _ => {}
        }
    }

    /// Adds to a step when the next one is due, after walking on if nothing is left to do here.
    fn after(&mut self, mut step: Step, catalogue: &Catalogue, rng: &mut impl Rng) -> Step {
        if self.left == 0 || self.bounces {
            return step;
        }
        if !self.actions.is_empty() {
            step.next_in_ms = Some(pause(rng, 1_800.0 * self.tempo));
            return step;
        }
        let next = match self.walk(catalogue, rng) {
            Some(next) => next,
            None if self.stays => Page::Product(catalogue.product(rng)),
            None => return step,
        };
        self.go(next, catalogue, rng);
        step.next_in_ms = Some(pause(rng, 5_500.0 * self.tempo));
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
                70..84 => Some(product(rng)),
                84..88 => Some(Page::Login),
                _ => Some(Page::Article),
            },
            Page::Login => match draw {
                0..15 => None,
                15..60 => Some(Page::Home),
                _ => Some(product(rng)),
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
        Page::Home => catalogue.single(HOME),
        Page::Category => catalogue.category(rng),
        Page::Search => catalogue.single(SEARCH),
        Page::Product(index) => Arc::clone(&catalogue.product_at(index).page),
        Page::Cart => catalogue.single(CART),
        Page::Checkout => catalogue.single(CHECKOUT),
        Page::Login => catalogue.single(LOGIN),
        Page::Article => catalogue.article(rng),
    }
}

/// A log-normal pause around `median_ms`; never so short that two views of a session could share a millisecond.
fn pause(rng: &mut impl Rng, median_ms: f64) -> i64 {
    let factor = LogNormal::new(0.0, 0.7).map_or(1.0, |distribution| distribution.sample(rng));
    ((median_ms * factor) as i64).clamp(250, 60_000)
}

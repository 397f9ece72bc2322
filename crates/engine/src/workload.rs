//! Events to measure the engine with: cheap to make, and with the shape that decides its cost (pages, users, skew).
//!
//! Not a model of visitors; `clickstream-traffic` has that.

use std::borrow::Cow;

use clickstream_event::{Event, EventType, Record, Timestamp};

/// How often each page is visited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Skew {
    /// All equally often.
    Uniform,
    /// The n-th most popular one n times less often than the first (Zipf's law, exponent 1).
    Zipf,
}

/// The shape of a load.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shape {
    /// Different pages.
    pub pages: u32,
    /// Different users; each event is of a random one.
    pub users: u32,
    /// How the pages are chosen.
    pub skew: Skew,
    /// Events per second of event time.
    pub rate: u32,
    /// Share of events with a product, in percent.
    pub products: u8,
    /// Pages that a user may go to from a page; zero for any. What is not a page view stays on the page.
    pub links: u32,
}

impl Default for Shape {
    /// 1,000 pages by Zipf's law with 16 links each, 100,000 users, 10,000 events per second of event time, a product in three of ten.
    fn default() -> Self {
        Self { pages: 1_000, users: 100_000, skew: Skew::Zipf, rate: 10_000, products: 30, links: 16 }
    }
}

/// Events of a load, made one after the other.
#[derive(Clone, Debug)]
pub struct Workload {
    shape: Shape,
    random: u64,
    /// Cumulated shares of the pages, in 2^32nds.
    shares: Vec<u32>,
    pages: Vec<String>,
    users: Vec<String>,
    sessions: Vec<String>,
    products: Vec<String>,
    /// Page of each user's last event, plus one.
    at: Vec<u32>,
    begin: i64,
    made: u64,
    /// Ids of the present chunk.
    ids: String,
}

impl Workload {
    /// Events from `begin` on; the same for the same shape and seed.
    pub fn new(shape: Shape, begin: Timestamp, seed: u64) -> Self {
        let weight = |n: u32| match shape.skew {
            Skew::Uniform => 1.0,
            Skew::Zipf => 1.0 / f64::from(n + 1),
        };
        let total: f64 = (0..shape.pages).map(weight).sum();
        let mut sum = 0.0;
        let mut share = |n| {
            sum += weight(n);
            (sum / total * f64::from(u32::MAX)) as u32
        };
        Self {
            shape,
            random: seed,
            shares: (0..shape.pages).map(&mut share).collect(),
            pages: (0..shape.pages).map(|n| format!("/catalogue/page-{n}")).collect(),
            users: (0..shape.users).map(|n| format!("user-{n:08}")).collect(),
            sessions: (0..shape.users).map(|n| format!("session-{n:08}")).collect(),
            products: (0..shape.pages).map(|n| format!("sku-{n}")).collect(),
            at: vec![0; shape.users as usize],
            begin: begin.0,
            made: 0,
            ids: String::new(),
        }
    }

    fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.random)
    }

    /// The next `n` events with their event times; partitions are for the caller to choose.
    pub fn chunk(&mut self, n: usize) -> Vec<Record<'_>> {
        self.ids.clear();
        let picks: Vec<Pick> = (0..n)
            .map(|_| {
                let (random, more) = (self.random(), self.random());
                let ts = self.begin + (self.made * 1_000 / u64::from(self.shape.rate)) as i64;
                self.made += 1;
                hex(more, &mut self.ids);
                hex(self.made, &mut self.ids);
                let user = (((random >> 32) * u64::from(self.shape.users)) >> 32) as usize;
                let page = self.next_page(user, random as u32, more % 100 < VIEWS);
                Pick { page, user, more, ts }
            })
            .collect();
        picks.into_iter().enumerate().map(|(n, pick)| self.event(pick, &self.ids[n * 32..][..32])).collect()
    }

    fn next_page(&mut self, user: usize, share: u32, is_view: bool) -> usize {
        let before = self.at[user];
        let share = match before {
            0 => share,
            _ if self.shape.links == 0 => share,
            before if !is_view => return before as usize - 1,
            // one of the page's links, which lead to popular pages more often
            before => mixed(u64::from(before) << 32 | u64::from(share % self.shape.links)) as u32,
        };
        let page = match self.shape.skew {
            Skew::Uniform => ((u64::from(share) * u64::from(self.shape.pages)) >> 32) as usize,
            Skew::Zipf => self.shares.partition_point(|bound| *bound < share).min(self.pages.len() - 1),
        };
        self.at[user] = page as u32 + 1;
        page
    }

    fn event<'w>(&'w self, Pick { page, user, more, ts }: Pick, id: &'w str) -> Record<'w> {
        let event_type = match more % 100 {
            0..VIEWS => EventType::PageView,
            70..94 => EventType::Click,
            94..99 => EventType::AddToCart,
            _ => EventType::Purchase,
        };
        let event = Event {
            event_id: Cow::Borrowed(id),
            site_id: Cow::Borrowed("shop"),
            event_type,
            user_id: Cow::Borrowed(&self.users[user]),
            session_id: Cow::Borrowed(&self.sessions[user]),
            page_url: Cow::Borrowed(&self.pages[page]),
            product_id: ((more >> 32) % 100 < u64::from(self.shape.products))
                .then(|| Cow::Borrowed(self.products[page].as_str())),
            timestamp: Timestamp(ts),
            referrer: None,
            user_agent: Some(Cow::Borrowed(
                "Mozilla/5.0 (X11; Linux x86_64; rv:141.0) Gecko/20100101 Firefox/141.0",
            )),
            element: None,
            value: (event_type == EventType::Purchase).then(|| rust_decimal::Decimal::new(1_999, 2)),
            currency: None,
        };
        Record::Event(event, Timestamp(ts))
    }
}

/// Page views of a hundred events.
const VIEWS: u64 = 70;

/// What an event will be.
struct Pick {
    page: usize,
    user: usize,
    more: u64,
    ts: i64,
}

/// The mixing of SplitMix64 (Steele et al. 2014).
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn hex(number: u64, out: &mut String) {
    for shift in (0..16).rev() {
        let digit = (number >> (shift * 4)) as u8 & 15;
        out.push(char::from(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_shape_asked_for() {
        let mut load = Workload::new(Shape::default(), Timestamp(0), 1);
        let mut first = 0;
        for (n, record) in (0..20_000).zip(load.chunk(20_000)) {
            let Record::Event(event, ts) = record else { panic!("no event") };
            assert_eq!(ts.0, n / 10);
            first += u32::from(event.page_url == "/catalogue/page-0");
        }
        // about 1 / (1 + 1/2 + … + 1/1000) = 13.4 %
        assert!((2_200..3_200).contains(&first), "{first}");
    }
}

//! Spikes and drops: what happens to the shop as a whole, by a plan that follows from the seed.
//!
//! Every two minutes something happens for 25 to 40 s. A spike or drop of the whole site stays in the baseline of all
//! later ones for a while, five minutes by default, so what follows it are spikes of pages, which stand out nevertheless.

use std::sync::Arc;

use clickstream_event::Timestamp;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::catalogue::Catalogue;

/// From the beginning of one episode to that of the next, in milliseconds, but for some seconds of chance.
pub const EVERY_MS: i64 = 120_000;

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Happening {
    /// A page is the talk of the day: a crowd comes for it.
    PageSpike,
    /// Nobody gets to a page: it is out of order, or its links are.
    PageDrop,
    /// Many more visitors than usual come, as after an advertisement.
    SiteSpike,
    /// Most of the visitors cannot be seen, as when a server or a network is down.
    SiteDrop,
}

impl Happening {
    /// What `truth` says of events that are part of it.
    pub fn truth(self) -> &'static str {
        match self {
            Self::PageSpike => "spike:page",
            Self::PageDrop => "drop:page",
            Self::SiteSpike => "spike:site",
            Self::SiteDrop => "drop:site",
        }
    }
}

/// The order in which things happen: no drop of a page until the beginning, or a spike or drop of the site, is forgotten.
const PLAN: [Happening; 10] = [
    Happening::PageSpike,
    Happening::PageSpike,
    Happening::PageDrop,
    Happening::SiteSpike,
    Happening::PageSpike,
    Happening::PageSpike,
    Happening::PageDrop,
    Happening::SiteDrop,
    Happening::PageSpike,
    Happening::PageSpike,
];

/// A spike or a drop.
#[derive(Clone, PartialEq, Debug)]
pub struct Episode {
    /// What happens.
    pub what: Happening,
    /// To which page; `None` for the whole site.
    pub page: Option<Arc<str>>,
    /// First instant.
    pub start: Timestamp,
    /// First instant after it.
    pub end: Timestamp,
    /// How strong it is: visitors per event of the usual traffic who come in addition; of a site's drop, the share
    /// of visits that is lost.
    pub strength: f64,
}

impl Episode {
    /// The `n`th episode of traffic that begins at `start`.
    pub fn nth(n: u64, seed: u64, start: Timestamp, rate: f64, catalogue: &Catalogue) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5b1ce);
        let what = PLAN[(n % PLAN.len() as u64) as usize];
        let begin = start.0 + n as i64 * EVERY_MS + 75_000 + rng.random_range(0..15_000);
        let length = rng.random_range(25_000..40_000);
        let (page, strength) = match what {
            // at low rates still enough to be seen
            Happening::PageSpike => (
                Some(catalogue.obscure(n, &mut rng)),
                rng.random_range(0.02..0.05f64).max(4.0 / rate).min(1.0),
            ),
            Happening::PageDrop => (Some(catalogue.prominent(&mut rng)), 1.0),
            Happening::SiteSpike => (None, rng.random_range(0.6..1.0)),
            Happening::SiteDrop => (None, rng.random_range(0.75..0.95)),
        };
        Self { what, page, start: Timestamp(begin), end: Timestamp(begin + length), strength }
    }
}

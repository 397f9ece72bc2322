//! What bots and unusual users do: their own way through the shop, by the clock and not by the traffic around them.

use clickstream_event::EventType::{self, Click, PageView, Purchase};
use rand::Rng;

use super::catalogue::{CHECKOUT, Catalogue, LOGIN};
use super::manner::{Bot, Manner, Unusual};
use super::session::Step;

/// A visit that goes by a script.
#[derive(Clone, Debug)]
pub struct Script {
    manner: Manner,
    /// Steps that are left.
    left: usize,
    /// Number of the next step.
    done: usize,
    /// The pause of a metronome, in milliseconds.
    beat_ms: i64,
    /// The number of the page where it is, or began.
    place: usize,
}

impl Script {
    /// The script of a manner; `None` for those who walk as people do.
    pub fn of(manner: Manner, catalogue: &Catalogue, rng: &mut impl Rng) -> Option<Self> {
        let left = match manner {
            Manner::Bot(Bot::Fast) => rng.random_range(50..120),
            Manner::Bot(Bot::Metronome) => rng.random_range(30..60),
            Manner::Bot(Bot::Slow) => rng.random_range(35..60),
            Manner::Bot(Bot::Scraper) => catalogue.page_count(),
            Manner::Bot(Bot::Stuffing) => rng.random_range(30..80),
            Manner::Unusual(Unusual::Purchase) => 2,
            Manner::Unusual(Unusual::Pages) => rng.random_range(220..260),
            _ => return None,
        };
        Some(Self {
            manner,
            left,
            done: 0,
            beat_ms: rng.random_range(1_000..8_000),
            place: rng.random_range(0..catalogue.page_count()),
        })
    }

    /// The next step.
    pub fn step(&mut self, catalogue: &Catalogue, rng: &mut impl Rng) -> Step {
        let n = self.done;
        self.done += 1;
        self.left = self.left.saturating_sub(1);
        let mut product = None;
        let (kind, page): (EventType, usize) = match self.manner {
            Manner::Bot(Bot::Fast | Bot::Metronome) if n % 4 == 3 => (Click, self.place),
            Manner::Bot(Bot::Stuffing) => (if n.is_multiple_of(2) { PageView } else { Click }, LOGIN),
            Manner::Bot(Bot::Scraper) => (PageView, n),
            // many tabs: the list of results is clicked in between
            Manner::Unusual(Unusual::Pages) if n % 12 == 11 => (Click, self.place),
            Manner::Unusual(Unusual::Pages) => (PageView, self.place + n),
            Manner::Unusual(Unusual::Purchase) if n == 0 => (PageView, CHECKOUT),
            Manner::Unusual(Unusual::Purchase) => {
                product = Some(catalogue.product(rng));
                (Purchase, CHECKOUT)
            }
            _ => (PageView, rng.random_range(0..catalogue.page_count())),
        };
        if matches!(self.manner, Manner::Bot(Bot::Fast | Bot::Metronome)) {
            self.place = page;
        }
        let (page_url, on_page) = catalogue.page(page);
        let pause = match self.manner {
            Manner::Bot(Bot::Fast) => rng.random_range(80..240),
            Manner::Bot(Bot::Metronome) => self.beat_ms,
            Manner::Bot(Bot::Slow) => rng.random_range(2_000..12_000),
            Manner::Bot(Bot::Scraper) => rng.random_range(300..900),
            Manner::Bot(Bot::Stuffing) => rng.random_range(100..500),
            Manner::Unusual(Unusual::Pages) => rng.random_range(350..750),
            _ => rng.random_range(1_000..4_000),
        };
        Step {
            kind,
            page_url,
            product: product.or(on_page),
            element: (kind == Click).then_some("link"),
            diverted: false,
            next_in_ms: (self.left > 0).then_some(pause),
        }
    }
}

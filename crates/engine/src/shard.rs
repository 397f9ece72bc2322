//! The counters of one shard: pages and products, over the users whose numbers fall to it.
//!
//! As no user stands in two shards, the numbers of a window are the sums of the shards' numbers, exactly.

use std::ops::{AddAssign, SubAssign};

use clickstream_event::EventType;
use serde::{Deserialize, Serialize};

use crate::distinct::{Distinct, Seen};
use crate::pairs::{Dated, Pairs, pair};
use crate::sums::Sums;

/// A product of an event that has none.
pub const NO_PRODUCT: u32 = u32::MAX;

/// An event that counts, with numbers for its names.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Counted {
    /// Event time.
    pub ts: i64,
    /// Value of a purchase in ten-thousandths of the currency's unit.
    pub value: i64,
    /// Number of the site.
    pub site: u32,
    /// Number of the page.
    pub page: u32,
    /// Number of the product, or [`NO_PRODUCT`].
    pub product: u32,
    /// Number of the user.
    pub user: u32,
    /// Number of the session.
    pub session: u32,
    /// The partition it came in.
    pub partition: u32,
    /// Index of the type in [`EventType::ALL`].
    pub kind: u8,
    /// Whether its user agent names a bot.
    pub declared: bool,
    /// Whether its user is no labelled bot; decided when it is counted.
    pub human: bool,
    /// Whether it lies in the later half of its slice.
    pub later_half: bool,
}

impl Counted {
    /// Its type.
    #[inline]
    pub fn event_type(&self) -> EventType {
        EventType::ALL[usize::from(self.kind) & 3]
    }

    /// Which of `n` shards its user belongs to.
    #[inline]
    pub fn shard(&self, n: usize) -> usize {
        self.user as usize % n
    }
}

/// Events by type, in the order of [`EventType::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Kinds(pub [u32; 4]);

impl Kinds {
    /// Counts an event.
    #[inline]
    pub fn add(&mut self, kind: u8) {
        self.0[usize::from(kind) & 3] += 1;
    }

    /// All events.
    pub fn sum(self) -> u64 {
        self.0.into_iter().map(u64::from).sum()
    }
}

impl AddAssign for Kinds {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a += b);
    }
}
impl SubAssign for Kinds {
    fn sub_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(a, b)| *a -= b);
    }
}

/// What a page or a product sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KeySums {
    /// Events by type.
    pub kinds: Kinds,
    /// Those that are not of labelled bots.
    pub human: Kinds,
    /// Page views in the later halves of slices.
    pub later_views: u32,
}

crate::sums::adds_up!(KeySums { kinds, human, later_views });

/// Sums and different users of a page, a product.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KeyTotals {
    /// What is summed.
    pub sums: KeySums,
    /// Different users.
    pub users: u32,
    /// Different users over events that are not of labelled bots.
    pub human_users: u32,
}

/// Totals of one window, by number. Those of several shards add up.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By page.
    pub pages: Vec<(u32, KeyTotals)>,
    /// By product.
    pub products: Vec<(u32, KeyTotals)>,
    /// By page, the last slice alone.
    pub slice_pages: Vec<(u32, KeySums)>,
}

impl Totals {
    /// Adds those of another shard, which may have the same numbers.
    pub fn append(&mut self, mut more: Self) {
        self.pages.append(&mut more.pages);
        self.products.append(&mut more.products);
        self.slice_pages.append(&mut more.slice_pages);
    }
}

/// When a user last did something with a key.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Visit {
    any: Seen,
    human: Seen,
}

impl Dated for Visit {
    #[inline]
    fn date(&self) -> u32 {
        self.any
    }
}

/// Sums and users by page or by product.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ByKey {
    sums: Sums<KeySums>,
    pairs: Pairs<Visit>,
    users: Distinct,
    human_users: Distinct,
}

impl ByKey {
    fn new(slices: u32) -> Self {
        Self {
            sums: Sums::new(slices),
            pairs: Pairs::new(slices),
            users: Distinct::new(slices),
            human_users: Distinct::new(slices),
        }
    }

    #[inline]
    fn add(&mut self, key: u32, event: &Counted, slice: u32) {
        let sums = self.sums.cell(key);
        sums.kinds.add(event.kind);
        sums.later_views += u32::from(event.later_half && event.kind == 0);
        let visit = self.pairs.entry(pair(key, event.user), slice);
        self.users.touch(key, &mut visit.any, slice);
        if event.human {
            sums.human.add(event.kind);
            self.human_users.touch(key, &mut visit.human, slice);
        }
    }

    fn end_slice(&mut self, totals: &mut Vec<(u32, KeyTotals)>) {
        self.sums.end_slice();
        totals.extend(self.sums.window().map(|(key, sums)| {
            let (users, human_users) = (self.users.count(key), self.human_users.count(key));
            (key, KeyTotals { sums, users, human_users })
        }));
    }

    fn next_slice(&mut self, slice: u32, slices: u32) {
        self.sums.next_slice();
        self.users.next_slice(slice);
        self.human_users.next_slice(slice);
        self.pairs.tidy(slice + 1, slices);
    }

    fn bytes(&self) -> usize {
        self.sums.bytes() + self.pairs.bytes() + self.users.bytes() + self.human_users.bytes()
    }
}

/// Events whose tables are read ahead for at once.
const BATCH: usize = 64;

/// The counters. Events come slice by slice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shard {
    slices: u32,
    pages: ByKey,
    products: ByKey,
}

impl Shard {
    /// Counters over windows of `slices` slices.
    pub fn new(slices: u32) -> Self {
        Self { slices, pages: ByKey::new(slices), products: ByKey::new(slices) }
    }

    /// Counts events of users of this shard.
    pub fn count(&mut self, events: &[Counted], slice: u32) {
        for batch in events.chunks(BATCH) {
            let warm = batch.iter().fold(0, |sum, event| {
                let product = match event.product {
                    NO_PRODUCT => 0,
                    product => self.products.pairs.warm(pair(product, event.user)),
                };
                sum ^ self.pages.pairs.warm(pair(event.page, event.user)) ^ product
            });
            std::hint::black_box(warm);
            for event in batch {
                self.pages.add(event.page, event, slice);
                if event.product != NO_PRODUCT {
                    self.products.add(event.product, event, slice);
                }
            }
        }
    }

    /// Ends a slice and gives the totals of the window that ends with it; then makes room for the next slice.
    pub fn end_slice(&mut self, slice: u32) -> Totals {
        let mut totals = Totals::default();
        self.pages.end_slice(&mut totals.pages);
        self.products.end_slice(&mut totals.products);
        totals.slice_pages.extend_from_slice(self.pages.sums.last_slice());
        self.pages.next_slice(slice, self.slices);
        self.products.next_slice(slice, self.slices);
        totals
    }

    /// Pairs of page and user in the window.
    pub fn page_user_pairs(&self, slice: u32) -> usize {
        self.pages.pairs.live(slice)
    }

    /// Bytes held: by pairs of page and user with their counts, and by all.
    pub fn bytes(&self) -> (usize, usize) {
        let pages = self.pages.bytes();
        (pages, pages + self.products.bytes())
    }
}

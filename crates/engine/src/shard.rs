//! The counters of one shard: the users, and apart from them the visits, whose fingerprints fall to it.
//!
//! An event touches the shard of its user and the shard of its visit. As no user and no visit stands in two shards, the
//! numbers of a window are the sums of the shards' numbers, exactly.

use std::ops::{AddAssign, SubAssign};

use clickstream_event::EventType;
use serde::{Deserialize, Serialize};

use crate::distinct::Distinct;
use crate::fingerprint::Fingerprint;
use crate::sums::Sums;

/// A product of an event that has none.
pub const NO_PRODUCT: u32 = u32::MAX;

/// An event that counts, with numbers for its names.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Counted {
    /// Number of the site.
    pub site: u32,
    /// Number of the page.
    pub page: u32,
    /// Number of the product, or [`NO_PRODUCT`].
    pub product: u32,
    /// Index of the type in [`EventType::ALL`].
    pub kind: u8,
    /// The user, unique over sites.
    pub user: Fingerprint,
    /// The visit, unique over sites.
    pub session: Fingerprint,
    /// Value of a purchase in ten-thousandths of the currency's unit.
    pub value: i64,
}

/// Events by type, in the order of [`EventType::ALL`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Kinds(pub [u32; 4]);

/// What a site sums.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SiteSums {
    /// Events by type.
    pub kinds: Kinds,
    /// Values of purchases in ten-thousandths.
    pub revenue: i128,
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
impl AddAssign for SiteSums {
    fn add_assign(&mut self, other: Self) {
        self.kinds += other.kinds;
        self.revenue += other.revenue;
    }
}
impl SubAssign for SiteSums {
    fn sub_assign(&mut self, other: Self) {
        self.kinds -= other.kinds;
        self.revenue -= other.revenue;
    }
}

/// Sums and different users of a page, a product.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KeyTotals {
    /// Events by type.
    pub kinds: Kinds,
    /// Different users.
    pub users: u32,
}

/// Sums and different users of a site.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct SiteTotals {
    /// What is summed.
    pub sums: SiteSums,
    /// Different users.
    pub users: u32,
    /// Different users with a purchase.
    pub buyers: u32,
    /// Different visits.
    pub sessions: u32,
}

/// Totals of one window, by number. Those of several shards add up.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// By page.
    pub pages: Vec<(u32, KeyTotals)>,
    /// By product.
    pub products: Vec<(u32, KeyTotals)>,
    /// By site.
    pub sites: Vec<(u32, SiteTotals)>,
}

impl Totals {
    /// Adds those of another shard, which may have the same numbers.
    pub fn append(&mut self, mut more: Self) {
        self.pages.append(&mut more.pages);
        self.products.append(&mut more.products);
        self.sites.append(&mut more.sites);
    }
}

/// Sums and users by page or by product.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ByKey {
    sums: Sums<Kinds>,
    users: Distinct,
}

impl ByKey {
    fn new(slices: u32) -> Self {
        Self { sums: Sums::new(slices), users: Distinct::new(slices) }
    }

    #[inline]
    fn add(&mut self, key: u32, kinds: Kinds, pair: Fingerprint, slice: u32) {
        self.sums.add(key, kinds);
        self.users.touch(key, pair, slice);
    }

    fn end_slice(&mut self, totals: &mut Vec<(u32, KeyTotals)>) {
        self.sums.end_slice();
        let users = &self.users;
        totals.extend(
            self.sums.window().map(|(key, kinds)| (key, KeyTotals { kinds, users: users.count(key) })),
        );
    }

    fn next_slice(&mut self, slice: u32) {
        self.sums.next_slice();
        self.users.next_slice(slice);
    }
}

/// Events that are collected before they are counted, so that the tables' memory is read ahead for all of them at once.
const BATCH: usize = 64;

/// An event of a batch, with the fingerprints of its pairs.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Waiting {
    event: Counted,
    page_user: Fingerprint,
    product_user: Fingerprint,
    site_user: Fingerprint,
}

/// The counters. Events come slice by slice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shard {
    batch: Vec<Waiting>,
    visits: Vec<(u32, Fingerprint)>,
    pages: ByKey,
    products: ByKey,
    sites: Sums<SiteSums>,
    users: Distinct,
    buyers: Distinct,
    sessions: Distinct,
    /// Sites with a visit here; their events may all be in other shards.
    visited: Sums<u32>,
}

impl Shard {
    /// Counters over windows of `slices` slices.
    pub fn new(slices: u32) -> Self {
        Self {
            batch: Vec::with_capacity(BATCH),
            visits: Vec::with_capacity(BATCH),
            pages: ByKey::new(slices),
            products: ByKey::new(slices),
            sites: Sums::new(slices),
            users: Distinct::new(slices),
            buyers: Distinct::new(slices),
            sessions: Distinct::new(slices),
            visited: Sums::new(slices),
        }
    }

    /// Counts an event of a user of this shard.
    #[inline]
    pub fn count(&mut self, event: &Counted, slice: u32) {
        self.batch.push(Waiting {
            event: *event,
            page_user: event.user.with(event.page),
            product_user: event.user.with(event.product),
            site_user: event.user.with(event.site),
        });
        if self.batch.len() >= BATCH {
            self.count_batch(slice);
        }
    }

    /// Notes an event of a visit of this shard.
    #[inline]
    pub fn visit(&mut self, event: &Counted, slice: u32) {
        self.visits.push((event.site, event.session.with(event.site)));
        if self.visits.len() >= BATCH {
            self.count_visits(slice);
        }
    }

    fn count_batch(&mut self, slice: u32) {
        let mut batch = std::mem::take(&mut self.batch);
        let warm = batch.iter().fold(0, |sum, waiting| {
            sum ^ self.pages.users.warm(waiting.page_user)
                ^ self.users.warm(waiting.site_user)
                ^ if waiting.event.product == NO_PRODUCT {
                    0
                } else {
                    self.products.users.warm(waiting.product_user)
                }
        });
        std::hint::black_box(warm);
        for Waiting { event, page_user, product_user, site_user } in batch.drain(..) {
            let mut kinds = Kinds::default();
            kinds.0[usize::from(event.kind) & 3] = 1;
            self.pages.add(event.page, kinds, page_user, slice);
            if event.product != NO_PRODUCT {
                self.products.add(event.product, kinds, product_user, slice);
            }
            self.sites.add(event.site, SiteSums { kinds, revenue: i128::from(event.value) });
            self.users.touch(event.site, site_user, slice);
            if EventType::ALL[usize::from(event.kind) & 3] == EventType::Purchase {
                self.buyers.touch(event.site, site_user, slice);
            }
        }
        self.batch = batch;
    }

    fn count_visits(&mut self, slice: u32) {
        let mut visits = std::mem::take(&mut self.visits);
        std::hint::black_box(visits.iter().fold(0, |sum, (_, visit)| sum ^ self.sessions.warm(*visit)));
        for (site, visit) in visits.drain(..) {
            self.sessions.touch(site, visit, slice);
            self.visited.add(site, 1);
        }
        self.visits = visits;
    }

    /// Ends a slice and gives the totals of the window that ends with it; then makes room for the next slice.
    pub fn end_slice(&mut self, slice: u32) -> Totals {
        self.count_batch(slice);
        self.count_visits(slice);
        let mut totals = Totals::default();
        self.pages.end_slice(&mut totals.pages);
        self.products.end_slice(&mut totals.products);
        self.sites.end_slice();
        self.visited.end_slice();
        totals.sites.extend(self.sites.window().map(|(site, sums)| {
            let totals = SiteTotals {
                sums,
                users: self.users.count(site),
                buyers: self.buyers.count(site),
                sessions: 0,
            };
            (site, totals)
        }));
        totals.sites.extend(self.visited.window().map(|(site, _)| {
            (site, SiteTotals { sessions: self.sessions.count(site), ..SiteTotals::default() })
        }));
        self.pages.next_slice(slice);
        self.products.next_slice(slice);
        self.sites.next_slice();
        self.visited.next_slice();
        self.users.next_slice(slice);
        self.buyers.next_slice(slice);
        self.sessions.next_slice(slice);
        totals
    }

    /// Pairs of page and user in the window.
    pub fn page_user_pairs(&self, slice: u32) -> usize {
        self.pages.users.live_pairs(slice)
    }

    /// Bytes held: by pairs of page and user with their counts, and by all.
    pub fn bytes(&self) -> (usize, usize) {
        let pages = self.pages.users.bytes() + self.pages.sums.bytes();
        let others = self.products.users.bytes()
            + self.products.sums.bytes()
            + self.sites.bytes()
            + self.visited.bytes()
            + self.users.bytes()
            + self.buyers.bytes()
            + self.sessions.bytes();
        (pages, pages + others)
    }
}

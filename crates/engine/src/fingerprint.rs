//! Identities of visitors, visits and events as 96-bit hashes.
//!
//! A count of different users needs to know *whether* it has seen a user, never *who* it was. 96 bits of XXH3
//! (<https://xxhash.com>) in place of a text make every identity 12 bytes: with the time next to it one table slot is a
//! quarter of a cache line. Two of 10⁷ live identities share a fingerprint with a probability below 10⁻¹⁵ (birthday bound
//! n² / 2⁹⁷), far below the rate of undetected memory errors. The seed is chosen per engine, so that nobody can prepare texts that
//! collide.

use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The identity of a text within a name space.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Fingerprint {
    pub(crate) high: u64,
    pub(crate) low: u32,
}

impl Fingerprint {
    /// The fingerprint of a text.
    #[inline]
    pub fn of(text: &str, seed: u64) -> Self {
        let hash = xxh3_128_with_seed(text.as_bytes(), seed);
        Self { high: hash as u64, low: (hash >> 64) as u32 }
    }

    /// The identity of the pair of this one and a number, such as a user on a page. One multiplication is enough: different
    /// numbers change different bits, and the fingerprint itself is as good as random.
    #[inline]
    pub fn with(self, number: u32) -> Self {
        let mixed = (u64::from(number) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { high: self.high ^ mixed, low: self.low }
    }

    /// The identity of the pair of this one and another, such as an event id of a site.
    #[inline]
    pub fn join(self, other: Self) -> Self {
        let (high, low) = (other.high.rotate_left(23), other.low.rotate_left(7));
        Self { high: self.high ^ high, low: self.low ^ low }
    }

    /// Which of `n` shards it belongs to.
    pub fn shard(self, n: usize) -> usize {
        ((u64::from(self.low) * n as u64) >> 32) as usize
    }
}

impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.high);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differs_by_text_seed_number_and_partner() {
        let (base, other) = (Fingerprint::of("u1", 7), Fingerprint::of("u2", 7));
        for different in
            [other, Fingerprint::of("u1", 8), base.with(0), base.with(1), base.join(base), base.join(other)]
        {
            assert_ne!(base, different);
        }
        assert_ne!(base.join(other), other.join(base));
        assert_eq!(base.with(3), Fingerprint::of("u1", 7).with(3));
        assert!((0..100).all(|n| Fingerprint::of(&n.to_string(), 0).shard(3) < 3));
    }
}

//! Who made a view, without keeping the address.
//!
//! A visitor is a keyed hash (SipHash-2-4, a pseudorandom function) of site, address and browser. Who does not know the key can
//! neither compute the address nor try all addresses there are. Ids of events hang on the same key, for lines hold addresses.

use siphasher::sip128::{Hasher128, SipHasher24};
use std::hash::Hasher;

/// The key.
#[derive(Clone, Copy)]
pub struct Salt(u64, u64);

impl std::fmt::Debug for Salt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Salt(…)")
    }
}

impl Salt {
    /// A key of random bytes.
    pub fn new(bytes: [u8; 16]) -> Self {
        let n = u128::from_le_bytes(bytes);
        Self(n as u64, (n >> 64) as u64)
    }

    /// The key that a text stands for: the same text, the same visitors.
    pub fn from_text(text: &str) -> Self {
        let n = Self(0, 0).hash(&[text.as_bytes()]);
        Self(n as u64, (n >> 64) as u64)
    }

    /// The hash of some texts.
    pub fn hash(&self, parts: &[&[u8]]) -> u128 {
        let mut hasher = SipHasher24::new_with_keys(self.0, self.1);
        for part in parts {
            // lengths, so that no two lists of texts are one
            hasher.write_u64(part.len() as u64);
            hasher.write(part);
        }
        hasher.finish128().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_decides() {
        let (a, b) = (Salt::from_text("a"), Salt::from_text("b"));
        assert_eq!(a.hash(&[b"x", b"y"]), Salt::from_text("a").hash(&[b"x", b"y"]));
        assert_ne!(a.hash(&[b"x", b"y"]), b.hash(&[b"x", b"y"]));
        assert_ne!(a.hash(&[b"x", b"y"]), a.hash(&[b"xy", b""]));
        assert_eq!(format!("{a:?}"), "Salt(…)");
        assert_ne!(Salt::new([1; 16]).hash(&[b"x"]), Salt::new([2; 16]).hash(&[b"x"]));
    }
}

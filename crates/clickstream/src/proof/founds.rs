//! Rows that were found and wait for their recount.
//!
//! A row says some 150 bytes, and thousands of them wait for each window. In a hash table of such entries every look-up and every insertion
//! would wait for memory. So the table holds numbers alone, and fits into a core's cache, and the rows lie beside it, those that
//! came one after the other next to each other.

use std::collections::HashMap;

use slab::Slab;

use super::key::{ByHash, RowKey};
use super::reading::Found;

/// Rows by their keys.
#[derive(Default)]
pub(super) struct Founds {
    places: HashMap<RowKey, u32, ByHash>,
    rows: Slab<Found>,
}

impl Founds {
    /// Puts a row in; gives the one that had the same key.
    pub fn insert(&mut self, key: RowKey, found: Found) -> Option<Found> {
        if let Some(before) = self.get_mut(key) {
            return Some(std::mem::replace(before, found));
        }
        // four thousand million of them would not fit into memory
        self.places.insert(key, self.rows.insert(found) as u32);
        None
    }

    /// Takes a row out.
    pub fn remove(&mut self, key: RowKey) -> Option<Found> {
        let place = self.places.remove(&key)?;
        self.rows.try_remove(place as usize)
    }

    /// A row.
    pub fn get_mut(&mut self, key: RowKey) -> Option<&mut Found> {
        self.rows.get_mut(*self.places.get(&key)? as usize)
    }

    /// All of them.
    pub fn values(&self) -> impl Iterator<Item = &Found> {
        self.rows.iter().map(|(_, found)| found)
    }

    /// Keeps those of which `keep` says so.
    pub fn retain(&mut self, mut keep: impl FnMut(&Found) -> bool) {
        let Self { places, rows } = self;
        places.retain(|_, place| {
            let kept = rows.get(*place as usize).is_some_and(&mut keep);
            if !kept {
                rows.try_remove(*place as usize);
            }
            kept
        });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use clickstream_event::result_row::KeyPart;
    use clickstream_event::{Timestamp, topic};
    use proptest::prelude::*;

    use super::*;
    use crate::proof::content::Content;
    use crate::proof::proven::Slot;
    use crate::proof::reading::Place;

    fn key(n: u64) -> RowKey {
        RowKey::of("t", &[Some(("n", KeyPart::Number(n))), None, None, None])
    }

    fn found(n: u64, offset: i64) -> Found {
        Found {
            content: Content::default(),
            place: Place { topic: topic::SESSIONS, partition: 0, offset },
            slot: Slot { key: key(n), at: Timestamp(0), windowed: false },
            deleted: false,
            misplaced: false,
            in_shape: true,
            span: (Timestamp(0), Timestamp(0)),
            settled_at: Timestamp(0),
            reached: true,
        }
    }

    proptest! {
        #[test]
        fn is_a_map(steps in proptest::collection::vec((0u64..12, 0u8..5), 1..200)) {
            let (mut founds, mut model) = (Founds::default(), HashMap::new());
            let offset = |found: Option<Found>| found.map(|found| found.place.offset);
            for (n, (name, what)) in (0..).zip(steps) {
                match what {
                    0 => prop_assert_eq!(offset(founds.remove(key(name))), model.remove(&name)),
                    1 => {
                        founds.retain(|found| found.place.offset % 3 > 0);
                        model.retain(|_, offset| *offset % 3 > 0);
                    }
                    _ => prop_assert_eq!(offset(founds.insert(key(name), found(name, n))), model.insert(name, n)),
                }
                prop_assert_eq!(founds.get_mut(key(name)).map(|found| found.place.offset), model.get(&name).copied());
                prop_assert_eq!(founds.values().count(), model.len());
            }
        }
    }
}

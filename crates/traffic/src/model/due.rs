//! Visits under way, and whose turn is next. At high rates there are millions of them, so both lie in memory in the order they are
//! needed in: visits in places that are used again, turns in lists of one millisecond.

use std::collections::BTreeMap;

/// A visit: its number says who came first, its place where it is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Id {
    number: u64,
    place: u32,
}

/// Things by [`Id`].
#[derive(Debug)]
pub(super) struct Places<T> {
    list: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Places<T> {
    fn default() -> Self {
        Self { list: Vec::new(), free: Vec::new() }
    }
}

impl<T> Places<T> {
    /// Keeps the visit with the given number.
    pub fn insert(&mut self, number: u64, thing: T) -> Id {
        let place = self.free.pop().unwrap_or_else(|| {
            self.list.push(None);
            (self.list.len() - 1) as u32
        });
        self.list[place as usize] = Some(thing);
        Id { number, place }
    }

    pub fn get(&self, id: Id) -> Option<&T> {
        self.list.get(id.place as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, id: Id) -> Option<&mut T> {
        self.list.get_mut(id.place as usize)?.as_mut()
    }

    pub fn remove(&mut self, id: Id) -> Option<T> {
        let thing = self.list.get_mut(id.place as usize)?.take()?;
        self.free.push(id.place);
        Some(thing)
    }

    pub fn len(&self) -> usize {
        self.list.len() - self.free.len()
    }
}

/// Visits by the time of their next step; of those with the same time the one that came first is first.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// The first time, and who is due then, the first of them last.
    first: (i64, Vec<Id>),
    later: BTreeMap<i64, Vec<Id>>,
    /// Emptied lists, to be filled again.
    spare: Vec<Vec<Id>>,
}

/// Emptied lists that are kept.
const SPARE: usize = 1_024;

impl Due {
    pub fn push(&mut self, time: i64, id: Id) {
        let (first, ids) = &mut self.first;
        if ids.is_empty() || time > *first {
            self.later.entry(time).or_insert_with(|| self.spare.pop().unwrap_or_default()).push(id);
        } else if time == *first {
            ids.insert(ids.partition_point(|other| *other > id), id);
        } else {
            let (after, ids) = std::mem::replace(&mut self.first, (time, vec![id]));
            self.later.insert(after, ids);
        }
    }

    /// Who is due first, and when.
    pub fn peek(&mut self) -> Option<(i64, Id)> {
        if self.first.1.is_empty() {
            let (time, mut ids) = self.later.pop_first()?;
            ids.sort_unstable_by(|a, b| b.cmp(a));
            let emptied = std::mem::replace(&mut self.first, (time, ids)).1;
            if self.spare.len() < SPARE {
                self.spare.push(emptied);
            }
        }
        self.first.1.last().map(|id| (self.first.0, *id))
    }

    /// Takes the one that is due first.
    pub fn pop(&mut self) -> Option<(i64, Id)> {
        let due = self.peek()?;
        self.first.1.pop();
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    proptest! {
        #[test]
        fn gives_them_by_time_and_number(steps in proptest::collection::vec((any::<bool>(), -20i64..20), 1..300)) {
            let (mut due, mut model) = (Due::default(), BinaryHeap::new());
            for (number, (push, time)) in steps.into_iter().enumerate() {
                if push {
                    // numbers need not come in order
                    let id = Id { number: number as u64 ^ 5, place: 0 };
                    due.push(time, id);
                    model.push(Reverse((time, id)));
                } else {
                    prop_assert_eq!(due.peek(), model.peek().map(|Reverse(first)| *first));
                    prop_assert_eq!(due.pop(), model.pop().map(|Reverse(first)| first));
                }
            }
        }
    }

    #[test]
    fn places_are_used_again() {
        let mut places = Places::default();
        let (a, b) = (places.insert(1, "a"), places.insert(2, "b"));
        assert_eq!((places.remove(a), places.get(b), places.len()), (Some("a"), Some(&"b"), 1));
        let c = places.insert(3, "c");
        assert_eq!((c.place, places.get_mut(c).copied()), (a.place, Some("c")));
    }
}

//! Texts that come again and again, kept once: pages and browsers of a log are few, its lines many.

use std::collections::HashMap;
use std::sync::Arc;

/// Entries that are kept at most; then it begins anew, so that no log can fill the memory.
const MOST: usize = 50_000;

/// What a text stands for, computed once.
#[derive(Debug)]
pub struct Interned<T> {
    known: HashMap<Box<str>, T>,
}

impl<T: Clone> Interned<T> {
    pub fn new() -> Self {
        Self { known: HashMap::new() }
    }

    /// What `text` stands for; `make` says it the first time.
    pub fn get(&mut self, text: &str, make: impl FnOnce(&str) -> T) -> T {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let made = make(text);
        if self.known.len() >= MOST {
            self.known.clear();
        }
        self.known.insert(text.into(), made.clone());
        made
    }
}

/// The text as it is kept, no longer than this many bytes.
pub fn shortened(text: &str, most: usize) -> Arc<str> {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_and_bounded() {
        let mut interned = Interned::new();
        assert_eq!(interned.get("a", |text| text.len()), 1);
        assert_eq!(interned.get("a", |_| 9), 1);
        for n in 0..MOST * 2 {
            interned.get(&n.to_string(), |_| n);
        }
        assert!(interned.known.len() <= MOST);
        assert_eq!(&*shortened("aßc", 2), "a");
        assert_eq!(&*shortened("aßc", 9), "aßc");
    }
}

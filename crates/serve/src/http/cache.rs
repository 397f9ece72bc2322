//! Answers that are still good: many ask the same between two windows, and are told the same.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::answer::Made;

/// Answers kept at most.
const ANSWERS: usize = 256;
/// Longer answers are not kept, in bytes; nor those to questions longer than a kilobyte.
const LONGEST: usize = 256 * 1024;

/// The answers, each with the version of the rows it was made from.
#[derive(Default)]
pub struct Cache {
    answers: Mutex<HashMap<String, (u64, Made)>>,
}

impl Cache {
    /// The answer, if the rows have not changed since.
    pub fn get(&self, question: &str, version: u64) -> Option<Made> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        answers.get(question).filter(|(of, _)| *of == version).map(|(_, made)| made.clone())
    }

    /// Keeps an answer. `version` was read before the rows were.
    pub fn put(&self, question: String, version: u64, made: &Made) {
        if made.len() > LONGEST || question.len() > 1_024 {
            return;
        }
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= ANSWERS {
            answers.clear();
        }
        answers.insert(question, (version, made.clone()));
    }
}

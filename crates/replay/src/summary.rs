//! What became of the lines.

use std::collections::BTreeMap;

use clickstream_event::Timestamp;

use crate::rules::Skip;

/// Bytes of a sample line that are shown.
const SAMPLE: usize = 200;

/// Counts of a replay.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Summary {
    /// Lines that were not empty.
    pub lines: u64,
    /// Page views among them.
    pub views: u64,
    /// Views by browsers that say they are programs.
    pub bot_views: u64,
    /// Sessions.
    pub sessions: u64,
    /// Lines left out, by reason, each with the first such line.
    pub skipped: BTreeMap<Skip, (u64, String)>,
    /// Time of the first and of the last view, by the log.
    pub range: Option<(Timestamp, Timestamp)>,
    /// Sites, with their views.
    pub sites: BTreeMap<String, u64>,
}

impl Summary {
    /// Counts a line that was left out.
    pub(crate) fn skip(&mut self, why: Skip, line: impl FnOnce() -> String) {
        self.skipped.entry(why).or_insert_with(|| (0, line())).0 += 1;
    }

    /// All lines left out.
    pub fn left_out(&self) -> u64 {
        self.skipped.values().map(|(count, _)| count).sum()
    }
}

/// A line to be shown: its beginning, without anything that a terminal would obey.
pub(crate) fn sample(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(&line[..line.len().min(SAMPLE)]);
    let mut shown: String = text.chars().map(|c| if c.is_control() { '�' } else { c }).collect();
    if line.len() > SAMPLE {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_harmless_and_short() {
        assert_eq!(sample(b"a\x1b[31m\xff"), "a�[31m�");
        assert!(sample(&[b'x'; 1_000]).chars().count() <= SAMPLE + 1);
        let mut summary = Summary::default();
        summary.skip(Skip::Asset, || "first".into());
        summary.skip(Skip::Asset, || "second".into());
        assert_eq!(summary.skipped[&Skip::Asset], (2, "first".into()));
        assert_eq!(summary.left_out(), 2);
    }
}

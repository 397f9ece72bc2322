//! Which window the newest one can be compared with.

use std::collections::VecDeque;

use clickstream_event::Timestamp;
use serde_json::Value;

use crate::text::word;

/// Every window of the last hour is kept; of the time before, only windows side by side, in milliseconds.
const DETAIL_MS: i64 = 3_600_000;

/// The site in the window that ended where the newest one began; nothing if that window began before there were events: it would be
/// half full, and all numbers would seem to have risen.
pub fn before(history: &VecDeque<Value>) -> Option<&Value> {
    let newest = history.back()?;
    let (start, end) = (at(newest, "window_start")?, at(newest, "window_end")?);
    let place = history.iter().rposition(|site| word(site, "window_end") == word(newest, "window_start"))?;
    let before = history.get(place)?;
    let began = at(before, "window_start")?;
    // events came all the time since then if windows ended all the time, from one that ended when it began or earlier
    let size = end - start;
    let usual = end - at(history.get(history.len().checked_sub(2)?)?, "window_end")?;
    let mut later = end;
    for site in history.iter().rev().skip(1) {
        let this = at(site, "window_end")?;
        let allowed = if end - this > DETAIL_MS { size } else { (2 * usual).max(size / 4) };
        if later - this > allowed {
            return None;
        }
        if this <= began {
            return Some(before);
        }
        later = this;
    }
    None
}

fn at(site: &Value, field: &str) -> Option<i64> {
    Timestamp::parse(word(site, field)).map(|at| at.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Windows of a minute that end at these seconds.
    fn windows(ends: impl Iterator<Item = i64>) -> VecDeque<Value> {
        ends.map(|end| json!({ "window_start": Timestamp((end - 60) * 1_000), "window_end": Timestamp(end * 1_000) }))
            .collect()
    }

    #[test]
    fn only_a_full_window_is_compared_with() {
        let ends = |from: i64, to: i64| (from / 10..=to / 10).map(|n| n * 10);
        let end = |history: &VecDeque<Value>| before(history).and_then(|site| at(site, "window_end"));
        // the first events came in the slide that ended at second 10
        assert_eq!(end(&windows(ends(10, 10))), None);
        assert_eq!(
            end(&windows(ends(10, 80))),
            None,
            "the window before ended at 20, and had 20 seconds of events"
        );
        assert_eq!(end(&windows(ends(10, 120))), None);
        assert_eq!(end(&windows(ends(10, 130))), Some(70_000));
        // after a break it begins anew
        assert_eq!(end(&windows(ends(10, 300).chain(ends(600, 660)))), None);
        assert_eq!(end(&windows(ends(10, 300).chain(ends(600, 720)))), Some(660_000));
        // of a long series only every second or third window is known
        assert_eq!(end(&windows(ends(10, 400).step_by(2))), Some(330_000));
        assert_eq!(end(&windows(ends(10, 400).step_by(3))), Some(340_000));
        assert_eq!(end(&VecDeque::new()), None);
    }
}

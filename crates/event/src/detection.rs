//! The limits of the rules that find anomalies, the same for both engines; `docs/metrics.md` says what they mean.

/// A slide with so many deviations more events than usual may be a spike.
pub const SPIKE_Z: f64 = 7.0;
/// A spike has so many times as many events as usual.
pub const SPIKE_RATIO: f64 = 1.5;
/// A spike has at least so many events.
pub const SPIKE_EVENTS: u64 = 20;
/// A slide with so many deviations fewer events than usual may be a drop.
pub const DROP_Z: f64 = 3.0;
/// A drop has at most such a share of the usual events.
pub const DROP_RATIO: f64 = 0.35;
/// Variance of a slide's events is taken to be at least so many times their mean.
///
/// Of independent events it would be once the mean (Poisson), but one visitor leaves several on a page. As in C. P. Farrington et
/// al.: A statistical algorithm for the early detection of outbreaks of infectious disease, J. R. Stat. Soc. A 159, 1996.
pub const EXCESS_VARIANCE: f64 = 4.0;
/// Slides of a baseline.
pub const BASELINE_SLIDES: u32 = 30;
/// Slides that a baseline needs at least.
pub const BASELINE_MIN_SLIDES: u32 = 6;

/// Events that are too many for [`FAST_MS`].
pub const FAST_EVENTS: u32 = 30;
/// Milliseconds in which [`FAST_EVENTS`] are too many.
pub const FAST_MS: i64 = 10_000;
/// Events whose gaps are compared.
pub const METRONOME_EVENTS: u32 = 20;
/// Events on one page that are too many for [`REPEATED_MS`].
pub const REPEATED_EVENTS: u32 = 12;
/// Milliseconds in which [`REPEATED_EVENTS`] are too many.
pub const REPEATED_MS: i64 = 10_000;
/// Page views in a row, within a window, that no person makes without doing anything else.
pub const CRAWL_EVENTS: u32 = 25;
/// Words in a user agent, in any case (of ASCII letters), that name a bot.
///
/// Chosen from the 2,118 sample agents of the npm package `crawler-user-agents` 1.60.0, of which they find 84.8 % (the first
/// two find 73 %), and checked against the 6,739 browser agents in `user-agents` 1.1.675, of which they match none. A phone make
/// called Cubot would be taken for a bot.
pub const BOT_WORDS: [&str; 17] = [
    "bot",
    "http",
    "crawl",
    "spider",
    "headless",
    "scrap",
    "fetch",
    "curl/",
    "wget",
    "python",
    "scan",
    "monitor",
    "check",
    "uptime",
    "preview",
    "google-",
    "whatsapp/",
];

/// Length of the windows in which users are compared, in milliseconds.
pub const UNUSUAL_MS: i64 = 60_000;
/// More different pages in [`UNUSUAL_MS`] are unusual.
pub const UNUSUAL_PAGES: u64 = 60;
/// So many different sessions in [`UNUSUAL_MS`] are unusual.
pub const UNUSUAL_SESSIONS: u64 = 3;

/// Places of a list of trending pages.
pub const TRENDING_LENGTH: usize = 1_000;
/// Views in the later half of a window that a trending page has at least.
pub const TRENDING_VIEWS: u64 = 10;
/// Score that a trending page has at least.
pub const TRENDING_SCORE: f64 = 2.0;
/// Paths of each length that a slide keeps.
pub const PATHS_KEPT: usize = 100;

/// Upper bounds of the classes in which stays are counted, in milliseconds: 100·2^(k/4) below the session gap, then the gap itself.
///
/// A median taken from such classes is off by no more than a class is wide, whatever the distribution
/// (C. Masson, J. E. Rim, H. K. Lee: DDSketch, VLDB 2019, counts in the same kind of classes).
pub fn stay_bounds(session_gap_ms: i64) -> Vec<i64> {
    let mut bounds: Vec<i64> = (0..)
        .map(|k| (100.0 * (f64::from(k) / 4.0).exp2()).round() as i64)
        .take_while(|bound| *bound < session_gap_ms)
        .collect();
    bounds.push(session_gap_ms);
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_of_stays_end_with_the_gap() {
        let bounds = stay_bounds(30_000);
        assert_eq!(bounds[..5], [100, 119, 141, 168, 200]);
        assert_eq!(bounds[bounds.len() - 2..], [25_600, 30_000]);
        assert!(stay_bounds(1_800_000).windows(2).all(|pair| pair[0] < pair[1]));
    }
}

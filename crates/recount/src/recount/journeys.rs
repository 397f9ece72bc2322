//! Stays on pages, the ways from page to page, and paths over several.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use clickstream_event::detection::{PATHS_KEPT, stay_bounds};
use clickstream_event::{EventType, topic};
use serde_json::{Value, json};

use super::sessions::Session;
use super::{Decided, Event, ratio, slide_end};
use crate::golden::{Rows, put};

/// Two successive page views of a session, less than the session gap apart.
#[derive(Clone, Copy)]
struct Stay<'a> {
    from: &'a Event,
    to: &'a Event,
}

/// Successive page views, each soon after the one before and on another page.
#[derive(Clone)]
struct Path<'a> {
    site: &'a str,
    /// That of the last view.
    ts: i64,
    pages: Vec<&'a str>,
}

pub(super) fn count(sessions: &[Session<'_>], decided: Decided, rows: &mut Rows) {
    let mut stays = Vec::new();
    let mut paths = Vec::new();
    for session in sessions {
        let views: Vec<&Event> =
            session.events.iter().copied().filter(|e| e.kind == EventType::PageView).collect();
        let is_stay = |from: &Event, to: &Event| to.ts - from.ts < decided.shape.session_gap_ms;
        for pair in views.windows(2) {
            if is_stay(pair[0], pair[1]) {
                stays.push(Stay { from: pair[0], to: pair[1] });
            }
        }
        for length in [3, 4] {
            for run in views.windows(length) {
                if run.windows(2).all(|pair| is_stay(pair[0], pair[1]) && pair[0].page != pair[1].page) {
                    let pages = run.iter().map(|view| view.page.as_str()).collect();
                    paths.push(Path { site: session.site, ts: run[length - 1].ts, pages });
                }
            }
        }
    }
    let stays = decided.by_window(stays.iter().map(|stay| (stay.to.site.as_str(), stay.to.ts, *stay)));
    let exits = decided.by_window(sessions.iter().map(|s| (s.site, s.closes, s.exit_page())));
    for ((site, end), stays) in stays {
        for row in page_engagement(&stays, decided.shape.session_gap_ms) {
            put(rows, topic::PAGE_ENGAGEMENT, &[decided.row(site, end, row)]);
        }
        let exits = exits.get(&(site, end)).map_or(&[][..], Vec::as_slice);
        for row in page_transitions(&stays, exits) {
            put(rows, topic::PAGE_TRANSITIONS, &[decided.row(site, end, row)]);
        }
    }
    common_paths(&paths, decided, rows);
}

fn page_engagement(stays: &[Stay<'_>], gap_ms: i64) -> Vec<Value> {
    let mut pages: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for stay in stays {
        pages.entry(&stay.from.page).or_default().push(stay.to.ts - stay.from.ts);
    }
    let mut rows = Vec::new();
    for (page, lengths) in pages {
        let within = |bound: i64| lengths.iter().filter(|length| **length <= bound).count();
        let median = stay_bounds(gap_ms).into_iter().find(|bound| 2 * within(*bound) >= lengths.len());
        rows.push(json!({ "page_url": page, "stay_count": lengths.len(),
            "mean_stay_ms": lengths.iter().sum::<i64>() as f64 / lengths.len() as f64,
            "median_stay_ms": median.unwrap() }));
    }
    rows
}

fn page_transitions(stays: &[Stay<'_>], exits: &[&str]) -> Vec<Value> {
    let mut ways: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut departures: HashMap<&str, usize> = HashMap::new();
    for stay in stays.iter().filter(|stay| stay.from.page != stay.to.page) {
        *ways.entry((&stay.from.page, &stay.to.page)).or_default() += 1;
        *departures.entry(&stay.from.page).or_default() += 1;
    }
    for page in exits {
        *departures.entry(page).or_default() += 1;
    }
    let mut rows = Vec::new();
    for ((from, to), count) in ways {
        rows.push(json!({ "from_page": from, "to_page": to, "transition_count": count,
            "transition_rate": ratio(count, departures[from]) }));
    }
    rows
}

/// Paths and how often each was taken, the most frequent first, then by pages.
fn ranked(counts: BTreeMap<Vec<&str>, usize>) -> Vec<(Vec<&str>, usize)> {
    let mut paths: Vec<_> = counts.into_iter().collect();
    paths.sort_by_key(|(pages, count)| (Reverse(*count), pages.clone()));
    paths
}

fn common_paths(paths: &[Path<'_>], decided: Decided, rows: &mut Rows) {
    for length in [3, 4] {
        // by site and end of the slide
        let mut slides: BTreeMap<(&str, i64), BTreeMap<Vec<&str>, usize>> = BTreeMap::new();
        for path in paths.iter().filter(|path| path.pages.len() == length) {
            let slide = slides.entry((path.site, slide_end(path.ts, decided.shape.slide_ms))).or_default();
            *slide.entry(path.pages.clone()).or_default() += 1;
        }
        let mut kept = Vec::new();
        for ((site, end), counts) in slides {
            for path in ranked(counts).into_iter().take(PATHS_KEPT) {
                kept.push((site, end - 1, path));
            }
        }
        for ((site, end), paths) in decided.by_window(kept.into_iter()) {
            let mut sums: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
            for (pages, count) in paths {
                *sums.entry(pages).or_default() += count;
            }
            for (n, (pages, count)) in ranked(sums).into_iter().take(10).enumerate() {
                let row = json!({ "length": length, "rank": n + 1, "pages": pages, "path_count": count });
                put(rows, topic::COMMON_PATHS, &[decided.row(site, end, row)]);
            }
        }
    }
}

//! Which rows can be recounted from a log that is read from some time on, because what came before is gone or was not read.
//!
//! Every row looks back by a limited time, which depends on its topic: unlabelled events need to know who was labelled a bot up to
//! a window ago, and that depends on what the user did up to a window before. Only a session may reach back without limit. One
//! that could have begun earlier is recognised: no session gap lies between where reading began and its first event.

use std::collections::HashMap;

use clickstream_event::rows::Session;
use clickstream_event::{Timestamp, Windows, detection, topic};

use super::row::Row;

/// What can be recounted.
#[derive(Clone, Debug)]
pub struct Whole {
    from: Option<Timestamp>,
    windows: Windows,
    gap_ms: i64,
    /// By site, when sessions closed that may have begun before.
    cut: HashMap<String, Vec<i64>>,
}

impl Whole {
    /// All events whose event time is `from` or later were read; all of the log, if `None`.
    pub fn new(from: Option<Timestamp>, windows: Windows, gap_ms: i64) -> Self {
        Self { from, windows, gap_ms, cut: HashMap::new() }
    }

    /// So much of the log must be read before a time for all rows from that time on, but for those of longer sessions.
    pub fn reach_ms(windows: Windows, gap_ms: i64) -> i64 {
        let baseline = i64::from(detection::BASELINE_SLIDES + 1) * windows.slide_ms();
        labels_ms(windows).max(baseline).max(10 * gap_ms) + detection::UNUSUAL_MS
    }

    /// Notes a session of the recount.
    pub fn session(&mut self, session: &Session) {
        if self.from.is_some_and(|from| session.session_start.0 < from.0 + self.gap_ms) {
            let closed = session.session_end.0 + self.gap_ms;
            self.cut.entry(session.site_id.clone()).or_default().push(closed);
        }
    }

    /// From when on, in event time, events are known.
    pub fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// Whether the recount can speak of the row.
    pub fn holds(&self, row: &Row) -> bool {
        let (start, end) = row.span();
        self.reaches(row)
            && !(of_closed_sessions(row.topic())
                && !self.cut.is_empty()
                && self.is_cut(row.site(), start, end))
    }

    /// Whether the log reaches back as far as the row looks, whatever sessions began before.
    pub fn reaches(&self, row: &Row) -> bool {
        let Some(from) = self.from else { return true };
        let known_ms = row.span().0.0 - from.0;
        match row {
            Row::Anomaly(anomaly) => {
                let reach = match anomaly.kind.as_str() {
                    "bot" => labels_ms(self.windows),
                    "unusual_user" => self.windows.size_ms() + detection::UNUSUAL_MS,
                    _ => i64::from(detection::BASELINE_SLIDES + 1) * self.windows.slide_ms(),
                };
                anomaly.detected_at.0 - from.0 >= reach
            }
            Row::Session(_) => known_ms >= self.gap_ms,
            _ => known_ms >= self.reach_of(row.topic()),
        }
    }

    /// Whether a row of the topic may tell of sessions that began before, on whatever site.
    pub fn may_be_cut(&self, name: &str, (start, end): (Timestamp, Timestamp)) -> bool {
        of_closed_sessions(name) && self.cut.keys().any(|site| self.is_cut(site, start, end))
    }

    /// How far before its window an event may lie that a row of the topic depends on, in milliseconds, as a rule: sessions that go on
    /// for longer are followed that far only.
    pub fn depends_on_ms(&self, name: &str) -> i64 {
        match name {
            topic::PRODUCT_METRICS | topic::TRENDING_PAGES => 0,
            _ => labels_ms(self.windows).max(20 * self.gap_ms),
        }
    }

    /// How far before its window a row of the topic looks, in milliseconds.
    fn reach_of(&self, name: &str) -> i64 {
        match name {
            topic::PRODUCT_METRICS | topic::TRENDING_PAGES => 0,
            topic::COMMON_PATHS => 3 * self.gap_ms,
            topic::PAGE_METRICS | topic::SITE_METRICS | topic::TOP_PAGES | topic::HUMAN_TOP_PAGES => {
                labels_ms(self.windows)
            }
            _ => self.gap_ms,
        }
    }

    /// Whether a session that may have begun before closed within the window.
    fn is_cut(&self, site: &str, start: Timestamp, end: Timestamp) -> bool {
        self.cut.get(site).is_some_and(|closed| closed.iter().any(|at| (start.0 + 1..=end.0).contains(at)))
    }
}

/// How far a label looks back: it lasts a window, and what flagged an event looks at the window before, or at ten seconds.
fn labels_ms(windows: Windows) -> i64 {
    windows.size_ms() + windows.size_ms().max(detection::FAST_MS)
}

/// Topics that tell how sessions began which closed within the window.
fn of_closed_sessions(name: &str) -> bool {
    matches!(name, topic::BOUNCE_RATES | topic::FUNNELS | topic::ENTRY_EXIT_PAGES)
}

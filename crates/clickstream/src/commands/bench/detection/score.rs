//! Compares anomalies with what was injected.
//!
//! - A **spike or drop** is found if one of its kind and subject is reported for a slide that overlaps it, or for the slide
//!   after. Further reports until two slides after it are neither right nor wrong, nor are those of single pages while the whole
//!   site rises or falls the same way. Any other is false.
//! - A **bot** is found if its user is reported as a bot; a report of a user who is none is false.
//! - An **unusual user** is found if he is reported by the rule of his kind; a report of a user who is none is false. A bot that is
//!   reported as unusual is neither: it was asked for as a bot.
//!
//! What began in the last five minutes, or had no slide left to be seen in, is not asked for.

use std::collections::{BTreeMap, HashMap, HashSet};

use clickstream_event::Timestamp;
use clickstream_event::journeys::Anomaly;
use clickstream_traffic::Episode;
use clickstream_traffic::model::Timed;

/// So long before the end of a run a visit must have begun.
const TAIL_MS: i64 = 300_000;

/// Hits of so many tries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Share {
    /// Hits.
    pub hits: u64,
    /// Tries.
    pub of: u64,
}

impl Share {
    fn count(&mut self, hit: bool) {
        self.hits += u64::from(hit);
        self.of += 1;
    }

    /// The share itself.
    pub fn value(self) -> f64 {
        if self.of == 0 { f64::NAN } else { self.hits as f64 / self.of as f64 }
    }

    /// Where it lies with 95 % confidence: the score interval of E. B. Wilson (Probable inference, the law of succession, and
    /// statistical inference, 1927), which holds near 0 and 1 too.
    pub fn interval(self) -> (f64, f64) {
        if self.of == 0 {
            return (0.0, 1.0);
        }
        let (n, p, z) = (self.of as f64, self.value(), 1.959_964);
        let center = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        (((center - half) / scale).max(0.0), ((center + half) / scale).min(1.0))
    }
}

/// What was injected into one run.
#[derive(Debug, Default)]
pub struct Truth {
    /// Bots and unusual users: the kind, and their first event.
    users: HashMap<String, (&'static str, i64)>,
    episodes: Vec<Episode>,
    events: u64,
}

impl Truth {
    /// Notes what is special about an event, and the episode under way or next.
    pub fn note(&mut self, timed: &Timed, episode: Option<&Episode>) {
        self.events += 1;
        if let Some(truth) = timed.truth
            && (truth.starts_with("bot:") || truth.starts_with("unusual:"))
            && !self.users.contains_key(&*timed.event.user_id)
        {
            self.users.insert(timed.event.user_id.to_string(), (truth, timed.event.timestamp.0));
        }
        if let Some(episode) = episode
            && self.episodes.last().is_none_or(|last| last.start != episode.start)
        {
            self.episodes.push(episode.clone());
        }
    }
}

/// How well anomalies agree with the truth, over any number of runs.
#[derive(Debug, Default)]
pub struct Score {
    /// Of what was injected, by kind as `truth` names it: what was found.
    pub recall: BTreeMap<String, Share>,
    /// Of what was reported, by kind and rule or subject: what was right.
    pub precision: BTreeMap<String, Share>,
    /// Reports that are neither right nor wrong.
    pub neither: u64,
    /// Events looked at.
    pub events: u64,
}

impl Score {
    /// The score of one run that ended at `end`.
    pub fn new(truth: &Truth, anomalies: &[Anomaly], site: &str, slide_ms: i64, end: Timestamp) -> Self {
        let mut score = Self { events: truth.events, ..Self::default() };
        let mut found: HashSet<(&str, &str)> = HashSet::new();
        let mut told = HashSet::new();
        for anomaly in anomalies {
            match anomaly.kind.as_str() {
                "bot" | "unusual_user" => {
                    found.insert((anomaly.subject.as_str(), asked_for(anomaly)));
                    score.judge_user(truth, anomaly);
                }
                _ => score.judge_traffic(truth, anomaly, site, slide_ms, &mut told),
            }
        }
        for (user, (kind, began)) in &truth.users {
            if *began < end.0 - TAIL_MS {
                let asked = if kind.starts_with("bot:") { "bot" } else { kind };
                score.recall.entry((*kind).into()).or_default().count(found.contains(&(user, asked)));
            }
        }
        for episode in truth.episodes.iter().filter(|episode| episode.end.0 + 2 * slide_ms <= end.0) {
            let hit = anomalies.iter().any(|anomaly| {
                is_about(anomaly, episode, site)
                    && overlaps(anomaly, episode.start.0, episode.end.0 + slide_ms)
            });
            score.recall.entry(episode.what.truth().into()).or_default().count(hit);
        }
        score
    }

    fn judge_user(&mut self, truth: &Truth, anomaly: &Anomaly) {
        let kind = truth.users.get(&anomaly.subject).map_or("", |(kind, _)| kind);
        let bot = kind.starts_with("bot:");
        if bot && anomaly.kind == "unusual_user" {
            self.neither += 1;
            return;
        }
        let right = if anomaly.kind == "bot" { bot } else { kind == asked_for(anomaly) };
        self.precise(&anomaly.kind, &anomaly.rule, right);
    }

    /// Judges a spike or drop; of those that were `told` of already, another report is no news.
    fn judge_traffic(
        &mut self,
        truth: &Truth,
        anomaly: &Anomaly,
        site: &str,
        slide_ms: i64,
        told: &mut HashSet<Timestamp>,
    ) {
        let near = || {
            truth.episodes.iter().filter(|episode| {
                rises(anomaly) == episode.what.truth().starts_with("spike:")
                    && overlaps(anomaly, episode.start.0, episode.end.0 + 2 * slide_ms)
            })
        };
        let right = match near().find(|episode| is_about(anomaly, episode, site)) {
            Some(own) if overlaps(anomaly, own.start.0, own.end.0 + slide_ms) && told.insert(own.start) => {
                true
            }
            None if !near().any(|episode| episode.page.is_none()) => false,
            _ => {
                self.neither += 1;
                return;
            }
        };
        self.precise(&anomaly.kind, if anomaly.subject == site { "site" } else { "page" }, right);
    }

    fn precise(&mut self, kind: &str, rule: &str, right: bool) {
        self.precision.entry(kind.into()).or_default().count(right);
        self.precision.entry(format!("{kind}, {rule}")).or_default().count(right);
    }

    /// Adds another run.
    pub fn add(&mut self, other: Self) {
        for (mine, theirs) in [(&mut self.recall, other.recall), (&mut self.precision, other.precision)] {
            for (kind, share) in theirs {
                let sum = mine.entry(kind).or_default();
                sum.hits += share.hits;
                sum.of += share.of;
            }
        }
        self.neither += other.neither;
        self.events += other.events;
    }

    /// Reports that were false, of kinds that begin so.
    pub fn false_reports(&self, kind: &str) -> u64 {
        self.precision.get(kind).map_or(0, |share| share.of - share.hits)
    }
}

/// The kind of truth that an anomaly of a user speaks of.
fn asked_for(anomaly: &Anomaly) -> &'static str {
    match (anomaly.kind.as_str(), anomaly.rule.as_str()) {
        ("bot", _) => "bot",
        (_, "purchase") => "unusual:purchase",
        (_, "pages") => "unusual:pages",
        _ => "unusual:sessions",
    }
}

fn rises(anomaly: &Anomaly) -> bool {
    anomaly.kind == "traffic_spike"
}

/// Whether an anomaly's subject and direction are those of an episode.
fn is_about(anomaly: &Anomaly, episode: &Episode, site: &str) -> bool {
    let kind = if rises(anomaly) { "spike:" } else { "drop:" };
    matches!(anomaly.kind.as_str(), "traffic_spike" | "traffic_drop")
        && episode.what.truth().starts_with(kind)
        && episode.page.as_deref().unwrap_or(site) == anomaly.subject
}

fn overlaps(anomaly: &Anomaly, start: i64, end: i64) -> bool {
    anomaly.window_start.0 < end && anomaly.window_end.0 > start
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickstream_event::Event;
    use clickstream_traffic::Happening;

    #[test]
    fn intervals_are_those_of_the_textbook() {
        let near = |a: f64, b: f64| (a - b).abs() < 5e-4;
        let (low, high) = Share { hits: 10, of: 10 }.interval();
        assert!(near(low, 0.7225) && near(high, 1.0), "{low} {high}");
        let (low, high) = Share { hits: 81, of: 263 }.interval();
        assert!(near(low, 0.2553) && near(high, 0.3662), "{low} {high}");
        let (low, high) = Share { hits: 0, of: 20 }.interval();
        assert!(near(low, 0.0) && near(high, 0.1611), "{low} {high}");
        assert_eq!(Share::default().interval(), (0.0, 1.0));
    }

    fn anomaly(kind: &str, rule: &str, subject: &str, slide: i64) -> Anomaly {
        Anomaly {
            site_id: "shop".into(),
            kind: kind.into(),
            rule: rule.into(),
            subject: subject.into(),
            detected_at: Timestamp(slide + 10_000),
            window_start: Timestamp(slide),
            window_end: Timestamp(slide + 10_000),
            observed: 0.0,
            expected: 0.0,
            score: 0.0,
            reason: String::new(),
        }
    }

    fn episode(what: Happening, page: Option<&str>, start: i64) -> Episode {
        Episode {
            what,
            page: page.map(Into::into),
            start: Timestamp(start),
            end: Timestamp(start + 25_000),
            strength: 1.0,
        }
    }

    fn score(truth: &Truth, anomalies: &[Anomaly]) -> Score {
        Score::new(truth, anomalies, "shop", 10_000, Timestamp(1_000_000))
    }

    #[test]
    fn spikes_are_matched_by_subject_direction_and_time() {
        let truth = Truth {
            episodes: vec![
                episode(Happening::PageSpike, Some("/a"), 105_000),
                episode(Happening::SiteDrop, None, 205_000),
                episode(Happening::PageDrop, Some("/b"), 305_000),
            ],
            ..Truth::default()
        };
        let found = score(
            &truth,
            &[
                anomaly("traffic_spike", "z_score", "/a", 110_000),
                anomaly("traffic_spike", "z_score", "/a", 120_000), // again
                anomaly("traffic_spike", "z_score", "/b", 110_000), // another page
                anomaly("traffic_drop", "z_score", "/a", 110_000),  // the other way
                anomaly("traffic_spike", "z_score", "/a", 160_000), // too late
                anomaly("traffic_drop", "z_score", "shop", 230_000),
                anomaly("traffic_drop", "z_score", "/c", 210_000), // part of the whole site's
                anomaly("traffic_spike", "z_score", "/c", 210_000), // not part of it
            ],
        );
        assert_eq!(found.recall["spike:page"], Share { hits: 1, of: 1 });
        assert_eq!(found.recall["drop:site"], Share { hits: 1, of: 1 });
        assert_eq!(found.recall["drop:page"], Share { hits: 0, of: 1 });
        assert_eq!(found.precision["traffic_spike, page"], Share { hits: 1, of: 4 });
        assert_eq!(found.precision["traffic_drop, page"], Share { hits: 0, of: 1 });
        assert_eq!(found.precision["traffic_drop, site"], Share { hits: 1, of: 1 });
        assert_eq!((found.neither, found.false_reports("traffic_spike")), (2, 3));
    }

    #[test]
    fn users_are_matched_by_kind() {
        let mut truth = Truth::default();
        for (user, kind, ts) in [
            ("fast", Some("bot:fast"), 0),
            ("slow", Some("bot:slow"), 0),
            ("last", Some("bot:slow"), 900_000),
            ("pages", Some("unusual:pages"), 0),
            ("buyer", Some("unusual:purchase"), 0),
            ("human", None, 0),
        ] {
            let event = Event {
                event_id: "e".into(),
                site_id: "shop".into(),
                event_type: clickstream_event::EventType::PageView,
                user_id: user.into(),
                session_id: "s".into(),
                page_url: "/".into(),
                product_id: None,
                timestamp: Timestamp(ts),
                referrer: None,
                user_agent: None,
                element: None,
                value: None,
                currency: None,
            };
            truth.note(&Timed { at: Timestamp(ts), event, truth: kind }, None);
        }
        let found = score(
            &truth,
            &[
                anomaly("bot", "fast", "fast", 0),
                anomaly("unusual_user", "pages", "fast", 0), // neither
                anomaly("bot", "crawl", "pages", 0),
                anomaly("bot", "crawl", "human", 0),
                anomaly("unusual_user", "pages", "pages", 0),
                anomaly("unusual_user", "sessions", "buyer", 0),
            ],
        );
        assert_eq!(found.recall["bot:fast"], Share { hits: 1, of: 1 });
        assert_eq!(found.recall["bot:slow"], Share { hits: 0, of: 1 }, "the last began too late");
        assert_eq!(found.recall["unusual:pages"], Share { hits: 1, of: 1 });
        assert_eq!(found.recall["unusual:purchase"], Share { hits: 0, of: 1 });
        assert_eq!(found.precision["bot"], Share { hits: 1, of: 3 });
        assert_eq!(found.precision["bot, crawl"], Share { hits: 0, of: 2 });
        assert_eq!(found.precision["unusual_user, sessions"], Share { hits: 0, of: 1 });
        assert_eq!(found.neither, 1);
        let mut twice = score(&truth, &[anomaly("bot", "fast", "fast", 0)]);
        twice.add(found);
        assert_eq!(twice.recall["bot:fast"], Share { hits: 2, of: 2 });
        assert_eq!(twice.events, 12);
    }
}

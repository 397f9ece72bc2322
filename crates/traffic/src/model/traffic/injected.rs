//! What is injected does what it says, and clean traffic does not.

use std::collections::{HashMap, HashSet};

use clickstream_event::detection::{BOT_WORDS, UNUSUAL_MS, UNUSUAL_PAGES, UNUSUAL_SESSIONS};

use super::super::regulars::REST_MS;
use super::tests::plain;
use super::*;

/// Events by user and kind, in the order of their time.
type Users = HashMap<String, (&'static str, Vec<Event<'static>>)>;

/// Users of a few minutes; of those with a truth only the ones that were there from their beginning to their end.
fn users(config: TrafficConfig, minutes: i64) -> (Users, usize) {
    let start = config.start.0;
    let mut traffic = Traffic::new(config);
    let pages = traffic.page_count();
    let mut users = Users::new();
    for timed in traffic.by_ref().take_while(|timed| timed.at.0 < start + minutes * 60_000) {
        let user = users.entry(timed.event.user_id.to_string()).or_default();
        user.0 = timed.truth.unwrap_or(user.0);
        user.1.push(timed.event);
    }
    for (_, events) in users.values_mut() {
        events.sort_by_key(|event| event.timestamp);
    }
    (users, pages)
}

/// The least time that so many successive events took.
fn least(events: &[Event<'_>], count: usize) -> i64 {
    let took = events.windows(count).map(|some| some[count - 1].timestamp.0 - some[0].timestamp.0);
    took.min().unwrap_or(i64::MAX)
}

fn gaps(events: &[Event<'_>]) -> Vec<i64> {
    events.windows(2).map(|pair| pair[1].timestamp.0 - pair[0].timestamp.0).collect()
}

fn pages<'e>(events: &'e [Event<'_>]) -> HashSet<&'e str> {
    events.iter().map(|event| &*event.page_url).collect()
}

#[test]
fn bots_of_each_kind() {
    let (users, page_count) = users(TrafficConfig { bots: 0.02, ..plain(500.0, 1) }, 8);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let begun_by =
        users.values().flat_map(|user| &user.1).map(|event| event.timestamp.0).max().unwrap() - 300_000;
    for (kind, events) in users.values().filter(|user| user.1[0].timestamp.0 < begun_by) {
        let views = events.iter().all(|event| event.event_type == EventType::PageView);
        let agent = events[0].user_agent.as_deref().unwrap_or_default().to_ascii_lowercase();
        let declared = BOT_WORDS.iter().any(|word| agent.contains(word));
        assert_eq!(declared, *kind == "bot:declared", "{agent}");
        match *kind {
            "bot:fast" => assert!(least(events, 30) < 10_000),
            "bot:metronome" => {
                let gaps = gaps(events);
                let (shortest, longest) = (gaps.iter().min().unwrap(), gaps.iter().max().unwrap());
                assert!(longest - shortest <= 2 * DISORDER_MS && !views, "{gaps:?}");
            }
            "bot:declared" => assert!(events.len() < 20),
            "bot:slow" => assert!(views && least(events, 25) < 300_000 && least(events, 30) > 60_000),
            "bot:scraper" => assert!(views && pages(events).len() == page_count),
            "bot:stuffing" => {
                assert!(pages(events) == HashSet::from(["/login"]) && least(events, 12) < 10_000);
            }
            _ => continue,
        }
        *seen.entry(kind).or_default() += 1;
    }
    assert!(seen.len() == 6 && seen.values().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn unusual_users_of_each_kind() {
    let (users, _) = users(TrafficConfig { unusual: 0.02, ..plain(500.0, 2) }, 6);
    let mut seen: HashMap<&str, usize> = HashMap::new();
    let end = users.values().flat_map(|user| &user.1).map(|event| event.timestamp.0).max().unwrap();
    for (kind, events) in users.values().filter(|user| user.1[0].timestamp.0 < end - 180_000) {
        let minute = |event: &Event<'_>| event.timestamp.0.div_euclid(UNUSUAL_MS);
        let minutes = events.chunk_by(|a, b| minute(a) == minute(b));
        let right = match *kind {
            "unusual:purchase" => {
                let bought = events.iter().find(|event| event.event_type == EventType::Purchase).unwrap();
                events
                    .iter()
                    .all(|e| e.event_type != EventType::PageView || e.product_id != bought.product_id)
            }
            "unusual:pages" => minutes.map(|some| pages(some).len() as u64).max() > Some(UNUSUAL_PAGES),
            "unusual:sessions" => {
                let sessions =
                    minutes.map(|some| some.iter().map(|e| &*e.session_id).collect::<HashSet<_>>());
                sessions.map(|sessions| sessions.len() as u64).max() >= Some(UNUSUAL_SESSIONS)
            }
            _ => continue,
        };
        assert!(right, "{kind} {events:?}");
        *seen.entry(kind).or_default() += 1;
    }
    assert!(seen.len() == 3 && seen.values().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn clean_traffic_is_beyond_suspicion() {
    let (users, _) = users(plain(500.0, 3), 10);
    let mut returned = 0;
    for (kind, events) in users.values() {
        assert_eq!(*kind, "");
        let agent = events[0].user_agent.as_deref().unwrap_or_default().to_ascii_lowercase();
        assert!(!BOT_WORDS.iter().any(|word| agent.contains(word)), "{agent}");
        let mut viewed = HashSet::new();
        for event in events {
            let product = (&event.session_id, &event.product_id);
            match event.event_type {
                EventType::PageView => {
                    viewed.insert(product);
                }
                EventType::Purchase => assert!(viewed.contains(&product), "{event:?}"),
                _ => {}
            }
        }
        let visits: Vec<_> = events.chunk_by(|a, b| a.session_id == b.session_id).collect();
        let ids: HashSet<_> = events.iter().map(|event| &event.session_id).collect();
        assert_eq!(visits.len(), ids.len(), "one visit at a time");
        for pair in visits.windows(2) {
            let pause = pair[1][0].timestamp.0 - pair[0][pair[0].len() - 1].timestamp.0;
            assert!(pause >= REST_MS - DISORDER_MS, "{pause}");
            returned += 1;
        }
    }
    assert!(returned > 100, "{returned} came back");
}

#[test]
fn spikes_and_drops_of_each_kind() {
    let config = TrafficConfig { spikes: true, ..plain(500.0, 4) };
    let (start, rate) = (config.start.0, config.rate);
    let mut traffic = Traffic::new(config);
    let mut episodes: Vec<Episode> = Vec::new();
    let mut counts: HashMap<(i64, String), f64> = HashMap::new();
    let mut truths: HashMap<&str, usize> = HashMap::new();
    while let Some(timed) = traffic.next().filter(|timed| timed.at.0 < start + 1_020_000) {
        let second = (timed.at.0 - start) / 1_000;
        *counts.entry((second, timed.event.page_url.into_owned())).or_default() += 1.0;
        *counts.entry((second, "all".into())).or_default() += 1.0;
        *truths.entry(timed.truth.unwrap_or("none")).or_default() += 1;
        if let Some(next) = traffic.episode().filter(|next| episodes.last() != Some(*next)) {
            episodes.push(next.clone());
        }
    }
    let per_second = |page: &str, from: i64, to: i64| {
        let sum: f64 = (from..to).filter_map(|second| counts.get(&(second, page.to_owned()))).sum();
        sum / (to - from) as f64
    };
    let mut kinds = HashSet::new();
    for episode in episodes.iter().filter(|episode| episode.end.0 < start + 1_020_000) {
        let (from, to) = ((episode.start.0 - start) / 1_000, (episode.end.0 - start) / 1_000);
        let page = episode.page.as_deref().unwrap_or("all");
        // the first seconds belong to those who are on the page
        let (before, within) = (per_second(page, from - 34, from), per_second(page, from + 8, to));
        let right = match episode.what {
            Happening::PageSpike => within > 5.0 * before,
            Happening::PageDrop => within < 0.2 * before,
            Happening::SiteSpike => within > 1.6 * before,
            Happening::SiteDrop => within < 0.4 * before,
        };
        assert!(right, "{episode:?}: {before} before, {within} within");
        kinds.insert(episode.what);
        assert!(truths[episode.what.truth()] > 20, "{truths:?}");
    }
    assert_eq!(kinds.len(), 4);
    assert!((per_second("all", 0, 68) / rate - 1.0).abs() < 0.02, "as usual until the first");
}

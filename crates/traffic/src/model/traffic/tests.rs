use super::*;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};

/// Traffic with nothing injected.
pub fn plain(rate: f64, seed: u64) -> TrafficConfig {
    TrafficConfig {
        seed,
        rate,
        start: Timestamp(1_795_583_043_000),
        sites: vec!["shop".into()],
        bots: 0.0,
        unusual: 0.0,
        spikes: false,
    }
}

fn traffic(rate: f64, seed: u64) -> Traffic {
    Traffic::new(plain(rate, seed))
}

#[test]
fn the_same_seed_gives_the_same_events() {
    let first: Vec<Timed> = traffic(500.0, 7).take(5_000).collect();
    assert_eq!(first, traffic(500.0, 7).take(5_000).collect::<Vec<_>>());
    assert_ne!(first, traffic(500.0, 8).take(5_000).collect::<Vec<_>>());
    let ids: HashSet<_> = first.iter().map(|timed| &timed.event.event_id).collect();
    assert_eq!(ids.len(), first.len());
}

#[test]
fn the_rate_holds_within_one_percent_and_disorder_within_its_bound() {
    for rate in [10.0, 1_000.0, 5_000.0] {
        let mut traffic = traffic(rate, 1);
        let start = traffic.config.start;
        // whole waves of bursts
        let seconds = 10.0 * BURST_PERIOD_MS / 1000.0;
        let mut count = 0.0;
        for timed in traffic.by_ref().take_while(|timed| ((timed.at.0 - start.0) as f64) < seconds * 1000.0) {
            let lag = timed.at.0 - timed.event.timestamp.0;
            assert!((0..DISORDER_MS).contains(&lag), "{lag}");
            count += 1.0;
        }
        assert!((count / seconds / rate - 1.0).abs() < 0.01, "{} at {rate}", count / seconds);
    }
}

#[test]
fn visitors_behave_like_visitors() {
    let events: Vec<Event> = traffic(1_000.0, 3).take(600_000).map(|timed| timed.event).collect();
    let mut sessions: HashMap<&str, Vec<&Event>> = HashMap::new();
    for event in &events {
        sessions.entry(&event.session_id).or_default().push(event);
    }
    // the last ones are still open
    let closed: Vec<&Vec<&Event>> = sessions
        .values()
        .filter(|s| s[s.len() - 1].timestamp.0 < events[events.len() - 1].timestamp.0 - 120_000)
        .collect();
    let share = |condition: &dyn Fn(&[&Event]) -> bool| {
        closed.iter().filter(|s| condition(s)).count() as f64 / closed.len() as f64
    };
    let bounced = share(&|s| s.len() == 1);
    let cart = share(&|s| s.iter().any(|e| e.event_type == EventType::AddToCart));
    let bought = share(&|s| s.iter().any(|e| e.event_type == EventType::Purchase));
    assert!((0.35..0.60).contains(&bounced), "bounced {bounced}");
    assert!((0.05..0.15).contains(&cart), "cart {cart}");
    assert!((0.015..0.06).contains(&bought), "bought {bought}");
    for session in sessions.values() {
        let mut views: Vec<i64> =
            session.iter().filter(|e| e.event_type == EventType::PageView).map(|e| e.timestamp.0).collect();
        views.sort_unstable();
        assert!(views.windows(2).all(|pair| pair[0] < pair[1]), "two views share a millisecond");
    }
    let mut pages: HashMap<&str, usize> = HashMap::new();
    for event in &events {
        *pages.entry(&event.page_url).or_default() += 1;
    }
    let mut counts: Vec<usize> = pages.values().copied().collect();
    counts.sort_unstable_by_key(|count| Reverse(*count));
    assert!(pages.len() > 150, "{} pages", pages.len());
    assert!(counts[0] > 10 * counts[counts.len() / 2], "popular pages stand out");
}

#[test]
fn the_ranking_drifts() {
    let mut traffic = traffic(1_000.0, 5);
    let mut top = |n: usize| {
        let mut counts: HashMap<String, usize> = HashMap::new();
        for timed in traffic.by_ref().take(n) {
            if timed.event.page_url.starts_with("/p/") {
                *counts.entry(timed.event.page_url.into_owned()).or_default() += 1;
            }
        }
        let mut ranked: Vec<_> = counts.into_iter().collect();
        ranked.sort_unstable_by_key(|(_, count)| Reverse(*count));
        ranked.into_iter().take(10).map(|(page, _)| page).collect::<Vec<_>>()
    };
    let before = top(60_000);
    top(300_000);
    assert_ne!(before, top(60_000));
}

#[test]
fn memory_stays_bounded() {
    let mut traffic = traffic(5_000.0, 2);
    let open = |traffic: &mut Traffic, n: usize| {
        traffic.by_ref().take(n).for_each(drop);
        traffic.open_visits()
    };
    let early = open(&mut traffic, 400_000);
    let later = open(&mut traffic, 800_000);
    assert!(later < early * 2, "{early} visits grew to {later}");
}

#[test]
fn after_a_stall_all_go_on_as_if_nothing_had_been() {
    let mut whole = traffic(100.0, 4);
    let mut stalled = traffic(100.0, 4);
    for timed in stalled.by_ref().take(1_000) {
        assert_eq!(whole.next(), Some(timed));
    }
    let at = Timestamp(whole.config.start.0 + 60_000);
    stalled.skip_to(at);
    let (first, expected) = (stalled.next().unwrap(), whole.next().unwrap());
    assert!((0..100).contains(&(first.at.0 - at.0)), "{}", first.at.0 - at.0);
    assert_eq!(first.at.0 - first.event.timestamp.0, expected.at.0 - expected.event.timestamp.0);
    assert_eq!(first.event.user_id, expected.event.user_id);
}

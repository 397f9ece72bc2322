//! Nothing is lost and nothing written twice: repeats, also while the log is slow, and after a restart.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::world::{Mood, World};

fn click(id: usize) -> Value {
    json!({"event_id": format!("e{id}"), "event_type": "click", "user_id": "u", "session_id": "s", "page_url": "/"})
}

#[tokio::test]
async fn a_repeat_gets_the_same_answer_and_writes_nothing() {
    let world = World::new(|_| {}).await;
    let batch = json!([click(1), click(2), click(1)]).to_string();
    let first = world.post("/v1/events", batch.clone()).await.json();
    assert_eq!((&first["accepted"], &first["repeated"]), (&json!(2), &json!(1)));
    let second = world.post("/v1/events", batch.clone()).await;
    assert_eq!((second.status(), &second.json()["repeated"]), (200, &json!(3)));
    let visit = json!({"n": "pageview", "u": "/x", "d": "shop"}).to_string();
    assert_eq!(world.post("/api/event", visit.clone()).await.status(), 202);

    let restarted = World::on(Arc::clone(&world.log), Arc::clone(&world.dir), |_| {}).await;
    assert_eq!(restarted.post("/v1/events", batch).await.json()["repeated"], 3);
    assert_eq!(restarted.post("/api/event", visit).await.status(), 202);
    let events = restarted.events();
    assert_eq!(events.len(), 4);
    assert_eq!(events[2]["user_id"], events[3]["user_id"]);
    assert_eq!(events[2]["session_id"], events[3]["session_id"], "a visit goes on after a restart");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_no_id_is_never_a_repeat() {
    let world = World::new(|_| {}).await;
    let visit = json!({"n": "pageview", "u": "/x", "d": "shop"}).to_string();
    // many in the same millisecond, over connections of their own and over one
    let apart = (0..60).map(|_| world.post("/api/event", visit.clone()));
    for answer in futures_util::future::join_all(apart).await {
        assert_eq!(answer.status(), 202);
    }
    let one = format!(
        "POST /api/event HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{visit}",
        visit.len()
    );
    let last = one.replacen("\r\n", "\r\nconnection: close\r\n", 1);
    let answers = world.raw((one.repeat(59) + &last).into_bytes()).await;
    assert_eq!(answers.0.matches(" 202 ").count(), 60, "{}", answers.0);
    assert_eq!((world.events().len(), world.collector.counts().repeated), (120, 0));
}

#[tokio::test]
async fn while_the_log_is_silent_repeats_wait_and_are_sent_away() {
    let world = World::new(|_| {}).await;
    world.log.mood.send_replace(Mood::Silent);
    let body = click(1).to_string();
    let (first, second) =
        tokio::join!(world.post("/v1/events", body.clone()), world.post("/v1/events", body.clone()));
    for answer in [first, second] {
        assert_eq!(answer.status(), 429, "{}", answer.0);
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    let (waiting, ()) = tokio::join!(world.post("/v1/events", body.clone()), async {
        world.log.mood.send_replace(Mood::Well);
    });
    assert_eq!(
        (waiting.status(), &waiting.json()["repeated"]),
        (200, &json!(1)),
        "what the log took late is known"
    );
    assert_eq!(world.events().len(), 1);
}

#[tokio::test]
async fn what_the_log_did_not_take_may_be_tried_again() {
    let world = World::new(|_| {}).await;
    for (mood, status) in [(Mood::Full, 429), (Mood::Failing, 503), (Mood::Well, 200)] {
        world.log.mood.send_replace(mood);
        let answer = world.post("/v1/events", click(1).to_string()).await;
        assert_eq!(answer.status(), status, "{mood:?}");
        assert_eq!(answer.header("retry-after").is_some(), status != 200);
    }
    assert_eq!(world.events().len(), 1);
    assert_eq!(world.collector.counts().overloaded, 2);
}

/// Clients that retry, and a log that fails in every way in turn: each event is there, once.
#[tokio::test]
async fn nothing_lost_and_nothing_doubled() {
    let world = World::new(|_| {}).await;
    let log = Arc::clone(&world.log);
    let moods = tokio::spawn(async move {
        for round in 0..40 {
            let mood = [Mood::Well, Mood::Silent, Mood::Full, Mood::Failing][round % 4];
            log.mood.send_replace(mood);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        log.mood.send_replace(Mood::Well);
    });
    let clients = (0..8).map(|client| {
        let world = &world;
        async move {
            for batch in 0..20 {
                let body: Vec<Value> = (0..10).map(|n| click(client * 1_000 + batch * 10 + n)).collect();
                while world.post("/v1/events", json!(body).to_string()).await.status() != 200 {}
            }
        }
    });
    futures_util::future::join_all(clients).await;
    moods.await.unwrap();
    let mut ids: Vec<String> = world.events().iter().map(|event| event["event_id"].to_string()).collect();
    assert_eq!(ids.len(), 1_600);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 1_600);
}

#[tokio::test]
async fn page_views_of_one_session_are_apart_and_never_early() {
    let world = World::new(|_| {}).await;
    let views: Vec<Value> = (0..150)
        .map(|n| json!({"event_id": n, "event_type": "page_view", "user_id": "u", "session_id": "s", "page_url": format!("/{n}")}))
        .collect();
    let answer = world.post("/v1/events", json!(views).to_string()).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    let records = world.log.records.lock().unwrap();
    let mut times = Vec::new();
    let mut high = 0;
    for (arrival, record) in records.iter() {
        let event: Value = serde_json::from_slice(&record.value).unwrap();
        let at = clickstream_event::Timestamp::parse(event["timestamp"].as_str().unwrap()).unwrap();
        assert!(at <= *arrival, "its arrival would be its time");
        high = high.max(at.0);
        assert!(high - at.0 < 100, "it would be late");
        times.push(at.0);
    }
    assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
}

/// Requests that are processed at the same time: in the log their times are in order, or the later ones of a busy machine would be late.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn times_are_in_the_order_of_the_log() {
    let world = World::new(|_| {}).await;
    let clients = (0..16).map(|client| {
        let world = &world;
        async move {
            for batch in 0..10 {
                let body: Vec<Value> = (0..50).map(|n| click(client * 1_000 + batch * 50 + n)).collect();
                assert_eq!(world.post("/v1/events", json!(body).to_string()).await.status(), 200);
            }
        }
    });
    futures_util::future::join_all(clients).await;
    let times: Vec<String> = world.events().iter().map(|event| event["timestamp"].to_string()).collect();
    assert_eq!(times.len(), 8_000);
    assert!(times.is_sorted());
}

//! The live stream, over a real connection where the connection matters.

use std::time::Duration;

use axum::body::BodyDataStream;
use clickstream_event::topic;
use futures_util::StreamExt;

use super::*;
use crate::testing::letter;

struct Events {
    body: BodyDataStream,
    text: String,
}

impl Events {
    async fn open(site: &Site, query: &str, last: Option<&str>) -> Self {
        let mut request = Request::get(format!("/api/v1/stream{query}")).header("host", "localhost");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let response = site.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream; charset=utf-8");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next event: its name, id, and data.
    async fn next(&mut self) -> (String, String, Value) {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event
                        .lines()
                        .find_map(|line| line.strip_prefix(name))
                        .unwrap_or_default()
                        .trim()
                        .to_owned()
                };
                let found = (
                    field("event:"),
                    field("id:"),
                    serde_json::from_str(&field("data:")).unwrap_or_default(),
                );
                self.text = rest.to_owned();
                if found.0.is_empty() {
                    continue;
                }
                return found;
            }
            let more = tokio::time::timeout(Duration::from_secs(120), self.body.next()).await.unwrap();
            self.text.push_str(std::str::from_utf8(&more.unwrap().unwrap()).unwrap());
        }
    }
}

async fn bring(site: &Site, rows: Vec<(&'static str, String)>) {
    for (topic, json) in rows {
        site.app.feed.row(topic, None, json.as_bytes()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_per_window_and_kind_and_a_client_goes_on_where_it_was() {
    let site = site().await;
    let mut events = Events::open(&site, "?site_id=shop", None).await;
    let (name, id, hello) = events.next().await;
    assert_eq!((name.as_str(), &hello["resumed"]), ("hello", &false.into()));
    assert!(id.starts_with(site.app.store.epoch()));
    let mut rows = every_kind("shop", 90_000, "/");
    rows.push(page("shop", 90_000, "/second", 1));
    rows.push(page("not-ours", 90_000, "/", 1));
    bring(&site, rows).await;
    let mut seen = std::collections::BTreeMap::new();
    let mut last = String::new();
    while seen.len() < KINDS.len() {
        let (name, id, data) = events.next().await;
        assert!(data["site_id"] == "shop" || name == "dead-letters", "{data}");
        last = id;
        seen.insert(name, data["rows"].as_array().unwrap().len());
    }
    assert_eq!(seen["page-metrics"], 2);
    drop(events);

    bring(&site, vec![page("shop", 100_000, "/", 1), letter(3, 5)]).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    let mut events = Events::open(&site, "?site_id=shop", Some(&last)).await;
    assert_eq!(events.next().await.2["resumed"], true);
    let mut missed = vec![events.next().await.0, events.next().await.0];
    missed.sort();
    assert_eq!(missed, ["dead-letters", "page-metrics"]);
    // an id of another store, or nonsense: the client is told to start anew
    for id in ["other-3", "nonsense", &format!("{}-999999", site.app.store.epoch())] {
        let mut events = Events::open(&site, "?kinds=sessions", Some(id)).await;
        assert_eq!(events.next().await.2["resumed"], false, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_without_rows_of_a_kind_is_told_too() {
    let site = site().await;
    let mut events = Events::open(&site, "?site_id=shop&kinds=trending-pages", None).await;
    events.next().await;
    let rows = every_kind("shop", 90_000, "/")
        .into_iter()
        .filter(|(topic, _)| *topic == topic::SITE_METRICS)
        .collect();
    bring(&site, rows).await;
    let (name, _, data) = events.next().await;
    assert_eq!((name.as_str(), data["rows"].as_array().unwrap().len()), ("trending-pages", 0));
    assert_eq!(site.json("/api/v1/pages/trending").await["window_end"], "1970-01-01T00:01:30.000Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_rows_that_come_at_once_the_frames_say_how_many() {
    let site = site().await;
    let mut events = Events::open(&site, "?kinds=dead-letters", None).await;
    events.next().await;
    let letters = 700;
    bring(&site, (0..letters).map(|offset| letter(7, offset)).collect()).await;
    let mut told = 0;
    while told < letters {
        let (_, _, data) = events.next().await;
        let rows = data["rows"].as_array().unwrap().len() as i64;
        let total = data["total"].as_i64().unwrap();
        assert_eq!(rows, total.min(100), "the newest of them");
        told += total;
    }
    assert_eq!(told, letters);
    let newest = site.json("/api/v1/dead-letters?limit=1").await;
    assert_eq!(newest["rows"][0]["source_offset"], letters - 1);
}

#[tokio::test(start_paused = true)]
async fn who_is_sent_nothing_for_long_gets_a_heartbeat_whatever_others_are_sent() {
    let site = site().await;
    let mut events = Events::open(&site, "?kinds=anomalies", None).await;
    events.next().await;
    events.text.clear();
    let feed = site.app.feed.clone();
    let others = tokio::spawn(async move {
        loop {
            feed.status(PipelineStatus::default());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    // by a clock that jumps to whatever is due next
    let text = tokio::time::timeout(Duration::from_secs(60), events.body.next()).await;
    assert_eq!(text.unwrap().unwrap().unwrap(), ": heartbeat\n\n");
    others.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_loses_frames_and_is_told() {
    let site = site().await;
    let mut events = Events::open(&site, "?kinds=pipeline", None).await;
    events.next().await;
    for _ in 0..1_000 {
        site.app.feed.status(PipelineStatus::default());
    }
    let (name, _, data) = events.next().await;
    assert_eq!((name.as_str(), data["frames"].as_u64()), ("dropped", Some(1_000 - 256)));
    assert_eq!(site.app.feed.counts().frames_lost, 1_000 - 256);
    assert_eq!(events.next().await.0, "pipeline");
    drop(events);
    assert_eq!(site.app.feed.counts().clients, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_files_what_waits_and_ends_streams() {
    let site = site().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (store, feed, shutdown) = (site.app.store.clone(), site.app.feed.clone(), CancellationToken::new());
    let server = tokio::spawn(crate::serve(listener, store, feed, Options::default(), shutdown.clone()));
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = "GET /api/v1/stream HTTP/1.1\r\nhost: localhost\r\n\r\n";
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut start = [0; 15];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 200 OK");
    // a head that is too long, and one that is no HTTP
    for request in [format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(300_000)), "\u{0}\u{1}\r\n\r\n".to_owned()]
    {
        let mut other = tokio::net::TcpStream::connect(address).await.unwrap();
        let _ = tokio::io::AsyncWriteExt::write_all(&mut other, request.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut other, &mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    }
    site.app
        .feed
        .row(topic::PAGE_METRICS, Some((0, 41)), page("shop", 90_000, "/last", 1).1.as_bytes())
        .await
        .unwrap();
    site.app.feed.row(topic::PAGE_METRICS, Some((0, 42)), b"{ no row").await.unwrap();
    site.app.feed.stop().await;
    assert_eq!(site.app.store.positions().unwrap()[0].next, 43);
    assert_eq!(site.json("/api/v1/pages?page_url=/last&window_end=1970-01-01T00:01:30Z").await["total"], 1);
    assert!(site.app.feed.row(topic::PAGE_METRICS, None, b"").await.is_err());
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(120), server).await.unwrap().unwrap().unwrap();
}

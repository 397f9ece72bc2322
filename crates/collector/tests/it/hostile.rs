//! What must do no harm.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::world::World;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[tokio::test]
async fn too_much_of_anything() {
    let world = World::new(|_| {}).await;
    let gz = [("content-encoding", "gzip")];
    let event = br#"{"event_type":"click","page_url":"/"}"#;
    assert_eq!(world.send("POST", "/v1/events", &gz, gzip(event)).await.status(), 200);
    let bomb = gzip(&vec![b' '; 100 << 20]);
    for (name, answer) in [
        ("bomb", world.send("POST", "/v1/events", &gz, bomb).await),
        ("no gzip", world.send("POST", "/v1/events", &gz, event.to_vec()).await),
        ("unknown encoding", world.send("POST", "/v1/events", &[("content-encoding", "br")], event.to_vec()).await),
        ("long body", world.post("/v1/events", vec![b'x'; 3 << 20]).await),
        ("long batch", world.post("/v1/batch", vec![b'x'; 600 * 1024]).await),
        ("long goal", world.post("/api/event", vec![b'x'; 70 * 1024]).await),
        ("many", world.post("/v1/events", format!("[{}]", vec!["1"; 3_000].join(","))).await),
        ("deep", world.post("/v1/events", "[".repeat(100_000)).await),
        ("long event", world.post("/v1/events", json!({"event_type": "click", "page_url": "/", "element": "x", "user_id": "u".repeat(70_000)}).to_string()).await),
        ("long event of Segment's", world.post("/v1/track", json!({"event": "x", "properties": {"a": "b".repeat(33 * 1024)}}).to_string()).await),
    ] {
        assert_eq!(answer.status(), 400, "{name}: {}", answer.0);
        assert_eq!(answer.json()["rejected"], 1, "{name}");
    }
    assert_eq!(world.dead().len(), 10, "none vanishes");
    assert!(world.dead().iter().all(|raw| raw.len() <= 65_540));
    let url = format!("https://shop.example/{}", "a".repeat(60_000));
    assert_eq!(
        world
            .post("/v1/events", json!({"event_type": "page_view", "page_url": url}).to_string())
            .await
            .status(),
        200
    );
    assert_eq!(world.events()[1]["page_url"].as_str().unwrap().len(), 2_048);
}

#[tokio::test]
async fn odd_text_and_odd_requests() {
    let world = World::new(|_| {}).await;
    let html = json!({"event_type": "click", "page_url": "/<script>alert(1)</script>", "element": "'; DROP TABLE rows; --\u{202e}"});
    assert_eq!(world.post("/v1/events", html.to_string()).await.status(), 200);
    assert_eq!(world.events()[0]["page_url"], "/%3Cscript%3Ealert(1)%3C/script%3E");
    for body in [
        r#"{"event_type":"click","page_url":"/","user_id":"\u0000"}"#,
        r#"{"event_type":"click","page_url":"/","session_id":"a\u001bb"}"#,
    ] {
        assert_eq!(world.post("/v1/events", body).await.status(), 400);
    }
    for path in [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/c.js/../../Cargo.toml",
        "/v1/..%2f..%2fsecret",
        "//",
        "/%00",
    ] {
        let answer = world.send("GET", path, &[], "").await;
        assert_eq!(answer.status(), 404, "{path}");
    }
    let forged = [("origin", "https://evil.example\u{1}"), ("x-forwarded-for", "' OR 1=1")];
    assert!([200, 400].contains(&world.send("POST", "/v1/events", &forged, html.to_string()).await.status()));
    assert_eq!(world.raw(b"\x16\x03\x01\x02\x00nonsense\r\n\r\n".to_vec()).await.status(), 400);
    // a client of ours that knows what a heartbeat is must not move anybody's event time
    let beat = json!({"event_type": "heartbeat", "site_id": "shop", "timestamp": "2026-11-25T14:05:10.123Z"})
        .to_string();
    assert_eq!(world.post("/v1/events", beat.clone()).await.status(), 400);
    assert!(world.dead().contains(&json!(beat).to_string().into_bytes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_hold_nobody_up() {
    let world = World::new(|_| {}).await;
    let slow: Vec<_> = (0..300)
        .map(|n| {
            let mut stream = std::net::TcpStream::connect(world.address).unwrap();
            let head = if n % 2 == 0 {
                "POST /v1/events HTTP/1.1\r\nx: "
            } else {
                "POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n{"
            };
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    let began = Instant::now();
    assert_eq!(world.post("/v1/events", r#"{"event_type":"click","page_url":"/"}"#).await.status(), 200);
    assert!(began.elapsed() < Duration::from_secs(5));
    drop(slow);
}

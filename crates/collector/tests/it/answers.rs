//! What each protocol is answered, and what stands in the log then.

use clickstream_event::{Rules, Timestamp, decode};
use serde_json::{Value, json};

use crate::world::World;

fn view(id: &str) -> Value {
    json!({"event_id": id, "event_type": "page_view", "user_id": "u", "session_id": "s", "page_url": "https://Shop.Example/shoes/?utm_source=x"})
}

#[tokio::test]
async fn an_event_of_our_own() {
    let world = World::new(|_| {}).await;
    let answer = world.post("/v1/events", r#"{"event_type":"page_view","page_url":"/hello"}"#).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    assert_eq!(
        answer.json(),
        json!({"accepted": 1, "repeated": 0, "not_counted": 0, "rejected": 0, "errors": []})
    );
    let answer = world.post("/v1/events", json!([view("a"), view("b")]).to_string()).await;
    assert_eq!(answer.json()["accepted"], 2);
    let events = world.events();
    assert_eq!(events.len(), 3);
    assert_eq!((&events[0]["site_id"], &events[0]["page_url"]), (&json!("shop"), &json!("/hello")));
    assert!(
        events[0]["user_id"].as_str().unwrap().len() == 24
            && events[0]["session_id"].as_str().unwrap().starts_with("c.")
    );
    assert_eq!(events[1]["page_url"], "/shoes");
    assert_ne!(events[1]["timestamp"], events[2]["timestamp"], "two page views of a session");
    let log = format!("{events:?}");
    assert!(!log.contains("127.0.0.1"), "{log}");
}

#[tokio::test]
async fn the_bad_beside_the_good() {
    let world = World::new(|_| {}).await;
    let bad = json!({"event_type": "page_view", "user_id": "u"});
    let answer = world.post("/v1/events", json!([view("a"), bad, 5, view("b")]).to_string()).await;
    assert_eq!(answer.status(), 400);
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    let problem = answer.json();
    assert_eq!((&problem["accepted"], &problem["rejected"]), (&json!(2), &json!(2)), "{problem}");
    assert_eq!(
        (&problem["errors"][0]["index"], &problem["errors"][0]["field"]),
        (&json!(1), &json!("page_url")),
        "{problem}"
    );
    assert_eq!(world.events().len(), 2);
    // with what may be left out filled in, so that the pipeline names the same field
    let dead = world.dead();
    let letter: Value = serde_json::from_slice(&dead[0]).unwrap();
    assert_eq!((&letter["user_id"], &letter["event_id"]), (&json!("u"), &json!("-")), "{letter}");
    let why = decode(&dead[0], Timestamp::now(), Rules::default()).unwrap_err();
    assert_eq!(why.to_string(), "missing_field: page_url");
    assert_eq!(dead[1..], [b"5".to_vec()]);
    let counts = world.collector.counts();
    assert_eq!((counts.accepted, counts.rejected["missing_field"], counts.rejected["not_json"]), (2, 1, 1));
}

#[tokio::test]
async fn segment_plausible_and_snowplow() {
    let world = World::new(|_| {}).await;
    let track = json!({"type": "track", "event": "Order Completed", "anonymousId": "a", "messageId": "m1", "writeKey": "blog",
        "context": {"page": {"url": "https://x.example/thanks"}}, "properties": {"revenue": 25, "currency": "EUR"}});
    let batch =
        json!({"batch": [track, {"type": "identify", "userId": "u"}, {"type": "track"}], "writeKey": "blog"});
    let answer = world.post("/v1/batch", batch.to_string()).await;
    assert_eq!(answer.status(), 200, "{}", answer.0);
    let body = answer.json();
    assert_eq!(
        (&body["success"], &body["accepted"], &body["not_counted"], &body["rejected"]),
        (&json!(true), &json!(1), &json!(1), &json!(1)),
        "{body}"
    );
    for path in ["/t", "/v1/track", "/v1/t"] {
        let answer = world.post(path, track.to_string()).await;
        assert_eq!((answer.status(), &answer.json()["repeated"]), (200, &json!(1)), "{path}");
    }
    assert_eq!(world.post("/v1/p", r#"{"anonymousId": 1}"#).await.status(), 200);
    assert_eq!(world.post("/v1/track", "{}").await.status(), 400, "nothing in it is good");
    assert_eq!(world.post("/v1/m", "{}").await.status(), 200);

    let event = json!({"n": "pageview", "u": "https://p.example/pricing", "d": "p.example", "r": null});
    let answer = world.post("/api/event", event.to_string()).await;
    assert_eq!((answer.status(), answer.body()), (202, "ok"));
    let answer = world.post("/api/event", r#"{"n":"engagement","u":"/","d":"p.example"}"#).await;
    assert_eq!((answer.status(), answer.body()), (202, "ok, and counted nowhere: engagement"));
    assert_eq!(world.post("/api/event", r#"{"n":"pageview"}"#).await.status(), 400);

    let event =
        json!({"e": "pv", "url": "https://s.example/a", "eid": "e1", "aid": "app", "duid": "d", "sid": "v"});
    let payload = json!({"schema": "iglu:x/payload_data/jsonschema/1-0-4", "data": [event, {"e": "pp"}]});
    let tp2 = "/com.snowplowanalytics.snowplow/tp2";
    let answer = world.post(tp2, payload.to_string()).await;
    assert_eq!((answer.status(), answer.body()), (200, "ok"));
    assert_eq!(world.post(tp2, "{").await.status(), 400);
    let answer = world.send("GET", "/i?e=pv&url=https%3A%2F%2Fs.example%2Fb&aid=app&eid=e2", &[], "").await;
    assert_eq!((answer.status(), answer.header("content-type")), (200, Some("image/gif")));
    assert_eq!(world.send("GET", "/i", &[], "").await.status(), 400);

    let pages: Vec<_> = world
        .events()
        .iter()
        .map(|event| {
            format!("{} {} {}", event["site_id"], event["event_type"], event["page_url"]).replace('"', "")
        })
        .collect();
    assert_eq!(
        pages,
        [
            "blog purchase /thanks",
            "shop page_view (not set)",
            "p.example page_view /pricing",
            "app page_view /a",
            "app page_view /b"
        ]
    );
    assert_eq!(world.dead().len(), 5);
}

#[tokio::test]
async fn keys_and_rates() {
    let world = World::new(|options| {
        options.keys = vec![("k1".into(), "shop".into()), ("k2".into(), "blog".into())];
        options.rate = 3;
    })
    .await;
    let auth = ["authorization: Basic", "azI6"].join(" ");
    let (name, value) = auth.split_once(": ").unwrap();
    for (path, body, status) in [
        ("/v1/events", r#"{"event_type":"page_view","page_url":"/"}"#, 401),
        ("/v1/events?key=nope", r#"{"event_type":"page_view","page_url":"/"}"#, 401),
        ("/v1/events?key=k1", r#"{"event_type":"page_view","page_url":"/","site_id":"blog"}"#, 403),
        ("/v1/events?key=k1", r#"{"event_type":"page_view","page_url":"/"}"#, 200),
        ("/v1/events", "not even JSON", 401),
        ("/api/event", r#"{"n":"pageview","u":"/","d":"shop"}"#, 401),
        ("/api/event", r#"{"n":"pageview","u":"/","d":"k2"}"#, 202),
        ("/v1/track", r#"{"event":"x","writeKey":"shop"}"#, 401),
        ("/i", "", 405),
    ] {
        let answer = world.post(path, body).await;
        assert_eq!(answer.status(), if path == "/i" { 401 } else { status }, "{path} {body}: {}", answer.0);
    }
    let answer = world.send("POST", "/v1/identify", &[(name, value)], r#"{"userId":"u"}"#).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(world.events().len(), 2);
    assert_eq!(world.dead().len(), 0, "a stranger writes nothing");

    let many = |n: usize| json!(vec![json!({"event_type": "click", "page_url": "/"}); n]).to_string();
    let answer = world.post("/v1/events?key=k1", many(1_980)).await;
    assert_eq!(answer.status(), 200);
    let answer = world.post("/v1/events?key=k1", many(100)).await;
    assert_eq!(answer.status(), 429);
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() >= 5, "{}", answer.0);
    let headers = [("x-forwarded-for", "192.0.2.9")];
    let other = world.send("POST", "/v1/events?key=k1", &headers, many(100)).await;
    assert_eq!(other.status(), 429, "another address, the same site");
    let other = world.send("POST", "/v1/events?key=k2", &headers, many(100)).await;
    assert_eq!(other.status(), 200);
    assert_eq!(world.collector.counts().rate_limited, 2);
}

#[tokio::test]
async fn pages_of_other_origins_may_send_and_not_read() {
    let world = World::new(|_| {}).await;
    let origin = ("origin", "https://shop.example");
    let asked = [
        origin,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, content-type"),
    ];
    let answer = world.send("OPTIONS", "/v1/batch", &asked, "").await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization, content-type"));
    let answer = world.send("POST", "/v1/events", &[origin], view("a").to_string()).await;
    assert_eq!((answer.status(), answer.header("vary")), (200, Some("Origin")));
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://shop.example"));
    assert_eq!(answer.header("set-cookie"), None);
    for path in ["/v1/events", "/v1/batch", "/api/event"] {
        assert_eq!(world.send("GET", path, &[origin], "").await.status(), 405, "{path}");
    }
    let page = world.send("GET", "/", &[("host", "\"><script>alert(1)</script>")], "").await;
    assert_eq!(page.status(), 200);
    assert!(page.body().contains("data-site=\"shop\"") && !page.body().contains("<script>"), "{}", page.0);
    let snippet = world.send("GET", "/c.js", &[], "").await;
    assert!(snippet.status() == 200 && snippet.body().len() <= 1_536, "{} bytes", snippet.body().len());
    assert_eq!(world.send("GET", "/health", &[], "").await.status(), 200);
}

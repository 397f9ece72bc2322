use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, header};
use clickstream_event::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tower::ServiceExt;

use super::*;
use crate::PipelineStatus;
use crate::kind::KINDS;
use crate::store::Retention;
use crate::testing::{every_kind, filed, page, session};

struct Site {
    router: Router,
    app: Arc<App>,
    _dir: TempDir,
}

const EVIL: &str = "/p/<img src=x onerror=alert(1)>'\"; DROP TABLE result;\u{0}\u{7}\u{202e}";

async fn site() -> Site {
    site_with(Arc::new(|query| {
        Box::pin(async move {
            query.page.map(|page| format!("events of {page}")).ok_or_else(|| "only pages".to_owned())
        })
    }))
    .await
}

async fn site_with(explain: Explain) -> Site {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("results.db"), Retention::default()).unwrap();
    for end in [60_000, 70_000, 80_000] {
        store.write(&filed(&every_kind("shop", end, "/")), &[]).unwrap();
    }
    store.write(&filed(&every_kind("other", 70_000, EVIL)), &[]).unwrap();
    let app = Arc::new(App {
        feed: Feed::start(store.clone()).unwrap(),
        store,
        options: Options { explain: Some(explain), ..Options::default() },
        requests: Default::default(),
        cache: Default::default(),
        explaining: Default::default(),
        loopback: true,
        shutdown: CancellationToken::new(),
    });
    Site { router: router(app.clone()), app, _dir: dir }
}

impl Site {
    async fn send(&self, request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        (parts.status, parts.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
    }

    async fn get(&self, uri: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
        self.send(Request::get(uri).header("host", "localhost:8080").body(Body::empty()).unwrap()).await
    }

    async fn json(&self, uri: &str) -> Value {
        let (status, headers, body) = self.get(uri).await;
        assert_eq!(status, 200, "{uri}: {}", String::from_utf8_lossy(&body));
        assert_eq!(headers[header::CONTENT_TYPE], "application/json", "{uri}");
        serde_json::from_slice(&body).unwrap()
    }

    async fn problem(&self, uri: &str, expected: u16) -> Value {
        let (status, headers, body) = self.get(uri).await;
        assert_eq!(
            (status.as_u16(), &headers[header::CONTENT_TYPE]),
            (expected, &"application/problem+json".parse().unwrap()),
            "{uri}"
        );
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["status"], expected);
        assert!(problem["detail"].is_string() && problem["title"].is_string());
        problem
    }
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

#[tokio::test]
async fn every_list_answers_with_rows_as_they_stand_in_their_topic() {
    let site = site().await;
    let topics = every_kind("shop", 80_000, "/");
    for route in &routes::ROUTES {
        let kind = route.kind().unwrap();
        let json = &topics.iter().find(|(topic, _)| *topic == kind.topic).unwrap().1;
        let path = route.path.replace("{page}", "%2F");
        let query = if route.shape == routes::Shape::Letters { "" } else { "?site_id=shop" };
        let (_, headers, body) = site.get(&format!("{path}{query}")).await;
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains(json.as_str()), "{path}: {body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(answer["kind"], kind.name);
        assert!(answer["next"].is_null());
        // again with the tag: nothing is sent
        let tag = headers[header::ETAG].clone();
        let again =
            Request::get(format!("{path}{query}")).header("host", "localhost").header("if-none-match", tag);
        let (status, _, body) = site.send(again.body(Body::empty()).unwrap()).await;
        assert_eq!((status.as_u16(), body.len()), (304, 0), "{path}");
    }
}

#[tokio::test]
async fn of_too_many_explanations_some_are_sent_away() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static RUNNING: AtomicUsize = AtomicUsize::new(0);
    static MOST: AtomicUsize = AtomicUsize::new(0);
    let explain: Explain = Arc::new(|_| {
        Box::pin(async {
            MOST.fetch_max(RUNNING.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            RUNNING.fetch_sub(1, Ordering::SeqCst);
            Ok("events".to_owned())
        })
    });
    let site = site_with(explain).await;
    let asking = (0..60).map(|_| site.get("/api/v1/explain?page_url=/&window_end=1970-01-01T00:01:20Z"));
    let answers = futures_util::future::join_all(asking).await;
    let told = answers.iter().filter(|(status, ..)| *status == 200).count();
    assert!((2..=10).contains(&told), "{told}");
    for (status, headers, _) in answers.iter().filter(|(status, ..)| *status != 200) {
        assert_eq!((status.as_u16(), &headers[header::RETRY_AFTER]), (503, &"2".parse().unwrap()));
    }
    assert_eq!(MOST.load(Ordering::SeqCst), 2);
    // and later all is as before
    site.json("/api/v1/explain?page_url=/&window_end=1970-01-01T00:01:20Z").await;
}

#[tokio::test]
async fn windows_sites_and_parts() {
    let site = site().await;
    assert_eq!(site.json("/api/v1/sites").await["default"], "shop");
    let windows = site.json("/api/v1/windows?limit=2&tz=Europe/Berlin").await;
    assert_eq!(
        (windows["total"].as_u64(), windows["next"].as_str()),
        (Some(3), Some("/api/v1/windows?limit=2&tz=Europe%2FBerlin&offset=2"))
    );
    assert_eq!(windows["windows"][0]["window_end"], "1970-01-01T01:01:20.000+01:00");
    assert_eq!(windows["windows"][0]["rows"], 13);
    let old = site.json("/api/v1/pages/top?window_end=1970-01-01T00:01:10Z").await;
    assert_eq!(old["rows"][0]["window_end"], "1970-01-01T00:01:10.000Z");
    let local = site.json("/api/v1/pages/top?window_end=1970-01-01T01:01:10&tz=Europe/Berlin").await;
    assert_eq!(local["rows"][0]["window_end"], "1970-01-01T01:01:10.000+01:00");
    let problem = site.problem("/api/v1/pages/top?window_end=1970-01-01T00:01:11Z", 404).await;
    assert_eq!(problem["nearest"].as_array().unwrap().len(), 2);
    let series =
        site.json("/api/v1/pages/%2F/metrics?from=1970-01-01T00:01:05Z&to=1970-01-01T00:01:20Z").await;
    assert_eq!((series["rows"].as_array().unwrap().len(), series["windows"].as_u64()), (2, Some(2)));
    assert_eq!(series["page_url"], "/");
    for n in 0..5 {
        site.app.store.write(&filed(&[session("shop", 90_000 + n, &format!("n{n}"), "/new")]), &[]).unwrap();
    }
    let first = site.json("/api/v1/sessions?page_url=/new&limit=3").await;
    // what comes meanwhile is in no later part
    site.app.store.write(&filed(&[session("shop", 95_000, "late", "/new")]), &[]).unwrap();
    let second = site.json(first["next"].as_str().unwrap()).await;
    assert_eq!((first["rows"].as_array().unwrap().len(), second["rows"].as_array().unwrap().len()), (3, 2));
    assert!(second["next"].is_null());
    assert_eq!(site.json("/api/v1/sessions?bounced=false").await["rows"].as_array().unwrap().len(), 0);
    assert_eq!(
        site.json("/api/v1/anomalies?kind=traffic_spike&page_url=/").await["rows"].as_array().unwrap().len(),
        3
    );
    assert_eq!(site.json("/api/v1/dead-letters?reason=late").await["counts"]["late"], 3);
    site.app.store.write(&filed(&[page("shop", 80_000, "/second", 1)]), &[]).unwrap();
    let first = site.json("/api/v1/pages?limit=1").await;
    site.app.store.write(&filed(&every_kind("other", 100_000, "/")), &[]).unwrap();
    let second = site.json(first["next"].as_str().unwrap()).await;
    let place = |answer: &Value| (answer["site_id"].clone(), answer["window_end"].clone());
    assert_eq!((place(&first), &second["rows"][0]["page_url"]), (place(&second), &"/second".into()));
    // nothing came since then: that is an answer
    let since = site.json("/api/v1/site?site_id=shop&from=1970-01-01T00:05:00Z").await;
    assert_eq!((since["rows"].as_array().unwrap().len(), since["to"].clone()), (0, since["from"].clone()));
    // of windows of a minute an hour is shown, of windows of an hour a day
    assert_eq!(site.json("/api/v1/site?site_id=shop").await["from"], "1969-12-31T23:01:20.000Z");
    let (topic, row) = every_kind("slow", 7_200_000, "/").swap_remove(0);
    let row = row.replace("1970-01-01T01:59:00.000Z", "1970-01-01T01:00:00.000Z");
    site.app.store.write(&filed(&[(topic, row)]), &[]).unwrap();
    assert_eq!(site.json("/api/v1/site?site_id=slow").await["from"], "1969-12-31T02:00:00.000Z");
    assert_eq!(site.json("/api/v1/pages/%2F/metrics?site_id=shop").await["from"], "1969-12-31T23:01:20.000Z");
}

#[tokio::test]
async fn an_answer_is_given_again_until_rows_change() {
    let site = site().await;
    let views = async || site.json("/api/v1/pages?site_id=shop").await["rows"][0]["view_count"].clone();
    assert_eq!((views().await, views().await), (8.into(), 8.into()));
    site.app.store.write(&filed(&[page("shop", 80_000, "/", 9)]), &[]).unwrap();
    assert_eq!(views().await, 9);
    // the site shown by default is another once it has a newer window
    assert_eq!(site.json("/api/v1/funnel").await["site_id"], "shop");
    site.app.store.write(&filed(&every_kind("other", 90_000, "/")), &[]).unwrap();
    assert_eq!(site.json("/api/v1/funnel").await["site_id"], "other");
}

#[tokio::test]
async fn errors_are_problems() {
    let site = site().await;
    for (uri, status) in [
        ("/api/v1/nothing", 404),
        ("/nothing", 404),
        ("/web/../Cargo.toml", 404),
        ("/web/%2e%2e%2fCargo.toml", 404),
        ("/web//etc/passwd", 404),
        ("/api/v1/pages/top?site_id=nobody", 404),
        ("/api/v1/pages/top?limit=0", 400),
        ("/api/v1/pages/top?limit=1001", 400),
        ("/api/v1/pages/top?offset=-1", 400),
        ("/api/v1/pages/top?windowend=x", 400),
        ("/api/v1/pages/top?window_end=x", 400),
        ("/api/v1/pages/top?tz=Mars/Olympus", 400),
        ("/api/v1/pages/top?format=xml", 400),
        ("/api/v1/site?from=1970-01-02T00:00:00Z&to=1970-01-01T00:00:00Z", 400),
        ("/api/v1/sessions?bounced=maybe", 400),
        ("/api/v1/anomalies?kind=spike", 400),
        ("/api/v1/dead-letters?reason=early", 400),
        ("/api/v1/pages/%ff/metrics", 400),
        ("/api/v1/stream?kinds=nonsense", 400),
        ("/api/v1/explain?page_url=/", 400),
        ("/api/v1/explain?page_url=/&user_id=u&window_end=1970-01-01T00:01:20Z", 400),
        ("/api/v1/explain?session_id=s&user_id=u&window_end=1970-01-01T00:01:20Z", 400),
        ("/api/v1/explain?user_id=u&window_end=1970-01-01T00:01:20Z", 422),
        ("/health/ready", 503),
    ] {
        site.problem(uri, status).await;
    }
    let post = Request::post("/api/v1/pages/top").header("host", "localhost").body(Body::from("{}")).unwrap();
    let (status, headers, _) = site.send(post).await;
    assert_eq!(
        (status.as_u16(), &headers[header::CONTENT_TYPE]),
        (405, &"application/problem+json".parse().unwrap())
    );
    let foreign = Request::get("/api/v1/sites").header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(site.send(foreign).await.0, 421);
}

#[tokio::test]
async fn hostile_names_are_only_text() {
    let site = site().await;
    let rows = site.json("/api/v1/pages/top?site_id=other").await;
    assert_eq!(rows["rows"][0]["page_url"], EVIL);
    let series = site.json(&format!("/api/v1/pages/{}/metrics?site_id=other", encoded(EVIL))).await;
    assert_eq!(series["rows"].as_array().unwrap().len(), 1);
    let filtered = site.json(&format!("/api/v1/transitions?site_id=other&page_url={}", encoded(EVIL))).await;
    assert_eq!(filtered["total"], 1);
    let long = encoded(&"x".repeat(21_000));
    assert_eq!(
        site.json(&format!("/api/v1/pages/{long}/metrics")).await["rows"].as_array().unwrap().len(),
        0
    );
    site.app.store.write(&filed(&[page("shop", 80_000, "=cmd|'/c calc'!A1,\"\n", 99)]), &[]).unwrap();
    let (_, headers, csv) = site.get("/api/v1/pages?format=csv&site_id=shop").await;
    let csv = String::from_utf8(csv).unwrap();
    assert!(headers[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/csv"));
    assert!(csv.contains("\"'=cmd|'/c calc'!A1,\"\"\n\""), "{csv}");
    let known = site.json("/api/v1/pages?site_id=shop").await["rows"].as_array().unwrap().len();
    assert_eq!(csv.matches("\r\n").count(), known + 1, "a line per row and one of names");
    let (_, headers, page) = site.get("/").await;
    assert!(headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap().contains("default-src 'none'"));
    assert!(String::from_utf8(page).unwrap().contains("/web/app.js"));
}

#[tokio::test]
async fn answers_are_compressed() {
    let site = site().await;
    let request = Request::get("/openapi.json").header("host", "localhost").header("accept-encoding", "gzip");
    let (_, headers, body) = site.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&body[..]), &mut text).unwrap();
    assert!(text.len() > 3 * body.len());
    serde_json::from_str::<Value>(&text).unwrap();
    // lists that are asked for again and again are compressed once; who takes no gzip gets none
    let more = (0..60).map(|n| page("shop", 80_000, &format!("/{n}"), n)).collect::<Vec<_>>();
    site.app.store.write(&filed(&more), &[]).unwrap();
    let (uri, mut bodies) = ("/api/v1/pages?site_id=shop", Vec::new());
    for accepted in ["gzip, br", "gzip, br", "gzip;q=0", ""] {
        let request = Request::get(uri).header("host", "localhost").header("accept-encoding", accepted);
        let (_, headers, body) = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(headers.contains_key(header::CONTENT_ENCODING), accepted.ends_with("br"), "{accepted}");
        let varies: Vec<_> =
            headers.get_all(header::VARY).iter().map(|name| name.to_str().unwrap()).collect();
        assert!(varies.join(", ").contains("accept-encoding"), "{varies:?}");
        bodies.push(body);
    }
    assert_eq!(bodies[0], bodies[1]);
    let mut text = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&bodies[0][..]), &mut text).unwrap();
    assert!(text == bodies[2] && text == bodies[3]);
}

#[tokio::test]
async fn the_description_names_what_is_there() {
    let site = site().await;
    let document = site.json("/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    for (path, item) in document["paths"].as_object().unwrap() {
        let about_number =
            if path == "/api/v1/explain" { "?page_url=/&window_end=1970-01-01T00:01:20Z" } else { "" };
        if path != "/api/v1/stream" && path != "/health/ready" {
            let (status, headers, body) =
                site.get(&format!("{}{about_number}", path.replace("{page}", "%2F"))).await;
            assert_eq!(status, 200, "{path}");
            let content = item["get"]["responses"]["200"]["content"].as_object().unwrap();
            let given = headers[header::CONTENT_TYPE].to_str().unwrap().split(';').next().unwrap().to_owned();
            assert!(content.contains_key(&given), "{path}: {given}");
            let required =
                content.get("application/json").and_then(|json| json["schema"]["required"].as_array());
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            for name in required.into_iter().flatten() {
                assert!(answer.get(name.as_str().unwrap()).is_some(), "{path}: no {name}");
            }
        }
        // every parameter that is named is known
        for parameter in item["get"]["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            // the live stream would not end
            if parameter["in"] == "query" && path != "/api/v1/stream" {
                let (_, _, body) = site.get(&format!("{}?{name}=%00", path.replace("{page}", "x"))).await;
                assert!(!String::from_utf8_lossy(&body).contains("there is no parameter"), "{path} {name}");
            }
        }
    }
    assert_eq!(document["components"]["schemas"].as_object().unwrap().len(), KINDS.len());
}

#[tokio::test]
async fn figures_for_prometheus() {
    let site = site().await;
    let mut status = PipelineStatus {
        state: "running".into(),
        at: Timestamp::now(),
        watermark: Some(Timestamp(0)),
        ..Default::default()
    };
    status.collected.insert("accepted".into(), 9);
    status.dead_letters.insert("late\"}\n# evil".into(), 7);
    status.result_delay_ms = Some([182, 260]);
    site.app.feed.status(status);
    site.json("/health/live").await;
    assert_eq!(site.json("/health/ready").await["status"], "ready");
    let (_, _, body) = site.get("/metrics").await;
    let text = String::from_utf8(body).unwrap();
    for line in [
        "clickstream_pipeline_running 1.0",
        r#"clickstream_collector_messages_total{outcome="accepted"} 9"#,
        r#"clickstream_dead_letters_total{reason="late\"}\n# evil"} 7"#,
        r#"clickstream_proof_state{state="off"} 1.0"#,
        r#"clickstream_http_requests_total{route="/health/live",code="200"} 1"#,
        r#"clickstream_result_delay_seconds{quantile="0.5"} 0.182"#,
        "# EOF",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

mod live;

//! The collector on a real Kafka that is killed, and on the embedded log, seen from outside.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clickstream_collector::{BoxFuture, Collector, Intake, IntakeError, Options, Record, serve};
use clickstream_event::{Record as Decoded, Rules, Timestamp, decode, topic};
use clickstream_traffic::{Producer, heartbeat};
use tokio_util::sync::CancellationToken;

use crate::harness::{World, binary, signal, text, until};

/// As `up` does it.
struct Producing(Producer);

impl Intake for Producing {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<(), IntakeError>> {
        let answer = self.0.append(records.iter().map(|r| (r.key.as_deref(), r.value.as_slice())));
        Box::pin(async move {
            match answer.await {
                Ok(Ok(())) => Ok(()),
                _ => Err(IntakeError::Full),
            }
        })
    }
}

/// Sends one request; the status of the answer, 0 if there was none.
fn post(address: &str, path: &str, body: &str) -> u16 {
    let send = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    send().ok().and_then(|answer| answer.split(' ').nth(1)?.parse().ok()).unwrap_or(0)
}

#[test]
fn nothing_lost_and_nothing_doubled_over_a_broker_restart() {
    let mut world = World::new(&[]);
    world.start_kafka(4);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let shutdown = CancellationToken::new();
    let (address, collector) = runtime.block_on(async {
        let producer = Producer::connect(&world.kafka(), 4).unwrap();
        producer.warm_up("shop").await.unwrap();
        tokio::spawn(heartbeat::run(world.kafka(), producer.clone(), "shop".into(), shutdown.clone()));
        let collector = Collector::open(
            Options::new("shop"),
            Arc::new(Producing(producer)),
            &world.data_dir().join("collector"),
        )
        .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (served, shutdown) = (collector.clone(), shutdown.clone());
        tokio::spawn(async move { serve(listener, &served, shutdown).await });
        (address, collector)
    });
    let stop = Instant::now() + Duration::from_secs(14);
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let address = address.clone();
            std::thread::spawn(move || {
                let (mut sent, mut retried) = (0, 0);
                for batch in 0.. {
                    if Instant::now() > stop {
                        break;
                    }
                    let events: Vec<String> = (0..20)
                        .map(|n| format!(r#"{{"event_id":"{client}-{batch}-{n}","event_type":"page_view","user_id":"u{n}","session_id":"s{client}-{n}","page_url":"/{n}"}}"#))
                        .collect();
                    let body = format!("[{}]", events.join(","));
                    while post(&address, "/v1/events", &body) != 200 {
                        retried += 1;
                        std::thread::sleep(Duration::from_millis(50));
                    }
                    sent += 20;
                }
                (sent, retried)
            })
        })
        .collect();
    std::thread::sleep(Duration::from_secs(3));
    let broker = world.beside.as_ref().unwrap().component().pid.unwrap();
    signal(broker as i32, libc::SIGKILL);
    let (sent, retried) =
        clients.into_iter().map(|client| client.join().unwrap()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    shutdown.cancel();
    println!("{sent} events, {retried} requests repeated, {:?}", collector.counts());
    assert!(retried > 0, "the broker was away");

    let mut ids: BTreeMap<String, usize> = BTreeMap::new();
    let mut high: BTreeMap<i32, i64> = BTreeMap::new();
    let mut late = 0;
    for record in world.read(topic::EVENTS) {
        let value = record.value.unwrap();
        let decoded = decode(&value, Timestamp(record.arrival), Rules::default()).unwrap();
        let high = high.entry(record.partition).or_default();
        late += usize::from(decoded.event_time().0 < *high - 100);
        *high = (*high).max(decoded.event_time().0);
        if let Decoded::Event(event, _) = decoded {
            *ids.entry(event.event_id.into_owned()).or_default() += 1;
        }
    }
    assert_eq!(ids.len(), sent, "every acknowledged event is there");
    assert_eq!(ids.values().filter(|times| **times > 1).count(), 0, "and once");
    assert_eq!(late, 0, "and none of what waited is late");
}

#[test]
fn events_of_a_site_come_out_as_proven_rows() {
    let dir = tempfile::tempdir().unwrap();
    let windows = ["--window", "60s", "--slide", "1s"];
    let out = std::fs::File::create(dir.path().join("up.out")).unwrap();
    let mut up = binary()
        .args(["up", "--embedded", "--no-generate", "--json", "--collector-keys", "shop=k1", "--data-dir"])
        .arg(dir.path())
        .args(windows)
        .stdin(std::process::Stdio::null())
        .stdout(out.try_clone().unwrap())
        .stderr(out)
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(dir.path().join("up.out")).unwrap_or_default();
    let address = until("the collector's address", || {
        let said = said();
        let line = said.lines().find(|line| line.contains(r#""type":"addresses""#))?;
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(line["collector"].as_str()?.strip_prefix("http://")?.to_owned())
    });
    let event = |id: &str| format!(r#"{{"event_id":"{id}","event_type":"page_view","page_url":"/x/?a=b"}}"#);
    assert_eq!(post(&address, "/v1/events", &event("1")), 401);
    for (id, status) in [("1", 200), ("2", 200), ("1", 200)] {
        assert_eq!(post(&address, "/v1/events?key=k1", &event(id)), status);
    }
    assert_eq!(post(&address, "/v1/events?key=k1", "{\"event_type\":\"nonsense\"}"), 400);
    until("a window with both views", || {
        said().lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()).find(|line| {
            line["type"] == "window"
                && line["pages"][0]["page_url"] == "/x"
                && line["pages"][0]["view_count"] == 2
        })
    });
    signal(up.id() as i32, libc::SIGTERM);
    assert!(up.wait().unwrap().success());
    let output = binary()
        .args(["verify", "--engine", "embedded", "--json", "--data-dir"])
        .arg(dir.path())
        .args(windows)
        .output()
        .unwrap();
    let report: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output)));
    assert_eq!(report["verdict"], "proven", "{report:#}");
    let balance = &report["report"]["balance"];
    assert_eq!(
        (&balance["counted"], &balance["duplicates"], &balance["rejected"]),
        (&2.into(), &0.into(), &1.into()),
        "{balance}"
    );
}

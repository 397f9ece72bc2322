//! How many events per second a collector takes: `cargo run --release -p clickstream-collector --example flood -- [URL] [options]`.
//!
//! Without a URL it starts a collector of its own on a log in memory, in this process. With one, as `http://127.0.0.1:8090`, it floods
//! that. Options: `--clients N` (8), `--batch N` (200), `--seconds N` (10).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a tool that cannot go on should panic")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clickstream_collector::{BoxFuture, Collector, Intake, IntakeError, Options, Record, serve};
use tokio_util::sync::CancellationToken;

/// Forgets everything at once.
struct Void(AtomicU64);

impl Intake for Void {
    fn append(&self, records: Vec<Record>) -> BoxFuture<'static, Result<(), IntakeError>> {
        self.0.fetch_add(records.len() as u64, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(())))
    }
}

fn option(name: &str, default: u64) -> u64 {
    let args: Vec<String> = std::env::args().collect();
    let at = args.iter().position(|arg| arg == name);
    at.map_or(default, |at| args[at + 1].parse().unwrap())
}

fn body(client: u64, batch: u64, size: u64) -> String {
    let events: Vec<String> = (0..size)
        .map(|n| {
            let user = (batch * size + n * 7) % 5_000;
            let kind = ["page_view", "page_view", "page_view", "click"][(n % 4) as usize];
            format!(
                r#"{{"event_id":"c{client}-{batch}-{n}","site_id":"shop","event_type":"{kind}","user_id":"u{client}-{user}","session_id":"s{client}-{user}-{n}","page_url":"https://shop.example/p/{}?utm_source=mail","referrer":"https://search.example/","user_agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36","timestamp":"2026-11-26T10:00:00.000Z"}}"#,
                (batch + n) % 300
            )
        })
        .collect();
    format!("[{}]", events.join(","))
}

/// Events that an answer says are accepted; `None` if it is no success.
fn accepted(answer: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(answer).ok()?.strip_prefix("HTTP/1.1 200")?;
    let body: serde_json::Value = serde_json::from_str(text.split_once("\r\n\r\n")?.1).ok()?;
    body["accepted"].as_u64()
}

/// Sends batches one after the other on one connection; returns events and the times of the answers in microseconds.
fn client(address: &str, client: u64, size: u64, until: Instant) -> (u64, Vec<u64>, u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let (mut events, mut times, mut refused) = (0, Vec::new(), 0);
    let mut answer = vec![0; 64 * 1024];
    let run = Instant::now().elapsed().as_nanos() as u64 ^ u64::from(std::process::id()) << 20;
    for batch in 0.. {
        let body = body(client * 1_000_000_000 + run, batch, size);
        let head = format!("POST /v1/events HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n\r\n", body.len());
        let began = Instant::now();
        if began >= until {
            break;
        }
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
        let mut length = 0;
        while !answer[..length].windows(4).any(|end| end == b"\r\n\r\n") || !answer[..length].ends_with(b"}")
        {
            let read = stream.read(&mut answer[length..]).unwrap();
            assert!(read > 0, "the collector closed the connection");
            length += read;
        }
        times.push(began.elapsed().as_micros() as u64);
        match accepted(&answer[..length]) {
            Some(accepted) => events += accepted,
            None => refused += 1,
        }
    }
    (events, times, refused)
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let (clients, size, seconds) = (option("--clients", 8), option("--batch", 200), option("--seconds", 10));
    let url = std::env::args().nth(1).filter(|arg| arg.starts_with("http://"));
    let dir = tempfile::tempdir().unwrap();
    let shutdown = CancellationToken::new();
    let (address, what) = match &url {
        Some(url) => (url.trim_start_matches("http://").trim_end_matches('/').to_owned(), url.as_str()),
        None => {
            let collector =
                Collector::open(Options::new("shop"), Arc::new(Void(AtomicU64::new(0))), dir.path()).unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let shutdown = shutdown.clone();
            tokio::spawn(async move { serve(listener, &collector, shutdown).await });
            (address, "a log in memory")
        }
    };
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let threads: Vec<_> = (0..clients)
        .map(|n| {
            let address = address.clone();
            tokio::task::spawn_blocking(move || client(&address, n, size, until))
        })
        .collect();
    let (mut events, mut times, mut refused) = (0, Vec::new(), 0);
    for thread in threads {
        let (sent, took, sent_away) = thread.await.unwrap();
        events += sent;
        times.extend(took);
        refused += sent_away;
    }
    let rate = events as f64 / began.elapsed().as_secs_f64();
    times.sort_unstable();
    let at =
        |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |us| *us as f64 / 1_000.0);
    println!(
        "{what}: {rate:.0} events/s accepted in batches of {size} by {clients} clients; answers after {:.1} ms (p50), {:.1} ms (p99); {refused} batches sent away",
        at(0.5),
        at(0.99)
    );
    shutdown.cancel();
}

//! Many clients of the live stream. While they listen they only note what comes when; what it says is looked at afterwards, so that
//! the clients take as little of the machine as they can.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::time::Instant;

use anyhow::{Context, Result};
use flate2::write::GzDecoder;
use hdrhistogram::Histogram;
use rdkafka::message::Message;
use reqwest::Response;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::xxh3_64;

use super::Server;
use crate::commands::bench::Options;
use crate::results::{next, open_topics};

/// Delays in microseconds.
#[derive(Clone)]
pub struct Delays {
    /// Frames that showed something new.
    pub frames: u64,
    /// Of the newest row of a frame, once for each client.
    pub newest: Histogram<u64>,
    /// Of the oldest.
    pub oldest: Histogram<u64>,
}

/// What was measured.
pub struct Live {
    /// By the name of the frames.
    pub kinds: BTreeMap<String, Delays>,
    /// Of all frames.
    pub all: Delays,
    /// Frames that clients were told they lost.
    pub lost: u64,
    /// Clients whose stream ended early.
    pub cut_off: usize,
    /// Bytes received by all, compressed.
    pub bytes: usize,
    /// CPU time and memory of the server: after the clients had left, when all were connected, at the end.
    pub usage: [(f64, f64); 3],
    none: Delays,
}

/// What a client received, and when.
type Received = Vec<(Instant, bytes::Bytes)>;

/// Listens for `options.measure`.
pub async fn measure(server: &Server, kafka: &str, options: &Options) -> Result<Live> {
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let consumer = open_topics(kafka, "clickstream-bench", |_, _, (_, high)| high)
        .await
        .context("rows cannot be followed: --kafka has to name the Kafka of the server that is measured")?;
    let readable = tokio::spawn({
        let stop = stop.clone();
        async move {
            let mut readable = HashMap::<u64, Instant>::new();
            while let Some(row) = next(&consumer, &stop).await {
                let now = Instant::now();
                readable.entry(xxh3_64(row.payload().unwrap_or_default())).or_insert(now);
            }
            readable
        }
    });
    let http = reqwest::Client::builder().pool_max_idle_per_host(0).build()?;
    let mut clients = JoinSet::new();
    for _ in 0..options.clients {
        let request = http.get(format!("{}/api/v1/stream", server.url)).header("accept-encoding", "gzip");
        let stream = request.send().await?.error_for_status().context("the live stream refuses a client")?;
        clients.spawn(listen(stream, stop.clone()));
    }
    let connected = server.usage();
    tokio::time::sleep(options.measure).await;
    let after = server.usage();
    stop.cancel();
    let received = clients.join_all().await;
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let mut live = Live { usage: [server.usage(), connected, after], ..Live::new()? };
    let readable = readable.await?;
    tokio::task::spawn_blocking(move || {
        live.look(&received, &readable);
        live
    })
    .await
    .context("what was received cannot be read")
}

/// Notes what comes, and whether the stream ended by itself.
async fn listen(mut stream: Response, stop: CancellationToken) -> (Received, bool) {
    let mut received = Vec::new();
    loop {
        let chunk = tokio::select! {
            () = stop.cancelled() => return (received, false),
            chunk = stream.chunk() => chunk,
        };
        match chunk {
            Ok(Some(chunk)) => received.push((Instant::now(), chunk)),
            _ => return (received, true),
        }
    }
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    rows: Vec<&'a RawValue>,
    #[serde(default)]
    frames: u64,
}

impl Live {
    fn new() -> Result<Self> {
        let none = Delays { frames: 0, newest: Histogram::new(3)?, oldest: Histogram::new(3)? };
        Ok(Self {
            kinds: BTreeMap::new(),
            all: none.clone(),
            lost: 0,
            cut_off: 0,
            bytes: 0,
            usage: Default::default(),
            none,
        })
    }

    /// Looks at what the clients received.
    fn look(&mut self, received: &[(Received, bool)], readable: &HashMap<u64, Instant>) {
        // of each frame when its oldest and its newest row could be read; nothing if it showed nothing new
        let mut frames = HashMap::<String, Option<(Instant, Instant)>>::new();
        let mut shown = HashMap::<u64, ()>::new();
        for (chunks, cut_off) in received {
            self.cut_off += usize::from(*cut_off);
            self.bytes += chunks.iter().map(|(_, chunk)| chunk.len()).sum::<usize>();
            events(chunks, |at, event| {
                let field = |name: &str| event.lines().find_map(|line| line.strip_prefix(name));
                let (Some(name), Some(data)) = (field("event: "), field("data: ")) else { return };
                if name == "dropped" {
                    self.lost += serde_json::from_str::<Data<'_>>(data).map_or(0, |data| data.frames);
                }
                // the greeting has a number, but it shows nothing
                let Some(id) = field("id: ").filter(|_| name != "hello") else { return };
                let times = *frames.entry(id.to_owned()).or_insert_with(|| {
                    let data: Data<'_> = serde_json::from_str(data).ok()?;
                    let hashes = data.rows.iter().map(|row| xxh3_64(row.get().as_bytes()));
                    let new: Vec<Instant> = hashes
                        .filter(|row| shown.insert(*row, ()).is_none())
                        .filter_map(|row| readable.get(&row).copied())
                        .collect();
                    let times = (*new.iter().min()?, *new.iter().max()?);
                    self.all.frames += 1;
                    self.kinds.entry(name.to_owned()).or_insert_with(|| self.none.clone()).frames += 1;
                    Some(times)
                });
                let Some((oldest, newest)) = times else { return };
                let kind = self.kinds.entry(name.to_owned()).or_insert_with(|| self.none.clone());
                for delays in [kind, &mut self.all] {
                    let since = |from: Instant| at.saturating_duration_since(from).as_micros() as u64;
                    let _ = delays.oldest.record(since(oldest));
                    let _ = delays.newest.record(since(newest));
                }
            });
        }
    }
}

/// Calls `take` for every event of a stream, with the time when its last byte came.
fn events(chunks: &[(Instant, bytes::Bytes)], mut take: impl FnMut(Instant, &str)) {
    let mut decoder = GzDecoder::new(Vec::new());
    for (at, chunk) in chunks {
        if decoder.write_all(chunk).and_then(|()| decoder.flush()).is_err() {
            return;
        }
        let text = decoder.get_mut();
        let mut from = 0;
        while let Some(end) = memchr::memmem::find(&text[from..], b"\n\n") {
            if let Ok(event) = std::str::from_utf8(&text[from..from + end]) {
                take(*at, event);
            }
            from += end + 2;
        }
        text.drain(..from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    #[test]
    fn a_frame_is_as_late_as_its_last_byte() {
        let row = r#"{"site_id":"s","n":1}"#;
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        for event in [
            "event: hello\nid: a-1\ndata: {}\n\n".to_owned(),
            format!("event: sessions\nid: a-2\ndata: {{\"rows\":[{row}]}}\n\n"),
            format!("event: sessions\nid: a-3\ndata: {{\"rows\":[{row}]}}\n\n"),
        ] {
            packed.write_all(event.as_bytes()).unwrap();
            packed.flush().unwrap();
        }
        let packed = bytes::Bytes::from(packed.finish().unwrap());
        let start = Instant::now();
        let at = |ms| start + std::time::Duration::from_millis(ms);
        let whole = vec![(at(30), packed.clone())];
        let halves = vec![(at(30), packed.slice(..5)), (at(40), packed.slice(5..))];
        let mut live = Live::new().unwrap();
        live.look(&[(whole, false), (halves, true)], &HashMap::from([(xxh3_64(row.as_bytes()), at(10))]));
        let sessions = &live.kinds["sessions"];
        assert_eq!(
            (sessions.frames, sessions.newest.len(), live.cut_off),
            (1, 2, 1),
            "the second shows nothing new"
        );
        assert_eq!((sessions.newest.min() / 1_000, sessions.oldest.max() / 1_000), (20, 30));
    }
}

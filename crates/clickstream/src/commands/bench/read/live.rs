//! Many clients of the live stream. While they listen they only note what comes when; what it says is looked at afterwards, so that
//! the clients take as little of the machine as they can.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use anyhow::{Context, Result};
use flate2::{Decompress, FlushDecompress};
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

/// What a client received.
#[derive(Default)]
struct Received {
    bytes: Vec<u8>,
    /// How many bytes there were at what time.
    times: Vec<(usize, Instant)>,
    /// The stream ended by itself.
    cut_off: bool,
}

/// Listens for `options.measure`.
pub async fn measure(server: &Server, kafka: &str, options: &Options) -> Result<Live> {
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let topics = open_topics(kafka, "clickstream-bench", |_, _, (_, high)| high)
        .await
        .context("rows cannot be followed: --kafka has to name the Kafka of the server that is measured")?;
    let readable = tokio::spawn({
        let stop = stop.clone();
        async move {
            let mut readable = HashMap::<u64, Instant>::new();
            while let Some(row) = next(&topics.consumer, &stop).await {
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

/// Notes what comes.
async fn listen(mut stream: Response, stop: CancellationToken) -> Received {
    let mut received = Received::default();
    loop {
        let chunk = tokio::select! {
            () = stop.cancelled() => return received,
            chunk = stream.chunk() => chunk,
        };
        let Ok(Some(chunk)) = chunk else {
            received.cut_off = true;
            return received;
        };
        received.bytes.extend_from_slice(&chunk);
        received.times.push((received.bytes.len(), Instant::now()));
    }
}

impl Received {
    /// Calls `take` with every compressed text, and when its last byte had come.
    ///
    /// The server compresses each text by itself and ends it with a mark; what looks like one may stand within a text too, so
    /// `is_whole` says whether the bytes so far are one.
    fn texts(&self, mut is_whole: impl FnMut(&[u8]) -> bool, mut take: impl FnMut(&[u8], Instant)) {
        let mut from = GZIP_HEAD.min(self.bytes.len());
        for mark in memchr::memmem::find_iter(&self.bytes, TEXT_END) {
            let to = mark + TEXT_END.len();
            if to <= from || !is_whole(&self.bytes[from..to]) {
                continue;
            }
            let chunk = self.times.partition_point(|(end, _)| *end < to);
            if let Some((_, at)) = self.times.get(chunk) {
                take(&self.bytes[from..to], *at);
            }
            from = to;
        }
    }
}

/// Bytes before the first text.
const GZIP_HEAD: usize = 10;
/// An empty block of deflate, stored: what a flush ends with.
const TEXT_END: &[u8] = &[0, 0, 0xff, 0xff];

/// A text, decompressed; `None` if it is not whole.
fn unpacked(packed: &[u8]) -> Option<String> {
    let mut inflate = Decompress::new(false);
    let mut text = Vec::with_capacity(packed.len() * 8);
    loop {
        let rest = packed.get(inflate.total_in() as usize..)?;
        inflate.decompress_vec(rest, &mut text, FlushDecompress::Sync).ok()?;
        if text.len() < text.capacity() {
            break;
        }
        text.reserve(text.len());
    }
    String::from_utf8(text).ok().filter(|text| text.ends_with("\n\n"))
}

#[derive(Deserialize, Default)]
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

    /// Looks at what the clients received. All receive the same bytes, so each text is decompressed once.
    fn look(&mut self, received: &[Received], readable: &HashMap<u64, Instant>) {
        let known = RefCell::new(HashMap::<u64, Option<Event>>::new());
        let mut shown = HashSet::new();
        for client in received {
            self.cut_off += usize::from(client.cut_off);
            self.bytes += client.bytes.len();
            let is_whole = |packed: &[u8]| {
                let mut known = known.borrow_mut();
                let read = || unpacked(packed).map(|text| self.event(&text, &mut shown, readable));
                known.entry(xxh3_64(packed)).or_insert_with(read).is_some()
            };
            let mut came = Vec::new();
            client.texts(is_whole, |packed, at| came.push((xxh3_64(packed), at)));
            for (text, at) in came {
                if let Some(Some(event)) = known.borrow().get(&text) {
                    self.count(event, at);
                }
            }
        }
    }

    /// Reads an event; its rows are new if no event before showed them.
    fn event(&mut self, text: &str, shown: &mut HashSet<u64>, readable: &HashMap<u64, Instant>) -> Event {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        let data: Data<'_> = serde_json::from_str(field("data: ")).unwrap_or_default();
        let mut event = Event { name: field("event: ").to_owned(), ..Event::default() };
        if event.name == "dropped" {
            event.lost = data.frames;
        }
        let hashes = data.rows.iter().map(|row| xxh3_64(row.get().as_bytes()));
        let new = hashes.filter(|row| shown.insert(*row)).filter_map(|row| readable.get(&row).copied());
        for at in new {
            let (oldest, newest) = event.rows.unwrap_or((at, at));
            event.rows = Some((oldest.min(at), newest.max(at)));
        }
        if event.rows.is_some() {
            self.all.frames += 1;
            self.kinds.entry(event.name.clone()).or_insert_with(|| self.none.clone()).frames += 1;
        }
        event
    }

    /// Counts an event that a client had at `at`.
    fn count(&mut self, event: &Event, at: Instant) {
        self.lost += event.lost;
        let Some((oldest, newest)) = event.rows else { return };
        let kind = self.kinds.get_mut(&event.name);
        for delays in kind.into_iter().chain([&mut self.all]) {
            let since = |from: Instant| at.saturating_duration_since(from).as_micros() as u64;
            let _ = delays.oldest.record(since(oldest));
            let _ = delays.newest.record(since(newest));
        }
    }
}

/// An event of the stream.
#[derive(Default)]
struct Event {
    name: String,
    /// Frames that it says are lost.
    lost: u64,
    /// When the oldest and the newest of the rows that it shows first could be read.
    rows: Option<(Instant, Instant)>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compress, Compression, FlushCompress};
    use std::time::Duration;

    fn pack(text: &str) -> Vec<u8> {
        let mut packed = Vec::with_capacity(text.len() + 100);
        let mut deflate = Compress::new(Compression::fast(), false);
        deflate.compress_vec(text.as_bytes(), &mut packed, FlushCompress::Full).unwrap();
        packed
    }

    #[test]
    fn a_frame_is_as_late_as_its_last_byte() {
        let row = r#"{"site_id":"s","n":1}"#;
        let frame = |n| format!("event: sessions\nid: a-{n}\ndata: {{\"rows\":[{row}]}}\n\n");
        let texts = [
            "retry: 2000\n\n".to_owned(),
            "event: hello\nid: a-1\ndata: {}\n\n".to_owned(),
            frame(2),
            frame(3),
        ];
        let lost = pack("event: dropped\ndata: {\"frames\":7}\n\n");
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let stream = |more: &[u8], chunks: [u64; 2]| {
            let mut bytes = vec![0; GZIP_HEAD];
            texts.iter().for_each(|text| bytes.extend(pack(text)));
            bytes.extend(more);
            Received {
                times: vec![(15, at(chunks[0])), (bytes.len(), at(chunks[1]))],
                bytes,
                cut_off: !more.is_empty(),
            }
        };
        let mut live = Live::new().unwrap();
        let readable = HashMap::from([(xxh3_64(row.as_bytes()), at(10))]);
        live.look(&[stream(&[], [30, 30]), stream(&lost, [30, 40])], &readable);
        let sessions = &live.kinds["sessions"];
        assert_eq!((sessions.frames, sessions.newest.len()), (1, 2), "the second frame shows nothing new");
        assert_eq!((live.lost, live.cut_off), (7, 1));
        assert_eq!((sessions.newest.min() / 1_000, sessions.oldest.max() / 1_000), (20, 30));
    }

    #[test]
    fn what_looks_like_an_end_is_none() {
        // stored as it is, a text may hold the mark
        let mut packed = pack(&format!("data: \u{0}\u{0}{}\n\n", "x".repeat(10)));
        let at = packed.len() / 2;
        assert!(unpacked(&packed).is_some() && unpacked(&packed[..at]).is_none());
        packed.splice(0..0, [0; GZIP_HEAD]);
        let received =
            Received { times: vec![(packed.len(), Instant::now())], bytes: packed, cut_off: false };
        let mut n = 0;
        received.texts(|text| unpacked(text).is_some(), |_, _| n += 1);
        assert_eq!(n, 1);
    }
}

//! The live stream: server-sent events, one per window and kind of rows.
//!
//! A client that is too slow loses whole frames, the oldest first, and is told how many by an event `dropped`. What the server keeps
//! for it does not grow: frames are shared by all clients, and only the last few hundred are kept.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::{StreamExt, stream};
use serde_json::json;

use super::App;
use super::answer::takes_gzip;
use super::blocking;
use super::problem::Problem;
use super::query::{Query, shown};
use crate::feed::{Next, Subscription};
use crate::frame::{self, Frame};
use crate::kind::{KINDS, Kind};
use crate::store::FrameMark;

/// Parameters of `/api/v1/stream`.
pub const PARAMETERS: [&str; 3] = ["site_id", "kinds", "last_event_id"];

/// When nothing was sent for so long, a comment is: it keeps the connection, and shows if it is gone.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Clients at once at most.
const MAX_CLIENTS: usize = 1_000;
/// Frames that a client gets at most when it comes back.
const RESUMED_FRAMES: usize = 500;

struct Client {
    app: Arc<App>,
    subscription: Subscription,
    site: Option<String>,
    kinds: Option<Vec<&'static str>>,
    /// Texts to be sent first.
    first: VecDeque<Bytes>,
    /// Frames that it missed.
    missed: VecDeque<FrameMark>,
    /// Number of the last frame it missed: those up to it come from the store.
    resumed_to: i64,
    /// Whether it takes compressed text.
    packed: bool,
}

/// What is sent next.
enum Sent {
    Text(Bytes),
    Frame(Arc<Frame>),
}

/// `/api/v1/stream`.
pub async fn stream(
    State(app): State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &PARAMETERS)?;
    let kinds = query.text("kinds").map(kinds).transpose()?;
    if app.feed.counts().clients >= MAX_CLIENTS {
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too many clients follow the live stream"));
    }
    let last =
        headers.get("last-event-id").and_then(|value| value.to_str().ok()).or(query.text("last_event_id"));
    let after = last
        .and_then(|id| id.rsplit_once('-'))
        .and_then(|(epoch, seq)| (epoch == app.store.epoch()).then(|| seq.parse::<i64>().ok()).flatten());
    // first subscribe, then look what was missed: so nothing falls between
    let subscription = app.feed.subscribe();
    let store = app.store.clone();
    let (newest, lost, missed) = blocking(move || {
        let newest = store.last_frame()?;
        let after = after.filter(|seq| (0..=newest).contains(seq));
        let (lost, missed) = match after {
            Some(seq) => store.frames_after(seq, RESUMED_FRAMES)?,
            None => (0, Vec::new()),
        };
        Ok((newest, after.map(|seq| (seq, lost)), missed))
    })
    .await?;
    let resumed_to = missed.last().map_or(newest, |mark| mark.seq.max(newest));
    let packed = takes_gzip(&headers);
    let mut client = Client {
        packed,
        site: query.text("site_id").map(str::to_owned),
        kinds,
        first: VecDeque::new(),
        missed: missed.into(),
        resumed_to,
        subscription,
        app: app.clone(),
    };
    client.greet(newest, lost);
    let shutdown = app.shutdown.clone();
    let head = stream::iter(packed.then(|| Ok(Bytes::from_static(frame::PACKED_HEAD))));
    let texts = stream::unfold(client, |mut client| async move {
        let bytes = match (client.next().await?, client.packed) {
            (Sent::Text(text), false) => text,
            (Sent::Text(text), true) => frame::pack(&text),
            (Sent::Frame(frame), false) => frame.text.clone(),
            (Sent::Frame(frame), true) => frame.packed(),
        };
        Some((Ok::<_, Infallible>(bytes), client))
    });
    let texts = head.chain(texts);
    let mut response = Response::new(Body::from_stream(futures_util::StreamExt::take_until(
        texts,
        shutdown.cancelled_owned(),
    )));
    for (name, value) in [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // proxies that collect answers before they pass them on must not
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if packed {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    Ok(response)
}

fn kinds(text: &str) -> Result<Vec<&'static str>, Problem> {
    text.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| match name {
            "pipeline" => Ok("pipeline"),
            name => Kind::named(name).map(|kind| kind.name).ok_or_else(|| {
                let all: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
                let (name, all) = (shown(name), all.join(", "));
                Problem::bad_request(format!("{name} is no kind of results; there are pipeline, {all}"))
            }),
        })
        .collect()
}

impl Client {
    /// The first event says where the client is: its id lets it come back even if nothing else follows.
    fn greet(&mut self, newest: i64, resumed: Option<(i64, u64)>) {
        self.first.push_back(Bytes::from_static(b"retry: 2000\n\n"));
        let id = format!("{}-{}", self.app.store.epoch(), resumed.map_or(newest, |(seq, _)| seq));
        let data = json!({ "resumed": resumed.is_some(), "version": env!("CARGO_PKG_VERSION") });
        self.first.push_back(frame::text("hello", Some(&id), &data.to_string()));
        if let Some((_, lost)) = resumed.filter(|(_, lost)| *lost > 0) {
            self.first.push_back(dropped(lost));
        }
        if let Some(status) = self.app.feed.last_status().filter(|_| self.wants_kind("pipeline"))
            && let Ok(data) = serde_json::to_string(&*status)
        {
            self.first.push_back(frame::text("pipeline", None, &data));
        }
    }

    async fn next(&mut self) -> Option<Sent> {
        if let Some(text) = self.first.pop_front() {
            return Some(Sent::Text(text));
        }
        while let Some(mark) = self.missed.pop_front() {
            if !self.wants(mark.kind.name, &mark.site) {
                continue;
            }
            let store = self.app.store.clone();
            let frame = tokio::task::spawn_blocking(move || {
                // without a row it would say that nothing happened then
                let forgotten =
                    mark.kind.windowed && store.find_window(mark.kind, &mark.site, mark.high)?.is_err();
                if forgotten { Ok(None) } else { Frame::of_mark(&store, &mark).map(Some) }
            })
            .await;
            match frame {
                Ok(Ok(Some(frame))) => return Some(Sent::Frame(frame)),
                Ok(Ok(None)) => return Some(Sent::Text(dropped(1))),
                // the connection ends; the client comes back and asks again
                _ => return None,
            }
        }
        // frames that this client does not want are no sign of life to it
        let heartbeat = tokio::time::Instant::now() + HEARTBEAT;
        loop {
            match tokio::time::timeout_at(heartbeat, self.subscription.next()).await {
                Err(_) => return Some(Sent::Text(Bytes::from_static(b": heartbeat\n\n"))),
                Ok(Next::End) => return None,
                Ok(Next::Lost(frames)) => return Some(Sent::Text(dropped(frames))),
                Ok(Next::Frame(frame)) => {
                    let new = frame.seq.is_none_or(|seq| seq > self.resumed_to);
                    if new && self.wants(frame.name, &frame.site) {
                        return Some(Sent::Frame(frame));
                    }
                }
            }
        }
    }

    fn wants_kind(&self, name: &str) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&name))
    }

    fn wants(&self, name: &str, site: &str) -> bool {
        let of_site = self.site.as_ref().is_none_or(|wanted| site.is_empty() || wanted == site);
        of_site && self.wants_kind(name)
    }
}

fn dropped(frames: u64) -> Bytes {
    frame::text("dropped", None, &json!({ "frames": frames }).to_string())
}

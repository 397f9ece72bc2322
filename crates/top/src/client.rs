//! Asks and listens, over HTTP.
//!
//! First everything is asked for, then the live stream tells what is new. When it breaks, or falls silent for longer than its heartbeats
//! allow, both begin anew, after a pause that doubles up to ten seconds.

use std::time::Duration;

use eventsource_stream::Eventsource;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::sync::mpsc;

use crate::update::{Detail, Request, Rows, Update};

/// The stream sends something every 15 s at least, and figures every second.
const SILENT: Duration = Duration::from_secs(20);
/// The first pause after a break.
const FIRST_PAUSE_MS: u64 = 500;
/// The longest.
const LONGEST_PAUSE_MS: u64 = 10_000;
/// Past windows whose pages are asked for at the beginning.
const PAST_WINDOWS: u64 = 24;

/// The lists that are asked for at the beginning, and which site they are of is added.
const LISTS: [&str; 11] = [
    "/api/v1/pages?limit=1000",
    "/api/v1/pages/trending?limit=100",
    "/api/v1/pages/bounce-rates?limit=100",
    "/api/v1/transitions?limit=100",
    "/api/v1/entry-exit?limit=100",
    "/api/v1/paths?limit=40",
    "/api/v1/funnel?limit=1",
    "/api/v1/engagement?limit=100",
    "/api/v1/sessions?limit=200",
    "/api/v1/anomalies?limit=200",
    "/api/v1/dead-letters?limit=1",
];

/// Where results are served.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    /// Of the server at this URL, as `http://127.0.0.1:8080`.
    pub fn new(base: &str) -> Result<Self, String> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(SILENT)
            .user_agent(concat!("clickstream-top/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self { http, base: base.trim_end_matches('/').to_owned() })
    }

    async fn get(&self, path: &str) -> Result<Value, String> {
        let answer =
            self.http.get(format!("{}{path}", self.base)).send().await.map_err(|error| why(&error))?;
        let status = answer.status();
        let value: Value = answer
            .json()
            .await
            .map_err(|_| format!("{path} answers with {status} and no JSON: is this clickstream?"))?;
        if status.is_success() {
            return Ok(value);
        }
        let detail = value.get("detail").and_then(Value::as_str).unwrap_or("it gives no reason");
        Err(format!("{path} answers with {status}: {detail}"))
    }

    /// Sites, then all lists of the site: the one wanted, or the busiest. Returns the site.
    pub async fn everything(
        &self,
        wanted: Option<&str>,
        updates: &mpsc::Sender<Update>,
    ) -> Result<String, String> {
        let sites = self.get("/api/v1/sites?limit=1000").await?;
        let all: Vec<String> = sites
            .get("sites")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|site| site.as_str().map(str::to_owned))
            .collect();
        let default = sites.get("default").and_then(Value::as_str).map(str::to_owned);
        let site = wanted.map(str::to_owned).or_else(|| default.clone()).unwrap_or_default();
        send(updates, Update::Sites { default, all: all.clone() }).await;
        if let Ok(mut pipeline) = self.get("/api/v1/pipeline").await
            && let Some(status) = pipeline.get_mut("status").map(Value::take).filter(Value::is_object)
        {
            send(updates, Update::Pipeline(status)).await;
        }
        if !all.contains(&site) {
            // no window yet, or a site that is still to come: the stream will tell
            return Ok(site);
        }
        let of_site = of_site(&site);
        let mut history = self.get(&format!("/api/v1/site?limit=2000&{of_site}")).await?;
        if let Some(Value::Array(rows)) = history.get_mut("rows").map(Value::take) {
            send(updates, Update::History(rows)).await;
        }
        let windows = self.get(&format!("/api/v1/windows?limit={PAST_WINDOWS}&{of_site}")).await?;
        let ends = windows.get("windows").and_then(Value::as_array).into_iter().flatten().skip(1);
        for end in ends.filter_map(|window| window.get("window_end").and_then(Value::as_str)) {
            let path = format!("/api/v1/pages?limit=100&window_end={}&{of_site}", encoded(end));
            if let Ok(rows) = self.get(&path).await {
                send(updates, Update::Past(Rows::read(rows))).await;
            }
        }
        for list in LISTS {
            let path =
                if list.contains("dead-letters") { list.to_owned() } else { format!("{list}&{of_site}") };
            send(updates, Update::Rows(Rows::read(self.get(&path).await?))).await;
        }
        Ok(site)
    }

    /// What is known of a page.
    pub async fn detail(&self, site: &str, page: &str) -> Result<Detail, String> {
        let (of_site, page_url) = (of_site(site), encoded(page));
        let mut rows = Vec::new();
        for path in [
            // a name in the path: its slashes too are encoded
            format!("/api/v1/pages/{}/metrics?limit=720&{of_site}", in_path(page)),
            format!("/api/v1/transitions?limit=100&page_url={page_url}&{of_site}"),
            format!("/api/v1/pages/bounce-rates?page_url={page_url}&{of_site}"),
            format!("/api/v1/entry-exit?page_url={page_url}&{of_site}"),
            format!("/api/v1/engagement?page_url={page_url}&{of_site}"),
        ] {
            rows.push(Rows::read(self.get(&path).await?).rows);
        }
        let mut rows = rows.into_iter();
        let mut next = || rows.next().unwrap_or_default();
        let (series, transitions) = (next(), next());
        let facts = [next(), next(), next()].map(|rows| rows.into_iter().next());
        Ok(Detail { page: page.to_owned(), series, transitions, facts })
    }

    /// Answers requests and follows a site, until nobody listens.
    pub async fn follow(
        self,
        mut site: Option<String>,
        updates: mpsc::Sender<Update>,
        mut requests: mpsc::Receiver<Request>,
    ) {
        let mut attempts = 0;
        while !updates.is_closed() {
            let why = tokio::select! {
                why = self.session(site.as_deref(), &updates, &mut attempts) => why,
                switched = self.answer(&updates, &mut requests) => match switched {
                    Some(next) => {
                        site = Some(next);
                        continue;
                    }
                    None => return,
                },
            };
            let pause = (FIRST_PAUSE_MS << attempts.min(10)).min(LONGEST_PAUSE_MS);
            attempts += 1;
            send(&updates, Update::Disconnected { why, retry_ms: pause, attempts }).await;
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(pause)) => {}
                switched = self.answer(&updates, &mut requests) => match switched {
                    Some(next) => site = Some(next),
                    None => return,
                },
            }
        }
    }

    /// Answers requests until another site is wanted; nothing when nobody asks any more.
    async fn answer(
        &self,
        updates: &mpsc::Sender<Update>,
        requests: &mut mpsc::Receiver<Request>,
    ) -> Option<String> {
        loop {
            match requests.recv().await? {
                Request::Site(site) => return Some(site),
                // one that cannot be answered now is asked for again with the next window
                Request::Detail { site, page } => {
                    if let Ok(detail) = self.detail(&site, &page).await {
                        send(updates, Update::Detail(Box::new(detail))).await;
                    }
                }
                Request::Pages(site) => {
                    if let Ok(rows) = self.get(&format!("/api/v1/pages?limit=1000&{}", of_site(&site))).await
                    {
                        send(updates, Update::Rows(Rows::read(rows))).await;
                    }
                }
            }
        }
    }

    /// Listens as long as it goes well; returns why it does not.
    async fn session(
        &self,
        site: Option<&str>,
        updates: &mpsc::Sender<Update>,
        attempts: &mut u32,
    ) -> String {
        // listen before asking, so that nothing falls between
        let answer = self
            .http
            .get(format!("{}/api/v1/stream", self.base))
            .header("accept", "text/event-stream")
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return why(&error),
        };
        if let Err(why) = self.everything(site, updates).await {
            return why;
        }
        *attempts = 0;
        send(updates, Update::Connected).await;
        let mut events = answer.bytes_stream().eventsource();
        while let Some(event) = events.next().await {
            let event = match event {
                Ok(event) => event,
                Err(eventsource_stream::EventStreamError::Transport(error)) => return why(&error),
                Err(error) => return format!("the live stream cannot be read: {error}"),
            };
            let Ok(data) = serde_json::from_str::<Value>(&event.data) else { continue };
            let update = match event.event.as_str() {
                "hello" => continue,
                "pipeline" => Update::Pipeline(data),
                "dropped" => Update::Dropped(data.get("frames").and_then(Value::as_u64).unwrap_or(1)),
                _ => Update::Rows(Rows::read(data)),
            };
            send(updates, update).await;
        }
        "the server closed the connection".into()
    }
}

async fn send(updates: &mpsc::Sender<Update>, update: Update) {
    // who does not listen any more has quit
    let _ = updates.send(update).await;
}

/// An error with its cause, which says more.
fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".into();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn in_path(text: &str) -> String {
    encoded(text).replace('+', "%20")
}

fn of_site(site: &str) -> String {
    format!("site_id={}", encoded(site))
}

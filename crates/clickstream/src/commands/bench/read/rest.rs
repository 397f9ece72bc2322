//! Requests on a fixed schedule.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use tokio::task::JoinSet;

use super::Server;
use crate::commands::bench::Options;

/// What is asked, and how often of twenty times: what an open dashboard asks again and again, and what a click asks.
const MIX: [(&str, usize); 9] = [
    ("top pages", 4),
    ("site, one hour", 3),
    ("chart of a page", 4),
    ("sessions", 2),
    ("sessions on a page", 1),
    ("anomalies", 2),
    ("trending pages", 1),
    ("transitions", 1),
    ("pipeline", 2),
];

/// Answers to one kind of question.
pub struct Answers {
    /// The question.
    pub what: &'static str,
    /// Times in microseconds.
    pub us: Histogram<u64>,
    /// Requests without an answer, or with a status of failure.
    pub failed: u64,
    /// Bytes of the largest answer, as they came over the wire.
    pub largest: usize,
}

impl Answers {
    /// None yet.
    pub fn new(what: &'static str) -> Result<Self> {
        Ok(Self { what, us: Histogram::new(3)?, failed: 0, largest: 0 })
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Self) {
        let _ = self.us.add(&other.us);
        self.failed += other.failed;
        self.largest = self.largest.max(other.largest);
    }
}

/// Asks for `options.measure`.
pub async fn measure(server: &Server, options: &Options) -> Result<Vec<Answers>> {
    let listed = server.get("/api/v1/pages?limit=200").await?;
    let pages: Vec<String> = listed["rows"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|row| row["page_url"].as_str().map(escaped))
        .collect();
    anyhow::ensure!(!pages.is_empty(), "the server shows no window yet; try again after the first");
    // questions of one kind do not follow each other
    let mut order: Vec<(usize, usize)> = MIX
        .iter()
        .enumerate()
        .flat_map(|(kind, (_, times))| (0..*times).map(move |nth| (nth * 20 / times, kind)))
        .collect();
    order.sort_unstable();
    let mut all = MIX.iter().map(|(what, _)| Answers::new(what)).collect::<Result<Vec<_>>>()?;
    let mut asked = JoinSet::new();
    let count = (options.measure.as_secs_f64() * f64::from(options.requests)) as usize;
    let began = Instant::now() + Duration::from_millis(100);
    for n in 0..count {
        let due = began + Duration::from_secs_f64(n as f64 / f64::from(options.requests));
        tokio::time::sleep_until(due.into()).await;
        let kind = order[n % order.len()].1;
        let url = format!("{}{}", server.url, path(kind, &pages[n * 7 % pages.len()]));
        let request = server.http.get(url).header("accept-encoding", "gzip");
        asked.spawn(async move { (kind, due, ask(request).await) });
        while let Some(answer) = asked.try_join_next() {
            take(&mut all, answer.context("a request broke")?);
        }
    }
    while let Some(answer) = asked.join_next().await {
        take(&mut all, answer.context("a request broke")?);
    }
    Ok(all)
}

/// When it was answered, and how long the answer is.
async fn ask(request: reqwest::RequestBuilder) -> Option<(Instant, usize)> {
    let answer = request.send().await.ok()?.error_for_status().ok()?;
    let length = answer.bytes().await.ok()?.len();
    Some((Instant::now(), length))
}

fn take(all: &mut [Answers], (kind, due, answer): (usize, Instant, Option<(Instant, usize)>)) {
    let answers = &mut all[kind];
    match answer {
        Some((at, length)) => {
            let _ = answers.us.record(at.saturating_duration_since(due).as_micros() as u64);
            answers.largest = answers.largest.max(length);
        }
        None => answers.failed += 1,
    }
}

fn path(kind: usize, page: &str) -> String {
    let path = match MIX[kind].0 {
        "top pages" => "pages/top".to_owned(),
        "site, one hour" => "site".to_owned(),
        "chart of a page" => format!("pages/{page}/metrics"),
        "sessions" => "sessions?limit=50".to_owned(),
        "sessions on a page" => format!("sessions?limit=50&page_url={page}"),
        "anomalies" => "anomalies?limit=50".to_owned(),
        "trending pages" => "pages/trending".to_owned(),
        "transitions" => "transitions?limit=100".to_owned(),
        _ => "pipeline".to_owned(),
    };
    format!("/api/v1/{path}")
}

/// A text as one part of a path, or as a value of a query.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_is_whole_and_pages_are_escaped() {
        assert_eq!(MIX.iter().map(|(_, times)| times).sum::<usize>(), 20);
        assert_eq!(escaped("/p/a b?ü"), "%2Fp%2Fa%20b%3F%C3%BC");
        assert_eq!(path(2, "%2F"), "/api/v1/pages/%2F/metrics");
    }
}

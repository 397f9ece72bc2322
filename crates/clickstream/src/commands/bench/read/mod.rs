//! `bench read`: how fast results are shown beside a pipeline that runs, an `up` or a `serve`.
//!
//! | module | measures |
//! |---|---|
//! | [`rest`] | answers of REST, asked on a fixed schedule, as many analysts' dashboards ask |
//! | [`live`] | the live stream with many clients: how long after a row could be read from Kafka every client has it |

mod live;
mod rest;

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clickstream_event::Timestamp;
use hdrhistogram::Histogram;
use serde_json::Value;

use super::{Options, machine};
use crate::config::Config;
use crate::console::steps::Steps;

/// The server that is measured.
struct Server {
    http: reqwest::Client,
    url: String,
    pid: u32,
}

impl Server {
    /// The one that answers at the configured port.
    async fn find(config: &Config) -> Result<Self> {
        let url = format!("http://127.0.0.1:{}", config.http_port);
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
        let mut server = Self { http, url, pid: 0 };
        let pipeline = server.get("/api/v1/pipeline").await.with_context(|| {
            format!(
                "nothing is measured: no `up` or `serve` answers at {}; start one, or name its --http-port",
                server.url
            )
        })?;
        let components = pipeline["status"]["components"].as_array().into_iter().flatten();
        let pid = components.filter(|c| c["name"] == "clickstream").find_map(|c| c["pid"].as_u64());
        server.pid =
            pid.context("the server has not said yet how its pipeline is; try again in some seconds")? as u32;
        Ok(server)
    }

    /// Asks for JSON.
    async fn get(&self, path: &str) -> Result<Value> {
        let answer = self.http.get(format!("{}{path}", self.url)).send().await?;
        if !answer.status().is_success() {
            bail!("{path} is answered with {}: {}", answer.status(), answer.text().await?);
        }
        Ok(answer.json().await?)
    }

    fn usage(&self) -> (f64, f64) {
        machine::usage("clickstream", self.pid).map_or((0.0, 0.0), |usage| (usage.cpu_s, usage.resident_mib))
    }
}

/// Measures what runs, and gives the report.
pub async fn measure(config: &Config, options: &Options, steps: &Steps) -> Result<String> {
    let server = Server::find(config).await?;
    let pipeline = server.get("/api/v1/pipeline").await?;
    let status = &pipeline["status"];
    let date = Timestamp::now().to_string();
    let mut out = format!(
        "# The read side, measured on {}\n\n`clickstream bench read`, version {}, beside `{}` ({} engine): window {} s, slide {} s, {:.0} records/s, results after {} ms (median, p95); store {} MB. \
         Answers and frames are asked for compressed, as browsers do.\n\nMachine: {}.\n",
        date.get(..10).unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
        server.url,
        status["engine"].as_str().unwrap_or_default(),
        status["window_ms"].as_i64().unwrap_or(0) / 1_000,
        status["slide_ms"].as_i64().unwrap_or(0) / 1_000,
        status["events_per_second"].as_f64().unwrap_or(0.0),
        status["result_delay_ms"],
        pipeline["store"]["bytes"].as_u64().unwrap_or(0) / 1_000_000,
        machine::describe(),
    );
    if options.requests > 0 {
        steps.line(&format!("{} requests/s for {:?}", options.requests, options.measure));
        let before = server.usage();
        let measured = rest::measure(&server, options).await?;
        write_rest(&mut out, options, &measured, before, server.usage())?;
    }
    if options.clients > 0 {
        steps.line(&format!("{} clients of the live stream for {:?}", options.clients, options.measure));
        let before = server.usage();
        let measured = live::measure(&server, &config.kafka_address(), options).await?;
        write_live(&mut out, options, &measured, before);
    }
    Ok(out)
}

fn write_rest(
    out: &mut String,
    options: &Options,
    all: &[rest::Answers],
    before: (f64, f64),
    after: (f64, f64),
) -> Result<()> {
    let _ = writeln!(
        out,
        "\n## REST, {} requests/s for {:?}\n\nEvery request has its time; what it waits because others are not answered yet counts. In ms, until the last byte.\n\n\
         | what | answers | failed | p50 | p95 | p99 | max | largest, bytes |\n|---|---|---|---|---|---|---|---|",
        options.requests, options.measure
    );
    let mut sum = rest::Answers::new("**all**")?;
    for answers in all {
        sum.add(answers);
    }
    for answers in all.iter().chain([&sum]) {
        let at = |quantile| answers.us.value_at_quantile(quantile) as f64 / 1e3;
        let _ = writeln!(
            out,
            "| {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} | {} |",
            answers.what,
            answers.us.len(),
            answers.failed,
            at(0.5),
            at(0.95),
            at(0.99),
            at(1.0),
            answers.largest,
        );
    }
    let seconds = options.measure.as_secs_f64().max(0.001);
    let _ = writeln!(
        out,
        "\nThe server took {:.2} cores, and held {:.0} MB before, {:.0} MB after.",
        (after.0 - before.0) / seconds,
        before.1,
        after.1
    );
    Ok(())
}

fn write_live(out: &mut String, options: &Options, live: &live::Live, before: (f64, f64)) {
    let _ = writeln!(
        out,
        "\n## {} clients of the live stream for {:?}\n\nFrom the moment a consumer beside the server could read a row from Kafka, until a client has the frame that shows it first; in ms. A frame holds the rows of a \
         window that came together: of its newest row, and of its oldest.\n\n\
         | frames of | frames | received | newest row: p50 | p99 | max | oldest row: p50 | p99 | max |\n|---|---|---|---|---|---|---|---|---|",
        options.clients, options.measure
    );
    for (name, delays) in
        live.kinds.iter().map(|(name, delays)| (name.as_str(), delays)).chain([("**all**", &live.all)])
    {
        let ms = |histogram: &Histogram<u64>, quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
        let _ = write!(out, "| {name} | {} | {} |", delays.frames, delays.newest.len());
        for histogram in [&delays.newest, &delays.oldest] {
            for quantile in [0.5, 0.99, 1.0] {
                let _ = write!(out, " {:.1} |", ms(histogram, quantile));
            }
        }
        out.push('\n');
    }
    let [idle, connected, after] = live.usage;
    let _ = writeln!(
        out,
        "\n{} frames were lost by slow clients, {} clients were cut off, {:.1} MB/s were received. The server took {:.2} cores; it held {:.0} MB before, {:.0} MB with all clients connected, {:.0} MB at the end, {:.0} MB after they had left.",
        live.lost,
        live.cut_off,
        live.bytes as f64 / 1e6 / options.measure.as_secs_f64().max(0.001),
        (after.0 - connected.0) / options.measure.as_secs_f64().max(0.001),
        before.1,
        connected.1,
        after.1,
        idle.1,
    );
}

//! Figures for Prometheus, in the OpenMetrics text format, made at each scrape from what is known then.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use clickstream_event::Timestamp;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::App;
use super::problem::Problem;
use crate::kind::KINDS;
use crate::status::{PipelineStatus, ProofState};

type Labels = Vec<(&'static str, String)>;
type Float = Gauge<f64, AtomicU64>;

/// Requests since the start.
#[derive(Clone)]
pub struct Requests {
    answered: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
}

impl Default for Requests {
    fn default() -> Self {
        let buckets: fn() -> Histogram =
            || Histogram::new([0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0]);
        Self { answered: Family::default(), seconds: Family::new_with_constructor(buckets) }
    }
}

/// Counts a request and the time until its answer began.
pub async fn count(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    // the route, not the path: paths are chosen by whoever asks, and each would be a series of its own
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let start = Instant::now();
    let response = next.run(request).await;
    let code = response.status().as_u16().to_string();
    app.requests.answered.get_or_create(&vec![("route", route.clone()), ("code", code)]).inc();
    app.requests.seconds.get_or_create(&vec![("route", route)]).observe(start.elapsed().as_secs_f64());
    response
}

/// `/metrics`.
pub async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let failed = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the metrics could not be written");
    let text = super::blocking(move || {
        let mut text = String::new();
        encode(&mut text, &registry(&app)).map_err(failed)?;
        Ok(text)
    })
    .await?;
    let mut response = Response::new(text.into());
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8"),
    );
    Ok(response)
}

fn registry(app: &App) -> Registry {
    let mut root = Registry::default();
    let of_us = root.sub_registry_with_prefix("clickstream");
    let counts = app.feed.counts();
    gauges(
        of_us,
        "build_info",
        "Version of the program",
        [(vec![("version", env!("CARGO_PKG_VERSION").into())], 1.0)],
    );
    let rows = KINDS.iter().map(|kind| {
        (vec![("topic", kind.topic.to_owned())], counts.rows.get(kind.name).copied().unwrap_or(0))
    });
    counters(of_us, "result_rows", "Rows that came in, by topic", rows);
    counter(of_us, "unfit_records", "Records of result topics that were no rows", counts.unfit);
    counter(
        of_us,
        "store_failed_writes",
        "Writes that the store refused; they are tried again",
        counts.failed_writes,
    );
    of_us.register_with_unit(
        "store_size",
        "Size of the store's file",
        Unit::Bytes,
        value(app.store.bytes() as f64),
    );
    if let Some(newest) = app.store.newest() {
        let end = value(newest as f64 / 1000.0);
        of_us.register_with_unit(
            "newest_window_end_timestamp",
            "End of the newest window",
            Unit::Seconds,
            end,
        );
    }
    of_us.register("stream_clients", "Clients of the live stream", value(counts.clients as f64));
    counter(
        of_us,
        "stream_frames_lost",
        "Frames that slow clients of the live stream lost",
        counts.frames_lost,
    );
    of_us.register("http_requests", "Requests, by route and status", app.requests.answered.clone());
    of_us.register_with_unit(
        "http_request_duration",
        "Time until the answer began",
        Unit::Seconds,
        app.requests.seconds.clone(),
    );
    if let Some(status) = app.feed.last_status() {
        pipeline(of_us, &status);
    }
    root
}

fn pipeline(registry: &mut Registry, status: &PipelineStatus) {
    let seconds = |at: Timestamp| at.0 as f64 / 1000.0;
    registry.register(
        "pipeline_running",
        "1 if the pipeline runs",
        value(f64::from(status.state == "running")),
    );
    registry.register_with_unit(
        "pipeline_status_timestamp",
        "When the pipeline reported last",
        Unit::Seconds,
        value(seconds(status.at)),
    );
    registry.register(
        "events_per_second",
        "Records that arrive in the events topic per second",
        value(status.events_per_second),
    );
    counter(registry, "records", "Records in the events topic", status.records_total);
    if let Some(duplicates) = status.duplicates_total {
        counter(registry, "duplicates", "Duplicates among the records", duplicates);
    }
    if let Some(watermark) = status.watermark {
        registry.register_with_unit(
            "watermark_timestamp",
            "Event time up to which all is counted",
            Unit::Seconds,
            value(seconds(watermark)),
        );
        let delay = value((seconds(status.at) - seconds(watermark)).max(0.0));
        registry.register_with_unit(
            "watermark_delay",
            "How far the watermark is behind the clock",
            Unit::Seconds,
            delay,
        );
    }
    if let Some([median, p95]) = status.result_delay_ms {
        let delays = [("0.5", median), ("0.95", p95)]
            .map(|(quantile, ms)| (vec![("quantile", quantile.to_owned())], ms as f64 / 1000.0));
        gauges(registry, "result_delay_seconds", "From a window's end until its rows could be read", delays);
    }
    let partitions = |of: fn(&crate::status::PartitionStatus) -> Option<f64>| {
        let each = status
            .partitions
            .iter()
            .filter_map(move |part| Some((vec![("partition", part.partition.to_string())], of(part)?)));
        each.collect::<Vec<_>>()
    };
    gauges(
        registry,
        "partition_end_offset",
        "Offset of the next record of a partition",
        partitions(|part| Some(part.end_offset as f64)),
    );
    gauges(
        registry,
        "partition_lag_records",
        "Records of a partition not read yet",
        partitions(|part| part.lag.map(|lag| lag as f64)),
    );
    gauges(
        registry,
        "partition_high_mark_timestamp_seconds",
        "Highest event time in a partition",
        partitions(|part| part.high_mark.map(|mark| mark.0 as f64 / 1000.0)),
    );
    let letters =
        status.dead_letters.iter().map(|(reason, letters)| (vec![("reason", reason.clone())], *letters));
    counters(
        registry,
        "dead_letters",
        "Records that count nowhere, by reason; late ones among them",
        letters,
    );
    let collected =
        status.collected.iter().map(|(outcome, messages)| (vec![("outcome", outcome.clone())], *messages));
    counters(registry, "collector_messages", "Messages of web sites, by what became of them", collected);
    let states = ProofState::ALL
        .map(|(state, name)| (vec![("state", name.to_owned())], f64::from(state == status.proof.state)));
    gauges(registry, "proof_state", "1 for the state the proof is in", states);
    registry.register("proof_rows_compared", "Rows that the proof compared", value(status.proof.rows as f64));
    registry.register(
        "proof_rows_differing",
        "Rows that differ from the recount",
        value(status.proof.differing as f64),
    );
    if let Some(up_to) = status.proof.up_to {
        registry.register_with_unit(
            "proof_timestamp",
            "Windows that ended up to here are proven",
            Unit::Seconds,
            value(seconds(up_to)),
        );
    }
    let components = |of: fn(&crate::status::ComponentStatus) -> Option<f64>| {
        let each = status
            .components
            .iter()
            .filter_map(move |component| Some((vec![("component", component.name.clone())], of(component)?)));
        each.collect::<Vec<_>>()
    };
    gauges(
        registry,
        "component_up",
        "1 if the component answers",
        components(|component| Some(f64::from(matches!(component.state.as_str(), "ready" | "external")))),
    );
    gauges(
        registry,
        "component_resident_memory_bytes",
        "Resident memory of a component",
        components(|component| component.memory_bytes.map(|bytes| bytes as f64)),
    );
    counters(
        registry,
        "component_restarts",
        "How often a component was started again",
        components(|component| Some(f64::from(component.restarts)))
            .into_iter()
            .map(|(labels, n)| (labels, n as u64)),
    );
}

fn value(value: f64) -> Float {
    let gauge = Float::default();
    gauge.set(value);
    gauge
}

fn gauges(registry: &mut Registry, name: &str, help: &str, values: impl IntoIterator<Item = (Labels, f64)>) {
    let family = Family::<Labels, Float>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).set(value);
    }
    registry.register(name, help, family);
}

fn counter(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

fn counters(
    registry: &mut Registry,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels, u64)>,
) {
    let family = Family::<Labels, Counter>::default();
    for (labels, value) in values {
        family.get_or_create(&labels).inc_by(value);
    }
    registry.register(name, help, family);
}

//! One rate, once the window is full: latencies, CPU, memory, lag.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clickstream_event::topic;
use clickstream_stack::Stack;
use clickstream_traffic::{Generator, Producer, heartbeat};
use hdrhistogram::Histogram;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::console::steps::Steps;
use crate::results::{self, Latencies};

use super::machine::{Usage, usage};
use super::{Options, start};

/// What was measured at one rate.
pub struct Steady {
    /// Rate that was asked for.
    pub rate: f64,
    /// Rate that Kafka acknowledged.
    pub achieved: f64,
    /// Heap given to the job's state, in MiB.
    pub heap_mib: u64,
    /// Latency from window end to readable row, per topic, in milliseconds.
    pub results: Vec<(&'static str, Histogram<u64>)>,
    /// Latency from event to acknowledgement: median, 95th and 99th percentile, in milliseconds.
    pub kafka: [f64; 3],
    /// CPU cores and largest resident memory in MiB, per process.
    pub processes: Vec<(String, f64, f64)>,
    /// Resident memory of all processes over time, in MiB.
    pub memory: Vec<f64>,
    /// Records unread by the job over time.
    pub lag: Vec<i64>,
}

/// Runs the stack at a rate and measures.
pub async fn measure(config: &Config, rate: f64, options: &Options, steps: &Arc<Steps>) -> Result<Steady> {
    let (stack, _scratch) = start(config, rate, steps).await?;
    // looked after as `up` does: checkpoints take their time here, too
    let measured = tokio::select! {
        measured = run(config, &stack, rate, options) => measured,
        () = stack.watch() => Err(anyhow::anyhow!("nobody looks after the job any more")),
    };
    stack.stop().await;
    measured
}

async fn run(config: &Config, stack: &Stack, rate: f64, options: &Options) -> Result<Steady> {
    let shutdown = CancellationToken::new();
    let _guard = shutdown.clone().drop_guard();
    let producer = Producer::connect(stack.kafka_address(), stack.partitions())?;
    producer.warm_up("shop").await?;
    tokio::spawn(heartbeat::run(
        stack.kafka_address().to_owned(),
        producer.clone(),
        "shop".into(),
        shutdown.clone(),
    ));
    let (rows, mut arrivals) = mpsc::channel(65_536);
    let kafka = stack.kafka_address().to_owned();
    let following = shutdown.clone();
    tokio::spawn(async move { results::follow(&kafka, rows, following).await });
    let mut traffic = config.generator.clone();
    traffic.rate = rate;
    tokio::spawn(Generator::new(traffic, producer.clone()).run(shutdown.clone()));

    let mut latencies = Latencies::default();
    let warm_until = Instant::now() + options.warmup;
    let _ =
        tokio::time::timeout_at(warm_until.into(), async { while arrivals.recv().await.is_some() {} }).await;
    producer.latency(true);
    let (began, before, acknowledged) = (Instant::now(), usages(stack), producer.counts().acknowledged);
    let mut peak: Vec<Usage> = before.clone();
    let (mut memory, mut lag) = (Vec::new(), Vec::new());
    let mut sample = tokio::time::interval(Duration::from_secs(5));
    while began.elapsed() < options.measure {
        tokio::select! {
            Some(arrived) = arrivals.recv() => {
                let Some(end) = arrived.row.settled_at(config.stack.job.session_gap_ms) else { continue };
                latencies.record(arrived.topic, end, arrived.at);
            }
            _ = sample.tick() => {
                let now = usages(stack);
                memory.push(now.iter().map(|u| u.resident_mib).sum());
                for (most, now) in peak.iter_mut().zip(&now) {
                    most.resident_mib = most.resident_mib.max(now.resident_mib);
                }
                lag.extend(stack.job().telemetry().map(|told| told.progress.lag));
            }
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    let after = usages(stack);
    let processes = before
        .iter()
        .zip(&after)
        .zip(&peak)
        .map(|((before, after), peak)| {
            (after.name.clone(), (after.cpu_s - before.cpu_s) / seconds, peak.resident_mib)
        })
        .collect();
    let kafka = producer.latency(true);
    let results = topic::RESULTS
        .into_iter()
        .filter_map(|name| Some((name, latencies.topics().get(name)?.clone())))
        .collect();
    Ok(Steady {
        rate,
        achieved: (producer.counts().acknowledged - acknowledged) as f64 / seconds,
        heap_mib: stack.task_heap_mib(),
        results,
        kafka: [kafka.p50, kafka.p95, kafka.p99],
        processes,
        memory,
        lag,
    })
}

fn usages(stack: &Stack) -> Vec<Usage> {
    let mut all: Vec<Usage> = stack.components().iter().filter_map(|c| usage(&c.name, c.pid?)).collect();
    all.extend(usage("clickstream (generator, consumer)", std::process::id()));
    all
}

//! A backlog, read as fast as the job can.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clickstream_event::{Timestamp, topic};
use clickstream_stack::Stack;
use clickstream_traffic::{EventSink, KeyStrategy, Producer, Traffic, TrafficConfig};

use crate::config::Config;
use crate::console::steps::Steps;
use crate::logs::Log;
use crate::logs::kafka::KafkaLog;
use crate::proof::prove::prove;
use crate::proof::report::Report;

use super::{Options, start};

/// What was measured.
pub struct CatchUp {
    /// Events in the backlog.
    pub backlog: u64,
    /// Events per second of event time in it.
    pub density: f64,
    /// Events per second the job read, from its first record to its last, start of a cold job included.
    pub per_second: f64,
    /// The same over the second half of the backlog, when the job's code is compiled.
    pub per_second_warm: f64,
    /// The proof of all that came of it, and how long it took.
    pub proof: (Report, Duration),
}

/// Writes a backlog while no job runs, then lets the job read it, and proves the rows.
pub async fn measure(config: &Config, options: &Options, steps: &Arc<Steps>) -> Result<CatchUp> {
    let Options { backlog, density, .. } = *options;
    let (stack, _scratch) = start(config, density, steps).await?;
    let measured = async {
        let rates = run(&stack, backlog, density, steps).await?;
        anyhow::Ok((rates, proof(config, &stack, steps).await?))
    };
    let measured = measured.await;
    stack.stop().await;
    let ((per_second, per_second_warm), proof) = measured?;
    Ok(CatchUp { backlog, density, per_second, per_second_warm, proof })
}

/// Proves what the job wrote, once it writes no more.
async fn proof(config: &Config, stack: &Stack, steps: &Steps) -> Result<(Report, Duration)> {
    let log = KafkaLog::new(stack.kafka_address());
    let engine = config.engine_config();
    steps.line("proving the rows");
    let proving = tokio::task::spawn_blocking(move || {
        let mut written = None;
        loop {
            let now = log.bounds(topic::SITE_METRICS)?;
            if written.as_ref() == Some(&now) {
                break;
            }
            written = Some(now);
            std::thread::sleep(Duration::from_secs(3));
        }
        let began = Instant::now();
        let report = prove(&log, engine, None, Timestamp::now)?;
        Ok((report, began.elapsed()))
    });
    proving.await?
}

async fn run(stack: &Stack, backlog: u64, density: f64, steps: &Steps) -> Result<(f64, f64)> {
    if let Some(job) = stack.job().alive().await? {
        stack.rest().cancel(&job.id).await?;
    }
    let producer = Producer::connect(stack.kafka_address(), stack.partitions())?;
    let start = Timestamp(Timestamp::now().0 - (backlog as f64 / density * 1000.0) as i64);
    let traffic = Traffic::new(TrafficConfig {
        seed: 1,
        rate: density,
        start,
        sites: vec!["shop".into()],
        bots: 0.0,
        unusual: 0.0,
        spikes: false,
    });
    let mut value = Vec::new();
    for timed in traffic.take(backlog as usize) {
        value.clear();
        timed.event.encode(&mut value);
        producer.send(KeyStrategy::Page.key(&timed.event), &value, 0, None).await?;
    }
    producer.flush(Duration::from_secs(60)).await?;
    steps.line("the backlog is written");
    stack.job().submit(true).await?;
    stack.job().wait_running(Duration::from_secs(60)).await?;
    let id = stack.job().status().id.unwrap_or_default();
    let mut first: Option<Instant> = None;
    let mut half: Option<(Instant, i64)> = None;
    let mut before = 0;
    let deadline = Instant::now() + Duration::from_secs(600);
    loop {
        tokio::time::sleep(Duration::from_millis(250)).await;
        if Instant::now() > deadline {
            bail!("the job read {before} of {backlog} events in ten minutes");
        }
        let Some(read) = stack.rest().source_records(&id).await else { continue };
        if read < before {
            let why = stack.rest().last_exception(&id).await.unwrap_or_default();
            bail!("Flink had to restart the job after {before} of {backlog} events: {why}");
        }
        before = read;
        if read > 0 && first.is_none() {
            first = Some(Instant::now());
        }
        if read >= backlog as i64 / 2 && half.is_none() {
            half = Some((Instant::now(), read));
        }
        if let (Some(first), Some((half, at_half)), true) = (first, half, read >= backlog as i64) {
            let rate = |events: i64, since: Instant| events as f64 / since.elapsed().as_secs_f64().max(0.001);
            return Ok((rate(backlog as i64, first), rate(backlog as i64 - at_half, half)));
        }
    }
}

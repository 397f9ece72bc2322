//! What the pipeline is doing, as the dashboard's second tab and `/metrics` show it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use clickstream_collector::Collector;
use clickstream_event::{Timestamp, topic};
use clickstream_serve::{
    ComponentStatus, JobGraph, PartitionStatus, PipelineStatus, ProofState, ProofStatus,
};
use clickstream_stack::flink::rest::{PartitionProgress, SourceProgress};
use clickstream_stack::job::telemetry::Telemetry;
use clickstream_stack::supervisor::Component;

use crate::commands::usage;
use crate::config::Config;
use crate::console::live::Footer;
use crate::logs::{self, Bounds, Log};

/// Reports, one a second, whose ends of partitions are remembered.
const REMEMBERED: usize = 3;

/// Puts figures together, and remembers those of the time before, for rates.
pub struct Reporter {
    log: Box<dyn Log + Send>,
    base: PipelineStatus,
    /// What the log held at the last few reports, the oldest first.
    before: VecDeque<(Instant, Bounds)>,
    last: PipelineStatus,
    /// The first arrival that the log knows, once it is known.
    log_begins: Option<Timestamp>,
    /// As it was at a time.
    job: Option<(Timestamp, JobGraph)>,
    progress: SourceProgress,
    collector: Option<Collector>,
}

impl Reporter {
    /// For an `up` on `engine`, whose events are in `log`.
    pub fn new(
        config: &Config,
        engine: &'static str,
        log: Box<dyn Log + Send>,
        collector: Option<Collector>,
    ) -> Self {
        let job = &config.stack.job;
        let base = PipelineStatus {
            engine: engine.into(),
            window_ms: job.windows.size_ms(),
            slide_ms: job.windows.slide_ms(),
            session_gap_ms: job.session_gap_ms,
            max_disorder_ms: job.max_disorder_ms,
            ..PipelineStatus::default()
        };
        Self {
            log,
            last: base.clone(),
            base,
            before: VecDeque::new(),
            log_begins: None,
            job: None,
            progress: SourceProgress::default(),
            collector,
        }
    }

    /// The figures now; as of the time before, where the log does not answer. Looks at the log: not for a thread that must not wait.
    pub fn report(
        &mut self,
        footer: &Footer,
        components: &[Component],
        reasons: BTreeMap<String, u64>,
        watermark: Option<Timestamp>,
    ) -> PipelineStatus {
        let bounds = match self.log.bounds(topic::EVENTS) {
            Ok(bounds) => bounds,
            Err(error) => {
                tracing::debug!(why = crate::explain(&error), "the log cannot be asked");
                return self.unreachable(footer, components);
            }
        };
        if self.log_begins.is_none() && bounds.len() > 0 {
            self.log_begins = logs::first_arrival(self.log.as_ref(), &bounds).ok().flatten();
        }
        let now = Instant::now();
        // Flink tells every two seconds how far it has read: what came since is not lag
        let known_end = |n: usize, end: i64| {
            let then = self.before.front().filter(|_| self.before.len() == REMEMBERED);
            then.and_then(|(_, then)| then.0.get(n)).map_or(end, |(_, then)| *then)
        };
        let partitions: Vec<PartitionStatus> = bounds
            .0
            .iter()
            .enumerate()
            .map(|(n, (_, end))| {
                let PartitionProgress { next_offset, watermark } = self.read(n, *end);
                PartitionStatus {
                    partition: n as i32,
                    end_offset: *end,
                    read_offset: next_offset,
                    lag: next_offset.map(|next| (known_end(n, *end) - next).max(0)),
                    high_mark: watermark.map(|mark| Timestamp(mark + self.base.max_disorder_ms + 1)),
                    records_per_second: self.before.back().map_or(0.0, |(at, before)| {
                        let came = before.0.get(n).map_or(0, |(_, before)| end - before);
                        came.max(0) as f64 / now.duration_since(*at).as_secs_f64().max(0.1)
                    }),
                }
            })
            .collect();
        self.before.push_back((now, bounds));
        if self.before.len() > REMEMBERED {
            self.before.pop_front();
        }
        let well = footer.trouble.is_empty() && footer.proof.problems == 0;
        let status = PipelineStatus {
            at: Timestamp::now(),
            state: if well { "running" } else { "degraded" }.into(),
            sent_per_second: footer.events_per_second,
            events_per_second: partitions.iter().map(|partition| partition.records_per_second).sum(),
            records_total: partitions.iter().map(|partition| partition.end_offset.max(0) as u64).sum(),
            watermark,
            result_delay_ms: footer.result_latency.map(|(p50, p95)| [p50, p95]),
            partitions,
            dead_letters: reasons,
            duplicates_total: footer.duplicates,
            collected: self.collector.as_ref().map(collected).unwrap_or_default(),
            proof: proof(footer),
            components: components.iter().map(component).collect(),
            job: self.job.as_ref().map(|(_, job)| job.clone()),
            ..self.base.clone()
        };
        self.last.clone_from(&status);
        status
    }

    /// When the first event arrived that stands in the log; windows that begin before are not full.
    pub fn log_begins(&self) -> Option<Timestamp> {
        self.log_begins
    }

    /// The figures while the log cannot be asked: those of the time before, without what they say of speed.
    pub fn unreachable(&self, footer: &Footer, components: &[Component]) -> PipelineStatus {
        let still =
            |partition: &PartitionStatus| PartitionStatus { records_per_second: 0.0, ..partition.clone() };
        PipelineStatus {
            at: Timestamp::now(),
            state: "unreachable".into(),
            events_per_second: 0.0,
            partitions: self.last.partitions.iter().map(still).collect(),
            proof: proof(footer),
            components: components.iter().map(component).collect(),
            ..self.last.clone()
        }
    }

    /// How far a partition that ends at `end` was read. The embedded engine counts what it writes, at once.
    fn read(&self, partition: usize, end: i64) -> PartitionProgress {
        if self.base.engine == "embedded" {
            return PartitionProgress { next_offset: Some(end), watermark: None };
        }
        self.progress.partitions.get(&(partition as i32)).copied().unwrap_or_default()
    }

    /// Takes what Flink says of its job; nothing, while it says nothing.
    pub fn told(&mut self, told: Option<&Telemetry>) {
        self.progress = told.map(|told| told.progress.clone()).unwrap_or_default();
        let Some(told) = told else { return };
        let before = self.job.as_ref().map(|(at, job)| (job, (told.at.0 - at.0) as f64 / 1e3));
        if before.is_some_and(|(_, seconds)| seconds <= 0.0) {
            return;
        }
        if let Some(mut job) = JobGraph::from_flink(&told.details, before) {
            job.checkpoint = told.checkpoint.map(|last| {
                serde_json::json!({ "age_ms": last.age_ms, "duration_ms": last.duration_ms, "size_bytes": last.size_bytes })
            });
            self.job = Some((told.at, job));
        }
    }
}

/// Messages by what became of them; those that were sent away as a whole count as one.
fn collected(collector: &Collector) -> BTreeMap<String, u64> {
    let counts = collector.counts();
    let outcomes = [
        ("accepted", counts.accepted),
        ("repeated", counts.repeated),
        ("not_counted", counts.not_counted),
        ("rejected", counts.rejected.values().sum()),
        ("rate_limited", counts.rate_limited),
        ("overloaded", counts.overloaded),
        ("unauthorized", counts.unauthorized),
    ];
    outcomes.into_iter().map(|(outcome, messages)| (outcome.to_owned(), messages)).collect()
}

fn proof(footer: &Footer) -> ProofStatus {
    let found = footer.proof;
    let state = match found.proven_to {
        _ if found.problems > 0 => ProofState::Refuted,
        Some(_) => ProofState::Proven,
        None => ProofState::Waiting,
    };
    ProofStatus {
        state,
        up_to: found.proven_to,
        rows: found.rows,
        differing: found.problems,
        message: footer.proof_line(),
    }
}

fn component(component: &Component) -> ComponentStatus {
    let memory = component.pid.and_then(|pid| usage(&component.name, pid));
    ComponentStatus {
        name: component.name.clone(),
        pid: component.pid,
        state: format!("{:?}", component.state).to_lowercase(),
        restarts: component.restarts,
        address: component.address.clone(),
        memory_bytes: memory.map(|usage| (usage.resident_mib * 1024.0 * 1024.0) as u64),
    }
}

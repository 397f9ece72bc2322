//! The report, in Markdown.

use std::fmt::Write;

use crate::config::Config;

use super::catch_up::CatchUp;
use super::steady::Steady;
use super::{Options, machine};

/// A report that grows.
pub struct Report(String);

impl Report {
    /// What is measured, and where.
    pub fn new(config: &Config, options: &Options) -> Self {
        let job = &config.stack.job;
        let date = clickstream_event::Timestamp::now().to_string();
        let text = format!(
            "# Measured on {}\n\n`clickstream bench`, version {}: window {} s, slide {} s, {} partitions, parallelism {}, checkpoints every {:?}, \
             unique users by {:?}. {:?} to warm up, then {:?} measured.\n\nMachine: {}.\n",
            date.get(..10).unwrap_or_default(),
            env!("CARGO_PKG_VERSION"),
            job.windows.size_ms() / 1000,
            job.windows.slide_ms() / 1000,
            config.stack.topics.event_partitions,
            config.stack.execution.parallelism,
            config.stack.execution.checkpoint_interval,
            job.unique_users,
            options.warmup,
            options.measure,
            machine::describe(),
        );
        Self(text)
    }

    /// Adds a rate. Writing to a text cannot fail.
    pub fn steady(&mut self, steady: Steady) {
        let out = &mut self.0;
        let _ = writeln!(
            out,
            "\n## {} events/s\n\nAcknowledged by Kafka: {:.1} events/s. Heap for the job's state: {} MB.\n",
            steady.rate, steady.achieved, steady.heap_mib
        );
        let _ = writeln!(
            out,
            "Window end → readable row, in ms (what `max_disorder` takes is part of it):\n\n| topic | rows | p50 | p95 | p99 | max |\n|---|---|---|---|---|---|"
        );
        for (topic, histogram) in &steady.results {
            let at = |quantile: f64| histogram.value_at_quantile(quantile);
            let _ = writeln!(
                out,
                "| {topic} | {} | {} | {} | {} | {} |",
                histogram.len(),
                at(0.5),
                at(0.95),
                at(0.99),
                histogram.max()
            );
        }
        let [p50, p95, p99] = steady.kafka;
        let _ = writeln!(
            out,
            "\nEvent sent → acknowledged by Kafka: p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms.\n"
        );
        let _ = writeln!(out, "| process | CPU cores | resident MB (most) |\n|---|---|---|");
        for (name, cpu, resident) in &steady.processes {
            let _ = writeln!(out, "| {name} | {cpu:.2} | {resident:.0} |");
        }
        let cpu: f64 = steady.processes.iter().map(|p| p.1).sum();
        let resident: f64 = steady.processes.iter().map(|p| p.2).sum();
        let _ = writeln!(out, "| **all** | **{cpu:.2}** | **{resident:.0}** |");
        let ends = |list: &[f64]| (list.first().copied().unwrap_or(0.0), list.last().copied().unwrap_or(0.0));
        let (memory_first, memory_last) = ends(&steady.memory);
        let lag: Vec<f64> = steady.lag.iter().map(|lag| *lag as f64).collect();
        let most = steady.lag.iter().max().copied().unwrap_or(0);
        let (lag_first, lag_last) = ends(&lag);
        let _ = writeln!(
            out,
            "\nResident memory of all processes: {memory_first:.0} MB at the beginning of the measurement, {memory_last:.0} MB at its end. Unread records: {lag_first} at the beginning, {lag_last} at the end, {most} at most."
        );
    }

    /// Adds the catch-up.
    pub fn catch_up(&mut self, catch_up: &CatchUp) {
        let _ = writeln!(
            self.0,
            "\n## Catch-up\n\nA backlog of {} events ({} per second of event time) was read at **{:.0} events/s**, from the first record read to the last, by a job on a cluster that had just started; its second half at **{:.0} events/s**, when most of the code is compiled.",
            catch_up.backlog, catch_up.density, catch_up.per_second, catch_up.per_second_warm
        );
        let (proof, took) = &catch_up.proof;
        let _ = writeln!(
            self.0,
            "\n`verify` recounted all of it and compared {} rows in **{:.1} s** ({:.0} events/s): {} differ. The process held at most {:.0} MB.",
            proof.equal() + proof.problems(),
            took.as_secs_f64(),
            proof.balance.records as f64 / took.as_secs_f64(),
            proof.problems(),
            machine::peak_mib()
        );
    }

    /// Adds that a measurement failed.
    pub fn failure(&mut self, what: &str, error: &anyhow::Error) {
        let _ = writeln!(self.0, "\n## {what}\n\nFailed: {error:#}");
    }

    /// The text.
    pub fn text(self) -> String {
        self.0
    }
}

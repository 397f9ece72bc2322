//! What Flink is told beside the SQL.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clickstream_event::detection;

use super::control::Execution;
use super::resume::SLACK;
use super::template::JobParameters;

/// Seconds for which state is kept that is asked for a window or for `ms`, whichever is longer.
pub(super) fn remembered_for(parameters: &JobParameters, ms: i64) -> i64 {
    parameters.windows.size_ms().max(ms) / 1000 + 1 + SLACK.as_secs() as i64
}

/// The longest time, in event time, after which some state is asked for.
pub(super) fn reach(parameters: &JobParameters) -> Duration {
    let rules = detection::FAST_MS.max(detection::REPEATED_MS).max(parameters.session_gap_ms);
    let ms = parameters.windows.size_ms().max(rules).max(parameters.dedup_horizon_s * 1000);
    Duration::from_millis(ms.unsigned_abs())
}

/// Options that a plan depends on.
pub(super) fn of_plan(parameters: &JobParameters) -> BTreeMap<String, String> {
    // labels and rules look back a window, the fast ones some seconds
    let ttl_s = remembered_for(parameters, detection::FAST_MS.max(detection::REPEATED_MS));
    named([
        ("table.local-time-zone", "UTC".into()),
        // all queries share one source, one late rule and one deduplication
        ("table.optimizer.reuse-optimize-block-with-digest-enabled", "true".into()),
        ("table.exec.sink.upsert-materialize", "NONE".into()),
        ("table.exec.state.ttl", format!("{ttl_s} s")),
        // a window's operator buffers and adds up rows by itself; one before it, to send fewer rows, is four times the
        // generated code, and on one machine there is no network to spare
        ("table.optimizer.agg-phase-strategy", "ONE_PHASE".into()),
        // cutting generated classes into small methods takes seconds of every start; none of ours comes near what the JVM
        // refuses, and the few that it only interprets see one row per slide
        ("table.generated-code.max-length", "1000000".into()),
        // a partition without traffic gets heartbeats; an idle timeout would lose data
        ("table.exec.source.idle-timeout", "0 ms".into()),
    ])
}

/// All options of a job of this name that keeps its checkpoints in `checkpoints`.
pub(super) fn all(
    name: &str,
    parameters: &JobParameters,
    execution: &Execution,
    checkpoints: &Path,
) -> BTreeMap<String, String> {
    let mut options = named([
        ("pipeline.name", name.to_owned()),
        ("parallelism.default", execution.parallelism.to_string()),
        // each watermark goes through all tasks and wakes every one
        ("pipeline.auto-watermark-interval", "40 ms".into()),
        // rows are handed from operator to operator without a copy
        ("pipeline.object-reuse", "true".into()),
        // some fifty tasks have a thread each that wakes this often
        ("execution.buffer-timeout.interval", "10 ms".into()),
        // ours come first, and then Flink's are not due: see `rhythm`
        ("execution.checkpointing.interval", milliseconds(execution.checkpoint_interval * 3)),
        ("execution.checkpointing.min-pause", milliseconds(execution.checkpoint_interval * 2)),
        ("execution.checkpointing.timeout", "60 s".into()),
        // a compressed snapshot is read in blocks, any other without a buffer
        ("execution.checkpointing.snapshot-compression", "true".into()),
        ("execution.checkpointing.tolerable-failed-checkpoints", "1000".into()),
        ("execution.checkpointing.dir", format!("file://{}", checkpoints.display())),
        ("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION".into()),
    ]);
    options.extend(of_plan(parameters));
    options
}

/// Has a job begin with the checkpoint in `from`.
pub(super) fn resume_from(options: &mut BTreeMap<String, String>, from: &Path) {
    options.insert("execution.state-recovery.path".into(), format!("file://{}", from.display()));
}

/// Has state kept for `longer`.
pub(super) fn keep_longer(options: &mut BTreeMap<String, String>, longer: Duration) {
    if let Some(ttl) = options.get_mut("table.exec.state.ttl") {
        *ttl = longer_ttl(ttl, longer).unwrap_or_else(|| ttl.clone());
    }
}

/// A time to live of so many seconds, made longer; nothing, if it is not told in seconds.
pub(super) fn longer_ttl(ttl: &str, longer: Duration) -> Option<String> {
    let seconds: u64 = ttl.strip_suffix(" s")?.parse().ok()?;
    Some(format!("{} s", seconds + longer.as_secs()))
}

/// The statements that set these options.
pub(super) fn as_sql(options: &BTreeMap<String, String>) -> String {
    options.iter().map(|(name, value)| format!("SET '{name}' = '{value}';\n")).collect()
}

fn named<const N: usize>(options: [(&str, String); N]) -> BTreeMap<String, String> {
    options.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn milliseconds(time: Duration) -> String {
    format!("{} ms", time.as_millis())
}

//! What the pipeline itself is doing, as whoever runs it reports it about once a second.

use std::collections::BTreeMap;

use clickstream_event::Timestamp;
use serde::Serialize;

use crate::job::JobGraph;

/// How the pipeline is.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct PipelineStatus {
    /// When this was so, by our clock.
    pub at: Timestamp,
    /// `flink` or `embedded`.
    pub engine: String,
    /// `starting`, `running`, `degraded`, `unreachable` (its log does not answer), `stopping` or `stopped`.
    pub state: String,
    /// Size of a window in milliseconds.
    pub window_ms: i64,
    /// How often a window ends, in milliseconds.
    pub slide_ms: i64,
    /// Gap that ends a session, in milliseconds.
    pub session_gap_ms: i64,
    /// How much later than its partition's high mark an event may be, in milliseconds.
    pub max_disorder_ms: i64,
    /// Records sent per second by our own traffic, if there is any.
    pub sent_per_second: Option<f64>,
    /// Records that arrived in the events topic per second.
    pub events_per_second: f64,
    /// Records in the events topic, in all.
    pub records_total: u64,
    /// Duplicates among those that were read since the start, where known: Flink does not say.
    pub duplicates_total: Option<u64>,
    /// Event time up to which everything is counted.
    pub watermark: Option<Timestamp>,
    /// From a window's end until its rows could be read: median and 95th percentile, in milliseconds.
    pub result_delay_ms: Option<[u64; 2]>,
    /// The partitions of the events topic.
    pub partitions: Vec<PartitionStatus>,
    /// Dead letters by reason, late ones among them.
    pub dead_letters: BTreeMap<String, u64>,
    /// What became of the messages that web sites sent, if they can send any: `accepted`, `repeated`, ….
    pub collected: BTreeMap<String, u64>,
    /// What the proof beside the pipeline says.
    pub proof: ProofStatus,
    /// The processes.
    pub components: Vec<ComponentStatus>,
    /// Flink's job, if Flink runs it.
    pub job: Option<JobGraph>,
}

/// A partition of the events topic.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct PartitionStatus {
    /// Its number.
    pub partition: i32,
    /// Offset of its next record.
    pub end_offset: i64,
    /// Offset up to which the engine has read, where known.
    pub read_offset: Option<i64>,
    /// Records not read yet.
    pub lag: Option<i64>,
    /// Records per second.
    pub records_per_second: f64,
    /// Highest event time in it.
    pub high_mark: Option<Timestamp>,
}

/// What the proof says.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct ProofStatus {
    /// `off`, `waiting`, `proven` or `refuted`.
    pub state: ProofState,
    /// Windows that ended up to here are proven.
    pub up_to: Option<Timestamp>,
    /// Rows that were compared.
    pub rows: u64,
    /// Rows that differ, are missing, or should not be there.
    pub differing: u64,
    /// The same for people.
    pub message: Option<String>,
}

/// Whether the results are proven.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofState {
    /// No proof runs.
    #[default]
    Off,
    /// None is done yet.
    Waiting,
    /// All rows equal the recount.
    Proven,
    /// A row does not.
    Refuted,
}

impl ProofState {
    /// All of them, with their names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Off, "off"),
        (Self::Waiting, "waiting"),
        (Self::Proven, "proven"),
        (Self::Refuted, "refuted"),
    ];
}

/// A process.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct ComponentStatus {
    /// Name, as `kafka`.
    pub name: String,
    /// Process id, where it is ours and runs.
    pub pid: Option<u32>,
    /// `starting`, `ready`, `restarting`, `failed`, `stopped` or `external`.
    pub state: String,
    /// How often it was started again.
    pub restarts: u32,
    /// Where it listens.
    pub address: String,
    /// Resident memory in bytes.
    pub memory_bytes: Option<u64>,
}

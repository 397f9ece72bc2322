//! What the pipeline of the invented shop is doing.

use clickstream_event::Timestamp;
use clickstream_serve::{
    ComponentStatus, JobGraph, PartitionStatus, PipelineStatus, ProofState, ProofStatus,
};
use serde_json::{Value, json};

use super::Shop;

impl Shop {
    /// What the pipeline is doing at `now`.
    pub fn status(&mut self, now: Timestamp) -> PipelineStatus {
        self.records += 500;
        let rate = 980.0 + 40.0 * self.random();
        let partitions = (0..4).map(|partition| {
            let end_offset = (self.records / 4) as i64 + i64::from(partition) * 900;
            let lag = (self.random() * 40.0) as i64;
            PartitionStatus {
                partition,
                end_offset,
                read_offset: Some(end_offset - lag),
                lag: Some(lag),
                records_per_second: rate / 4.0,
                high_mark: Some(Timestamp(now.0 - 10 - (self.random() * 60.0) as i64)),
            }
        });
        let partitions = partitions.collect::<Vec<_>>();
        let component = |name: &str, pid, memory: u64, address: &str| ComponentStatus {
            name: name.into(),
            pid: Some(pid),
            state: "ready".into(),
            restarts: 0,
            address: address.into(),
            memory_bytes: Some(memory << 20),
        };
        let mut graph = JobGraph::from_flink(&flink(self.records), self.job.as_ref().map(|job| (job, 0.5)));
        if let Some(graph) = &mut graph {
            graph.checkpoint = Some(json!({ "age_ms": now.0 % 10_000, "size_bytes": 18_400_000 }));
        }
        self.job.clone_from(&graph);
        PipelineStatus {
            at: now,
            engine: "flink".into(),
            state: "running".into(),
            window_ms: self.window_ms,
            slide_ms: self.slide_ms,
            session_gap_ms: 30_000,
            max_disorder_ms: 100,
            sent_per_second: Some(1_000.0),
            events_per_second: rate,
            records_total: self.records,
            duplicates_total: Some(self.records / 50),
            watermark: Some(Timestamp(now.0 - 140)),
            result_delay_ms: Some([182, 260]),
            partitions,
            dead_letters: self.letters.clone(),
            collected: Default::default(),
            proof: ProofStatus {
                state: ProofState::Proven,
                up_to: Some(Timestamp(self.watermark.0 - 6_000)),
                rows: self.slides * 173,
                differing: 0,
                message: None,
            },
            components: vec![
                component("clickstream", 4_101, 148, ""),
                component("kafka", 4_120, 602, "127.0.0.1:9092"),
                component("jobmanager", 4_155, 540, "http://127.0.0.1:8081"),
                component("taskmanager", 4_190, 1_210, ""),
                component("sql-gateway", 4_201, 421, "http://127.0.0.1:8083"),
            ],
            job: graph,
        }
    }
}

fn flink(records: u64) -> Value {
    let vertex = |id: &str, name: &str, read: u64, write: u64, busy: u64| {
        json!({ "id": id, "name": name, "parallelism": 2, "status": "RUNNING", "metrics": {
            "read-records": read, "write-records": write, "accumulated-busy-time": records * busy / 100,
            "accumulated-backpressured-time": records * (busy / 8) / 100, "accumulated-idle-time": records * (100 - busy) / 100 } })
    };
    json!({
        "jid": "9f", "name": "clickstream", "state": "RUNNING",
        "vertices": [
            vertex("a", "Source: event_log[1] -> Calc -> judged_records", 0, records, 31),
            vertex("b", "sorted_events: Deduplicate -> TemporalSort", records, records * 9 / 10, 44),
            vertex("c", "page_slices -> page_windows -> page_metrics: Writer", records * 9 / 10, records / 40, 37),
            vertex("d", "session_events -> sessions: Writer", records * 9 / 10, records / 60, 22),
            vertex("e", "bot_flags -> anomalies: Writer", records * 9 / 10, records / 900, 62),
        ],
        "plan": { "nodes": [{ "id": "a" }, { "id": "b", "inputs": [{ "id": "a" }] }, { "id": "c", "inputs": [{ "id": "b" }] },
            { "id": "d", "inputs": [{ "id": "b" }] }, { "id": "e", "inputs": [{ "id": "b" }] }] },
    })
}

//! Parsed events per second on one core, as `clickstream bench engine` counts them, for a profiler.

use std::time::{Duration, Instant};

use clickstream_engine::workload::{Shape, Workload};
use clickstream_engine::{Config, Engine, Prepared};
use clickstream_event::{Record, Rules, Timestamp, Windows, decode};

fn cpu() -> Duration {
    let read = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(read.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

fn main() {
    let Ok(windows) = Windows::new(300_000, 10_000) else { return };
    let shape = Shape::default();
    let number = |n: usize, default: u64| {
        std::env::args().nth(n).and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (fill, measured) = (number(1, 3_500_000), number(2, 1_500_000));
    let mut load = Workload::new(shape, Timestamp(1_795_583_040_000), 1);
    let mut engine = Engine::new(Config::new(windows), 1);
    let preparer = engine.preparer();
    let (mut counting, mut closing, mut rows, mut sessions, mut anomalies) =
        (Duration::ZERO, Duration::ZERO, 0, 0, 0);
    let (mut preparing, mut pushing) = (Duration::ZERO, Duration::ZERO);
    for chunk in 0..(fill + measured) / 1_024 {
        let mut bytes = Vec::new();
        let mut ends = Vec::new();
        for record in load.chunk(1_024) {
            if let Record::Event(event, ts) = record {
                event.encode(&mut bytes);
                ends.push((bytes.len(), ts));
            }
        }
        let mut from = 0;
        let mut records = Vec::with_capacity(1_024);
        for (end, ts) in &ends {
            records.extend(decode(&bytes[from..*end], *ts, Rules::default()));
            from = *end;
        }
        let before = cpu();
        let mut prepared: Vec<Prepared<'_>> = Vec::with_capacity(32);
        for records in records.chunks(32) {
            let t0 = Instant::now();
            prepared.extend(records.iter().map(|record| preparer.prepare(record)));
            let t1 = Instant::now();
            engine.warm(&prepared);
            for record in &prepared {
                engine.push_prepared(0, record.event_time, record);
            }
            prepared.clear();
            let took = t1.elapsed();
            if engine.has_closed() {
                closing += if chunk >= fill / 1_024 { took } else { Duration::ZERO };
                rows = engine
                    .closed()
                    .map(|w| {
                        w.pages.len()
                            + w.products.len()
                            + w.transitions.len()
                            + w.engagement.len()
                            + w.bounce_rates.len()
                    })
                    .sum();
                sessions += engine.sessions().count();
                anomalies += engine.anomalies().count();
            } else if chunk >= fill / 1_024 {
                preparing += t1 - t0;
                pushing += took;
            }
        }
        if chunk >= fill / 1_024 {
            counting += cpu() - before;
        }
    }
    let n = (measured / 1_024 * 1_024) as f64;
    println!(
        "{:.0} ns/event (prepare {:.0}, push {:.0}, closing {:.0}); {rows} rows in the last window, {sessions} sessions, {anomalies} anomalies, {:?} bytes of shards, {:?} others",
        counting.as_nanos() as f64 / n,
        preparing.as_nanos() as f64 / n,
        pushing.as_nanos() as f64 / n,
        closing.as_nanos() as f64 / n,
        engine.shards()[0].bytes(),
        engine.front_bytes(),
    );
}

//! What one event costs, stage by stage, and what closing a window costs. `cargo bench -p clickstream-engine`.
//!
//! `clickstream bench engine` measures shapes, memory and cores in one report; this is for comparing two states of the code.

use clickstream_engine::workload::{Shape, Workload};
use clickstream_engine::{Config, Engine, Prepared};
use clickstream_event::{Record, Rules, Timestamp, Windows, decode};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

const CHUNK: usize = 8_192;
const BEGIN: Timestamp = Timestamp(1_795_583_040_000);

fn windows() -> Windows {
    #[allow(clippy::unwrap_used, reason = "the shape is a constant")]
    Windows::new(300_000, 10_000).unwrap()
}

fn per_event(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("event");
    group.throughput(Throughput::Elements(CHUNK as u64));
    let mut load = Workload::new(Shape::default(), BEGIN, 1);
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for record in load.chunk(CHUNK) {
        if let Record::Event(event, ts) = record {
            event.encode(&mut bytes);
            ends.push((bytes.len(), ts));
        }
    }
    group.bench_function("decode", |bencher| {
        bencher.iter(|| {
            let mut from = 0;
            let mut valid = 0;
            for (end, ts) in &ends {
                valid += usize::from(decode(&bytes[from..*end], *ts, Rules::default()).is_ok());
                from = *end;
            }
            valid
        });
    });
    let mut engine = Engine::new(Config::new(windows()), 1);
    let preparer = engine.preparer();
    let records = load.chunk(CHUNK);
    group.bench_function("prepare", |bencher| {
        bencher.iter_batched(
            || records.clone(),
            |records| records.into_iter().map(|record| preparer.prepare(&record)).collect::<Vec<_>>(),
            BatchSize::LargeInput,
        );
    });
    // the engine goes on from iteration to iteration, so its window is full after a few hundred
    let mut load = Workload::new(Shape::default(), BEGIN, 2);
    group.bench_function("count", |bencher| {
        bencher.iter_batched(
            || {
                load.chunk(CHUNK)
                    .into_iter()
                    .map(|record| preparer.prepare(&record).into_owned())
                    .collect::<Vec<_>>()
            },
            |prepared: Vec<Prepared<'static>>| {
                for part in prepared.chunks(32) {
                    engine.warm(part);
                    part.iter().for_each(|record| {
                        engine.push_prepared(0, record.event_time, record);
                    });
                }
                engine.sessions().count() + engine.anomalies().count() + engine.closed().count()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

fn per_window(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("close a window");
    for pages in [1_000, 10_000] {
        let mut load = Workload::new(Shape { pages, ..Shape::default() }, BEGIN, 1);
        let mut engine = Engine::new(Config::new(windows()), 1);
        for record in load.chunk(1_000_000) {
            engine.push_record(0, record.event_time(), &record);
        }
        engine.sessions().for_each(drop);
        engine.anomalies().for_each(drop);
        engine.closed().for_each(drop);
        // the events end with a slide; this one ends it
        let end = Timestamp(BEGIN.0 + 100_000 + 101);
        group.sample_size(10).bench_function(format!("{pages} pages"), |bencher| {
            bencher.iter_batched(
                || engine.clone(),
                |mut engine| {
                    engine.push_record(0, end, &Record::Heartbeat(end));
                    engine.closed().count()
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, per_event, per_window);
criterion_main!(benches);

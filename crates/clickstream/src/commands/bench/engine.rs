//! The embedded engine alone: parsed events and JSON bytes, shapes of load, cores.

use std::fmt::Write;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use anyhow::Result;
use clickstream_engine::engine::Shards;
use clickstream_engine::workload::{Shape, Skew, Workload};
use clickstream_engine::{Config as EngineConfig, Engine, Prepared, Shard};
use clickstream_event::{Record, Rules, Timestamp, decode};

use super::machine;
use crate::config::Config;
use crate::embedded::shards::ThreadedShards;
use clickstream_top::text::thousands;

/// Events that are made, then taken, at a time: few enough to stay in the cache, as events do that were just read.
const CHUNK: usize = 1_024;
/// Events that are read ahead for.
const AHEAD: usize = 32;
/// Runs of the main figures; the median is reported.
const RUNS: usize = 5;

/// Time per stage, in nanoseconds per event.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    decode: f64,
    /// Fingerprints and counting.
    count: f64,
}

/// One run over one shape.
struct Run {
    cost: Cost,
    /// Times of closing a window, in microseconds, sorted.
    fires: Vec<f64>,
    /// Of the last window.
    pages: usize,
    rows: usize,
    pairs: usize,
    pair_bytes: usize,
    all_bytes: usize,
}

/// Measures, and gives the report.
pub fn measure(config: &Config) -> Result<String> {
    let engine = EngineConfig::new(config.stack.job.windows);
    let windows = engine.windows;
    let window_s = windows.size_ms() as u64 / 1_000;
    let date = Timestamp::now().to_string();
    let mut out = format!(
        "# The embedded engine, measured on {}\n\n`clickstream bench engine`, version {}: window {window_s} s, slide {} s. Everything counts: deduplication, all windows, \
         sessions and anomalies. Times are CPU time of the thread that does it, medians of {RUNS} runs; the window is full before measuring begins.\n\nMachine: {}.\n",
        date.get(..10).unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
        windows.slide_ms() / 1_000,
        machine::describe(),
    );
    let shape = Shape::default();
    let events = u64::from(shape.rate) * window_s;
    let mut runs: Vec<Run> = (0..RUNS).map(|n| run(engine, shape, events, events / 2, n as u64)).collect();
    let mut median = |cost: fn(&Run) -> f64| {
        runs.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
        cost(&runs[RUNS / 2])
    };
    let (decode, count) = (median(|r| r.cost.decode), median(|r| r.cost.count));
    let per_second = |ns: f64| thousands((1e9 / ns) as u64);
    let _ = writeln!(
        out,
        "\n## One core, {} pages by Zipf's law, {} users\n\n| from | ns per event | events per second |\n|---|---|---|\n| parsed events | {count:.0} | {} |\n| JSON bytes, canonical form (decoding {decode:.0} ns more) | {:.0} | {} |",
        thousands(u64::from(shape.pages)),
        thousands(u64::from(shape.users)),
        per_second(count),
        decode + count,
        per_second(decode + count)
    );
    let _ = writeln!(
        out,
        "\n## Shapes\n\nOne core, parsed events, {} events in a window. A pair is a (page, user) that is in the window.\n\n| pages | users | pages chosen | ns per event | live pairs | bytes per pair | all state, MB | rows per window | closing a window: p50, max in ms | ms per 1 000 pages |\n|---|---|---|---|---|---|---|---|---|---|",
        thousands(events)
    );
    for skew in [Skew::Zipf, Skew::Uniform] {
        for (pages, users) in [
            (100, 100_000),
            (1_000, 1_000),
            (1_000, 100_000),
            (1_000, 10_000_000),
            (10_000, 100_000),
            (100_000, 100_000),
            (1_000_000, 1_000_000),
        ] {
            let run = run(engine, Shape { pages, users, skew, ..shape }, events, events / 2, 1);
            let p50 = run.fires.get(run.fires.len() / 2).copied().unwrap_or(0.0) / 1e3;
            let max = run.fires.last().copied().unwrap_or(0.0) / 1e3;
            let _ = writeln!(
                out,
                "| {} | {} | {skew:?} | {:.0} | {} | {:.0} | {:.0} | {} | {p50:.2}, {max:.2} | {:.2} |",
                thousands(u64::from(pages)),
                thousands(u64::from(users)),
                run.cost.count,
                thousands(run.pairs as u64),
                run.pair_bytes as f64 / run.pairs.max(1) as f64,
                run.all_bytes as f64 / 1e6,
                thousands(run.rows as u64),
                p50 / (run.pages.max(1) as f64 / 1e3),
            );
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let _ = writeln!(
        out,
        "\n## Cores\n\nJSON bytes to rows, wall time, the default shape; {cores} cores are there. Decoding is spread over threads, the engine takes what they give.\n\n| decoding threads | shards | events per second |\n|---|---|---|"
    );
    for (decoders, shards) in
        [(0, 1), (1, 1), (2, 1), (1, 2)].into_iter().filter(|(d, s)| d + s <= cores.max(2) + 1)
    {
        let rate = (0..3).map(|_| cores_run(engine, shape, 2_000_000, decoders, shards));
        let mut rates: Vec<f64> = rate.collect();
        rates.sort_by(f64::total_cmp);
        let _ = writeln!(
            out,
            "| {} | {shards} | {} |",
            if decoders == 0 { "in the engine's".to_owned() } else { decoders.to_string() },
            thousands(rates[1] as u64)
        );
    }
    Ok(out)
}

/// CPU time of this thread.
fn cpu() -> Duration {
    let read = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(read.split(' ').next().and_then(|ns| ns.parse().ok()).unwrap_or(0))
}

/// Fills the window with `fill` events, then measures `measured` more.
fn run(config: EngineConfig, shape: Shape, fill: u64, measured: u64, seed: u64) -> Run {
    let begin = Timestamp(1_795_583_040_000);
    let mut load = Workload::new(shape, begin, seed);
    let mut engine = Engine::new(config, 1);
    let preparer = engine.preparer();
    let (mut decoding, mut counting) = (Duration::ZERO, Duration::ZERO);
    let mut fires = Vec::new();
    let (mut pages, mut rows) = (0, 0);
    let chunks = (fill + measured).div_ceil(CHUNK as u64);
    for chunk in 0..chunks {
        let measuring = chunk * CHUNK as u64 >= fill;
        let (bytes, ends) = encoded(&mut load);
        let before = cpu();
        let mut records = Vec::with_capacity(CHUNK);
        let mut from = 0;
        for (end, ts) in &ends {
            records.extend(decode(&bytes[from..*end], *ts, Rules::default()));
            from = *end;
        }
        let between = cpu();
        let mut prepared: Vec<Prepared<'_>> = Vec::with_capacity(AHEAD);
        let mut records = records.into_iter().peekable();
        while let Some(record) = records.next() {
            prepared.push(preparer.prepare(&record));
            if prepared.len() < AHEAD && records.peek().is_some() {
                continue;
            }
            engine.warm(&prepared);
            let before = Instant::now();
            for record in &prepared {
                engine.push_prepared(0, record.event_time, record);
            }
            prepared.clear();
            if engine.has_closed() {
                let took = before.elapsed().as_secs_f64() * 1e6;
                (pages, rows) = engine.closed().fold((0, 0), |(pages, rows), window| {
                    (pages + window.pages.len(), rows + window.row_count())
                });
                engine.sessions().for_each(drop);
                engine.anomalies().for_each(drop);
                if measuring {
                    fires.push(took);
                }
            }
        }
        if measuring {
            decoding += between - before;
            counting += cpu() - between;
        }
    }
    let n = ((chunks - fill / CHUNK as u64).max(1) * CHUNK as u64) as f64;
    let per_event = |time: Duration| time.as_nanos() as f64 / n;
    fires.sort_by(f64::total_cmp);
    let slice = config
        .windows
        .slice(Timestamp(begin.0 + (chunks * CHUNK as u64 * 1_000 / u64::from(shape.rate)) as i64));
    let shard = &engine.shards()[0];
    let (ids, names) = engine.front_bytes();
    let (pair_bytes, all) = shard.bytes();
    Run {
        cost: Cost { decode: per_event(decoding), count: per_event(counting) },
        fires,
        pages,
        rows,
        pairs: shard.page_user_pairs(slice as u32),
        pair_bytes,
        all_bytes: all + ids + names,
    }
}

/// Events as JSON, one after the other, with the end of each and its arrival.
type Encoded = (Vec<u8>, Vec<(usize, Timestamp)>);

/// The next chunk of a load.
fn encoded(load: &mut Workload) -> Encoded {
    let (mut bytes, mut ends) = (Vec::new(), Vec::new());
    for record in load.chunk(CHUNK) {
        if let Record::Event(event, ts) = record {
            event.encode(&mut bytes);
            ends.push((bytes.len(), ts));
        }
    }
    (bytes, ends)
}

/// Events per second of wall time, from JSON bytes, with so many threads.
fn cores_run(config: EngineConfig, shape: Shape, events: usize, decoders: usize, shards: usize) -> f64 {
    let mut load = Workload::new(shape, Timestamp(1_795_583_040_000), 1);
    let chunks: Vec<Encoded> = (0..events / CHUNK).map(|_| encoded(&mut load)).collect();
    let slices = config.windows.slices() as u32;
    let counting: Box<dyn Shards + Send> = match shards {
        1 => Box::new(vec![Shard::new(slices)]),
        n => Box::new(ThreadedShards::new(slices, n)),
    };
    let mut engine = Engine::with_shards(config, 1, counting);
    let preparer = engine.preparer();
    let prepare = |(bytes, ends): &Encoded| -> Vec<Prepared<'static>> {
        let mut from = 0;
        ends.iter()
            .filter_map(|(end, ts)| {
                let record = decode(&bytes[from..*end], *ts, Rules::default()).ok()?;
                from = *end;
                Some(preparer.prepare(&record).into_owned())
            })
            .collect()
    };
    let mut take = |prepared: &[Prepared<'_>]| {
        for part in prepared.chunks(AHEAD) {
            engine.warm(part);
            part.iter().for_each(|record| {
                engine.push_prepared(0, record.event_time, record);
            });
        }
        engine.closed().count()
    };
    let began = Instant::now();
    if decoders == 0 {
        for (bytes, ends) in &chunks {
            let mut from = 0;
            let prepared: Vec<Prepared<'_>> = ends
                .iter()
                .filter_map(|(end, ts)| {
                    let record = decode(&bytes[from..*end], *ts, Rules::default()).ok()?;
                    from = *end;
                    Some(preparer.prepare(&record))
                })
                .collect();
            take(&prepared);
        }
    } else {
        std::thread::scope(|scope| {
            let mut queues = Vec::new();
            for n in 0..decoders {
                let (sender, queue) = sync_channel(2);
                queues.push(queue);
                let (chunks, prepare) = (&chunks, &prepare);
                scope.spawn(move || {
                    for chunk in chunks.iter().skip(n).step_by(decoders) {
                        if sender.send(prepare(chunk)).is_err() {
                            return;
                        }
                    }
                });
            }
            // in the order of the log, whichever thread is faster
            for n in 0..chunks.len() {
                if let Ok(prepared) = queues[n % decoders].recv() {
                    take(&prepared);
                }
            }
        });
    }
    (chunks.len() * CHUNK) as f64 / began.elapsed().as_secs_f64()
}

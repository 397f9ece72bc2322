//! The embedded engine alone: parsed events and JSON bytes, shapes of load, cores.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

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
/// Stretches of the main run that are measured; the median is reported.
const STRETCHES: u64 = 5;

/// Time per stage, in nanoseconds per event.
#[derive(Clone, Copy, Debug, Default)]
struct Cost {
    decode: f64,
    /// Fingerprints and counting.
    count: f64,
}

/// One run over one shape.
struct Run {
    /// Of each stretch.
    costs: Vec<Cost>,
    /// Times of closing a window, in microseconds, sorted.
    fires: Vec<f64>,
    /// Of the last window.
    pages: usize,
    rows: usize,
    pairs: usize,
    pair_bytes: usize,
    all_bytes: usize,
}

impl Run {
    /// The middle one of the stretches.
    fn median(&self, cost: fn(&Cost) -> f64) -> f64 {
        let mut all: Vec<f64> = self.costs.iter().map(cost).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(0.0)
    }

    /// Closing a window: the middle one and the longest, in milliseconds.
    fn fire_ms(&self) -> (f64, f64) {
        let at = |place: usize| self.fires.get(place).copied().unwrap_or(0.0) / 1e3;
        (at(self.fires.len() / 2), at(self.fires.len().saturating_sub(1)))
    }

    fn pair_bytes(&self) -> f64 {
        self.pair_bytes as f64 / self.pairs.max(1) as f64
    }
}

/// Measures and gives the report, which `say` is told line by line as it becomes known. `all`: other shapes of load, and cores.
pub fn measure(config: &Config, all: bool, say: &mut dyn FnMut(&str)) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        say(&text);
        out.push_str(&text);
        out.push('\n');
    };
    let engine = EngineConfig::new(config.stack.job.windows);
    let windows = engine.windows;
    let window_s = windows.size_ms() as u64 / 1_000;
    line(format!(
        "# The embedded engine, measured on {}\n\n`clickstream bench engine`, version {}: window {window_s} s, slide {} s. Everything counts: deduplication, all windows, \
         sessions and anomalies. Times are CPU time of the thread that does it; the window is full before measuring begins.\n\nMachine: {}.",
        Timestamp::now().to_string().get(..10).unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
        windows.slide_ms() / 1_000,
        machine::describe(),
    ));
    let shape = Shape::default();
    let events = u64::from(shape.rate) * window_s;
    let main = run(engine, shape, events, events / STRETCHES, STRETCHES);
    main_lines(&main, shape, &mut line);
    if !all {
        return out;
    }
    line(format!(
        "\n## Shapes\n\nOne core, parsed events, {} events in a window. A pair is a (page, user) that is in the window.\n\n| pages | users | pages chosen | ns per event | live pairs | bytes per pair | all state, MB | rows per window | closing a window: p50, max in ms | ms per 1 000 pages |\n|---|---|---|---|---|---|---|---|---|---|",
        thousands(events)
    ));
    for skew in [Skew::Zipf, Skew::Uniform] {
        for (pages, users) in SHAPES {
            let run = run(engine, Shape { pages, users, skew, ..shape }, events, events / 2, 1);
            let (p50, max) = run.fire_ms();
            line(format!(
                "| {} | {} | {skew:?} | {:.0} | {} | {:.0} | {:.0} | {} | {p50:.2}, {max:.2} | {:.2} |",
                thousands(u64::from(pages)),
                thousands(u64::from(users)),
                run.median(|cost| cost.count),
                thousands(run.pairs as u64),
                run.pair_bytes(),
                run.all_bytes as f64 / 1e6,
                thousands(run.rows as u64),
                p50 / (run.pages.max(1) as f64 / 1e3),
            ));
        }
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    line(format!(
        "\n## Cores\n\nJSON bytes to rows, wall time, the default shape; {cores} cores are there. Decoding is spread over threads, the engine takes what they give.\n\n| decoding threads | shards | events per second |\n|---|---|---|"
    ));
    for (decoders, shards) in
        [(0, 1), (1, 1), (2, 1), (1, 2)].into_iter().filter(|(d, s)| d + s <= cores.max(2) + 1)
    {
        let rate = (0..3).map(|_| cores_run(engine, shape, 2_000_000, decoders, shards));
        let mut rates: Vec<f64> = rate.collect();
        rates.sort_by(f64::total_cmp);
        line(format!(
            "| {} | {shards} | {} |",
            if decoders == 0 { "in the engine's".to_owned() } else { decoders.to_string() },
            thousands(rates[1] as u64)
        ));
    }
    out
}

/// Pages and users of the other shapes.
const SHAPES: [(u32, u32); 7] = [
    (100, 100_000),
    (1_000, 1_000),
    (1_000, 100_000),
    (1_000, 10_000_000),
    (10_000, 100_000),
    (100_000, 100_000),
    (1_000_000, 1_000_000),
];

/// What there is to say of the default shape.
fn main_lines(run: &Run, shape: Shape, line: &mut dyn FnMut(String)) {
    let (decode, count) = (run.median(|cost| cost.decode), run.median(|cost| cost.count));
    let per_second = |ns: f64| thousands((1e9 / ns) as u64);
    line(format!(
        "\n## One core, {} pages by Zipf's law, {} users\n\nMedians of {STRETCHES} stretches.\n\n| from | ns per event | events per second |\n|---|---|---|\n| parsed events | {count:.0} | {} |\n| JSON bytes, canonical form (decoding {decode:.0} ns more) | {:.0} | {} |",
        thousands(u64::from(shape.pages)),
        thousands(u64::from(shape.users)),
        per_second(count),
        decode + count,
        per_second(decode + count)
    ));
    let (p50, max) = run.fire_ms();
    line(format!(
        "\n| closing a window: p50, max in ms | rows per window | live pairs | bytes per pair | all state, MB |\n|---|---|---|---|---|\n| {p50:.2}, {max:.2} | {} | {} | {:.0} | {:.0} |",
        thousands(run.rows as u64),
        thousands(run.pairs as u64),
        run.pair_bytes(),
        run.all_bytes as f64 / 1e6,
    ));
}

/// CPU time of this thread.
#[allow(unsafe_code)] // clock_gettime(2) has no safe wrapper in the standard library
fn cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a value of ours
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Fills the window with `fill` events, then measures so many stretches of so many more.
fn run(config: EngineConfig, shape: Shape, fill: u64, stretch: u64, stretches: u64) -> Run {
    let begin = Timestamp(1_795_583_040_000);
    let mut load = Workload::new(shape, begin, 1);
    let mut engine = Engine::new(config, 1);
    let preparer = engine.preparer();
    let mut costs = Vec::new();
    let mut fires = Vec::new();
    let (mut pages, mut rows) = (0, 0);
    let (filling, each) = (fill.div_ceil(CHUNK as u64), stretch.div_ceil(CHUNK as u64));
    let (mut decoding, mut counting) = (Duration::ZERO, Duration::ZERO);
    let chunks = filling + stretches * each;
    for chunk in 0..chunks {
        let measuring = chunk >= filling;
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
            if (chunk + 1 - filling).is_multiple_of(each) {
                let per_event = |time: &mut Duration| {
                    std::mem::take(time).as_nanos() as f64 / (each * CHUNK as u64) as f64
                };
                costs.push(Cost { decode: per_event(&mut decoding), count: per_event(&mut counting) });
            }
        }
    }
    fires.sort_by(f64::total_cmp);
    let slice = config
        .windows
        .slice(Timestamp(begin.0 + (chunks * CHUNK as u64 * 1_000 / u64::from(shape.rate)) as i64));
    let shard = &engine.shards()[0];
    let (ids, names) = engine.front_bytes();
    let (pair_bytes, all) = shard.bytes();
    Run {
        costs,
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

//! How well anomalies are found: traffic with bots, unusual users, spikes and drops, whose truth is known, and clean traffic
//! in which nothing should be found. Event time only, as fast as the machine can.

mod score;

use std::fmt::Write;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Result, anyhow};
use clickstream_engine::{Config as EngineConfig, Engine};
use clickstream_event::{Record, Timestamp, Windows, detection};
use clickstream_traffic::{Traffic, TrafficConfig};

use self::score::{Score, Share, Truth};
use super::{Options, machine};
use crate::config::Config;
use crate::console::steps::Steps;
use clickstream_top::text::thousands;

/// Events per second.
const RATE: f64 = 1_000.0;
/// Share of visits that are bots, and that are unusual users.
const BOTS: f64 = 0.002;
const UNUSUAL: f64 = 0.001;
const SITE: &str = "shop";
/// Midnight of a day, in UTC.
const START: Timestamp = Timestamp(1_795_564_800_000);

/// One run: which seed, for how long, with anything injected or not.
#[derive(Clone, Copy, Debug)]
struct Run {
    seed: u64,
    ms: i64,
    clean: bool,
}

/// Measures, and gives the report.
pub fn measure(config: &Config, options: &Options, steps: &Steps) -> Result<String> {
    let windows = config.stack.job.windows;
    let clean_ms = options.clean.as_millis() as i64;
    let injected =
        (1..=options.seeds).map(|seed| Run { seed, ms: options.duration.as_millis() as i64, clean: false });
    // the longest first, so that no core is idle at the end
    let clean = (clean_ms > 0).then_some(Run { seed: 1_000, ms: clean_ms, clean: true });
    let runs: Vec<Run> = clean.into_iter().chain(injected).collect();
    let began = Instant::now();
    let (mut with, mut without) = (Score::default(), Score::default());
    for (run, score) in all(&runs, config.engine_config(), steps)? {
        if run.clean { without.add(score) } else { with.add(score) }
    }
    let took = began.elapsed().as_secs_f64();
    Ok(report(options, windows, &with, &without, took))
}

/// Does all runs, on every core.
fn all(runs: &[Run], engine: EngineConfig, steps: &Steps) -> Result<Vec<(Run, Score)>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, done) = (Mutex::new(runs.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let Some(run) = next.lock().ok().and_then(|mut next| next.next().copied()) else {
                        return;
                    };
                    let score = one(run, engine);
                    steps.line(&format!("{run:?}: {} events", thousands(score.events)));
                    if let Ok(mut done) = done.lock() {
                        done.push((run, score));
                    }
                }
            });
        }
    });
    let done = done.into_inner().map_err(|_| anyhow!("a run broke"))?;
    if done.len() < runs.len() { Err(anyhow!("a run broke")) } else { Ok(done) }
}

/// Does one run.
fn one(run: Run, engine: EngineConfig) -> Score {
    let on = |share: f64| if run.clean { 0.0 } else { share };
    let mut traffic = Traffic::new(TrafficConfig {
        seed: run.seed,
        rate: RATE,
        start: START,
        sites: vec![SITE.into()],
        bots: on(BOTS),
        unusual: on(UNUSUAL),
        spikes: !run.clean,
    });
    let end = Timestamp(START.0 + run.ms);
    let mut counter = Engine::new(engine, 1);
    let (mut truth, mut anomalies) = (Truth::default(), Vec::new());
    while let Some(timed) = traffic.next().filter(|timed| timed.at < end) {
        truth.note(&timed, traffic.episode());
        let (at, event_time) = (timed.at, timed.event.timestamp);
        counter.push_record(0, at, &Record::Event(timed.event, event_time));
        if counter.has_closed() {
            // what else it finds is not looked at here
            counter.closed().for_each(drop);
            counter.sessions().for_each(drop);
            anomalies.extend(counter.anomalies());
        }
    }
    // long enough for the last slide to be over
    let after = Timestamp(end.0 + 1_000);
    counter.push_record(0, after, &Record::Heartbeat(after));
    anomalies.extend(counter.anomalies());
    Score::new(&truth, &anomalies, SITE, engine.windows.slide_ms(), end)
}

/// The report, in Markdown.
fn report(options: &Options, windows: Windows, with: &Score, without: &Score, took: f64) -> String {
    let date = Timestamp::now().to_string();
    let mut out = format!(
        "# How well anomalies are found, measured on {}\n\n`clickstream bench detection`, version {}: {} runs of {} s each with {RATE} events/s of simulated traffic (event time only; \
         {} events, {took:.0} s on this machine with all that follows). Of the visits {} % are bots and {} % unusual users, of every kind alike; every two minutes there is a spike or a drop. \
         Window {} s, slide {} s. Intervals are Wilson's, at 95 %.\n\nMachine: {}.\n",
        date.get(..10).unwrap_or_default(),
        env!("CARGO_PKG_VERSION"),
        options.seeds,
        options.duration.as_secs(),
        thousands(with.events),
        BOTS * 100.0,
        UNUSUAL * 100.0,
        windows.size_ms() / 1_000,
        windows.slide_ms() / 1_000,
        machine::describe(),
    );
    table(&mut out, "Recall: what was injected, and found", "injected", &with.recall);
    table(&mut out, "Precision: what was reported, and right", "reported", &with.precision);
    let _ = writeln!(
        out,
        "\n{} further reports are neither right nor wrong (see below).",
        thousands(with.neither)
    );
    if without.events > 0 {
        let of = |kind| without.false_reports(kind);
        let _ = writeln!(
            out,
            "\n## Clean traffic\n\n{} events in {} h, nothing injected: {} spikes, {} drops, {} bots and {} unusual users were reported, all of them false.",
            thousands(without.events),
            options.clean.as_secs() / 3_600,
            of("traffic_spike"),
            of("traffic_drop"),
            of("bot"),
            of("unusual_user"),
        );
    }
    let _ = writeln!(
        out,
        "\n## What counts as found

- A spike or drop is found if one of its subject is reported for a slide that overlaps it, or for the slide after. Further reports until two
  slides after it are neither right nor wrong, nor are those of single pages while the whole site rises or falls. Any other is false.
- A bot is found if its user is reported as a bot, by whatever rule. An unusual user is found if he is reported by the rule of his kind.
  A report of anybody else is false; a bot that is reported as unusual counts neither way.
- What began in the last five minutes of a run is not asked for.

The traffic is simulated, and the rules were tuned on such traffic, with other seeds too: these figures say that the rules do what they are meant to do, not how well they would do on a shop of yours. Rules and limits:
`docs/metrics.md`, `crates/event/src/detection.rs` (z of a spike {}, of a drop {}).",
        detection::SPIKE_Z,
        detection::DROP_Z
    );
    out
}

fn table(out: &mut String, title: &str, what: &str, shares: &std::collections::BTreeMap<String, Share>) {
    let _ = writeln!(
        out,
        "\n## {title}\n\n| kind | {what} | of these | share | 95 % interval |\n|---|---|---|---|---|"
    );
    for (kind, share) in shares {
        let (low, high) = share.interval();
        let _ = writeln!(
            out,
            "| {kind} | {} | {} | {:.4} | {low:.4} – {high:.4} |",
            thousands(share.of),
            thousands(share.hits),
            share.value()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_runs_find_most_of_what_was_injected() {
        let engine = EngineConfig::new(Windows::new(300_000, 10_000).unwrap());
        let mut all = Score::default();
        for seed in [1, 2] {
            all.add(one(Run { seed, ms: 420_000, clean: false }, engine));
        }
        for kind in ["bot:fast", "bot:declared", "unusual:purchase", "spike:page"] {
            assert!(all.recall[kind].of > 0 && all.recall[kind].value() > 0.9, "{kind} {all:?}");
        }
        assert!(all.precision["bot"].value() > 0.9, "{all:?}");
        let clean = one(Run { seed: 3, ms: 300_000, clean: true }, engine);
        assert!(clean.recall.is_empty() && clean.precision.is_empty(), "{clean:?}");
    }
}

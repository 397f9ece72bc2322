//! What became of injected records: by the log, and by what the pipeline has written.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use anyhow::Result;
use clickstream_engine::{Engine, Verdict};
use clickstream_event::rows::DeadLetter;
use clickstream_event::{Record, Timestamp, topic};
use serde::Serialize;

use super::{Injected, Kind};
use crate::logs::{Bounds, Log};
use crate::proof::explain::{Question, Subject, explain};
use crate::proof::narrow::Narrow;
use crate::proof::recounting::recount;
use crate::proof::row::Row;
use crate::proof::trace::Place;

/// Dead letters have so long to come.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often is looked.
const EVERY: Duration = Duration::from_millis(100);
/// A window that takes longer to end is not waited for, in milliseconds.
const WAITS_FOR_MS: i64 = 60_000;

/// An injected record.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Fate {
    /// Where it stands.
    #[serde(flatten)]
    pub place: Place,
    /// When it arrived.
    pub arrival: Timestamp,
    /// `counted`, `duplicate`, `late`, or the reason why it is no event: by the recount.
    pub verdict: String,
    /// The event that it is a copy of.
    pub copy_of: Option<Place>,
    /// What was wrong with it, as its dead letter says.
    pub detail: Option<String>,
    /// How long after its arrival its dead letter was written, in milliseconds.
    pub letter_after_ms: Option<i64>,
}

/// A window in which the injected events count, and the copies do not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Proof {
    /// Its site.
    pub site_id: String,
    /// Its end.
    pub window_end: Timestamp,
    /// Its events, as they stand in the topic.
    pub event_count: u64,
    /// Whether the recount, which leaves the copies out, says the same.
    pub equals_recount: bool,
}

/// What became of all of them.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Outcome {
    /// One by one, as they stand in the log.
    pub records: Vec<Fate>,
    /// The window that was looked at.
    pub window: Option<Proof>,
    /// Whether every one became what it should, and the pipeline has said so.
    pub complete: bool,
}

/// Waits for what must come of the records.
pub fn find(injected: &Injected<'_>) -> Result<Outcome> {
    let mut records = verdicts(injected)?;
    let wanted = injected.records.len();
    if injected.kind == Kind::Duplicate {
        let window = window(injected, &records)?;
        let copies = records.iter().filter(|fate| fate.copy_of.is_some()).count();
        let complete = copies * 2 == wanted
            && records.len() == wanted
            && window.as_ref().is_none_or(|w| w.equals_recount);
        return Ok(Outcome { records, window, complete });
    }
    letters(injected, &mut records)?;
    let complete = records.len() == wanted && records.iter().all(|fate| fate.letter_after_ms.is_some());
    Ok(Outcome { records, window: None, complete })
}

/// The records as they stand in the log, with what the recount makes of them.
fn verdicts(injected: &Injected<'_>) -> Result<Vec<Fate>> {
    let config = injected.config.engine_config();
    let now = injected.log.bounds(topic::EVENTS)?;
    // what came shortly before tells how far event time was
    let before = Timestamp(Timestamp::now().0 - 30_000 - 2 * config.max_disorder_ms);
    let part = injected.log.since(topic::EVENTS, &now, before)?;
    let mut engine = Engine::new(config, now.0.len());
    let (mut fates, mut first) = (Vec::new(), HashMap::new());
    recount(injected.log, &mut engine, config.rules, &part, &mut |judged, _| {
        let record = judged.record;
        let value = record.value.unwrap_or_default();
        let place = Place { partition: record.partition, offset: record.offset };
        let is_new = injected
            .events
            .0
            .get(place.partition.max(0) as usize)
            .is_some_and(|(_, end)| place.offset >= *end);
        if !is_new || memchr::memmem::find(value, injected.mark.as_bytes()).is_none() {
            return ControlFlow::Continue(());
        }
        let mut copy_of = None;
        if let Ok(Record::Event(event, _)) = judged.decoded {
            match judged.verdict {
                Verdict::Counted => {
                    first.insert(event.event_id.to_string(), place);
                }
                Verdict::Duplicate => copy_of = first.get(event.event_id.as_ref()).copied(),
                _ => {}
            }
        }
        let verdict = match judged.verdict {
            Verdict::Counted => "counted",
            Verdict::Duplicate => "duplicate",
            Verdict::Heartbeat => "heartbeat",
            Verdict::Late(_) => "late",
            Verdict::Rejected(rejection) => rejection.reason.name(),
        };
        let (arrival, verdict) = (record.arrival, verdict.to_owned());
        fates.push(Fate { place, arrival, verdict, copy_of, detail: None, letter_after_ms: None });
        ControlFlow::Continue(())
    })?;
    fates.sort_by_key(|fate| (fate.arrival, fate.place));
    Ok(fates)
}

/// Waits for the dead letters of the records.
fn letters(injected: &Injected<'_>, records: &mut [Fate]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let mut read = injected.letters.clone();
    loop {
        let held = injected.log.bounds(topic::DEAD_LETTERS)?;
        let part: Vec<_> = read.0.iter().zip(&held.0).map(|((_, from), (_, to))| (*from, *to)).collect();
        injected.log.read(topic::DEAD_LETTERS, &Bounds(part), &mut |record| {
            let letter = record.value.and_then(|value| serde_json::from_slice::<DeadLetter>(value).ok());
            let Some(letter) = letter else { return Ok(()) };
            let place = Place { partition: letter.source_partition, offset: letter.source_offset };
            if let Some(fate) = records.iter_mut().find(|fate| fate.place == place) {
                fate.verdict = letter.reason;
                fate.detail = letter.detail;
                fate.letter_after_ms.get_or_insert((record.arrival.0 - fate.arrival.0).max(0));
            }
            Ok(())
        })?;
        if records.iter().all(|fate| fate.letter_after_ms.is_some()) || Instant::now() > deadline {
            return Ok(());
        }
        read = held;
        std::thread::sleep(EVERY);
    }
}

/// The first window that holds all of the records: whether the pipeline has counted the copies, its row tells.
fn window(injected: &Injected<'_>, records: &[Fate]) -> Result<Option<Proof>> {
    let config = injected.config.engine_config();
    let slide_ms = config.windows.slide_ms();
    let Some(last) = records.iter().map(|fate| fate.arrival).max().filter(|_| slide_ms <= WAITS_FOR_MS)
    else {
        return Ok(None);
    };
    let Some(site_id) = injected.site() else { return Ok(None) };
    let window_end = Timestamp((last.0.div_euclid(slide_ms) + 1) * slide_ms);
    let deadline = Instant::now() + Duration::from_millis(slide_ms as u64) + PATIENCE;
    while !is_written(injected.log, &site_id, window_end)? {
        if Instant::now() > deadline {
            return Ok(None);
        }
        std::thread::sleep(EVERY);
    }
    let question = Question {
        site_id: site_id.clone(),
        subject: Subject::Site,
        window_end,
        narrow: Narrow::default(),
        keep: 0,
    };
    let explanation = explain(injected.log, config, question)?;
    let pair = explanation.rows.iter().find(|pair| pair.topic == topic::SITE_METRICS);
    Ok(pair.and_then(|pair| {
        let Some(Row::Site(row)) = &pair.found else { return None };
        Some(Proof { site_id, window_end, event_count: row.event_count, equals_recount: pair.agrees() })
    }))
}

fn is_written(log: &dyn Log, site_id: &str, window_end: Timestamp) -> Result<bool> {
    let part = log.since(topic::SITE_METRICS, &log.bounds(topic::SITE_METRICS)?, window_end)?;
    let mut written = false;
    log.read(topic::SITE_METRICS, &part, &mut |record| {
        let row = record.value.and_then(|value| Row::parse(topic::SITE_METRICS, value));
        written |= row.is_some_and(|row| row.site() == site_id && row.span().1 == window_end);
        Ok(())
    })?;
    Ok(written)
}

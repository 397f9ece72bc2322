//! One event on its way: where it stands in the log, what became of it, and every row that it is part of.
//!
//! | module | does |
//! |---|---|
//! | [`story`] | what there is to tell |
//! | [`find`] | the record that is meant: by the event's id, by its place, or one that has something to tell |
//! | [`follow`] | its way through the recount: verdict, watermark, session, label, windows |
//! | [`standing`] | what stands in the result topics about it |
//!
//! All of it is read from the log, and recounted as `explain` does; the running pipeline is not asked.

pub mod find;
mod follow;
mod standing;
mod story;

use anyhow::Result;
use clickstream_engine::{Config, Engine};
use clickstream_event::{Event, Record, Timestamp, decode, topic};
use serde_json::Value;

use super::prove::whole_from;
use super::recounting::recount;
use super::whole::Whole;
use crate::logs::Log;
use find::{Kept, Which};
use follow::Follower;
pub use story::{Copy, Counted, Fate, Letter, Moment, Place, Standing, Trace, Visit};

/// Finds the record that is meant and tells its story. `now` is the reader's clock.
pub fn trace(
    log: &dyn Log,
    config: Config,
    (which, site): (&Which, Option<&str>),
    now: impl Fn() -> Timestamp,
) -> Result<Trace> {
    let mut last = None;
    for kept in find::find(log, config, which, site)? {
        let story = tell(log, config, &kept, &now)?;
        // whoever has not said which wants to see one that counts
        if *which != Which::Recent || story.fate == Fate::Counted {
            return Ok(story);
        }
        last = Some(story);
    }
    last.ok_or_else(|| {
        anyhow::anyhow!(
            "no window with an event in it has been written to {} yet: wait for the first one to end, or name an event with --event-id or --offset",
            log.place()
        )
    })
}

fn tell(log: &dyn Log, config: Config, kept: &Kept, now: &impl Fn() -> Timestamp) -> Result<Trace> {
    let decoded = decode(&kept.value, kept.arrival, config.rules);
    let event = match &decoded {
        Ok(Record::Event(event, event_time)) => Some((event, *event_time)),
        _ => None,
    };
    let mut story = Trace {
        log: log.place(),
        place: kept.place,
        key: kept.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()),
        arrival: kept.arrival,
        truth: log.truth(kept.place.partition, kept.place.offset)?,
        event: shown(&kept.value),
        timestamp: event.map(|(event, _)| event.timestamp),
        event_time: decoded.as_ref().ok().map(Record::event_time),
        fate: match &decoded {
            Ok(_) => Fate::Heartbeat,
            Err(rejection) => {
                Fate::Rejected { reason: rejection.reason.name(), detail: rejection.detail.clone() }
            }
        },
        copies: Vec::new(),
        watermark_passed: None,
        labelled_bot: None,
        anomalies: Vec::new(),
        session: None,
        windows: Vec::new(),
        dead_letter: None,
        read_to: kept.arrival,
        live: false,
    };
    if let Some((event, event_time)) = event {
        follow_through(log, config, (kept, event, event_time), &mut story, now)?;
    }
    if matches!(story.fate, Fate::Late { .. } | Fate::Rejected { .. }) {
        story.dead_letter = standing::letter(log, kept)?;
    }
    Ok(story)
}

/// Recounts what the event is part of, and looks for the rows of it.
fn follow_through(
    log: &dyn Log,
    config: Config,
    (kept, event, event_time): (&Kept, &Event<'_>, Timestamp),
    story: &mut Trace,
    now: &impl Fn() -> Timestamp,
) -> Result<()> {
    let windows = config.windows;
    let bounds = log.bounds(topic::EVENTS)?;
    // what came before decides who was a labelled bot, which sessions go on, and which events are copies
    let reach = Whole::reach_ms(windows, config.session_gap_ms).max(config.dedup_horizon_ms);
    let from = Timestamp(event_time.0 - windows.size_ms() - reach);
    let part = log.since(topic::EVENTS, &bounds, from)?;
    let known_from = whole_from(log, &bounds)?.max(Some(from));
    let whole = Whole::new(known_from, windows, config.session_gap_ms);
    let mut engine = Engine::new(config, bounds.0.len());
    engine.watch_labels();
    let mut follower = Follower::new(config, kept, event, event_time, whole);
    recount(log, &mut engine, config.rules, &part, &mut |judged, engine| follower.take(judged, engine))?;
    follower.finish(&mut engine);
    story.fate = follower.fate();
    story.read_to = follower.read_to;
    story.live = log.is_live(follower.read_to, now());
    // what is late comes when the watermark has passed already
    story.watermark_passed = follower.passed.filter(|_| story.fate == Fate::Counted);
    story.copies = std::mem::take(&mut follower.copies);
    if story.fate == Fate::Counted {
        story.labelled_bot = follower.passed.map(|_| follower.labelled);
        story.anomalies = std::mem::take(&mut follower.anomalies);
        story.session = Some(standing::session(log, &mut follower)?);
        story.windows = standing::windows(log, &mut follower, now())?;
    }
    Ok(())
}

/// The value of a record for people and programs: JSON, where it is any.
fn shown(value: &[u8]) -> Value {
    serde_json::from_slice(value).unwrap_or_else(|_| Value::String(clickstream_event::rows::raw_text(value)))
}

//! The record that is meant.

use std::collections::{BTreeSet, HashSet};
use std::ops::ControlFlow;

use anyhow::{Result, bail};
use clickstream_engine::Config;
use clickstream_event::{EventType, Record, Rules, Timestamp, decode, topic};
use clickstream_top::text::thousands;

use super::Place;
use crate::logs::{Bounds, Log, LogRecord, read_until};
use crate::proof::row::Row;

/// Which record is meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Which {
    /// The event with this id.
    Id(String),
    /// The record at this place.
    Place(Place),
    /// A recent event that counts, whose windows have begun to close.
    Recent,
}

/// A record that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Where it stands.
    pub place: Place,
    /// When it arrived.
    pub arrival: Timestamp,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; empty if it has none.
    pub value: Vec<u8>,
}

impl Kept {
    fn of(record: LogRecord<'_>) -> Self {
        Self {
            place: Place { partition: record.partition, offset: record.offset },
            arrival: record.arrival,
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.unwrap_or_default().to_vec(),
        }
    }
}

/// An id is looked for in the last ten minutes of the log first, then in four times as much, and so on: most who ask mean
/// something they have just seen.
const FIRST_LOOK_MS: i64 = 600_000;

/// Whoever wrote an event may have had another limit for what is too far ahead.
const ANY_FUTURE: Rules = Rules { max_future_ms: i64::MAX / 4 };

/// Events that are tried until one counts, where none is named.
const TRIED: usize = 5;

/// An event without a name shall have so many windows closed: enough to compare, and there are some still to come.
const CLOSED: i64 = 3;

/// Rows of a partition that are looked at for the newest window: a row per site and window.
const NEWEST_ROWS: i64 = 200;

/// The record that is meant; of a recent event, a few candidates, the best first. Never empty where one was named.
pub fn find(log: &dyn Log, config: Config, which: &Which, site: Option<&str>) -> Result<Vec<Kept>> {
    match which {
        Which::Place(place) => by_place(log, *place).map(|kept| vec![kept]),
        Which::Id(id) => by_id(log, id, site).map(|kept| vec![kept]),
        Which::Recent => recent(log, config, site),
    }
}

fn by_place(log: &dyn Log, place: Place) -> Result<Kept> {
    let bounds = log.bounds(topic::EVENTS)?;
    let held = usize::try_from(place.partition).ok().and_then(|partition| bounds.0.get(partition));
    let Some((low, high)) = held else {
        bail!(
            "there is no partition {}: {} has {} partitions in {}, numbered from 0",
            place.partition,
            topic::EVENTS,
            bounds.0.len(),
            log.place()
        );
    };
    if !(*low..*high).contains(&place.offset) {
        bail!(
            "partition {} of {} holds the offsets {low} to {} and not {}: {}",
            place.partition,
            topic::EVENTS,
            high - 1,
            place.offset,
            if place.offset < *low {
                "retention has removed it; ask for a newer one"
            } else {
                "nothing has been written there yet"
            }
        );
    }
    let mut kept = None;
    log.read(topic::EVENTS, &Bounds::one(bounds.0.len(), place.partition, place.offset), &mut |record| {
        kept = Some(Kept::of(record));
        Ok(())
    })?;
    kept.ok_or_else(|| anyhow::anyhow!("{} gives no record at {place}; is it being stopped?", log.place()))
}

/// What a record has to do with an id.
enum Hit {
    /// It is the event of this site.
    Event(String),
    /// It is no valid event, but holds the id.
    Broken,
}

fn hit(record: &LogRecord<'_>, id: &str) -> Option<Hit> {
    let value = record.value?;
    match decode(value, record.arrival, ANY_FUTURE) {
        Ok(Record::Event(event, _)) => (event.event_id == id).then(|| Hit::Event(event.site_id.into_owned())),
        Ok(Record::Heartbeat(_)) => None,
        Err(_) => memchr::memmem::find(value, format!("\"{id}\"").as_bytes()).map(|_| Hit::Broken),
    }
}

fn by_id(log: &dyn Log, id: &str, site: Option<&str>) -> Result<Kept> {
    if id.is_empty() {
        bail!(
            "the event id is empty: name one as event_id says it, or a record with --offset PARTITION:OFFSET"
        );
    }
    let bounds = log.bounds(topic::EVENTS)?;
    let now = Timestamp::now();
    let mut look = FIRST_LOOK_MS;
    let mut part = log.since(topic::EVENTS, &bounds, Timestamp(now.0 - look))?;
    let mut before = bounds.clone();
    loop {
        let (mut event, mut broken, mut sites) = (None, None, BTreeSet::new());
        log.read(topic::EVENTS, &part, &mut |record| {
            match hit(&record, id) {
                Some(Hit::Event(of)) if site.is_none_or(|site| site == of) => {
                    sites.insert(of);
                    // the first is the one that counts
                    event.get_or_insert_with(|| Kept::of(record));
                }
                Some(Hit::Broken) => {
                    broken.get_or_insert_with(|| Kept::of(record));
                }
                _ => {}
            }
            Ok(())
        })?;
        if sites.len() > 1 {
            let sites: Vec<String> = sites.into_iter().collect();
            bail!(
                "events of several sites have the id `{id}`: choose one with --site ({})",
                sites.join(", ")
            );
        }
        if let Some(kept) = event.or(broken) {
            return Ok(kept);
        }
        before = Bounds(before.0.iter().zip(&part.0).map(|((low, _), (from, _))| (*low, *from)).collect());
        if before.len() == 0 {
            return Err(not_there(log, id, site, &bounds)?);
        }
        look = look.saturating_mul(4);
        part = log.since(topic::EVENTS, &before, Timestamp(now.0.saturating_sub(look)))?;
    }
}

/// That no event has the id, and what the log holds instead.
fn not_there(log: &dyn Log, id: &str, site: Option<&str>, bounds: &Bounds) -> Result<anyhow::Error> {
    if bounds.len() == 0 {
        return Ok(anyhow::anyhow!(
            "{} holds no events yet: has `clickstream up` run, with traffic?",
            log.place()
        ));
    }
    let mut arrivals = Vec::new();
    let firsts = bounds.0.iter().map(|(low, high)| (*low, (low + 1).min(*high))).collect();
    log.read(topic::EVENTS, &Bounds(firsts), &mut |record| {
        arrivals.push(record.arrival);
        Ok(())
    })?;
    let since = arrivals.iter().min().copied().unwrap_or_default();
    let of_site = site.map_or_else(String::new, |site| format!(" of the site {site}"));
    Ok(anyhow::anyhow!(
        "no event{of_site} with the id `{id}` stands in {}, which holds what has arrived since {since} ({} records): is the id right? `clickstream explain` lists events as PARTITION:OFFSET, which --offset takes",
        log.place(),
        thousands(bounds.len()),
    ))
}

/// Events of a slide that the last few windows to end have in common; of a later one, where the log began only then, or of one before, where
/// it ended: the last windows of a log of the past end long after its last event.
fn recent(log: &dyn Log, config: Config, site: Option<&str>) -> Result<Vec<Kept>> {
    let Some(newest) = newest_window(log, config, site)? else { return Ok(Vec::new()) };
    let windows = config.windows;
    let few = CLOSED.min(windows.slices());
    for closed in (1..=few).rev().chain(few + 1..=windows.slices() + few) {
        let start = Timestamp(newest.0 - closed * windows.slide_ms());
        let found = candidates(log, config, site, (start, Timestamp(start.0 + windows.slide_ms())))?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(Vec::new())
}

/// Events of this stretch of time that are likely to count, the best first.
fn candidates(
    log: &dyn Log,
    config: Config,
    site: Option<&str>,
    (start, end): (Timestamp, Timestamp),
) -> Result<Vec<Kept>> {
    let part = log.since(topic::EVENTS, &log.bounds(topic::EVENTS)?, start)?;
    let mut candidates: Vec<(bool, Kept)> = Vec::new();
    let (mut ids, mut high_marks) = (HashSet::new(), vec![i64::MIN; part.0.len()]);
    let mut best = 0;
    read_until(log, topic::EVENTS, &part, &mut |record| {
        let decoded = decode(record.value.unwrap_or_default(), record.arrival, config.rules);
        let Ok(decoded) = decoded else { return ControlFlow::Continue(()) };
        let event_time = decoded.event_time();
        if let Some(mark) = high_marks.get_mut(record.partition.max(0) as usize) {
            *mark = (*mark).max(event_time.0);
            if event_time.0 < *mark - config.max_disorder_ms {
                return ControlFlow::Continue(());
            }
        }
        let Record::Event(event, _) = decoded else { return ControlFlow::Continue(()) };
        let is_first = ids.insert((event.site_id.clone().into_owned(), event.event_id.clone().into_owned()));
        if is_first
            && (start..end).contains(&event_time)
            && site.is_none_or(|site| event.site_id == site)
            && candidates.len() < 200
        {
            // a view of a product has the most rows to show
            let good = event.event_type == EventType::PageView && event.product_id.is_some();
            best += usize::from(good);
            candidates.push((!good, Kept::of(record)));
        }
        // a log of the past may have been filled at any time
        let is_over = record.arrival >= end && event_time >= end;
        match best >= TRIED || is_over {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    })?;
    candidates.sort_by_key(|(worse, _)| *worse);
    Ok(candidates.into_iter().map(|(_, kept)| kept).take(TRIED).collect())
}

/// End of the newest window of the right shape that is written.
fn newest_window(log: &dyn Log, config: Config, site: Option<&str>) -> Result<Option<Timestamp>> {
    let mut bounds = log.bounds(topic::SITE_METRICS)?;
    bounds.0.iter_mut().for_each(|(low, high)| *low = (*low).max(*high - NEWEST_ROWS));
    let mut newest = None;
    log.read(topic::SITE_METRICS, &bounds, &mut |record| {
        let row = record.value.and_then(|value| Row::parse(topic::SITE_METRICS, value));
        if let Some(Row::Site(row)) = row
            && row.window_end.0 - row.window_start.0 == config.windows.size_ms()
            && site.is_none_or(|site| row.site_id == site)
        {
            newest = newest.max(Some(row.window_end));
        }
        Ok(())
    })?;
    Ok(newest)
}

//! The records that are injected: recent events, made into events of their own, spoilt by the injector of the sample traffic.

use anyhow::Result;
use clickstream_event::{Event, EventType, Record, Rules, Timestamp, decode, topic};
use clickstream_stack::job::template::JobParameters;
use clickstream_traffic::Injections;
use clickstream_traffic::inject::{Injector, Outgoing};
use clickstream_traffic::model::Timed;

use super::Kind;
use crate::logs::Log;

/// Newest records of a partition that are looked at.
const NEWEST: i64 = 100;

/// A record to be written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Made {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Vec<u8>,
    /// What it says about itself in the header that the pipeline never reads.
    pub truth: Option<&'static str>,
}

/// A recent event, and the key that it had: what is made of it goes into the same partition.
pub type Template = (String, Event<'static>);

/// Makes records.
pub struct Maker<'j> {
    /// What is wrong with them.
    pub kind: Kind,
    /// Stands in every one of them, and in nothing else.
    pub mark: String,
    /// Their site, where there is no event to make them of.
    pub site: &'j str,
    /// The limits that they must break.
    pub job: &'j JobParameters,
    /// What they are made of.
    pub templates: Vec<Template>,
}

/// The newest page views of each partition; of a log without any, other events.
pub fn recent_events(log: &dyn Log) -> Result<Vec<Template>> {
    let mut bounds = log.bounds(topic::EVENTS)?;
    bounds.0.iter_mut().for_each(|(low, high)| *low = (*low).max(*high - NEWEST));
    let (mut views, mut others) = (Vec::new(), Vec::new());
    log.read(topic::EVENTS, &bounds, &mut |record| {
        let value = record.value.unwrap_or_default();
        if let Ok(Record::Event(event, _)) = decode(value, record.arrival, Rules::default()) {
            let key = record.key.and_then(|key| std::str::from_utf8(key).ok());
            let key = key.map_or_else(|| event.page_url.to_string(), str::to_owned);
            let list = if event.event_type == EventType::PageView { &mut views } else { &mut others };
            list.push((key, owned(event)));
        }
        Ok(())
    })?;
    Ok(if views.is_empty() { others } else { views })
}

fn owned(event: Event<'_>) -> Event<'static> {
    let own = |text: std::borrow::Cow<'_, str>| text.into_owned().into();
    let option = |text: Option<std::borrow::Cow<'_, str>>| text.map(|text| text.into_owned().into());
    Event {
        event_id: own(event.event_id),
        site_id: own(event.site_id),
        event_type: event.event_type,
        user_id: own(event.user_id),
        session_id: own(event.session_id),
        page_url: own(event.page_url),
        product_id: option(event.product_id),
        timestamp: event.timestamp,
        referrer: option(event.referrer),
        user_agent: option(event.user_agent),
        element: option(event.element),
        value: event.value,
        currency: option(event.currency),
    }
}

impl Maker<'_> {
    /// So many records as of `now`; of duplicates so many events, each with a copy right behind it.
    pub fn make(&self, count: u32, now: Timestamp) -> Vec<Made> {
        let share = |kind: Kind| if self.kind == kind { 1.0 } else { 0.0 };
        let shares = Injections {
            late: share(Kind::Late),
            duplicate: share(Kind::Duplicate),
            malformed: share(Kind::Malformed),
            future: share(Kind::Future),
        };
        let mut injector = Injector::new(shares, now.0 as u64);
        let mut made = Vec::new();
        for n in 0..count {
            let (key, event) = self.event(n, now);
            let (record, copy) = injector.apply(Timed { at: now, event, truth: None });
            for record in std::iter::once(record).chain(copy) {
                made.push(Made { key: key.clone(), truth: record.truth, value: self.value(record) });
            }
        }
        made
    }

    /// The n-th event, of a visitor of its own: nobody's session is prolonged, and nobody becomes a bot by it.
    fn event(&self, n: u32, now: Timestamp) -> Template {
        let defaults = Rules::default();
        let (key, template) = match self.templates.len() {
            0 => ("/".to_owned(), made_up(self.site)),
            // spread over them: neighbours may be of one visitor
            len => self.templates[(n as usize * 37) % len].clone(),
        };
        let id = format!("{}-{}", self.mark, n + 1);
        // the injector knows the default limits only
        let shift = match self.kind {
            Kind::Late => -self.job.max_disorder_ms,
            Kind::Future => (self.job.max_future_ms - defaults.max_future_ms).max(0),
            Kind::Duplicate | Kind::Malformed => 0,
        };
        let event = Event {
            event_id: id.clone().into(),
            user_id: id.clone().into(),
            session_id: id.into(),
            timestamp: Timestamp(now.0 + shift),
            ..template
        };
        (key, event)
    }

    /// The bytes of a record. Some ways to be no event leave nothing of it: the mark is put behind them, which mends nothing.
    fn value(&self, record: Outgoing) -> Vec<u8> {
        let Some(mut value) = record.raw else {
            let mut value = Vec::new();
            record.event.encode(&mut value);
            return value;
        };
        if memchr::memmem::find(&value, self.mark.as_bytes()).is_none() {
            value.extend_from_slice(format!(" {}", self.mark).as_bytes());
            // one like it may have been made before
            value.extend_from_slice(record.event.event_id.trim_start_matches(self.mark.as_str()).as_bytes());
        }
        value
    }
}

/// Where the log holds no event yet.
fn made_up(site: &str) -> Event<'static> {
    Event {
        event_id: "".into(),
        site_id: site.to_owned().into(),
        event_type: EventType::PageView,
        user_id: "".into(),
        session_id: "".into(),
        page_url: "/".into(),
        product_id: None,
        timestamp: Timestamp(0),
        referrer: None,
        user_agent: None,
        element: None,
        value: None,
        currency: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use clickstream_event::{Reason, Windows};

    use super::*;

    fn make(kind: Kind, max_disorder_ms: i64, max_future_ms: i64) -> Vec<Made> {
        let matches = crate::cli::command().try_get_matches_from(["clickstream", "config"]).unwrap();
        let settings =
            crate::config::layers::Settings::load(matches.subcommand().unwrap().1, std::iter::empty())
                .unwrap();
        let mut job = crate::config::Config::from_settings(&settings).unwrap().stack.job;
        (job.max_disorder_ms, job.max_future_ms) = (max_disorder_ms, max_future_ms);
        job.windows = Windows::new(60_000, 10_000).unwrap();
        let templates = vec![
            ("/".to_owned(), made_up("shop")),
            ("/p".to_owned(), Event { page_url: "/p".into(), ..made_up("shop") }),
        ];
        Maker { kind, mark: "chaos-1".into(), site: "shop", job: &job, templates }.make(200, NOW)
    }

    const NOW: Timestamp = Timestamp(1_795_583_043_000);

    #[test]
    fn each_kind_breaks_the_rule_it_is_named_for() {
        for (disorder, future) in [(100, 10_000), (60_000, 600_000), (1, 0)] {
            let rules = Rules { max_future_ms: future };
            for record in make(Kind::Late, disorder, future) {
                let Ok(Record::Event(_, ts)) = decode(&record.value, NOW, rules) else {
                    panic!("{record:?}")
                };
                assert!(ts.0 < NOW.0 - disorder - 400, "{ts}");
            }
            for record in make(Kind::Future, disorder, future) {
                let rejected = decode(&record.value, NOW, rules).unwrap_err();
                assert_eq!(rejected.reason, Reason::FutureTimestamp);
            }
            let malformed = make(Kind::Malformed, disorder, future);
            for record in &malformed {
                assert!(decode(&record.value, NOW, rules).is_err(), "{record:?}");
                assert!(memchr::memmem::find(&record.value, b"chaos-1").is_some(), "{record:?}");
            }
            let different: HashSet<_> = malformed.iter().map(|record| &record.value).collect();
            assert_eq!(different.len(), 200);
        }
        let pairs = make(Kind::Duplicate, 100, 10_000);
        assert_eq!(pairs.len(), 400);
        assert!(pairs.chunks(2).all(|pair| pair[0].value == pair[1].value && pair[0].key == pair[1].key));
        assert!(pairs.chunks(2).all(|pair| pair[0].truth.is_none() && pair[1].truth == Some("duplicate")));
    }
}

//! An event's way through the recount.

use std::ops::ControlFlow;

use clickstream_engine::{Config, Engine, Labelled, Verdict};
use clickstream_event::rows::{Anomaly, Session};
use clickstream_event::{Event, EventType, Record, Timestamp};

use super::find::Kept;
use super::{Copy, Fate, Moment, Place};
use crate::proof::recounting::Judged;
use crate::proof::row::{self, Row};
use crate::proof::whole::Whole;

/// The event that is followed.
pub struct Subject {
    pub place: Place,
    pub arrival: Timestamp,
    pub event_time: Timestamp,
    pub event_type: EventType,
    pub event_id: String,
    pub site_id: String,
    pub user_id: String,
    pub session_id: String,
    pub page_url: String,
    pub product_id: Option<String>,
}

/// A window that the event would count in.
pub struct Pane {
    pub end: Timestamp,
    pub closed: Option<Moment>,
    /// Its rows about the event by the recount.
    pub rows: Vec<Row>,
}

/// Notes what concerns one event while the log is recounted.
pub struct Follower {
    pub config: Config,
    pub subject: Subject,
    /// What can be recounted.
    pub whole: Whole,
    verdict: Option<Verdict>,
    /// The record of its site and id that counts, so far.
    first: Option<Place>,
    pub copies: Vec<Copy>,
    pub passed: Option<Moment>,
    pub labelled: bool,
    pub anomalies: Vec<Anomaly>,
    pub panes: Vec<Pane>,
    /// Of the event's session id, the event times that count.
    visits: Vec<Timestamp>,
    /// Its session, once that has closed, and when that was found.
    pub session: Option<(Session, Moment)>,
    pub read_to: Timestamp,
}

impl Follower {
    /// Follows this event.
    pub fn new(config: Config, kept: &Kept, event: &Event<'_>, event_time: Timestamp, whole: Whole) -> Self {
        let pane = |end| Pane { end, closed: None, rows: Vec::new() };
        Self {
            config,
            subject: Subject {
                place: kept.place,
                arrival: kept.arrival,
                event_time,
                event_type: event.event_type,
                event_id: event.event_id.to_string(),
                site_id: event.site_id.to_string(),
                user_id: event.user_id.to_string(),
                session_id: event.session_id.to_string(),
                page_url: event.page_url.to_string(),
                product_id: event.product_id.as_ref().map(ToString::to_string),
            },
            whole,
            verdict: None,
            first: None,
            copies: Vec::new(),
            passed: None,
            labelled: false,
            anomalies: Vec::new(),
            panes: config.windows.ends(event_time).map(pane).collect(),
            visits: Vec::new(),
            session: None,
            read_to: kept.arrival,
        }
    }

    /// Takes the next record of the log; enough is known when nothing about the event can change any more.
    pub fn take(&mut self, judged: Judged<'_>, engine: &mut Engine) -> ControlFlow<()> {
        let Judged { record, decoded, verdict } = judged;
        let moment =
            Moment { at: record.arrival, by: Place { partition: record.partition, offset: record.offset } };
        self.read_to = self.read_to.max(record.arrival);
        if let Ok(Record::Event(event, event_time)) = decoded {
            self.event(event, *event_time, verdict, moment);
        }
        let watermark = engine.watermark();
        if self.verdict.is_some() {
            self.pass(watermark, moment);
        }
        if engine.has_closed() {
            self.take_decided(engine, moment);
        }
        self.is_over(engine, moment)
    }

    /// Takes what is decided at the end of the log.
    pub fn finish(&mut self, engine: &mut Engine) {
        let moment = Moment { at: self.read_to, by: self.subject.place };
        self.take_decided(engine, moment);
    }

    fn event(&mut self, event: &Event<'_>, event_time: Timestamp, verdict: &Verdict, moment: Moment) {
        let subject = &self.subject;
        if event.site_id != subject.site_id {
            return;
        }
        let counts = *verdict == Verdict::Counted;
        if event.event_id == subject.event_id {
            if moment.by == subject.place {
                self.verdict = Some(verdict.clone());
            } else {
                self.copies.push(Copy { place: moment.by, arrival: moment.at, counted: counts });
            }
            // an id may count again after the horizon: a copy is one of the last that did
            if counts && (self.verdict.is_none() || moment.by == subject.place) {
                self.first = Some(moment.by);
            }
        }
        if counts && event.session_id == subject.session_id {
            self.visits.push(event_time);
        }
    }

    /// The watermark stands there now.
    fn pass(&mut self, watermark: Option<Timestamp>, moment: Moment) {
        let Some(watermark) = watermark else { return };
        if watermark >= self.subject.event_time {
            self.passed.get_or_insert(moment);
        }
        for pane in &mut self.panes {
            if watermark.0 >= pane.end.0 - 1 {
                pane.closed.get_or_insert(moment);
            }
        }
    }

    /// Takes what the recount has decided since the last time.
    fn take_decided(&mut self, engine: &mut Engine, moment: Moment) {
        let subject = &self.subject;
        let sessions: Vec<Session> = engine.sessions().collect();
        for session in sessions {
            self.whole.session(&session);
            if self.session.is_none()
                && session.site_id == subject.site_id
                && session.session_id == subject.session_id
                && (session.session_start..=session.session_end).contains(&subject.event_time)
            {
                self.session = Some((session, moment));
            }
        }
        self.anomalies.extend(engine.anomalies().filter(|anomaly| {
            anomaly.site_id == subject.site_id
                && anomaly.subject == subject.user_id
                && matches!(anomaly.kind.as_str(), "bot" | "unusual_user")
        }));
        self.labelled |= engine.labelled().iter().any(|event| subject.is(event));
        let closed: Vec<_> = engine.closed().collect();
        for window in closed {
            let Some(pane) = self.panes.iter_mut().find(|pane| pane.end == window.end) else { continue };
            row::of_window(window, &mut |row| {
                if subject.is_in(&row) {
                    pane.rows.push(row);
                }
            });
        }
    }

    fn is_over(&mut self, engine: &mut Engine, moment: Moment) -> ControlFlow<()> {
        match &self.verdict {
            None => return ControlFlow::Continue(()),
            // nothing more happens to what counts nowhere
            Some(verdict) if *verdict != Verdict::Counted => return ControlFlow::Break(()),
            Some(_) => {}
        }
        if self.panes.iter().any(|pane| pane.closed.is_none()) {
            return ControlFlow::Continue(());
        }
        // all windows have ended; a session may go on, and is looked at when it could be over
        let gap = self.config.session_gap_ms;
        if self.session.is_none()
            && self.visit().is_some_and(|(_, last, _)| {
                engine.watermark().is_some_and(|watermark| watermark.0 >= last.0 + gap - 1)
            })
        {
            self.take_decided(engine, moment);
        }
        match self.session {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }

    /// What became of the event; one that the recount has not come to is taken for counted: it was just written.
    pub fn fate(&self) -> Fate {
        match self.verdict.as_ref().map(|verdict| Fate::of(verdict, self.config.max_disorder_ms)) {
            Some(Fate::Duplicate { .. }) => Fate::Duplicate { of: self.first },
            Some(fate) => fate,
            None => Fate::Counted,
        }
    }

    /// The events of the session around the event as far as they have come: first, last, and how many.
    pub fn visit(&self) -> Option<(Timestamp, Timestamp, u64)> {
        visit(self.visits.clone(), self.subject.event_time, self.config.session_gap_ms)
    }
}

/// Of event times of a session id, those that are one session with `at`: first, last, and how many.
fn visit(mut times: Vec<Timestamp>, at: Timestamp, gap_ms: i64) -> Option<(Timestamp, Timestamp, u64)> {
    times.sort_unstable();
    times
        .chunk_by(|one, next| next.0 - one.0 < gap_ms)
        .map(|visit| (visit[0], visit[visit.len() - 1], visit.len() as u64))
        .find(|(first, last, _)| (*first..=*last).contains(&at))
}

impl Subject {
    /// Whether the event is this one, as far as the engine keeps what tells them apart.
    fn is(&self, event: &Labelled) -> bool {
        event.event_time == self.event_time
            && event.partition as i32 == self.place.partition
            && event.event_type == self.event_type
            && event.site_id == self.site_id
            && event.user_id == self.user_id
            && event.session_id == self.session_id
            && event.page_url == self.page_url
            && event.product_id == self.product_id.as_deref().unwrap_or_default()
    }

    /// Whether a row is one of those that a trace shows: the metrics of the page, the product and the site.
    pub fn is_in(&self, row: &Row) -> bool {
        row.site() == self.site_id
            && match row {
                Row::Page(row) => row.page_url == self.page_url,
                Row::Product(row) => self.product_id.as_deref() == Some(row.product_id.as_str()),
                Row::Site(_) => true,
                _ => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_where_the_gap_is() {
        let times = |times: &[i64]| times.iter().map(|at| Timestamp(*at)).collect::<Vec<_>>();
        let of = |at: i64| {
            visit(times(&[40, 0, 10, 19, 49, 100]), Timestamp(at), 10).map(|(from, to, n)| (from.0, to.0, n))
        };
        // a gap of exactly the session gap ends it
        assert_eq!(of(0), Some((0, 0, 1)));
        assert_eq!(of(19), Some((10, 19, 2)));
        assert_eq!(of(49), Some((40, 49, 2)));
        assert_eq!(of(100), Some((100, 100, 1)));
        assert_eq!(of(60), None);
    }
}

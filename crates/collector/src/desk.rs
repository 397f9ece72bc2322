//! Where messages become records: gaps filled, repeats recognised, the rule for valid events asked, the log's acknowledgement awaited.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use clickstream_event::page_url::UrlRules;
use clickstream_event::validate::MAX_BYTES;
use clickstream_event::{Event, EventType, Rules, Timestamp, decode};
use futures_util::future::join_all;

use crate::clock::EventTime;
use crate::counts::Counters;
use crate::draft::{Draft, Fault, Item, Parsed};
use crate::intake::{IntakeError, Record};
use crate::keys::{Sites, Stranger};
use crate::limits::{Held, Rates};
use crate::protocol::{NO_PAGE, own};
use crate::seen::{Claims, Known, Seen};
use crate::visitor::{Visitors, Visits};
use crate::writer::{At, Pending, Writer};

/// The log has so long to acknowledge before the client is sent away; it may come back.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Of what cannot even be unpacked or counted, so much stands in the dead letter.
pub const CUT: usize = 1_024;
/// Of what is too long to be an event, so much: as little as the pipeline still finds too long, with room for a whole character.
pub const TOO_LONG: usize = MAX_BYTES + 4;
/// Referrers and addresses are cut to so many characters.
const MAX_ADDRESS: usize = 2_048;
/// What a record's partition is chosen by.
pub type KeyOf = Arc<dyn Fn(&Event<'_>) -> String + Send + Sync>;

/// Everything that an event needs on its way.
pub struct Desk {
    /// The way into the log.
    pub writer: Writer,
    /// Ids that are in it.
    pub seen: Seen,
    /// Visitors without an id.
    pub visitors: Visitors,
    /// Visits without an id.
    pub visits: Visits,
    /// Whose clock counts.
    pub time: EventTime,
    /// How addresses become pages.
    pub urls: UrlRules,
    /// Who may send for which site.
    pub sites: Sites,
    /// How much.
    pub rates: Rates,
    /// The rule for valid events.
    pub rules: Rules,
    /// What a record's partition is chosen by.
    pub key_of: KeyOf,
    /// What became of everything.
    pub counters: Arc<Counters>,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The address; it is hashed or forgotten.
    pub address: IpAddr,
    /// The browser.
    pub user_agent: Option<String>,
}

/// What became of the messages of a request.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Events that are in the log now.
    pub accepted: usize,
    /// Messages that were in it before.
    pub repeated: usize,
    /// Messages that are counted nowhere, and what they are.
    pub not_counted: Vec<&'static str>,
    /// Messages that are no events, by their place.
    pub bad: Vec<(usize, Fault)>,
}

/// Why nothing can be said of a request's messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// A key is missing or none that is known. Nothing was written.
    UnknownKey,
    /// A key is another site's. Nothing was written.
    OtherSite,
    /// Too much of this address or key. Nothing was written.
    TooFast(Duration),
    /// The log did not acknowledge in time. It may still do so; a repeat is recognised.
    Overload,
    /// The log takes no more.
    Closed,
}

/// What a request's messages have become, before they are written.
struct Batch {
    claims: Claims,
    records: Vec<Pending>,
    outcome: Outcome,
    repeats: Vec<crate::seen::UnderWay>,
}

impl Desk {
    /// Takes the messages of a request, and answers when the log has acknowledged them.
    pub async fn take(&self, items: Vec<Item>, sender: &Sender, held: Held) -> Result<Outcome, Refusal> {
        let sites = self.admit(&items, sender)?;
        let now = Timestamp::now();
        let mut batch = Batch {
            claims: self.seen.claims(),
            records: Vec::with_capacity(items.len()),
            outcome: Outcome::default(),
            repeats: Vec::new(),
        };
        for (index, (item, site)) in items.into_iter().zip(sites).enumerate() {
            let fault = match (item.parsed, site) {
                (Parsed::NotCounted(what), _) => {
                    batch.outcome.not_counted.push(what);
                    continue;
                }
                (Parsed::Bad(fault), _) | (Parsed::Event(_), Err(fault)) => fault,
                (Parsed::Event(draft), Ok(site)) => match self.event(*draft, site, sender, now, &mut batch) {
                    Ok(()) => continue,
                    Err(fault) => fault,
                },
            };
            self.counters.rejected(fault.reason);
            batch.outcome.bad.push((index, fault));
            let record = Record { key: None, value: dead(item.raw, self.rules) };
            batch.records.push(Pending { at: At::No, session: None, record });
        }
        self.write(batch, now, held).await
    }

    /// Writes a dead letter for a body that was not even read to its end.
    pub async fn refuse(
        &self,
        raw: Vec<u8>,
        key: Option<String>,
        fault: Fault,
        sender: &Sender,
        held: Held,
    ) -> Result<Outcome, Refusal> {
        self.take(vec![Item { raw, key, parsed: Parsed::Bad(fault) }], sender, held).await
    }

    /// Whether a request may send what it sends; the site of each message.
    fn admit(&self, items: &[Item], sender: &Sender) -> Result<Vec<Result<String, Fault>>, Refusal> {
        let too_fast = |wait| {
            self.counters.rate_limited();
            Refusal::TooFast(wait)
        };
        self.rates.address(sender.address, items.len().max(1)).map_err(too_fast)?;
        let mut sites = Vec::with_capacity(items.len());
        for item in items {
            let named = match &item.parsed {
                Parsed::Event(draft) => draft.site_id.as_deref(),
                _ => None,
            };
            sites.push(match self.sites.site(item.key.as_deref(), named) {
                Ok(site) => Ok(site),
                Err(Stranger::Name(fault)) => Err(fault),
                Err(stranger) => {
                    self.counters.unauthorized();
                    return Err(match stranger {
                        Stranger::OtherSite => Refusal::OtherSite,
                        _ => Refusal::UnknownKey,
                    });
                }
            });
        }
        // trackers use one key a request
        if let Some(site) = sites.iter().flatten().next() {
            self.rates.key(site, items.len()).map_err(too_fast)?;
        }
        Ok(sites)
    }

    /// Makes a record of a draft, unless it is a repeat.
    fn event(
        &self,
        draft: Draft,
        site: String,
        sender: &Sender,
        now: Timestamp,
        batch: &mut Batch,
    ) -> Result<(), Fault> {
        let at = self.time.of(now, draft.created, draft.sent);
        let own_time = self.time == EventTime::Client && draft.created.is_some();
        let user_agent =
            cut(draft.user_agent.or_else(|| sender.user_agent.clone()).unwrap_or_default(), MAX_ADDRESS);
        let user = draft.user_id.unwrap_or_else(|| self.visitors.id(&site, sender.address, &user_agent, now));
        let page = match draft.address.as_deref() {
            None | Some("") => return Err(Fault::missing("page_url")),
            Some(NO_PAGE) => NO_PAGE.to_owned(),
            Some(address) => cut(self.urls.page(address), MAX_ADDRESS),
        };
        let event_id = draft.event_id.unwrap_or_else(fresh_id);
        match batch.claims.claim(&site, &event_id, now) {
            Known::New => {}
            Known::Acknowledged => {
                batch.outcome.repeated += 1;
                return Ok(());
            }
            Known::UnderWay(other) => {
                batch.outcome.repeated += 1;
                batch.repeats.push(other);
                return Ok(());
            }
        }
        let session = draft.session_id.unwrap_or_else(|| self.visits.id(&site, &user, at));
        let event = Event {
            event_id: event_id.into(),
            site_id: site.into(),
            event_type: draft.kind,
            user_id: user.into(),
            session_id: session.into(),
            page_url: page.into(),
            product_id: draft.product_id.map(Into::into),
            timestamp: at,
            referrer: draft.referrer.map(|referrer| cut(referrer, MAX_ADDRESS).into()),
            user_agent: Some(user_agent).filter(|text| !text.is_empty()).map(Into::into),
            element: draft.element.map(|element| cut(element, MAX_ADDRESS).into()),
            value: draft.value,
            currency: draft.currency.map(Into::into),
        };
        let mut value = Vec::with_capacity(512);
        event.encode(&mut value);
        // one rule for valid events: what the pipeline would not take is not accepted here
        if let Err(rejection) = decode(&value, now, self.rules) {
            batch.claims.give_back();
            return Err(own::fault(rejection.reason, &rejection.detail, &String::from_utf8_lossy(&value)));
        }
        let is_view = event.event_type == EventType::PageView;
        let session = is_view.then(|| self.writer.session(&event.site_id, &event.session_id));
        // when it is handed over, if its own clock does not count
        let at = if own_time { At::Client(at) } else { At::Arrival };
        let record = Record { key: Some((self.key_of)(&event)), value };
        batch.records.push(Pending { at, session, record });
        batch.outcome.accepted += 1;
        Ok(())
    }

    /// Writes what is new, and waits for that and for what others are writing.
    async fn write(&self, batch: Batch, now: Timestamp, held: Held) -> Result<Outcome, Refusal> {
        let Batch { claims, records, outcome, repeats } = batch;
        let written = claims.under_way();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        if records.is_empty() {
            claims.acknowledged(now);
        } else {
            let (writer, counters) = (self.writer.clone(), Arc::clone(&self.counters));
            let accepted = outcome.accepted as u64;
            let (failed, failure) = tokio::sync::oneshot::channel();
            // goes on when the client's patience, or ours, has ended: what the log takes late must be known
            tokio::spawn(async move {
                match writer.write(records).await {
                    Ok(()) => {
                        counters.accepted(accepted);
                        claims.acknowledged(Timestamp::now());
                    }
                    Err(error) => {
                        tracing::debug!(%error, "a request was not written");
                        let _ = failed.send(error);
                    }
                }
                drop(held);
            });
            match tokio::time::timeout_at(deadline, written.ended()).await {
                Ok(true) => {}
                Ok(false) => {
                    self.counters.overloaded();
                    return Err(match failure.await {
                        Ok(IntakeError::Failed(_)) => Refusal::Closed,
                        _ => Refusal::Overload,
                    });
                }
                Err(_) => {
                    self.counters.overloaded();
                    return Err(Refusal::Overload);
                }
            }
        }
        let others = join_all(repeats.into_iter().map(crate::seen::UnderWay::ended));
        match tokio::time::timeout_at(deadline, others).await {
            Ok(endings) if endings.iter().all(|ending| *ending) => {}
            _ => {
                self.counters.overloaded();
                return Err(Refusal::Overload);
            }
        }
        self.counters.repeated(outcome.repeated as u64);
        self.counters.not_counted(outcome.not_counted.len() as u64);
        Ok(outcome)
    }
}

/// An id that no other event has: who sends none cannot be told from others that send the same in the same millisecond.
fn fresh_id() -> String {
    static RUN: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0));
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{:016x}{:08x}", *RUN, NEXT.fetch_add(1, Ordering::Relaxed))
}

fn cut(mut text: String, chars: usize) -> String {
    if text.len() > chars
        && let Some((end, _)) = text.char_indices().nth(chars)
    {
        text.truncate(end);
    }
    text
}

/// The first `most` bytes; not to the middle of a character, if it is text.
pub fn beginning(bytes: &[u8], most: usize) -> &[u8] {
    let start = &bytes[..bytes.len().min(most)];
    match std::str::from_utf8(start) {
        Err(error) if start.len() < bytes.len() && error.error_len().is_none() => {
            &start[..error.valid_up_to()]
        }
        _ => start,
    }
}

/// The value of a record that the pipeline will put into the dead letters: the message as it is, or its beginning. What the pipeline
/// would take for an event or a heartbeat is written as a JSON text.
fn dead(mut raw: Vec<u8>, rules: Rules) -> Vec<u8> {
    let whole = beginning(&raw, TOO_LONG).len();
    raw.truncate(whole);
    let far = Timestamp(i64::MAX / 4);
    if decode(&raw, far, rules).is_ok() {
        let text = String::from_utf8_lossy(&raw);
        return serde_json::to_vec(&text).unwrap_or_default();
    }
    raw
}

#[cfg(test)]
mod tests {
    use clickstream_event::validate::Reason;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_refused_never_counts() {
        let rules = Rules::default();
        let beat =
            br#"{"event_type":"heartbeat","site_id":"s","timestamp":"2026-11-25T14:05:10.123Z"}"#.to_vec();
        let quoted = dead(beat.clone(), rules);
        assert_eq!(serde_json::from_slice::<String>(&quoted).unwrap().as_bytes(), beat);
        assert!(decode(&quoted, Timestamp::now(), rules).is_err());
        assert_eq!(dead(b"{\"a\":1}".to_vec(), rules), b"{\"a\":1}");
        for fill in ["x", "ä", "€", "𝄞"] {
            let long = dead(format!("x{}", fill.repeat(MAX_BYTES)).into_bytes(), rules);
            assert!(long.len() <= TOO_LONG);
            let why = decode(&long, Timestamp::now(), rules).map_err(|rejection| rejection.reason);
            assert_eq!(why, Err(Reason::TooLong), "{fill}");
        }
        assert_eq!(dead(vec![0xff; MAX_BYTES + 9], rules).len(), TOO_LONG);
    }

    #[test]
    fn ids_differ() {
        assert_ne!(fresh_id(), fresh_id());
    }

    proptest! {
        #[test]
        fn no_dead_letter_is_a_record(raw in any::<Vec<u8>>()) {
            prop_assert!(decode(&dead(raw, Rules::default()), Timestamp::now(), Rules::default()).is_err());
        }

        #[test]
        fn texts_are_cut_between_characters(text in ".{0,40}", chars in 0usize..30) {
            let expected: String = text.chars().take(chars).collect();
            prop_assert_eq!(cut(text, chars), expected);
        }
    }
}

//! Reads the result topics as they grow, and puts the rows of a window together.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use clickstream_event::rows::{DeadLetter, SiteMetrics, TopPage};
use clickstream_event::{Timestamp, topic};
use hdrhistogram::Histogram;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::Message;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A row of a result topic, as read.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// The topic.
    pub topic: &'static str,
    /// When it could be read, by our clock.
    pub at: Timestamp,
    /// The row.
    pub row: Row,
}

/// A row, as far as the console looks into it.
#[derive(Clone, Debug)]
pub enum Row {
    /// Of the site metrics.
    Site(SiteMetrics),
    /// Of the top pages.
    Top(TopPage),
    /// Of another windowed topic: only the window's end matters.
    Other(Timestamp),
    /// A dead letter.
    Dead(DeadLetter),
}

impl Row {
    /// First instant after the row's window; a dead letter has none.
    pub fn window_end(&self) -> Option<Timestamp> {
        match self {
            Self::Site(row) => Some(row.window_end),
            Self::Top(row) => Some(row.window_end),
            Self::Other(end) => Some(*end),
            Self::Dead(_) => None,
        }
    }
}

#[derive(Deserialize)]
struct WindowEnd {
    window_end: Timestamp,
}

fn parse(topic: &'static str, payload: &[u8]) -> Option<Row> {
    match topic {
        topic::SITE_METRICS => serde_json::from_slice(payload).ok().map(Row::Site),
        topic::TOP_PAGES => serde_json::from_slice(payload).ok().map(Row::Top),
        topic::DEAD_LETTERS => serde_json::from_slice(payload).ok().map(Row::Dead),
        _ => serde_json::from_slice(payload).ok().map(|WindowEnd { window_end }| Row::Other(window_end)),
    }
}

/// Reads all result topics from their present end on, and sends each row as it becomes readable.
pub async fn follow(
    kafka: &str,
    rows: mpsc::Sender<Arrived>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let consumer: StreamConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka)
        .set("group.id", "clickstream-console")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.wait.max.ms", "50")
        .set("reconnect.backoff.max.ms", "500")
        .set("auto.offset.reset", "earliest")
        .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for name in topic::RESULTS.into_iter().chain([topic::DEAD_LETTERS]) {
        let metadata = consumer.fetch_metadata(Some(name), Duration::from_secs(10))?;
        for partition in metadata.topics().iter().flat_map(|t| t.partitions()) {
            let (_, high) = consumer.fetch_watermarks(name, partition.id(), Duration::from_secs(10))?;
            assignment.add_partition_offset(name, partition.id(), Offset::Offset(high))?;
        }
    }
    consumer.assign(&assignment)?;
    loop {
        let message = tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            message = consumer.recv() => message,
        };
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, "result topics cannot be read at the moment");
                continue;
            }
        };
        let at = Timestamp::now();
        let name =
            topic::RESULTS.into_iter().chain([topic::DEAD_LETTERS]).find(|name| *name == message.topic());
        if let (Some(topic), Some(payload)) = (name, message.payload())
            && let Some(row) = parse(topic, payload)
            && rows.send(Arrived { topic, at, row }).await.is_err()
        {
            return Ok(());
        }
    }
}

/// A window whose rows have arrived.
#[derive(Clone, Debug)]
pub struct Window {
    /// The site's row.
    pub site: SiteMetrics,
    /// The top list, by rank.
    pub top: Vec<TopPage>,
    /// From the window's end until the last of these rows was readable, in milliseconds.
    pub latency_ms: i64,
}

/// Puts windows together from rows that arrive in any order. Time is an argument.
#[derive(Default)]
pub struct Assembler {
    open: BTreeMap<(Timestamp, String), Open>,
    shown: Option<Timestamp>,
    letters: HashSet<(i32, i64)>,
    reasons: HashMap<String, u64>,
}

#[derive(Default)]
struct Open {
    site: Option<SiteMetrics>,
    top: BTreeMap<u32, TopPage>,
    last_at: Timestamp,
}

/// After its last row a window waits this long for more, in milliseconds.
const SETTLE_MS: i64 = 150;
/// A window without a top list waits this long for one, in milliseconds; there may be none, if nothing was viewed.
const NO_TOP_MS: i64 = 2_000;

impl Assembler {
    /// Takes a row.
    pub fn take(&mut self, arrived: Arrived) {
        let (end, site) = match &arrived.row {
            Row::Site(row) => (row.window_end, row.site_id.clone()),
            Row::Top(row) => (row.window_end, row.site_id.clone()),
            Row::Dead(letter) => {
                if self.letters.insert((letter.source_partition, letter.source_offset)) {
                    *self.reasons.entry(letter.reason.clone()).or_default() += 1;
                }
                return;
            }
            Row::Other(_) => return,
        };
        if self.shown.is_some_and(|shown| end <= shown) {
            // written again after a restart: the same row
            return;
        }
        let open = self.open.entry((end, site)).or_default();
        open.last_at = open.last_at.max(arrived.at);
        match arrived.row {
            Row::Site(row) => open.site = Some(row),
            Row::Top(row) => {
                open.top.insert(row.rank, row);
            }
            _ => {}
        }
    }

    /// The windows that are complete at `now`, oldest first: their site row is there and nothing new came for a moment.
    pub fn complete(&mut self, now: Timestamp) -> Vec<Window> {
        let mut complete = Vec::new();
        let ready: Vec<(Timestamp, String)> = self
            .open
            .iter()
            .filter(|(_, open)| {
                open.site.is_some()
                    && now.0 - open.last_at.0 >= if open.top.is_empty() { NO_TOP_MS } else { SETTLE_MS }
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in ready {
            if let Some(Open { site: Some(site), top, last_at }) = self.open.remove(&key) {
                let latency_ms = last_at.0 - key.0.0;
                complete.push(Window { site, top: top.into_values().collect(), latency_ms });
            }
        }
        if let Some(window) = complete.last() {
            let newest = window.site.window_end;
            // sites of the same window may still be on their way; older windows are over
            self.shown =
                Some(self.shown.map_or(Timestamp(newest.0 - 1), |shown| shown.max(Timestamp(newest.0 - 1))));
            self.open.retain(|(end, _), _| *end >= newest);
        }
        complete
    }

    /// Late records, and all other dead letters, since the start.
    pub fn dead(&self) -> (u64, u64) {
        let late = self.reasons.get("late").copied().unwrap_or(0);
        (late, self.reasons.values().sum::<u64>() - late)
    }
}

/// Latency from window end to readable row, in milliseconds, of the last minute or two.
#[derive(Default)]
pub struct Latencies {
    now: HashMap<&'static str, Histogram<u64>>,
    before: HashMap<&'static str, Histogram<u64>>,
}

impl Latencies {
    /// Counts a row of `topic` for the window that ended at `end`, readable at `at`.
    pub fn record(&mut self, topic: &'static str, end: Timestamp, at: Timestamp) {
        if let Ok(empty) = Histogram::new(3) {
            let _ = self.now.entry(topic).or_insert(empty).record((at.0 - end.0).max(0) as u64);
        }
    }

    /// Forgets what came before the last call.
    pub fn age(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    /// Median and 95th percentile over all topics.
    pub fn overall(&self) -> Option<(u64, u64)> {
        let mut all = Histogram::<u64>::new(3).ok()?;
        for histogram in self.now.values().chain(self.before.values()) {
            let _ = all.add(histogram);
        }
        (!all.is_empty()).then(|| (all.value_at_quantile(0.5), all.value_at_quantile(0.95)))
    }

    /// What was measured of each topic since the last call of [`Latencies::age`].
    pub fn topics(&self) -> &HashMap<&'static str, Histogram<u64>> {
        &self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(end: i64) -> Row {
        let text = format!(
            r#"{{"site_id":"shop","window_start":"1970-01-01T00:00:00.000Z","window_end":"{}","event_count":3,"view_count":2,"click_count":1,"add_to_cart_count":0,"purchase_count":0,"unique_users":2,"active_sessions":2,"click_through_rate":0.5,"conversion_rate":0.0,"revenue":0}}"#,
            Timestamp(end)
        );
        Row::Site(serde_json::from_str(&text).unwrap())
    }

    fn top(end: i64, rank: u32) -> Row {
        Row::Top(TopPage {
            site_id: "shop".into(),
            window_start: Timestamp(0),
            window_end: Timestamp(end),
            rank,
            page_url: format!("/{rank}"),
            view_count: 1,
            unique_users: 1,
            click_through_rate: None,
            human_view_count: 0,
            human_unique_users: 0,
        })
    }

    fn arrived(at: i64, row: Row) -> Arrived {
        Arrived { topic: topic::TOP_PAGES, at: Timestamp(at), row }
    }

    #[test]
    fn a_window_is_shown_once_with_all_its_rows_in_order() {
        let mut assembler = Assembler::default();
        assembler.take(arrived(10_200, top(10_000, 2)));
        assembler.take(arrived(10_210, site(10_000)));
        assembler.take(arrived(10_220, top(10_000, 1)));
        assert!(assembler.complete(Timestamp(10_300)).is_empty());
        let windows = assembler.complete(Timestamp(10_370));
        assert_eq!(windows.len(), 1);
        assert_eq!(windows[0].top.iter().map(|row| row.rank).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(windows[0].latency_ms, 220);
        assembler.take(arrived(20_200, site(20_000)));
        assert!(assembler.complete(Timestamp(20_400)).is_empty(), "its top list may be on its way");
        assert_eq!(assembler.complete(Timestamp(22_200)).len(), 1);
        // a restart writes an old window again
        assembler.take(arrived(20_500, site(10_000)));
        assert!(assembler.complete(Timestamp(30_000)).is_empty());
    }

    #[test]
    fn a_dead_letter_counts_once() {
        let mut assembler = Assembler::default();
        let letter = |reason: &str, offset| {
            Row::Dead(DeadLetter {
                reason: reason.into(),
                detail: None,
                source_partition: 0,
                source_offset: offset,
                raw: None,
            })
        };
        assembler.take(arrived(1, letter("late", 1)));
        assembler.take(arrived(2, letter("late", 1)));
        assembler.take(arrived(3, letter("not_json", 2)));
        assert_eq!(assembler.dead(), (1, 1));
    }
}

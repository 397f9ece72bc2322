//! Reads the result topics as they grow, and puts the rows of a window together.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use clickstream_event::result_row::is_windowed;
use clickstream_event::rows::{
    Anomaly, BounceRate, CommonPath, DeadLetter, Funnel, PageTransition, ProvisionalBounceRate, SiteMetrics,
    TopPage, TrendingPage,
};
use clickstream_event::{Timestamp, topic};
use clickstream_kafka::offsets;
use hdrhistogram::Histogram;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::proof::row::Row as ResultRow;

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

/// A row, or a dead letter.
#[derive(Clone, Debug)]
pub enum Row {
    /// Of a result topic.
    Result(Box<ResultRow>),
    /// A dead letter.
    Dead(DeadLetter),
}

impl From<ResultRow> for Row {
    fn from(row: ResultRow) -> Self {
        Self::Result(Box::new(row))
    }
}

impl Row {
    /// First instant, in event time, at which the row could be known; a dead letter has none.
    pub fn settled_at(&self, session_gap_ms: i64) -> Option<Timestamp> {
        match self {
            Self::Result(row) => Some(row.settled_at(session_gap_ms)),
            Self::Dead(_) => None,
        }
    }
}

impl Row {
    /// The anomaly, or what else it is.
    pub fn into_anomaly(self) -> Result<Anomaly, Self> {
        match self {
            Self::Result(row) => match *row {
                ResultRow::Anomaly(anomaly) => Ok(anomaly),
                row => Err(row.into()),
            },
            row => Err(row),
        }
    }
}

fn parse(topic: &'static str, payload: &[u8]) -> Option<Row> {
    match topic {
        topic::DEAD_LETTERS => serde_json::from_slice(payload).ok().map(Row::Dead),
        _ => ResultRow::parse(topic, payload).map(Row::from),
    }
}

/// Reads all result topics from their present end on, and sends each row as it becomes readable.
pub async fn follow(
    kafka: &str,
    rows: mpsc::Sender<Arrived>,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let mut made = Vec::new();
    loop {
        // of a topic that was made meanwhile nothing has been read yet
        let new = std::mem::take(&mut made);
        let start = move |name: &str, _, (low, high)| if new.contains(&name) { low } else { high };
        let topics = open_topics(kafka, "clickstream-console", start).await?;
        let appeared = topics.appeared(kafka);
        tokio::pin!(appeared);
        made = loop {
            let message = tokio::select! {
                message = next(&topics.consumer, &shutdown) => message,
                made = &mut appeared => break made,
            };
            let Some(message) = message else { return Ok(()) };
            let at = Timestamp::now();
            let name = topic::written().find(|name| *name == message.topic());
            if let (Some(topic), Some(payload)) = (name, message.payload())
                && let Some(row) = parse(topic, payload)
                && rows.send(Arrived { topic, at, row }).await.is_err()
            {
                return Ok(());
            }
        };
    }
}

/// A reader of all result topics that are there.
pub struct Topics {
    /// Reads them.
    pub consumer: StreamConsumer,
    /// Those that are not there yet.
    missing: Vec<&'static str>,
}

/// How often to look for topics that are missing.
const LOOK_FOR_TOPICS: Duration = Duration::from_secs(1);

impl Topics {
    /// Ends when some topics are there that were missing, and says which; never, if none was.
    pub fn appeared(&self, kafka: &str) -> impl Future<Output = Vec<&'static str>> + use<> {
        let (missing, kafka) = (self.missing.clone(), kafka.to_owned());
        async move {
            if missing.is_empty() {
                return std::future::pending().await;
            }
            let asking = clickstream_kafka::client(&kafka).create::<BaseConsumer>().map(Arc::new);
            // the reader beside it, made in the same way, says what is wrong
            let Ok(asking) = asking else { return std::future::pending().await };
            loop {
                tokio::time::sleep(LOOK_FOR_TOPICS).await;
                let (missing, asking) = (missing.clone(), Arc::clone(&asking));
                let look = move || -> Vec<&'static str> {
                    let is_there = |name: &&str| {
                        let held = offsets::held(&*asking, name, Duration::from_secs(5));
                        held.is_ok_and(|partitions| !partitions.is_empty())
                    };
                    missing.into_iter().filter(is_there).collect()
                };
                let found = tokio::task::spawn_blocking(look).await.unwrap_or_default();
                if !found.is_empty() {
                    return found;
                }
            }
        }
    }
}

/// A reader of all result topics. `start` chooses the first offset of a partition by topic, partition, and what it holds.
pub async fn open_topics(
    kafka: &str,
    group: &str,
    start: impl Fn(&str, i32, (i64, i64)) -> i64 + Send + 'static,
) -> anyhow::Result<Topics> {
    let consumer: StreamConsumer = clickstream_kafka::client(kafka)
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.wait.max.ms", "50")
        .set("auto.offset.reset", "earliest")
        // what waits to be taken, if we are slower than Kafka: some windows, and not hundreds of megabytes
        .set("queued.max.messages.kbytes", "8192")
        .set("queued.min.messages", "20000")
        .create()?;
    // these questions wait for the broker
    tokio::task::spawn_blocking(move || -> anyhow::Result<Topics> {
        let mut assignment = TopicPartitionList::new();
        let mut missing = Vec::new();
        for name in topic::written() {
            let held = offsets::held(&consumer, name, Duration::from_secs(10))?;
            if held.is_empty() {
                missing.push(name);
            }
            for (partition, first, end) in held {
                let from = start(name, partition, (first, end));
                assignment.add_partition_offset(name, partition, Offset::Offset(from))?;
            }
        }
        consumer.assign(&assignment)?;
        Ok(Topics { consumer, missing })
    })
    .await?
}

/// The next record; `None` when it is time to stop. While Kafka is away, none comes.
pub async fn next<'c>(
    consumer: &'c StreamConsumer,
    shutdown: &CancellationToken,
) -> Option<BorrowedMessage<'c>> {
    loop {
        let message = tokio::select! {
            () = shutdown.cancelled() => return None,
            message = consumer.recv() => message,
        };
        match message {
            Ok(message) => return Some(message),
            Err(error) => tracing::debug!(%error, "result topics cannot be read at the moment"),
        }
    }
}

/// A window whose rows have arrived, as far as the console shows them.
#[derive(Clone, Debug)]
pub struct Window {
    /// The site's row.
    pub site: SiteMetrics,
    /// The top list, by rank.
    pub top: Vec<TopPage>,
    /// Pages that rise, by rank.
    pub trending: Vec<TrendingPage>,
    /// Bounce rates of the pages with most entries.
    pub bounce_rates: Vec<BounceRate>,
    /// The same of sessions that began within the window.
    pub provisional: Vec<ProvisionalBounceRate>,
    /// The most frequent transitions.
    pub transitions: Vec<PageTransition>,
    /// The most frequent paths.
    pub paths: Vec<CommonPath>,
    /// From view to purchase.
    pub funnel: Option<Funnel>,
    /// From the window's end until the last row of site and top list was readable, in milliseconds.
    pub latency_ms: i64,
}

/// Puts windows together from rows that arrive in any order. Time is an argument.
#[derive(Default)]
pub struct Assembler {
    open: BTreeMap<(Timestamp, String), Open>,
    shown: Option<Timestamp>,
    letters: Letters,
    reasons: HashMap<String, u64>,
}

#[derive(Default)]
struct Open {
    site: Option<SiteMetrics>,
    top: BTreeMap<u32, TopPage>,
    trending: BTreeMap<u32, TrendingPage>,
    bounce_rates: Vec<BounceRate>,
    provisional: Vec<ProvisionalBounceRate>,
    transitions: Vec<PageTransition>,
    paths: BTreeMap<(u32, u32), CommonPath>,
    funnel: Option<Funnel>,
    /// When the last row came, and the last one of site and top list.
    last_at: Timestamp,
    main_at: Timestamp,
}

/// Rows of a long list that the console has room for.
const SHOWN: usize = 10;

/// After its last row a window waits this long for more, in milliseconds.
const SETTLE_MS: i64 = 150;
/// A window without a top list waits this long for one, in milliseconds; there may be none, if nothing was viewed.
const NO_TOP_MS: i64 = 2_000;
/// A window whose top list has gaps waits this long: its ranks come from several partitions, and one may be slow.
const GAPS_MS: i64 = 20_000;

impl Open {
    /// How long after its last row it is taken for complete, in milliseconds.
    fn settles_after(&self) -> i64 {
        match self.top.last_key_value() {
            None => NO_TOP_MS,
            Some((last, _)) if *last as usize == self.top.len() => SETTLE_MS,
            Some(_) => GAPS_MS,
        }
    }
}

impl Assembler {
    /// Takes a row.
    pub fn take(&mut self, arrived: Arrived) {
        let row = match arrived.row {
            Row::Result(row) => row,
            Row::Dead(letter) => {
                if self.letters.is_new(letter.source_partition, letter.source_offset) {
                    *self.reasons.entry(letter.reason.clone()).or_default() += 1;
                }
                return;
            }
        };
        let (_, end) = row.span();
        // of a window that was shown: written again after a restart, the same row
        if !is_windowed(row.topic()) || self.shown.is_some_and(|shown| end <= shown) {
            return;
        }
        let open = self.open.entry((end, row.site().to_owned())).or_default();
        open.last_at = open.last_at.max(arrived.at);
        if matches!(*row, ResultRow::Site(_) | ResultRow::Top(_)) {
            open.main_at = open.main_at.max(arrived.at);
        }
        match *row {
            ResultRow::Site(row) => open.site = Some(row),
            ResultRow::Top(row) => drop(open.top.insert(row.rank, row)),
            ResultRow::Trending(row) => drop(open.trending.insert(row.rank, row)),
            ResultRow::Path(row) => drop(open.paths.insert((row.length, row.rank), row)),
            ResultRow::Funnel(row) => open.funnel = Some(row),
            ResultRow::Bounce(row) => keep(&mut open.bounce_rates, row, |row| row.entries),
            ResultRow::ProvisionalBounce(row) => keep(&mut open.provisional, row, |row| row.entries),
            ResultRow::Transition(row) => keep(&mut open.transitions, row, |row| row.transition_count),
            _ => {}
        }
    }

    /// The windows that are complete at `now`, oldest first: their site row is there and nothing new came for a moment.
    pub fn complete(&mut self, now: Timestamp) -> Vec<Window> {
        let mut complete = Vec::new();
        let ready: Vec<(Timestamp, String)> = self
            .open
            .iter()
            .filter(|(_, open)| open.site.is_some() && now.0 - open.last_at.0 >= open.settles_after())
            .map(|(key, _)| key.clone())
            .collect();
        for key in ready {
            if let Some(open) = self.open.remove(&key)
                && let Some(site) = open.site
            {
                complete.push(Window {
                    site,
                    top: open.top.into_values().collect(),
                    trending: open.trending.into_values().take(SHOWN).collect(),
                    bounce_rates: open.bounce_rates,
                    provisional: open.provisional,
                    transitions: open.transitions,
                    paths: open.paths.into_values().collect(),
                    funnel: open.funnel,
                    latency_ms: open.main_at.0 - key.0.0,
                });
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

    /// Dead letters by reason since the start.
    pub fn reasons(&self) -> BTreeMap<String, u64> {
        self.reasons.iter().map(|(reason, count)| (reason.clone(), *count)).collect()
    }

    /// Late records, and all other dead letters, since the start.
    pub fn dead(&self) -> (u64, u64) {
        let late = self.reasons.get("late").copied().unwrap_or(0);
        (late, self.reasons.values().sum::<u64>() - late)
    }
}

/// Dead letters that were counted, by partition: a replay writes letters again. Of each partition the newest are remembered, and all
/// before them are taken for known.
#[derive(Default)]
struct Letters(HashMap<i32, (i64, BTreeSet<i64>)>);

/// Letters of a partition that are remembered.
const LETTERS: usize = 50_000;

impl Letters {
    fn is_new(&mut self, partition: i32, offset: i64) -> bool {
        let (known_to, newest) = self.0.entry(partition).or_insert((i64::MIN, BTreeSet::new()));
        if offset <= *known_to || !newest.insert(offset) {
            return false;
        }
        if newest.len() > LETTERS {
            *known_to = newest.pop_first().unwrap_or(*known_to);
        }
        true
    }
}

/// Keeps the rows with the greatest numbers, the greatest first.
fn keep<T>(rows: &mut Vec<T>, row: T, number: fn(&T) -> u64) {
    let place = rows.partition_point(|other| number(other) >= number(&row));
    if place < SHOWN {
        rows.insert(place, row);
        rows.truncate(SHOWN);
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

    #[test]
    fn a_letter_is_counted_once_in_bounded_memory() {
        let mut letters = Letters::default();
        let all = 3 * LETTERS as i64;
        assert!((0..all).all(|offset| letters.is_new(0, offset)));
        // a replay writes all of them again, and those of another partition have offsets of their own
        assert!(!(0..all).any(|offset| letters.is_new(0, offset)));
        assert!(letters.is_new(1, 7) && letters.is_new(0, all));
        assert!(letters.0[&0].1.len() <= LETTERS);
    }

    fn site(end: i64) -> Row {
        let text = format!(
            r#"{{"site_id":"shop","window_start":"1970-01-01T00:00:00.000Z","window_end":"{}","event_count":3,"view_count":2,"click_count":1,"add_to_cart_count":0,"purchase_count":0,"unique_users":2,"active_sessions":2,"click_through_rate":0.5,"conversion_rate":0.0,"revenue":0,"human_event_count":3,"human_view_count":2,"human_click_count":1,"human_add_to_cart_count":0,"human_purchase_count":0,"human_unique_users":2,"human_click_through_rate":0.5,"human_conversion_rate":0.0,"human_revenue":0}}"#,
            Timestamp(end)
        );
        ResultRow::parse(topic::SITE_METRICS, text.as_bytes()).unwrap().into()
    }

    fn top(end: i64, rank: u32) -> Row {
        let row = TopPage {
            site_id: "shop".into(),
            window_start: Timestamp(0),
            window_end: Timestamp(end),
            rank,
            page_url: format!("/{rank}"),
            view_count: 1,
            unique_users: 1,
            click_through_rate: None,
            human_view_count: 1,
            human_unique_users: 1,
        };
        ResultRow::from(row).into()
    }

    #[test]
    fn of_long_lists_the_greatest_are_kept() {
        let mut rows = Vec::new();
        (0..30u64).map(|n| n * 7 % 30).for_each(|n| keep(&mut rows, n, |n| *n));
        assert_eq!(rows, (20..30).rev().collect::<Vec<_>>());
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

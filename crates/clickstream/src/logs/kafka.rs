//! A log in Kafka.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clickstream_event::{Timestamp, topic};
use clickstream_kafka::offsets;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};

use super::{Bounds, Log, LogRecord, Partition, Take};

/// How long Kafka may take to give a record: a broker that was killed is back within that time.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long it may take to say what a topic holds; somebody waits for the answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// Bytes that are read ahead of each partition, in KiB, where they are read one after the other, and where many are.
const AHEAD_KIB: u32 = 16_384;
const AHEAD_OF_MANY_KIB: u32 = 2_048;

/// The log of a Kafka; clones share the client that asks what topics hold.
#[derive(Clone)]
pub struct KafkaLog {
    servers: String,
    /// Made when it is first needed, and kept: some ask every second.
    asking: Arc<Mutex<Option<Arc<BaseConsumer>>>>,
}

impl fmt::Debug for KafkaLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KafkaLog").field(&self.servers).finish()
    }
}

impl KafkaLog {
    /// Of the Kafka with these bootstrap servers.
    pub fn new(servers: &str) -> Self {
        Self { servers: servers.to_owned(), asking: Arc::default() }
    }

    /// Whether Kafka answers within this time. Waits for it: not for a thread that must not.
    pub fn answers(&self, within: Duration) -> bool {
        self.asking().is_ok_and(|client| client.fetch_metadata(Some(topic::EVENTS), within).is_ok())
    }

    /// The client for questions.
    fn asking(&self) -> Result<Arc<BaseConsumer>> {
        let mut kept = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        let client = match &*kept {
            Some(client) => Arc::clone(client),
            None => Arc::clone(kept.insert(Arc::new(self.consumer(AHEAD_KIB)?))),
        };
        // it reads nothing; what it says of its connections would pile up
        let _ = client.poll(Duration::ZERO);
        Ok(client)
    }

    /// What a topic was said to hold, which is something.
    fn answered(&self, topic: &str, held: KafkaResult<Vec<(i32, i64, i64)>>) -> Result<Vec<(i32, i64, i64)>> {
        let held = held.with_context(|| {
            format!(
                "Kafka at {} does not answer: is `clickstream up` running, or is --kafka meant?",
                self.servers
            )
        })?;
        if held.is_empty() {
            bail!("Kafka at {} has no topic {topic}: has `clickstream up` ever run with it?", self.servers);
        }
        Ok(held)
    }

    fn consumer(&self, ahead_kib: u32) -> Result<BaseConsumer> {
        clickstream_kafka::client(&self.servers)
            .set("group.id", "clickstream-verify")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            // by default it would go on at the end, as if all had been read
            .set("auto.offset.reset", "error")
            .set("fetch.queue.backoff.ms", "10")
            .set("check.crcs", "true")
            // per partition, as each has a queue of its own: this bounds the memory
            .set("queued.max.messages.kbytes", ahead_kib.to_string())
            .create()
            .context("Kafka's client does not start")
    }
}

/// A partition that is read from.
struct Single {
    consumer: Arc<BaseConsumer>,
    queue: PartitionQueue<DefaultConsumerContext>,
    topic: &'static str,
    partition: i32,
    end: i64,
    is_over: bool,
}

impl Partition for Single {
    fn next(&mut self, take: &mut dyn FnMut(LogRecord<'_>)) -> Result<bool> {
        if self.is_over {
            return Ok(false);
        }
        let message = next(&self.consumer, &self.queue, self.end)
            .with_context(|| format!("partition {} of {}", self.partition, self.topic))?;
        let Some(message) = message else {
            self.is_over = true;
            return Ok(false);
        };
        self.is_over = message.offset() + 1 >= self.end;
        take(record(&message));
        Ok(true)
    }
}

fn record<'m>(message: &'m BorrowedMessage<'_>) -> LogRecord<'m> {
    LogRecord {
        partition: message.partition(),
        offset: message.offset(),
        arrival: Timestamp(message.timestamp().to_millis().unwrap_or(0)),
        key: message.key(),
        value: message.payload(),
    }
}

impl Log for KafkaLog {
    fn place(&self) -> String {
        format!("Kafka at {}", self.servers)
    }

    fn bounds(&self, topic: &str) -> Result<Bounds> {
        let held = offsets::held(&*self.asking()?, topic, ANSWERS_WITHIN);
        Ok(Bounds(self.answered(topic, held)?.into_iter().map(|(_, first, end)| (first, end)).collect()))
    }

    fn read(&self, topic: &str, bounds: &Bounds, take: Take<'_>) -> Result<()> {
        if bounds.len() == 0 {
            return Ok(());
        }
        let consumer = Arc::new(self.consumer(AHEAD_KIB)?);
        let mut assignment = TopicPartitionList::new();
        let open = |(low, high): &(i64, i64)| high > low;
        for (partition, bound) in bounds.0.iter().enumerate().filter(|(_, bound)| open(bound)) {
            assignment.add_partition_offset(topic, partition as i32, Offset::Offset(bound.0))?;
        }
        consumer.assign(&assignment)?;
        let mut queues = Vec::new();
        for (partition, (_, end)) in bounds.0.iter().enumerate().filter(|(_, bound)| open(bound)) {
            let partition = partition as i32;
            let queue = consumer.split_partition_queue(topic, partition);
            queues.push((
                queue.with_context(|| format!("no queue for partition {partition} of {topic}"))?,
                partition,
                *end,
            ));
        }
        let mut heads = Vec::with_capacity(queues.len());
        for (queue, partition, end) in &queues {
            heads.push(
                next(&consumer, queue, *end).with_context(|| format!("partition {partition} of {topic}"))?,
            );
        }
        while let Some(first) =
            (0..heads.len()).filter(|n| heads[*n].is_some()).min_by_key(|n| arrival(&heads[*n]))
        {
            let (queue, partition, end) = &queues[first];
            if let Some(message) = heads[first].take() {
                take(record(&message))?;
                if message.offset() + 1 < *end {
                    heads[first] = next(&consumer, queue, *end)
                        .with_context(|| format!("partition {partition} of {topic}"))?;
                }
            }
        }
        Ok(())
    }

    fn open(&self, parts: &[(&'static str, Bounds)]) -> Result<Vec<(&'static str, Box<dyn Partition>)>> {
        let all = parts.iter().flat_map(|(topic, bounds)| {
            bounds.0.iter().enumerate().map(move |(partition, bound)| (*topic, partition as i32, *bound))
        });
        let open: Vec<_> = all.filter(|(_, _, (low, high))| high > low).collect();
        if open.is_empty() {
            return Ok(Vec::new());
        }
        // one client for all of them
        let consumer = Arc::new(self.consumer(AHEAD_OF_MANY_KIB)?);
        let mut assignment = TopicPartitionList::new();
        for (topic, partition, (low, _)) in &open {
            assignment.add_partition_offset(topic, *partition, Offset::Offset(*low))?;
        }
        consumer.assign(&assignment)?;
        let mut opened: Vec<(&'static str, Box<dyn Partition>)> = Vec::with_capacity(open.len());
        for (topic, partition, (_, end)) in open {
            let queue = consumer.split_partition_queue(topic, partition);
            let queue = queue.with_context(|| format!("no queue for partition {partition} of {topic}"))?;
            let consumer = Arc::clone(&consumer);
            opened.push((topic, Box::new(Single { consumer, queue, topic, partition, end, is_over: false })));
        }
        Ok(opened)
    }

    fn offsets_at(&self, topic: &str, at: Timestamp) -> Result<Vec<i64>> {
        let held = offsets::held_since(&*self.asking()?, topic, at.0, ANSWERS_WITHIN);
        Ok(self.answered(topic, held)?.into_iter().map(|(_, offset, _)| offset).collect())
    }

    fn truth(&self, partition: i32, offset: i64) -> Result<Option<String>> {
        let consumer = Arc::new(self.consumer(AHEAD_KIB)?);
        let mut assignment = TopicPartitionList::new();
        assignment.add_partition_offset(topic::EVENTS, partition, Offset::Offset(offset))?;
        consumer.assign(&assignment)?;
        let queue = consumer.split_partition_queue(topic::EVENTS, partition);
        let queue = queue.with_context(|| format!("no queue for partition {partition}"))?;
        let message = next(&consumer, &queue, offset + 1)?;
        let headers = message.as_ref().and_then(|message| message.headers());
        let truth = headers.and_then(|headers| headers.iter().find(|header| header.key == "truth")?.value);
        Ok(truth.map(|truth| String::from_utf8_lossy(truth).into_owned()))
    }
}

fn arrival(head: &Option<BorrowedMessage<'_>>) -> i64 {
    head.as_ref().and_then(|message| message.timestamp().to_millis()).unwrap_or(0)
}

/// The next record of a partition; `None` at its end, which compaction may have moved below `end`.
fn next<'q>(
    consumer: &BaseConsumer,
    queue: &'q PartitionQueue<DefaultConsumerContext>,
    end: i64,
) -> Result<Option<BorrowedMessage<'q>>> {
    let mut waited = Duration::ZERO;
    const STEP: Duration = Duration::from_millis(100);
    loop {
        match queue.poll(STEP) {
            Some(Ok(message)) => return Ok(Some(message).filter(|message| message.offset() < end)),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(None),
            Some(Err(KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset))) => {
                bail!("retention deleted records that were about to be read: try again")
            }
            Some(Err(error)) => return Err(error).context("Kafka does not give the next record"),
            None => {}
        }
        // errors of the connection come through the consumer itself
        if let Some(Err(error)) = consumer.poll(Duration::ZERO)
            && !matches!(error, KafkaError::PartitionEOF(_))
        {
            tracing::debug!(%error, "while reading");
        }
        waited += STEP;
        if waited > PATIENCE {
            bail!("Kafka gave no record for {} s", PATIENCE.as_secs());
        }
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

    use super::*;

    #[test]
    fn a_head_that_was_deleted_is_not_taken_for_read() {
        let kafka = MockCluster::new(1).unwrap();
        kafka.create_topic(topic::EVENTS, 1, 1).unwrap();
        let servers = kafka.bootstrap_servers();
        let log = KafkaLog::new(&servers);
        let write = |records: i64| {
            let producer: BaseProducer = clickstream_kafka::client(&servers).create().unwrap();
            for _ in 0..records {
                let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic::EVENTS).payload(&[0; 500_000]);
                producer.send(record).unwrap();
                producer.flush(Duration::from_secs(30)).unwrap();
            }
        };
        let read = |bounds: &Bounds| {
            let mut records = 0;
            log.read(topic::EVENTS, bounds, &mut |_| {
                records += 1;
                Ok(())
            })
            .map(|()| records)
        };
        write(4);
        let bounds = log.bounds(topic::EVENTS).unwrap();
        assert_eq!((read(&bounds).unwrap(), bounds), (4, Bounds(vec![(0, 4)])));
        // it keeps 5 MB of a partition
        let bounds = Bounds(vec![(0, 4)]);
        write(12);
        let whole = log.bounds(topic::EVENTS).unwrap();
        assert!(whole.0[0].0 >= 4, "{whole:?}");
        let error = crate::explain(&read(&bounds).unwrap_err());
        assert!(
            error.contains("partition 0 of clickstream.events") && error.contains("try again"),
            "{error}"
        );
        let mut opened = log.open(&[(topic::EVENTS, bounds)]).unwrap();
        assert!(opened[0].1.next(&mut |_| ()).is_err());
        assert_eq!(read(&whole).unwrap(), whole.len());
    }
}

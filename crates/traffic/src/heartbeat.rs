//! Heartbeats: a partition without traffic must not hold back the results of all others.
//!
//! The watermark is the minimum over all partitions, so a silent one stops it. Every partition in which nothing arrived
//! for [`SILENCE_MS`] gets a record of type `heartbeat` with the present time: it moves event time and counts nowhere.
//!
//! Silence is judged by what stands in the topic, whoever wrote it: of partitions where no record of ours was
//! acknowledged lately, the end offsets are asked for, all in one request.
//!
//! A heartbeat cannot make an event of the sample traffic late. It goes through the same producer, which keeps the order within a
//! partition: events queued before it arrive before it. It never tells a later time than that at which the next event is due
//! ([`crate::due`]), and that event is stamped at most 50 ms before, while 100 ms of disorder are allowed. So a generator that the
//! machine holds up loses nothing: event time waits for it. While the broker is away one heartbeat per partition waits.

use std::collections::HashMap;
use std::time::Duration;

use clickstream_event::event::encode_heartbeat;
use clickstream_event::topic;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use crate::producer::{EventSink, Producer, now};

/// A partition without a record for this long gets a heartbeat, in milliseconds.
pub const SILENCE_MS: i64 = 100;
/// How often silence is looked for.
const CHECK: Duration = Duration::from_millis(25);

/// Which partitions have been silent: the decision, without a clock.
#[derive(Debug, Default)]
struct Silence {
    /// End offset and the time it was first seen, per partition.
    ends: HashMap<i32, (i64, i64)>,
}

impl Silence {
    /// Notes the end offset of a partition at time `now_ms`; whether nothing arrived there for [`SILENCE_MS`].
    fn is_silent(&mut self, partition: i32, end: i64, now_ms: i64) -> bool {
        let seen = self.ends.entry(partition).or_insert((end, now_ms));
        if seen.0 != end {
            *seen = (end, now_ms);
        }
        now_ms - seen.1 >= SILENCE_MS
    }

    /// The time of silence begins anew: a heartbeat was sent.
    fn restart(&mut self, partition: i32, now_ms: i64) {
        if let Some(seen) = self.ends.get_mut(&partition) {
            seen.1 = now_ms;
        }
    }
}

/// Sends heartbeats for `site_id` until `shutdown`.
pub async fn run(kafka: String, producer: Producer, site_id: String, shutdown: CancellationToken) {
    let consumer: Result<BaseConsumer, _> =
        clickstream_kafka::client(&kafka).set("group.id", "clickstream-heartbeat").create();
    let consumer = match consumer {
        Ok(consumer) => std::sync::Arc::new(consumer),
        Err(error) => {
            tracing::error!(%error, "no heartbeats: Kafka's client does not start");
            return;
        }
    };
    let mut silence = Silence::default();
    let mut value = Vec::new();
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(CHECK) => {}
        }
        let at = now().0;
        let quiet: Vec<i32> = producer
            .active()
            .iter()
            .enumerate()
            .filter(|(_, acknowledged)| at - **acknowledged >= SILENCE_MS)
            .map(|(partition, _)| partition as i32)
            .collect();
        if quiet.is_empty() {
            continue;
        }
        let asked = std::sync::Arc::clone(&consumer);
        let Ok(Some(ends)) = tokio::task::spawn_blocking(move || end_offsets(&asked, &quiet)).await else {
            continue;
        };
        let at = now();
        for (partition, end) in ends {
            if silence.is_silent(partition, end, at.0) {
                value.clear();
                encode_heartbeat(&site_id, producer.due().not_after(at), &mut value);
                producer.beat(partition, &value);
                silence.restart(partition, at.0);
            }
        }
    }
}

/// End offsets of the partitions, in one request; `None` while Kafka does not answer.
fn end_offsets(consumer: &BaseConsumer, partitions: &[i32]) -> Option<Vec<(i32, i64)>> {
    // it reads nothing; what it says of its connections would pile up
    let _ = consumer.poll(Duration::ZERO);
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition_offset(topic::EVENTS, *partition, Offset::End).ok()?;
    }
    let answer = consumer.offsets_for_times(asked, Duration::from_millis(1_000)).ok()?;
    Some(
        answer
            .elements()
            .iter()
            .filter_map(|element| Some((element.partition(), element.offset().to_raw()?)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_nothing_new_for_a_while() {
        let mut silence = Silence::default();
        assert!(!silence.is_silent(0, 5, 1_000));
        assert!(!silence.is_silent(0, 5, 1_099));
        assert!(silence.is_silent(0, 5, 1_100));
        silence.restart(0, 1_100);
        assert!(!silence.is_silent(0, 6, 1_150), "the heartbeat itself, or an event");
        assert!(!silence.is_silent(0, 6, 1_249));
        assert!(silence.is_silent(0, 6, 1_250));
    }
}

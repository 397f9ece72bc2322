//! What partitions hold: the first offset and the end of each.

use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

/// First offset and end (the next offset to be written) of each partition of a topic, by partition.
///
/// Three requests, each answered within `within`; librdkafka's own question for these marks needs two for each partition.
pub fn held(consumer: &impl Consumer, topic: &str, within: Duration) -> KafkaResult<Vec<(i32, i64, i64)>> {
    let metadata = consumer.fetch_metadata(Some(topic), within)?;
    let mut partitions: Vec<i32> = metadata
        .topics()
        .iter()
        .flat_map(|topic| topic.partitions())
        .map(|partition| partition.id())
        .collect();
    partitions.sort_unstable();
    if partitions.is_empty() {
        return Ok(Vec::new());
    }
    let first = asked(consumer, topic, &partitions, Offset::Beginning, within)?;
    let end = asked(consumer, topic, &partitions, Offset::End, within)?;
    Ok(partitions
        .into_iter()
        .zip(first.into_iter().zip(end))
        .map(|(p, (first, end))| (p, first, end))
        .collect())
}

/// As [`held`], but in place of the first offset that of the first record that has this time (in milliseconds since the epoch)
/// or a later one; the end, where there is none.
pub fn held_since(
    consumer: &impl Consumer,
    topic: &str,
    time_ms: i64,
    within: Duration,
) -> KafkaResult<Vec<(i32, i64, i64)>> {
    let mut held = held(consumer, topic, within)?;
    let mut question = TopicPartitionList::new();
    for (partition, ..) in &held {
        question.add_partition_offset(topic, *partition, Offset::Offset(time_ms))?;
    }
    let answer = consumer.offsets_for_times(question, within)?;
    for (partition, first, end) in &mut held {
        let element = answer.find_partition(topic, *partition);
        let element = element.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
        element.error()?;
        *first = match element.offset() {
            Offset::Offset(offset) => offset,
            _ => *end,
        };
    }
    Ok(held)
}

/// The offsets of one kind, in the order of `partitions`. In `ListOffsets` the first and the last offset stand for times.
fn asked(
    consumer: &impl Consumer,
    topic: &str,
    partitions: &[i32],
    kind: Offset,
    within: Duration,
) -> KafkaResult<Vec<i64>> {
    let mut question = TopicPartitionList::new();
    for partition in partitions {
        question.add_partition_offset(topic, *partition, kind)?;
    }
    let answer = consumer.offsets_for_times(question, within)?;
    let offset = |partition: &i32| {
        let element = answer.find_partition(topic, *partition);
        let element = element.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
        element.error()?;
        match element.offset() {
            Offset::Offset(offset) => Ok(offset),
            _ => Err(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable)),
        }
    };
    partitions.iter().map(offset).collect()
}

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
    let known =
        |offset: Option<i64>| offset.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::LeaderNotAvailable));
    partitions
        .into_iter()
        .zip(first.into_iter().zip(end))
        .map(|(p, (first, end))| Ok((p, known(first)?, known(end)?)))
        .collect()
}

/// As [`held`], but in place of the first offset that of the first record that has this time (in milliseconds since the epoch)
/// or a later one; the end, where there is none.
pub fn held_since(
    consumer: &impl Consumer,
    topic: &str,
    time_ms: i64,
    within: Duration,
) -> KafkaResult<Vec<(i32, i64, i64)>> {
    let held = held(consumer, topic, within)?;
    let partitions: Vec<i32> = held.iter().map(|(partition, ..)| *partition).collect();
    if partitions.is_empty() {
        return Ok(held);
    }
    let since = asked(consumer, topic, &partitions, Offset::Offset(time_ms), within)?;
    Ok(held.into_iter().zip(since).map(|((p, _, end), since)| (p, since.unwrap_or(end), end)).collect())
}

/// The offsets of one kind, in the order of `partitions`; `None` where there is no such offset. In `ListOffsets` the first and the last
/// offset stand for times.
fn asked(
    consumer: &impl Consumer,
    topic: &str,
    partitions: &[i32],
    kind: Offset,
    within: Duration,
) -> KafkaResult<Vec<Option<i64>>> {
    let mut question = TopicPartitionList::new();
    for partition in partitions {
        question.add_partition_offset(topic, *partition, kind)?;
    }
    let answer = consumer.offsets_for_times(question, within)?;
    let offset = |partition: &i32| {
        let element = answer.find_partition(topic, *partition);
        let element = element.ok_or(KafkaError::OffsetFetch(RDKafkaErrorCode::UnknownPartition))?;
        element.error()?;
        Ok(match element.offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    };
    partitions.iter().map(offset).collect()
}

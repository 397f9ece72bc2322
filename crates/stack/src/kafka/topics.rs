//! The topics: created when absent, checked when present.

use std::time::Duration;

use clickstream_event::topic;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, ConfigEntry, ConfigSource, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;

use crate::error::{Result, StackError};
use crate::observer::{Observer, Progress};

/// How the topics shall be.
#[derive(Clone, Copy, Debug)]
pub struct TopicPlan {
    /// Partitions of the events topic.
    pub event_partitions: i32,
    /// Partitions of each result topic.
    pub result_partitions: i32,
    /// How long new topics keep records, in hours; `None` for as long as the broker does by default, which may change at each start of
    /// one of our own.
    pub retention_hours: Option<u32>,
}

/// Creates what is missing, leaves alone how long topics that exist keep records, and makes sure that events carry their
/// time of arrival. Returns the partitions of the events topic, which may be more or fewer than planned if it existed before.
pub async fn ensure(kafka: &str, plan: TopicPlan, observer: &dyn Observer) -> Result<i32> {
    let admin: AdminClient<DefaultClientContext> =
        clickstream_kafka::client(kafka).create().map_err(|e| unreachable_kafka(kafka, &e.to_string()))?;
    let options = AdminOptions::new()
        .request_timeout(Some(Duration::from_secs(15)))
        .operation_timeout(Some(Duration::from_secs(15)));
    // -1: as many as the cluster makes by default
    let copies = if is_loopback(kafka) { 1 } else { -1 };
    let retention_ms = plan.retention_hours.map(|hours| (u64::from(hours) * 3_600_000).to_string());
    let wanted = wanted(plan, copies, retention_ms.as_deref());
    let answers =
        admin.create_topics(&wanted, &options).await.map_err(|e| unreachable_kafka(kafka, &e.to_string()))?;
    let mut existed = false;
    for answer in answers {
        match answer {
            Ok(_) => {}
            Err((name, RDKafkaErrorCode::TopicAlreadyExists)) => existed |= name == topic::EVENTS,
            Err((name, code)) => {
                return Err(StackError::Topic { topic: name, why: format!("could not be created: {code}") });
            }
        }
    }
    if !existed {
        return Ok(plan.event_partitions);
    }
    arrival_times(&admin, &options, observer).await?;
    let metadata = admin
        .inner()
        .fetch_metadata(Some(topic::EVENTS), Duration::from_secs(15))
        .map_err(|e| unreachable_kafka(kafka, &e.to_string()))?;
    let partitions = metadata.topics().first().map_or(0, |t| t.partitions().len()) as i32;
    if partitions != plan.event_partitions {
        observer.on(Progress::Notice(format!(
            "{} exists with {partitions} partitions; that number stays ({} were asked for)",
            topic::EVENTS,
            plan.event_partitions
        )));
    }
    Ok(partitions)
}

/// All topics as they are created: with so many copies, and this `retention.ms`.
fn wanted(plan: TopicPlan, copies: i32, retention_ms: Option<&str>) -> Vec<NewTopic<'_>> {
    let new = |name, partitions| {
        let new = NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
        match retention_ms {
            Some(ms) => new.set("retention.ms", ms),
            None => new,
        }
    };
    let mut wanted =
        vec![new(topic::EVENTS, plan.event_partitions).set("message.timestamp.type", "LogAppendTime")];
    // a window's row may be written again after a restart, always the same: compaction keeps one
    let results = topic::RESULTS.iter();
    wanted.extend(
        results.map(|name| new(name, plan.result_partitions).set("cleanup.policy", "compact,delete")),
    );
    wanted.push(new(topic::DEAD_LETTERS, 1));
    wanted
}

/// Lateness is decided by arrival: the broker must stamp it, whatever clock the producer has.
async fn arrival_times(
    admin: &AdminClient<DefaultClientContext>,
    options: &AdminOptions,
    observer: &dyn Observer,
) -> Result<()> {
    let fail = |why: String| StackError::Topic { topic: topic::EVENTS.into(), why };
    let described = admin
        .describe_configs(&[ResourceSpecifier::Topic(topic::EVENTS)], options)
        .await
        .map_err(|e| fail(format!("could not be described: {e}")))?;
    let entries: Vec<ConfigEntry> =
        described.into_iter().flatten().flat_map(|resource| resource.entries).collect();
    let stamped = |entry: &ConfigEntry| {
        entry.name == "message.timestamp.type" && entry.value.as_deref() == Some("LogAppendTime")
    };
    if entries.iter().any(stamped) {
        return Ok(());
    }
    observer.on(Progress::Notice(format!(
        "{} lets producers choose the time of a record; from now on the broker stamps it on arrival (message.timestamp.type=LogAppendTime)",
        topic::EVENTS
    )));
    // the request replaces all that was set for the topic: what it does not name goes back to the broker's default
    let kept = entries.iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    let change = kept
        .filter_map(|entry| Some((entry.name.as_str(), entry.value.as_deref()?)))
        .fold(AlterConfig::new(ResourceSpecifier::Topic(topic::EVENTS)), |change, (name, value)| {
            change.set(name, value)
        })
        .set("message.timestamp.type", "LogAppendTime");
    let answers = admin
        .alter_configs(&[change], options)
        .await
        .map_err(|e| fail(format!("could not be altered: {e}")))?;
    match answers.into_iter().next() {
        Some(Err((_, code))) => Err(fail(format!(
            "must have message.timestamp.type=LogAppendTime, and Kafka refused to set it ({code}): set it with kafka-configs"
        ))),
        _ => Ok(()),
    }
}

fn is_loopback(kafka: &str) -> bool {
    kafka.split(',').all(|server| {
        server.starts_with("127.") || server.starts_with("localhost") || server.starts_with("[::1]")
    })
}

fn unreachable_kafka(kafka: &str, why: &str) -> StackError {
    StackError::NotReachable { what: "Kafka", address: kafka.into(), why: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_topics_keep_records_as_long_as_the_plan_says() {
        let plan = TopicPlan { event_partitions: 4, result_partitions: 2, retention_hours: Some(48) };
        let all = wanted(plan, 1, Some("172800000"));
        assert_eq!(all.len(), topic::RESULTS.len() + 2);
        assert!(all.iter().all(|new| new.config.contains(&("retention.ms", "172800000"))), "{all:?}");
        assert!(all[0].config.contains(&("message.timestamp.type", "LogAppendTime")));
        let all = wanted(plan, 1, None);
        assert!(all.iter().all(|new| new.config.iter().all(|(name, _)| *name != "retention.ms")), "{all:?}");
    }
}

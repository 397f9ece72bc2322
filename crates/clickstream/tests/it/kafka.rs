//! A Kafka that runs before and beside `up`: the log that stands in it then holds no heartbeat, so its events may lie in the
//! past without being late.

use std::time::Duration;

use clickstream_event::topic;
use clickstream_stack::kafka::broker::{Broker, wait_ready};
use clickstream_stack::kafka::topics::{self, TopicPlan};
use clickstream_stack::layout::Layout;
use clickstream_stack::observer::Silent;
use clickstream_stack::supervisor::Supervisor;
use clickstream_stack::{java, ports, provision};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::harness::World;

impl World {
    /// Starts a Kafka with all topics, which `up` will use instead of one of its own.
    pub fn start_kafka(&mut self, partitions: i32) {
        self.start_empty_kafka();
        self.make_topics(partitions);
        self.options.extend(["--kafka".to_owned(), self.kafka()]);
    }

    /// Starts a Kafka in which there is nothing at all.
    pub fn start_empty_kafka(&mut self) {
        self.beside = Some(start(self.data_dir(), self.kafka_port));
    }

    /// Makes all topics.
    pub fn make_topics(&self, partitions: i32) {
        let plan = TopicPlan { event_partitions: partitions, result_partitions: 4, retention_hours: None };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(topics::ensure(&self.kafka(), plan, &Silent)).unwrap();
    }
}

fn start(data_dir: &std::path::Path, port: u16) -> Supervisor {
    let layout = Layout::prepare(data_dir).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let dir = layout.runtime().join("kafka");
    let lib = runtime.block_on(provision::provision(provision::KAFKA, &dir, &Silent)).unwrap();
    let log4j = layout.runtime().join("log4j2.properties");
    std::fs::write(&log4j, include_str!("../../../stack/runtime/log4j2.properties")).unwrap();
    let broker = Broker { port, controller_port: ports::free_port(), retention_hours: 24 };
    let spec = broker.prepare(&layout, &lib, &java::find_java().unwrap(), &log4j).unwrap();
    let supervisor = Supervisor::start(spec);
    runtime.block_on(wait_ready(&broker.address(), Duration::from_secs(90), || None)).unwrap();
    supervisor
}

/// Writes records into partitions of the events topic, in this order.
pub struct Writer(BaseProducer);

impl Writer {
    pub fn new(kafka: &str) -> Self {
        let mut config = clickstream_kafka::client(kafka);
        config.set("enable.idempotence", "true");
        Self(config.set("compression.type", "lz4").create().unwrap())
    }

    /// Writes events and waits until they stand in the log.
    pub fn write(&self, records: &[(i32, Option<Vec<u8>>)]) {
        self.write_to(topic::EVENTS, records);
    }

    /// The same for records of any topic; those of results have one key, as a compacted topic takes none without.
    pub fn write_to(&self, name: &str, records: &[(i32, Option<Vec<u8>>)]) {
        for (partition, value) in records {
            let mut record: BaseRecord<'_, str, [u8]> = BaseRecord::to(name).partition(*partition);
            record.key = (name != topic::EVENTS).then_some("key");
            record.payload = value.as_deref();
            while let Err((error, back)) = self.0.send(record) {
                assert!(
                    matches!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)),
                    "{error}"
                );
                self.0.poll(Duration::from_millis(10));
                record = back;
            }
            self.0.poll(Duration::ZERO);
        }
        self.0.flush(Duration::from_secs(60)).unwrap();
    }
}

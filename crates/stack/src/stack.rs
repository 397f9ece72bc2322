//! The stack as a whole: everything started, everything watched, everything stopped in the right order.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::class_archive::Archivist;
use crate::error::{Result, StackError};
use crate::flink::cluster::Cluster;
use crate::flink::gateway;
use crate::flink::rest::Rest;
use crate::job::control::{Execution, JobControl};
use crate::job::template::JobParameters;
use crate::kafka::broker::{self, Broker};
use crate::kafka::topics::{self, TopicPlan};
use crate::layout::Layout;
use crate::lock::Lock;
use crate::observer::{Observer, Progress};
use crate::ports::{self, Wanted, free_port};
use crate::provision::{self, Runtime, provision};
use crate::supervisor::{Component, State, Supervisor};
use crate::{java, memory};

/// What to start, and with what.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// The data directory.
    pub data_dir: PathBuf,
    /// Kafka that runs already, as `host:port`.
    pub external_kafka: Option<String>,
    /// Flink that runs already: address of its JobManager, and of its SQL Gateway.
    pub external_flink: Option<(String, String)>,
    /// Port for Kafka.
    pub kafka_port: u16,
    /// Port for the JobManager's REST interface.
    pub flink_port: u16,
    /// Port for the SQL Gateway.
    pub gateway_port: u16,
    /// How long Kafka keeps records, in hours.
    pub retention_hours: u32,
    /// The topics.
    pub topics: TopicPlan,
    /// Heap for the TaskManager's state, in MiB.
    pub task_heap_mib: u64,
    /// Further options of the TaskManager's JVM.
    pub task_manager_options: Vec<String>,
    /// What the job computes; its `kafka` is filled in here.
    pub job: JobParameters,
    /// How the job runs.
    pub execution: Execution,
}

impl StackConfig {
    /// What is started here, and not used where it runs already.
    pub fn runtimes(&self) -> Vec<Runtime> {
        let ours = [
            (provision::KAFKA, self.external_kafka.is_none()),
            (provision::FLINK, self.external_flink.is_none()),
        ];
        ours.into_iter().filter(|(_, is_ours)| *is_ours).map(|(runtime, _)| runtime).collect()
    }
}

/// A running stack.
pub struct Stack {
    kafka: Option<Supervisor>,
    flink: Vec<Supervisor>,
    external: Vec<Component>,
    kafka_address: String,
    rest: Rest,
    job: Arc<JobControl>,
    partitions: i32,
    task_heap_mib: u64,
    layout: Layout,
    archivist: Option<Archivist>,
    _lock: Lock,
}

/// How long a process may take until it answers.
const PATIENCE: Duration = Duration::from_secs(90);

impl Stack {
    /// Starts what is not there yet, creates the topics, and submits the job.
    pub async fn start(mut config: StackConfig, observer: Arc<dyn Observer>) -> Result<Self> {
        let layout = Layout::prepare(&config.data_dir)?;
        let lock = Lock::acquire(&layout)?;
        ports::check_after(layout.root(), &wanted_ports(&config)).await?;
        let java = if config.runtimes().is_empty() { None } else { Some(java::find_java()?) };
        let runtime = layout.runtime();
        // one after the other: two Mavens on one local repository may step on each other
        let kafka_lib = match config.external_kafka {
            None => Some(provision(provision::KAFKA, &runtime.join("kafka"), &*observer).await?),
            Some(_) => None,
        };
        let flink_lib = match config.external_flink {
            None => Some(provision(provision::FLINK, &runtime.join("flink"), &*observer).await?),
            Some(_) => None,
        };
        let log4j = runtime.join("log4j2.properties");
        std::fs::write(&log4j, include_str!("../runtime/log4j2.properties"))
            .map_err(StackError::io(format!("cannot write {}", log4j.display())))?;

        let mut external = Vec::new();
        let started = Instant::now();
        let mut flink = Vec::new();
        let mut archives = Vec::new();
        let (rest_url, gateway_url) = match (&config.external_flink, &flink_lib, &java) {
            (Some((rest, gateway)), ..) => {
                external.push(external_component("jobmanager", rest));
                external.push(external_component("sql-gateway", gateway));
                (rest.clone(), gateway.clone())
            }
            (None, Some(lib), Some(java)) => {
                let slots = u64::from(config.execution.parallelism);
                let cluster = Cluster {
                    rest_port: config.flink_port,
                    gateway_port: config.gateway_port,
                    slots,
                    memory: memory::task_manager(config.task_heap_mib, slots),
                    task_manager_options: config.task_manager_options.clone(),
                };
                let specs = cluster.prepare(&layout, lib, java, &log4j)?;
                archives.extend(specs.iter().filter_map(|spec| spec.archive.clone()));
                flink.extend(specs.into_iter().map(Supervisor::start));
                (cluster.rest_url(), cluster.gateway_url())
            }
            _ => {
                return Err(StackError::MissingPrerequisite {
                    what: "Java is needed to run Flink".into(),
                    install: java::install_hint(),
                });
            }
        };
        let (kafka, kafka_address) = match (&config.external_kafka, &kafka_lib, &java) {
            (Some(address), ..) => {
                external.push(external_component("kafka", address));
                (None, address.clone())
            }
            (None, Some(lib), Some(java)) => {
                let node = Broker {
                    port: config.kafka_port,
                    controller_port: free_port(),
                    retention_hours: config.retention_hours,
                };
                let spec = node.prepare(&layout, lib, java, &log4j)?;
                let address = node.address();
                archives.extend(spec.archive.clone());
                (Some(Supervisor::start(spec)), address)
            }
            _ => {
                return Err(StackError::MissingPrerequisite {
                    what: "Java is needed to run Kafka".into(),
                    install: java::install_hint(),
                });
            }
        };
        config.job.kafka.clone_from(&kafka_address);

        let rest = Rest::new(rest_url.clone());
        let job = Arc::new(JobControl::new(
            rest.clone(),
            gateway_url.clone(),
            config.job.clone(),
            config.execution.clone(),
            config.external_flink.is_none(),
            layout.clone(),
        ));
        let mut stack = Self {
            kafka,
            flink,
            external,
            kafka_address,
            rest,
            job,
            partitions: 0,
            task_heap_mib: config.task_heap_mib,
            layout,
            archivist: None,
            _lock: lock,
        };

        let (partitions, ()) = tokio::try_join!(
            stack.kafka_ready(&config, started, &*observer),
            stack.flink_ready(&config, &gateway_url, started, &*observer)
        )?;
        stack.partitions = partitions;
        if i64::from(config.execution.parallelism) > i64::from(partitions) {
            return Err(StackError::Topic {
                topic: clickstream_event::topic::EVENTS.into(),
                why: format!(
                    "has {partitions} partitions, and a job of parallelism {} would have readers without one, which hold back all results: use --parallelism {partitions} or less",
                    config.execution.parallelism
                ),
            });
        }
        let step = "Flink job".to_owned();
        observer.on(Progress::Started(step.clone()));
        let submitting = Instant::now();
        stack.job.submit(false).await?;
        stack.job.wait_running(PATIENCE).await?;
        stack.archivist = Some(Archivist::start(archives));
        let message = format!("Flink job runs {}", stack.job.status().resumed);
        observer.on(Progress::Done { step, message, took: submitting.elapsed() });
        Ok(stack)
    }

    async fn kafka_ready(
        &self,
        config: &StackConfig,
        started: Instant,
        observer: &dyn Observer,
    ) -> Result<i32> {
        let step = "Kafka".to_owned();
        observer.on(Progress::Started(step.clone()));
        let patience = if self.kafka.is_some() { PATIENCE } else { Duration::from_secs(8) };
        broker::wait_ready(&self.kafka_address, patience, || self.kafka.as_ref().and_then(failed)).await?;
        if let Some(kafka) = &self.kafka {
            kafka.mark_ready();
        }
        let partitions = topics::ensure(&self.kafka_address, config.topics, observer).await?;
        observer.on(Progress::Done { step, message: "Kafka is ready".into(), took: started.elapsed() });
        Ok(partitions)
    }

    async fn flink_ready(
        &self,
        config: &StackConfig,
        gateway_url: &str,
        started: Instant,
        observer: &dyn Observer,
    ) -> Result<()> {
        let step = "Flink".to_owned();
        observer.on(Progress::Started(step.clone()));
        let patience = if self.flink.is_empty() { Duration::from_secs(8) } else { PATIENCE };
        let deadline = Instant::now() + patience;
        let (mut cluster, mut gateway_answers) = (false, false);
        loop {
            if let Some(error) = self.flink.iter().find_map(failed) {
                return Err(error);
            }
            if !cluster {
                cluster = self
                    .rest
                    .overview()
                    .await
                    .is_ok_and(|o| o.taskmanagers > 0 && o.slots_total >= config.execution.parallelism);
            }
            if !gateway_answers {
                gateway_answers = gateway::answers(gateway_url).await;
            }
            if cluster && gateway_answers {
                break;
            }
            if Instant::now() > deadline {
                let (what, address, why) = if cluster {
                    (
                        "Flink's SQL Gateway",
                        gateway_url,
                        "it does not answer; start it with `sql-gateway.sh start`, or name it with --flink-gateway",
                    )
                } else {
                    ("Flink's JobManager", self.rest.url(), "it does not answer, or has no free task slot")
                };
                return Err(StackError::NotReachable { what, address: address.into(), why: why.into() });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        for process in &self.flink {
            process.mark_ready();
        }
        observer.on(Progress::Done { step, message: "Flink is ready".into(), took: started.elapsed() });
        Ok(())
    }

    /// Looks after components and job until dropped.
    pub async fn watch(&self) {
        let job = self.job.watch(|| self.kafka_is_up());
        let readiness = async {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                self.refresh().await;
            }
        };
        tokio::join!(job, readiness, self.job.observe());
    }

    /// Whether Kafka answered after its last start.
    pub fn kafka_is_up(&self) -> bool {
        self.kafka.as_ref().is_none_or(|kafka| kafka.component().state == State::Ready)
    }

    /// Notes which of the components that were started again answer by now.
    async fn refresh(&self) {
        let starting = |s: &&Supervisor| s.component().state == State::Starting;
        if let Some(kafka) = self.kafka.as_ref().filter(starting)
            && broker::wait_ready(&self.kafka_address, Duration::ZERO, || None).await.is_ok()
        {
            kafka.mark_ready();
        }
        for process in self.flink.iter().filter(starting) {
            let component = process.component();
            let answers = match component.name.as_str() {
                "jobmanager" => self.rest.overview().await.is_ok(),
                "taskmanager" => self.rest.overview().await.is_ok_and(|o| o.taskmanagers > 0),
                _ => gateway::answers(&component.address).await,
            };
            if answers {
                process.mark_ready();
            }
        }
    }

    /// All components, ours and those of others.
    pub fn components(&self) -> Vec<Component> {
        let mut all: Vec<Component> =
            self.kafka.iter().chain(&self.flink).map(Supervisor::component).collect();
        all.extend(self.external.iter().cloned());
        all
    }

    /// A component that failed for good, and why.
    pub fn failure(&self) -> Option<StackError> {
        self.kafka.iter().chain(&self.flink).find_map(failed)
    }

    /// Kafka's address.
    pub fn kafka_address(&self) -> &str {
        &self.kafka_address
    }
    /// Address of Flink's web UI.
    pub fn flink_url(&self) -> &str {
        self.rest.url()
    }
    /// The job.
    pub fn job(&self) -> &JobControl {
        &self.job
    }
    /// The JobManager's REST interface.
    pub fn rest(&self) -> &Rest {
        &self.rest
    }
    /// Partitions of the events topic.
    pub fn partitions(&self) -> i32 {
        self.partitions
    }
    /// Heap given to the job's state, in MiB.
    pub fn task_heap_mib(&self) -> u64 {
        self.task_heap_mib
    }
    /// The data directory.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Stops everything that we started: the job after a last checkpoint, then Flink, then Kafka.
    pub async fn stop(mut self) {
        self.archivist = None;
        if !self.flink.is_empty() {
            self.job.stop().await;
        }
        let (flink, kafka) = (std::mem::take(&mut self.flink), self.kafka.take());
        let _ = tokio::task::spawn_blocking(move || {
            // Flink keeps nothing that a kill would lose once its job is gone
            std::thread::scope(|scope| {
                for mut process in flink {
                    scope.spawn(move || process.stop(Duration::from_millis(1500)));
                }
            });
            if let Some(mut kafka) = kafka {
                kafka.stop(Duration::from_secs(4));
            }
        })
        .await;
    }
}

fn failed(supervisor: &Supervisor) -> Option<StackError> {
    let why = supervisor.failure()?;
    Some(StackError::Component {
        component: supervisor.component().name,
        why,
        log: supervisor.log().to_owned(),
    })
}

fn external_component(name: &str, address: &str) -> Component {
    Component {
        name: name.into(),
        pid: None,
        state: State::External,
        restarts: 0,
        address: address.into(),
        log: None,
    }
}

fn wanted_ports(config: &StackConfig) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    if config.external_kafka.is_none() {
        wanted.push(Wanted { port: config.kafka_port, purpose: "Kafka", flag: "kafka-port" });
    }
    if config.external_flink.is_none() {
        wanted.push(Wanted {
            port: config.flink_port,
            purpose: "Flink's REST interface",
            flag: "flink-port",
        });
        wanted.push(Wanted {
            port: config.gateway_port,
            purpose: "Flink's SQL Gateway",
            flag: "gateway-port",
        });
    }
    wanted
}

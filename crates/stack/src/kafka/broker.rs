//! One Kafka node in KRaft mode: broker and controller in one process, no ZooKeeper.

use std::fs;
use std::net::{TcpStream, ToSocketAddrs};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::class_archive::{self, ClassArchive};
use crate::error::{Result, StackError};
use crate::java::Java;
use crate::layout::Layout;
use crate::memory;
use crate::supervisor::Spec;

/// What the broker needs to know.
#[derive(Clone, Debug)]
pub struct Broker {
    /// Port of the listener for clients.
    pub port: u16,
    /// Port of the controller's listener, known to the broker alone.
    pub controller_port: u16,
    /// How long events and results are kept, in hours.
    pub retention_hours: u32,
}

impl Broker {
    /// Where clients connect.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Writes the configuration, formats the log directory if that is new, and says how to start the broker.
    pub fn prepare(&self, layout: &Layout, lib: &Path, java: &Java, log4j: &Path) -> Result<Spec> {
        let dir = layout.kafka();
        let data = dir.join("data");
        fs::create_dir_all(&dir).map_err(StackError::io(format!("cannot create {}", dir.display())))?;
        let properties = dir.join("server.properties");
        fs::write(&properties, escaped(&self.properties(&data)))
            .map_err(StackError::io(format!("cannot write {}", properties.display())))?;
        if !data.join("meta.properties").exists() {
            format(&data, &properties, lib, java, layout)?;
        } else if fs::read_to_string(data.join("meta.properties"))
            .map_or(true, |text| !text.contains("cluster.id="))
        {
            return Err(StackError::DataDir {
                path: layout.root().to_owned(),
                why: format!(
                    "{} is damaged: Kafka cannot tell which cluster its log belongs to. Restore the directory from a copy, or start afresh with `clickstream purge`",
                    data.join("meta.properties").display()
                ),
            });
        }
        let mut command = vec![java.program.display().to_string()];
        command.extend(memory::small_jvm(320));
        let archive = ClassArchive::new(lib, "kafka", java);
        command.extend(archive.options());
        command.push(format!("-Dlog4j2.configurationFile={}", log4j.display()));
        command.extend([
            "-cp".into(),
            class_archive::class_path(lib),
            "kafka.Kafka".into(),
            properties.display().to_string(),
        ]);
        Ok(Spec {
            name: "kafka",
            address: self.address(),
            command,
            environment: vec![("MALLOC_ARENA_MAX".into(), "2".into())],
            log: layout.log_of("kafka"),
            archive: Some(archive),
            nice: 0,
        })
    }

    fn properties(&self, data: &Path) -> String {
        let Self { port, controller_port, retention_hours } = self;
        let data = data.display();
        format!(
            "# Written by clickstream at every start; changes are lost.\n\
             process.roles=broker,controller\n\
             node.id=1\n\
             controller.quorum.voters=1@127.0.0.1:{controller_port}\n\
             listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
             controller.listener.names=CONTROLLER\n\
             log.dirs={data}\n\
             # one node holds the only copy of everything\n\
             offsets.topic.replication.factor=1\n\
             offsets.topic.num.partitions=4\n\
             transaction.state.log.replication.factor=1\n\
             transaction.state.log.min.isr=1\n\
             transaction.state.log.num.partitions=4\n\
             group.initial.rebalance.delay.ms=0\n\
             auto.create.topics.enable=false\n\
             # after a kill the controller waits this long before it lets the broker in again\n\
             broker.heartbeat.interval.ms=400\n\
             broker.session.timeout.ms=2000\n\
             # keep what fits a laptop, in segments small enough to go one by one\n\
             log.retention.hours={retention_hours}\n\
             log.segment.bytes=134217728\n\
             log.cleaner.dedupe.buffer.size=8388608\n\
             num.network.threads=2\n\
             num.io.threads=4\n\
             background.threads=4\n"
        )
    }
}

fn format(data: &Path, properties: &Path, lib: &Path, java: &Java, layout: &Layout) -> Result<()> {
    let log = layout.log_of("kafka");
    let output = Command::new(&java.program)
        .args(["-Xmx96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"])
        .arg(class_archive::class_path(lib))
        .args(["kafka.tools.StorageTool", "format", "-t", &cluster_id(), "-c"])
        .arg(properties)
        .output()
        .map_err(StackError::io("cannot run java"))?;
    if output.status.success() {
        return Ok(());
    }
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(StackError::Component {
        component: "kafka".into(),
        why: format!("its log directory {} could not be formatted:\n{said}", data.display()),
        log,
    })
}

/// A cluster id as Kafka writes them: 16 bytes in URL-safe base64.
fn cluster_id() -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let nanos =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(1, |d| d.as_nanos() as u64);
    let mut state = nanos ^ (u64::from(std::process::id()) << 32);
    let mut id: String = (0..21)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(LETTERS[(state >> 58) as usize])
        })
        .collect();
    id.push('A'); // the last letter carries four of the bits only
    if id.starts_with('-') { id.replacen('-', "A", 1) } else { id }
}

/// Waits until a broker answers a metadata request; `failure` tells when waiting is pointless.
pub async fn wait_ready(
    address: &str,
    patience: Duration,
    failure: impl Fn() -> Option<StackError>,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(error) = failure() {
            return Err(error);
        }
        let target = address.to_owned();
        let answer = tokio::task::spawn_blocking(move || metadata(&target, Duration::from_millis(500))).await;
        match answer {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) if Instant::now() > deadline => {
                return Err(StackError::NotReachable {
                    what: "Kafka",
                    address: address.to_owned(),
                    why: format!("{why}; is a broker running there?"),
                });
            }
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

fn metadata(address: &str, timeout: Duration) -> Result<(), String> {
    // a connection that was refused is retried by librdkafka after its own back-off: look first
    connects(address, timeout)?;
    let consumer: BaseConsumer = clickstream_kafka::client(address).create().map_err(|e| e.to_string())?;
    let metadata = consumer.fetch_metadata(None, timeout).map_err(|e| e.to_string())?;
    if metadata.brokers().is_empty() { Err("no broker in the metadata".into()) } else { Ok(()) }
}

/// Tries all addresses of all servers in `servers` (as `host:port,host:port`), until one takes a connection within `timeout`; a name may
/// have several, as `localhost` has `::1` and `127.0.0.1`, and each server of a cluster knows the others. The error names all of them.
fn connects(servers: &str, timeout: Duration) -> Result<(), String> {
    let mut failures = Vec::new();
    for server in servers.split(',').map(str::trim) {
        match server.to_socket_addrs() {
            Ok(addresses) => {
                for address in addresses {
                    match TcpStream::connect_timeout(&address, timeout) {
                        Ok(_) => return Ok(()),
                        Err(error) => failures.push(format!("{address}: {error}")),
                    }
                }
            }
            Err(error) => failures.push(format!("{server}: {error}")),
        }
    }
    Err(failures.join(", "))
}

/// A properties file is read as Latin-1: what is not ASCII is written by its number.
fn escaped(properties: &str) -> String {
    let mut all = String::with_capacity(properties.len());
    for unit in properties.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => all.push(byte.into()),
            _ => all.push_str(&format!("\\u{unit:04x}")),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_that_answers_is_enough() {
        let alive = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let patience = Duration::from_millis(500);
        // nobody listens any more
        assert!(connects(&alive.to_string(), patience).is_err());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        for servers in [
            format!("127.0.0.1:{port}"),
            // wherever `localhost` leads first
            format!("localhost:{port}"),
            format!("{alive},127.0.0.1:{port}"),
            format!("no.such.host.invalid:9092, 127.0.0.1:{port}"),
        ] {
            assert_eq!(connects(&servers, patience), Ok(()), "{servers}");
        }
        let error = connects(&format!("{alive},no.such.host.invalid:9092"), patience).unwrap_err();
        assert!(error.contains(&alive.to_string()) && error.contains("no.such.host.invalid"), "{error}");
    }

    #[tokio::test]
    async fn a_cluster_is_ready_when_its_first_server_is_away() {
        let away = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let kafka = rdkafka::mocking::MockCluster::new(1).unwrap();
        let servers = format!("{away},{}", kafka.bootstrap_servers());
        wait_ready(&servers, Duration::from_secs(30), || None).await.unwrap();
    }

    #[test]
    fn paths_beyond_ascii_are_written_by_number() {
        assert_eq!(escaped("log.dirs=/größe/𝄞\n"), "log.dirs=/gr\\u00f6\\u00dfe/\\ud834\\udd1e\n");
    }
}

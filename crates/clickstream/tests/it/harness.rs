//! Runs `clickstream` in a directory and on ports of its own, and reads its topics.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use clickstream_kafka::offsets;
use clickstream_recount::Record;
use clickstream_stack::provision::{FLINK, KAFKA};
use clickstream_stack::supervisor::Supervisor;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::{Offset, TopicPartitionList};
use serde_json::Value;

/// Traffic with everything in it that must not count.
pub const SPOILT: [&str; 8] = [
    "--inject-late",
    "0.02",
    "--inject-duplicate",
    "0.03",
    "--inject-malformed",
    "0.02",
    "--inject-future",
    "0.01",
];

pub fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickstream"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CLICKSTREAM_")) {
        command.env_remove(name);
    }
    // several may run at once
    command.env("CLICKSTREAM_HTTP_PORT", "0");
    command.env("CLICKSTREAM_COLLECTOR_PORT", "0");
    command.current_dir(std::env::temp_dir());
    command
}

/// How long anything is waited for. It is there so that a test ends, not to say how fast something has to be: a machine that
/// is busy with something else makes no test fail.
const PATIENCE: Duration = Duration::from_secs(240);

/// Waits until `condition` gives something.
pub fn until<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    within_patience(condition).unwrap_or_else(|| panic!("not within {PATIENCE:?}: {what}"))
}

/// Waits until `condition` gives something; nothing if it does not.
pub fn within_patience<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let value = condition();
        if value.is_some() || Instant::now() > deadline {
            return value;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A data directory, ports, and the `up` that runs there.
pub struct World {
    pub dir: tempfile::TempDir,
    pub kafka_port: u16,
    flink_port: u16,
    gateway_port: u16,
    up: Option<Child>,
    pub options: Vec<String>,
    /// Kafka, where it is not `up` that runs it.
    pub beside: Option<Supervisor>,
}

/// The beginning of a line.
fn cut(line: &str, characters: usize) -> &str {
    line.char_indices().nth(characters).map_or(line, |(end, _)| &line[..end])
}

/// Runtimes are fetched once for all runs of tests that ask for the same; each data directory gets links to them.
fn shared_runtime() -> PathBuf {
    let mut hash = DefaultHasher::new();
    [KAFKA.pom, FLINK.pom].hash(&mut hash);
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("runtime-{:016x}", hash.finish()))
}

impl World {
    pub fn new(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        if shared_runtime().is_dir() {
            link_tree(&shared_runtime(), &dir.path().join("runtime"));
        }
        let port = clickstream_stack::ports::free_port;
        Self {
            dir,
            kafka_port: port(),
            flink_port: port(),
            gateway_port: port(),
            up: None,
            beside: None,
            options: options.iter().map(|o| (*o).to_owned()).collect(),
        }
    }

    pub fn kafka(&self) -> String {
        format!("127.0.0.1:{}", self.kafka_port)
    }

    pub fn data_dir(&self) -> &Path {
        self.dir.path()
    }

    /// Starts `up` with the world's options and some more.
    pub fn up(&mut self, more: &[&str]) {
        let out = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.dir.path().join("up.out"))
            .unwrap();
        let child = ends_with_us(&mut binary())
            .args(["up", "--json", "--data-dir"])
            .arg(self.dir.path())
            .args([
                "--kafka-port",
                &self.kafka_port.to_string(),
                "--flink-port",
                &self.flink_port.to_string(),
                "--gateway-port",
                &self.gateway_port.to_string(),
            ])
            .args(&self.options)
            .args(more)
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        self.up = Some(child);
        until("the job runs", || {
            if let Some(status) = self.up.as_mut().unwrap().try_wait().unwrap() {
                panic!("`up` ended with {status}:\n{}", self.output());
            }
            let status = self.status();
            (status["state"] == "running" && status["job"]["state"] == "RUNNING").then_some(())
        });
        if !shared_runtime().is_dir() {
            let partial = shared_runtime().with_extension(format!("{}", std::process::id()));
            link_tree(&self.dir.path().join("runtime"), &partial);
            let _ = std::fs::rename(partial, shared_runtime());
        }
    }

    pub fn output(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("up.out")).unwrap_or_default()
    }

    /// What a failed test leaves behind of its processes: in what state they are, and the newest that each wrote.
    fn last_words(&self) -> String {
        let status = self.status();
        let mut words = format!("state {}, job {}\n", status["state"], status["job"]);
        for component in status["components"].as_array().into_iter().flatten() {
            let name = component["name"].as_str().unwrap_or_default();
            words += &format!("{name} is {}, restarts {}:\n", component["state"], component["restarts"]);
            let log = self.log(name);
            let lines: Vec<&str> = log.lines().take(8).collect();
            lines.iter().rev().for_each(|line| words += &format!("  {}\n", cut(line, 240)));
        }
        // what became of the job, and what the proof says of its rows
        let log = self.log("clickstream");
        log.lines()
            .rev()
            .filter(|line| line.contains("job::"))
            .for_each(|line| words += &format!("{line}\n"));
        let verify = binary().args(["verify", "--data-dir"]).arg(self.dir.path()).output();
        words += &verify.map_or_else(|error| error.to_string(), |verify| text(&verify));
        let output = self.output();
        // rows of windows would fill the page
        let lines: Vec<&str> =
            output.lines().rev().filter(|line| !line.contains(r#""type":"window""#)).take(8).collect();
        words += "`up` wrote:\n";
        lines.iter().rev().for_each(|line| words += &format!("  {}\n", cut(line, 400)));
        words
    }

    /// The newest lines of a process's log, newest first.
    pub fn log(&self, component: &str) -> String {
        let log = std::fs::read_to_string(self.dir.path().join(format!("logs/{component}.log")))
            .unwrap_or_default();
        log.lines().rev().take(60).map(|line| format!("{line}\n")).collect()
    }

    pub fn status(&self) -> Value {
        let output = binary().args(["status", "--json", "--data-dir"]).arg(self.dir.path()).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    pub fn pid(&self, component: &str) -> Option<i32> {
        let status = self.status();
        let found = status["components"].as_array()?.iter().find(|c| c["name"] == component)?;
        found["pid"].as_i64().map(|pid| pid as i32)
    }

    pub fn pids(&self) -> Vec<i32> {
        let status = self.status();
        let all = status["components"].as_array().cloned().unwrap_or_default();
        all.iter().filter_map(|c| c["pid"].as_i64()).map(|pid| pid as i32).collect()
    }

    /// Kills a component as hard as can be, and returns its process id.
    pub fn kill(&mut self, component: &str) -> i32 {
        let pid = until("it has a process", || self.pid(component));
        signal(pid, libc::SIGKILL);
        if component == "clickstream" {
            self.up.take().unwrap().wait().unwrap();
        }
        pid
    }

    /// Stops `up` as `down` does; returns how long it took.
    pub fn down(&mut self) -> Duration {
        let pids = self.pids();
        let began = Instant::now();
        let output = binary().args(["down", "--data-dir"]).arg(self.dir.path()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let took = began.elapsed();
        let status = self.up.take().unwrap().wait().unwrap();
        assert!(status.success(), "`up` ended with {status}:\n{}", self.output());
        assert!(pids.len() >= if self.beside.is_some() { 4 } else { 5 }, "{pids:?}");
        drop(self.beside.take());
        for pid in pids {
            assert!(!is_alive(pid), "process {pid} outlived `up`");
        }
        for port in [self.kafka_port, self.flink_port, self.gateway_port] {
            assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_ok(), "port {port} is still taken");
        }
        took
    }

    /// Runs `generate` to its end.
    pub fn generate(&self, options: &[&str]) {
        let output = binary().args(["generate", "--kafka", &self.kafka()]).args(options).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// All records of a topic.
    pub fn read(&self, topic: &str) -> Vec<Record> {
        read(&self.kafka(), topic)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut up) = self.up.take() {
            if std::thread::panicking() {
                eprintln!("{}", self.last_words());
            }
            if up.try_wait().is_ok_and(|ended| ended.is_none()) {
                signal(up.id() as i32, libc::SIGTERM);
            }
            let _ = up.wait();
        }
        drop(self.beside.take());
    }
}

/// A test that is killed cannot stop what it started: the kernel does, and `up` takes its processes along.
#[allow(unsafe_code)] // what runs between fork and exec has no safe wrapper
fn ends_with_us(command: &mut Command) -> &mut Command {
    #[cfg(target_os = "linux")]
    // SAFETY: prctl is async-signal-safe and touches no memory of ours.
    unsafe {
        use std::os::unix::process::CommandExt;
        command.pre_exec(|| match libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    command
}

#[allow(unsafe_code)] // kill(2) has no safe wrapper in the standard library
pub fn signal(pid: i32, signal: i32) {
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "process {pid} is not there");
}

/// Whether a process exists and is no zombie.
pub fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn link_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            link_tree(&entry.path(), &target);
        } else if std::fs::hard_link(entry.path(), &target).is_err() {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}

/// All records of a topic; panics when Kafka does not answer.
pub fn read(kafka: &str, topic: &str) -> Vec<Record> {
    try_read(kafka, topic).unwrap_or_else(|error| panic!("{topic} cannot be read: {error}"))
}

/// All records of a topic.
pub fn try_read(kafka: &str, topic: &str) -> Result<Vec<Record>, KafkaError> {
    let consumer: BaseConsumer = clickstream_kafka::client(kafka)
        .set("group.id", "test")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.queue.backoff.ms", "10")
        .create()?;
    let patience = Duration::from_secs(60);
    let mut assignment = TopicPartitionList::new();
    let mut ends = HashMap::new();
    for (partition, low, high) in offsets::held(&consumer, topic, patience)? {
        if high > low {
            assignment.add_partition_offset(topic, partition, Offset::Offset(low))?;
            ends.insert(partition, high);
        }
    }
    consumer.assign(&assignment)?;
    let mut records = Vec::new();
    while !ends.is_empty() {
        let Some(message) = consumer.poll(patience) else { return Err(KafkaError::NoMessageReceived) };
        let message = match message {
            Ok(message) => message,
            // compaction may have removed the last record of a partition
            Err(KafkaError::PartitionEOF(partition)) => {
                ends.remove(&partition);
                continue;
            }
            Err(error) => return Err(error),
        };
        let end = ends.get(&message.partition()).copied().unwrap_or(0);
        if message.offset() < end {
            records.push(Record {
                partition: message.partition(),
                offset: message.offset(),
                arrival: message.timestamp().to_millis().unwrap(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
            });
        }
        if message.offset() + 1 >= end {
            ends.remove(&message.partition());
        }
    }
    Ok(records)
}

pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

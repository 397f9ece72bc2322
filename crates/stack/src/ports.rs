//! Checks ports before anything is started, so that a taken one is named at once and not by a dying JVM.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Result, StackError};

/// A port that is about to be used.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// The port.
    pub port: u16,
    /// What for.
    pub purpose: &'static str,
    /// The option that changes it.
    pub flag: &'static str,
}

/// A port is given back within this time after its process was killed: the kernel takes a JVM's memory apart first.
const LAST_BREATH: Duration = Duration::from_secs(5);

/// Fails with the first port that somebody listens on.
pub fn check(wanted: &[Wanted]) -> Result<()> {
    wanted.iter().try_for_each(|wanted| if is_free(wanted.port) { Ok(()) } else { Err(wanted.taken()) })
}

/// As [`check`], but waits for ports that the processes of an `up` in `data_dir` still hold, which has been killed.
pub async fn check_after(data_dir: &Path, wanted: &[Wanted]) -> Result<()> {
    let patience = Instant::now() + LAST_BREATH;
    for wanted in wanted {
        while !is_free(wanted.port) {
            if Instant::now() > patience || !listener(wanted.port).is_none_or(|who| who.works_in(data_dir)) {
                return Err(wanted.taken());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}

impl Wanted {
    fn taken(self) -> StackError {
        let Self { port, purpose, flag } = self;
        let by =
            listener(port).map_or(String::new(), |who| format!(" by {} (process {})", who.name, who.pid));
        StackError::PortTaken { port, purpose, by, flag }
    }
}

fn is_free(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).is_ok()
}

/// Listens on a port of this machine; 0 is any that is free.
pub async fn listen(wanted: Wanted) -> Result<tokio::net::TcpListener> {
    check(&[wanted])?;
    let address = (std::net::Ipv4Addr::LOCALHOST, wanted.port);
    tokio::net::TcpListener::bind(address).await.map_err(|error| StackError::NotReachable {
        what: wanted.purpose,
        address: format!("127.0.0.1:{}", wanted.port),
        why: error.to_string(),
    })
}

/// A port that is free now, for tests and for ports nobody needs to know.
///
/// Not one of those the kernel gives to outgoing connections (from 32768 on Linux): between now and its use, or while a killed
/// process starts again, any client on the machine could be given it.
pub fn free_port() -> u16 {
    let random = || (RandomState::new().hash_one(0) % 12_000) as u16 + 20_000;
    (0..1_000).map(|_| random()).find(|port| is_free(*port)).unwrap_or(0)
}

/// A process that listens on a port.
struct Listener {
    pid: String,
    name: String,
}

impl Listener {
    /// Whether it was started for this data directory: what `up` starts is told where that is.
    fn works_in(&self, data_dir: &Path) -> bool {
        let command = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        // of a process that is about to be gone, nothing is left to read
        command.is_empty() || String::from_utf8_lossy(&command).contains(&*data_dir.to_string_lossy())
    }
}

/// The process that listens on `port`, where `/proc` shows it to us.
fn listener(port: u16) -> Option<Listener> {
    let suffix = format!(":{port:04X}");
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            // state 0A is LISTEN
            (columns.get(1)?.ends_with(&suffix) && *columns.get(3)? == "0A")
                .then(|| columns.get(9).map(|c| (*c).to_owned()))?
        })
    })?;
    let socket = format!("socket:[{inode}]");
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let pid = process.file_name().to_string_lossy().into_owned();
        if !pid.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let Ok(descriptors) = fs::read_dir(process.path().join("fd")) else { continue };
        if descriptors
            .flatten()
            .any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.to_string_lossy() == socket))
        {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Listener { pid, name: name.trim().to_owned() });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_the_way_out() {
        let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = check(&[Wanted { port, purpose: "Kafka", flag: "kafka-port" }]).unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("--kafka-port"), "{error}");
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
    }

    /// What the process of the test below does.
    #[test]
    #[ignore = "run by another test, in a process of its own"]
    fn somebody_listens() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        println!("\nport {}", listener.local_addr().unwrap().port());
        std::thread::sleep(Duration::from_secs(60));
    }

    /// A process that listens, with an argument in its command line.
    fn stranger(argument: &Path) -> (std::process::Child, u16) {
        use std::io::{BufRead, BufReader};
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "ports::tests::somebody_listens"])
            .arg(argument)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(|line| line.ok());
        let port = lines.find_map(|line| line.strip_prefix("port ")?.parse().ok()).unwrap();
        (child, port)
    }

    #[tokio::test]
    async fn a_port_of_a_killed_up_is_waited_for_and_that_of_others_is_not() {
        let (ours, other) = (Path::new("/data/ours"), Path::new("/data/other"));
        let (mut process, port) = stranger(&ours.join("kafka/server.properties"));
        let wanted = [Wanted { port, purpose: "Kafka", flag: "kafka-port" }];
        let began = Instant::now();
        assert!(check_after(other, &wanted).await.is_err());
        assert!(began.elapsed() < LAST_BREATH);
        let (free, _) = tokio::join!(check_after(ours, &wanted), async {
            // by now it has been found taken
            tokio::task::yield_now().await;
            process.kill().unwrap();
        });
        assert!(free.is_ok(), "{free:?}");
        process.wait().unwrap();
    }
}

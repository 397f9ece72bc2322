//! Checks ports before anything is started, so that a taken one is named at once and not by a dying JVM.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

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

/// Fails with the first port that somebody listens on.
pub fn check(wanted: &[Wanted]) -> Result<()> {
    for &Wanted { port, purpose, flag } in wanted {
        if TcpListener::bind(("127.0.0.1", port)).is_err() {
            let by = listener(port).map_or(String::new(), |who| format!(" by {who}"));
            return Err(StackError::PortTaken { port, purpose, by, flag });
        }
    }
    Ok(())
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
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    (0..1_000).map(|_| random()).find(free).unwrap_or(0)
}

/// The process that listens on `port`, as `name (process 123)`, where `/proc` shows it to us.
fn listener(port: u16) -> Option<String> {
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
            return Some(format!("{} (process {pid})", name.trim()));
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
}

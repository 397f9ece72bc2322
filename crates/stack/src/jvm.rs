//! Asks a running JVM what its heap holds, and to collect garbage: over the socket on which it listens for tools such as `jcmd`.
//!
//! The JVM must have been started with [`LISTEN`]. Its socket lies in the directory for temporary files, whatever it was told of another one.
//!
//! <https://docs.oracle.com/en/java/javase/17/docs/specs/man/jcmd.html>

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The option without which a JVM does not listen.
pub const LISTEN: &str = "-XX:+StartAttachListener";

/// How long a JVM may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a heap of the collector G1 holds, in KiB.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heap {
    /// All of it.
    pub used: u64,
    /// Of that, objects that have not survived for long.
    pub young: u64,
}

impl Heap {
    /// What the heap of process `pid` holds now.
    pub fn of(pid: u32) -> io::Result<Self> {
        let text = ask(pid, "GC.heap_info")?;
        parse(&text).ok_or_else(|| io::Error::other(format!("no heap of G1: {text}")))
    }

    /// What has survived for long, alive or not, in KiB.
    pub fn old(self) -> u64 {
        self.used.saturating_sub(self.young)
    }
}

/// Has process `pid` collect garbage, as `System.gc()` would.
pub fn collect(pid: u32) -> io::Result<()> {
    ask(pid, "GC.run").map(drop)
}

/// Takes away the socket of a process that has ended: one that was killed leaves it behind.
pub fn forget(pid: u32) {
    let _ = std::fs::remove_file(socket(pid));
}

fn socket(pid: u32) -> PathBuf {
    let dir = if cfg!(target_os = "linux") { Path::new("/tmp").to_owned() } else { std::env::temp_dir() };
    dir.join(format!(".java_pid{pid}"))
}

fn ask(pid: u32, command: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect(socket(pid))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // version, command, and three arguments of it, each ended by a zero
    stream.write_all(format!("1\0jcmd\0{command}\0\0\0").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once('\n') {
        Some(("0", text)) => Ok(text.to_owned()),
        _ => Err(io::Error::other(format!("{command}: {}", answer.trim()))),
    }
}

fn parse(text: &str) -> Option<Heap> {
    let kib = |before: &str, after: &str| -> Option<u64> {
        let rest = &text[text.find(before)? + before.len()..];
        rest[..rest.find(after)?]
            .rsplit(|c: char| !c.is_ascii_digit())
            .find(|digits| !digits.is_empty())?
            .parse()
            .ok()
    };
    Some(Heap { used: kib("used ", "K")?, young: kib("young (", "K")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_g1_says_of_its_heap() {
        let text = " garbage-first heap   total 1310720K, used 812345K [0x00000000b0000000, 0x0000000100000000)\n  \
                    region size 8192K, 30 young (245760K), 2 survivors (16384K)\n Metaspace       used 105000K, committed 106000K\n";
        let heap = parse(text).unwrap();
        assert_eq!((heap, heap.old()), (Heap { used: 812_345, young: 245_760 }, 566_585));
        assert_eq!(parse(" def new generation   total 14784K, used 3512K [0x0, 0x1)\n"), None);
    }
}

//! Fetches the runtimes: Maven copies the artifacts of a pinned `pom.xml` into a directory of the data directory.
//!
//! The directory appears whole or not at all: Maven works beside it, the result is checked, a manifest is written, and
//! a rename makes it visible. A start that finds a manifest of the same `pom.xml` and all files in their size runs no
//! Maven at all.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use crate::error::{Result, StackError};
use crate::java::{find_java, find_maven};
use crate::layout::Layout;
use crate::observer::{Observer, Progress};
use crate::stack::StackConfig;

/// One of the two runtimes.
#[derive(Clone, Copy, Debug)]
pub struct Runtime {
    /// Name for people.
    pub name: &'static str,
    /// Its directory among the runtimes of a data directory.
    pub dir: &'static str,
    /// Text of its `pom.xml`.
    pub pom: &'static str,
    /// Artifacts it consists of (roughly), for the progress bar.
    pub expected: u64,
}

/// Apache Kafka.
pub const KAFKA: Runtime =
    Runtime { name: "Kafka", dir: "kafka", pom: include_str!("../runtime/kafka/pom.xml"), expected: 95 };
/// Apache Flink with the SQL Gateway.
pub const FLINK: Runtime =
    Runtime { name: "Flink", dir: "flink", pom: include_str!("../runtime/flink/pom.xml"), expected: 66 };

const ATTEMPTS: u32 = 3;

#[derive(Serialize, Deserialize, PartialEq)]
struct Manifest {
    pom: String,
    files: Vec<(String, u64)>,
}

/// Makes sure that `dir/lib` holds the jars of `runtime`, and returns that directory.
pub async fn provision(runtime: Runtime, dir: &Path, observer: &dyn Observer) -> Result<PathBuf> {
    let lib = dir.join("lib");
    if is_complete(runtime, dir) {
        return Ok(lib);
    }
    let maven = find_maven()?;
    let step = format!("Fetching {} with Maven", runtime.name);
    observer.on(Progress::Started(step.clone()));
    let started = Instant::now();
    let work = dir.with_extension("incomplete");
    let mut last = None;
    for attempt in 1..=ATTEMPTS {
        match fetch(runtime, &maven, &work, attempt, &step, observer).await {
            Ok(count) => {
                replace(dir, &work)?;
                let message = format!("{} fetched, {count} artifacts", runtime.name);
                observer.on(Progress::Done { step, message, took: started.elapsed() });
                return Ok(lib);
            }
            Err(error) => {
                if attempt < ATTEMPTS {
                    observer.on(Progress::Notice(format!(
                        "fetching {} failed, trying again ({attempt} of {ATTEMPTS})",
                        runtime.name
                    )));
                    tokio::time::sleep(Duration::from_secs(u64::from(attempt))).await;
                }
                last = Some(error);
            }
        }
    }
    Err(last.unwrap_or_else(|| StackError::Provision {
        runtime: runtime.name,
        why: "no attempt was made".into(),
        command: String::new(),
    }))
}

/// Whether Java is there for what `config` starts, and Maven for what of that is not fetched yet. What runs elsewhere needs neither.
pub fn check(config: &StackConfig) -> Result<()> {
    if !config.runtimes().is_empty() {
        find_java()?;
    }
    if !missing(config).is_empty() {
        find_maven()?;
    }
    Ok(())
}

/// The runtimes that `config` starts and that its data directory does not hold yet.
pub fn missing(config: &StackConfig) -> Vec<Runtime> {
    let dir = Layout::new(&config.data_dir).runtime();
    config.runtimes().into_iter().filter(|runtime| !is_complete(*runtime, &dir.join(runtime.dir))).collect()
}

/// Whether `dir` holds everything a manifest of this very `pom.xml` lists.
pub fn is_complete(runtime: Runtime, dir: &Path) -> bool {
    let read =
        || -> Option<Manifest> { serde_json::from_slice(&fs::read(dir.join("manifest.json")).ok()?).ok() };
    read().is_some_and(|manifest| {
        manifest.pom == runtime.pom
            && !manifest.files.is_empty()
            && manifest
                .files
                .iter()
                .all(|(name, size)| fs::metadata(dir.join("lib").join(name)).is_ok_and(|m| m.len() == *size))
    })
}

async fn fetch(
    runtime: Runtime,
    maven: &Path,
    work: &Path,
    attempt: u32,
    step: &str,
    observer: &dyn Observer,
) -> Result<usize> {
    let io = |what: &str| StackError::io(format!("{what} {}", work.display()));
    let _ = fs::remove_dir_all(work);
    let lib = work.join("lib");
    fs::create_dir_all(&lib).map_err(io("cannot create"))?;
    let pom = work.join("pom.xml");
    fs::write(&pom, runtime.pom).map_err(io("cannot write into"))?;
    let mut command = Command::new(maven);
    command.args(["--batch-mode", "--no-transfer-progress", "--file"]).arg(&pom);
    if attempt > 1 {
        // a failure may be remembered in the local repository: ask again
        command.arg("--update-snapshots");
    }
    command.arg("dependency:copy-dependencies").arg(format!("-DoutputDirectory={}", lib.display()));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let shown = format!("mvn -f {} dependency:copy-dependencies", pom.display());
    let failed = |why: String| StackError::Provision { runtime: runtime.name, why, command: shown.clone() };
    let child = command.spawn().map_err(|e| failed(e.to_string()))?;
    let output = child.wait_with_output();
    tokio::pin!(output);
    let output = loop {
        tokio::select! {
            output = &mut output => break output.map_err(|e| failed(e.to_string()))?,
            () = tokio::time::sleep(Duration::from_millis(200)) => {
                let done = fs::read_dir(&lib).map_or(0, |entries| entries.count() as u64);
                observer.on(Progress::Advanced { step: step.to_owned(), done, total: runtime.expected });
            }
        }
    };
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("[ERROR]")).take(3).collect();
        return Err(failed(if errors.is_empty() {
            format!("it ended with {}", output.status)
        } else {
            errors.join("\n")
        }));
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(&lib).map_err(io("cannot read"))? {
        let entry = entry.map_err(io("cannot read"))?;
        let size = entry.metadata().map_err(io("cannot read"))?.len();
        let name = entry.file_name().to_string_lossy().into_owned();
        if !looks_like_jar(&entry.path()) {
            return Err(failed(format!("{name} is no whole jar file")));
        }
        files.push((name, size));
    }
    if files.is_empty() {
        return Err(failed("it copied nothing".into()));
    }
    files.sort();
    let count = files.len();
    let manifest =
        serde_json::to_vec_pretty(&Manifest { pom: runtime.pom.to_owned(), files }).unwrap_or_default();
    fs::write(work.join("manifest.json"), manifest).map_err(io("cannot write into"))?;
    Ok(count)
}

fn replace(dir: &Path, work: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)
            .map_err(StackError::io(format!("cannot remove the old {}", dir.display())))?;
    }
    fs::rename(work, dir).map_err(StackError::io(format!("cannot create {}", dir.display())))
}

/// A jar is a zip file: it begins with `PK` and has its end-of-directory record near the end.
fn looks_like_jar(path: &Path) -> bool {
    use std::io::{Read, Seek, SeekFrom};
    let check = || -> std::io::Result<bool> {
        let mut file = fs::File::open(path)?;
        let mut head = [0; 2];
        file.read_exact(&mut head)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(66_000)))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        Ok(&head == b"PK" && tail.windows(4).any(|w| w == b"PK\x05\x06"))
    };
    check().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_cut_off_is_not_complete() {
        let dir = tempfile::tempdir().unwrap();
        let lib = dir.path().join("lib");
        fs::create_dir_all(&lib).unwrap();
        fs::write(lib.join("a.jar"), b"PK\x05\x06whole").unwrap();
        let manifest = Manifest { pom: KAFKA.pom.to_owned(), files: vec![("a.jar".into(), 9)] };
        fs::write(dir.path().join("manifest.json"), serde_json::to_vec(&manifest).unwrap()).unwrap();
        assert!(is_complete(KAFKA, dir.path()));
        assert!(!is_complete(FLINK, dir.path()), "another pom.xml");
        assert!(looks_like_jar(&lib.join("a.jar")));
        fs::write(lib.join("a.jar"), b"PK").unwrap();
        assert!(!is_complete(KAFKA, dir.path()));
        assert!(!looks_like_jar(&lib.join("a.jar")));
    }
}

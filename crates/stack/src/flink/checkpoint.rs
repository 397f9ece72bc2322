//! The checkpoints Flink left on disk: a killed JobManager forgets its jobs, the files remember.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clickstream_event::Timestamp;

/// A complete checkpoint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Its directory, `<checkpoints>/<job id>/chk-<n>`.
    pub path: PathBuf,
    /// The job that took it.
    pub job: String,
    /// When it was begun, where the file system tells; else when it was completed. What came in between is not in it.
    pub taken: SystemTime,
}

impl Checkpoint {
    /// When it was taken.
    pub fn taken_at(&self) -> Timestamp {
        let since = self.taken.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(since.as_millis() as i64)
    }
    /// How long ago it was taken.
    pub fn age(&self) -> Duration {
        self.taken.elapsed().unwrap_or_default()
    }
}

/// All complete checkpoints under `dir`, the newest first. One is complete when it has its `_metadata`, written last.
pub fn complete(dir: &Path) -> Vec<Checkpoint> {
    let mut found = Vec::new();
    for job in fs::read_dir(dir).into_iter().flatten().flatten() {
        for entry in fs::read_dir(job.path()).into_iter().flatten().flatten() {
            if !entry.file_name().to_string_lossy().starts_with("chk-") {
                continue;
            }
            if let Ok(completed) = fs::metadata(entry.path().join("_metadata")).and_then(|m| m.modified()) {
                let begun = entry.metadata().and_then(|directory| directory.created());
                let taken = begun.map_or(completed, |begun| begun.min(completed));
                let job = job.file_name().to_string_lossy().into_owned();
                found.push(Checkpoint { path: entry.path(), job, taken });
            }
        }
    }
    found.sort_by_key(|checkpoint| std::cmp::Reverse(checkpoint.taken));
    found
}

/// Removes all checkpoints.
pub fn discard(dir: &Path) {
    for job in fs::read_dir(dir).into_iter().flatten().flatten() {
        let _ = fs::remove_dir_all(job.path());
    }
}

/// Removes the checkpoints of all jobs but those to `keep`, and the owner of the newest one.
pub fn clean(dir: &Path, keep: &[&str]) {
    let newest = complete(dir).into_iter().next().map(|checkpoint| checkpoint.job);
    for job in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = job.file_name().to_string_lossy().into_owned();
        if !keep.contains(&name.as_str()) && Some(&name) != newest.as_ref() {
            let _ = fs::remove_dir_all(job.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_one_counts() {
        let dir = tempfile::tempdir().unwrap();
        let make = |path: &str, complete: bool| {
            let path = dir.path().join(path);
            fs::create_dir_all(&path).unwrap();
            if complete {
                fs::write(path.join("_metadata"), "x").unwrap();
            }
        };
        make("a/chk-9", true);
        std::thread::sleep(Duration::from_millis(20));
        make("b/chk-2", true);
        make("b/chk-3", false);
        make("c/shared", false);
        let newest = complete(dir.path()).remove(0);
        assert_eq!((newest.job.as_str(), newest.path), ("b", dir.path().join("b/chk-2")));
        // "a" is what a job begins with, though it is not the newest
        clean(dir.path(), &["new", "a"]);
        assert!(["a/chk-9", "b/chk-2"].iter().all(|path| dir.path().join(path).exists()));
        clean(dir.path(), &["b"]);
        assert!(!dir.path().join("a").exists() && dir.path().join("b/chk-2").exists());
    }
}

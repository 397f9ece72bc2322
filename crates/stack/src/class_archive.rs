//! Archives of the classes a JVM has loaded, so that its next start maps them instead of reading them out of jars.
//!
//! A JVM without an archive writes one when it is stopped. Whoever ends in another way leaves none behind: the file gets
//! its name only once the process has ended by itself. The name tells for which `java` it is, and the archives lie with
//! the runtimes they were made of. One that does not fit all the same is ignored by the JVM.
//!
//! <https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html>

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use crate::java::Java;

/// The archive of one component.
#[derive(Clone, Debug)]
pub struct ClassArchive(PathBuf);

/// How long a JVM may take to write its archive; where that is too short, the next stop tries again.
pub const PATIENCE: Duration = Duration::from_secs(6);

impl ClassArchive {
    /// The archive of the component `name` beside the jars in `lib`.
    pub fn new(lib: &Path, name: &str, java: &Java) -> Self {
        let built = fs::metadata(&java.program)
            .and_then(|file| file.modified())
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |age| age.as_secs());
        Self(lib.with_file_name(format!("{name}-java{}-{built:x}.jsa", java.version)))
    }

    /// Options that make the JVM use the archive, or write one.
    pub fn options(&self) -> Vec<String> {
        let archive = if self.0.exists() {
            format!("-XX:SharedArchiveFile={}", self.0.display())
        } else {
            format!("-XX:ArchiveClassesAtExit={}", self.unfinished().display())
        };
        // a class that cannot be archived is no reason for a warning in the log
        vec![archive, "-Xlog:cds*=error".into()]
    }

    /// Whether the JVM is to write the archive when it ends.
    pub fn is_missing(&self) -> bool {
        !self.0.exists()
    }

    /// Takes what a JVM wrote that ended by itself.
    pub fn keep(&self) {
        let _ = fs::rename(self.unfinished(), &self.0);
    }

    fn unfinished(&self) -> PathBuf {
        self.0.with_extension("jsa.unfinished")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_finished_archive_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let java = Java { program: dir.path().join("java"), version: 17 };
        let archive = ClassArchive::new(&dir.path().join("lib"), "kafka", &java);
        assert!(archive.is_missing() && archive.options()[0].starts_with("-XX:ArchiveClassesAtExit="));
        fs::write(archive.unfinished(), "").unwrap();
        assert!(archive.is_missing());
        archive.keep();
        assert!(!archive.is_missing() && archive.options()[0].starts_with("-XX:SharedArchiveFile="));
    }
}

//! Where things lie in the data directory.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Result, StackError};

/// The data directory and the places in it.
#[derive(Clone, Debug)]
pub struct Layout {
    root: PathBuf,
}

/// Space that must be free before anything is started, in bytes.
const MIN_FREE: u64 = 512 << 20;

/// Begins the name of the directory of a `serve` of its own.
const SERVE_ON: &str = "serve-";

impl Layout {
    /// A layout under `root`, an absolute path once the directory exists.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Creates the directory and finds out whether it can be used: that it is one, writable, and has space left.
    pub fn prepare(root: &Path) -> Result<Self> {
        let fail = |why: String| StackError::DataDir { path: root.to_owned(), why };
        if root.exists() && !root.is_dir() {
            return Err(fail("it is a file; choose a directory with --data-dir".into()));
        }
        let hint = |e: std::io::Error| match e.kind() {
            std::io::ErrorKind::PermissionDenied => {
                fail("you may not write there; change its owner, or choose another with --data-dir".into())
            }
            std::io::ErrorKind::ReadOnlyFilesystem => {
                fail("it is on a read-only file system; choose another with --data-dir".into())
            }
            std::io::ErrorKind::StorageFull => {
                fail("the disk is full; free some space, or choose another with --data-dir".into())
            }
            _ => fail(format!("{e}; choose another with --data-dir")),
        };
        fs::create_dir_all(root).map_err(hint)?;
        let layout = Self::new(root.canonicalize().map_err(hint)?);
        for dir in [layout.run(), layout.logs(), layout.flink(), layout.runtime()] {
            fs::create_dir_all(dir).map_err(hint)?;
        }
        let probe = layout.run().join("probe");
        fs::File::create(&probe).and_then(|mut file| file.write_all(&[0; 4096])).map_err(hint)?;
        let _ = fs::remove_file(&probe);
        if let Some(free) = free_space(&layout.root)
            && free < MIN_FREE
        {
            return Err(fail(format!(
                "only {} MB are free there and {} MB are needed; free some space, or choose another with --data-dir",
                free >> 20,
                MIN_FREE >> 20
            )));
        }
        Ok(layout)
    }

    /// The directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }
    /// Runtimes fetched by Maven.
    pub fn runtime(&self) -> PathBuf {
        self.root.join("runtime")
    }
    /// Kafka's configuration and log directory.
    pub fn kafka(&self) -> PathBuf {
        self.root.join("kafka")
    }
    /// Flink's configuration, checkpoints and scratch space.
    pub fn flink(&self) -> PathBuf {
        self.root.join("flink")
    }
    /// Checkpoints of all jobs.
    pub fn checkpoints(&self) -> PathBuf {
        self.flink().join("checkpoints")
    }
    /// Events and results of the embedded engine.
    pub fn embedded(&self) -> PathBuf {
        self.root.join("embedded")
    }
    /// Results that the dashboard shows.
    pub fn serve(&self) -> PathBuf {
        self.root.join("serve")
    }

    /// The same for a `serve` of its own on a port.
    pub fn serve_on(&self, port: u16) -> PathBuf {
        self.root.join(format!("{SERVE_ON}{port}"))
    }
    /// The salt of the collector's visitor ids.
    pub fn collector(&self) -> PathBuf {
        self.root.join("collector")
    }
    /// All of these that exist: what is ours in the data directory.
    pub fn everything(&self) -> Vec<PathBuf> {
        let mut all = vec![
            self.run(),
            self.logs(),
            self.flink(),
            self.kafka(),
            self.embedded(),
            self.runtime(),
            self.serve(),
            self.collector(),
        ];
        let others = fs::read_dir(&self.root).into_iter().flatten().flatten();
        all.extend(
            others
                .filter(|entry| entry.file_name().to_str().is_some_and(|name| name.starts_with(SERVE_ON)))
                .map(|entry| entry.path()),
        );
        all.retain(|path| path.exists());
        all
    }

    /// Logs of every process.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
    /// The log of one process.
    pub fn log_of(&self, component: &str) -> PathBuf {
        self.logs().join(format!("{component}.log"))
    }
    /// Lock and state of a running `up`.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }
    /// What runs: written by `up`, read by `status`.
    pub fn state_file(&self) -> PathBuf {
        self.run().join("state.json")
    }
    /// The lock.
    pub fn lock_file(&self) -> PathBuf {
        self.run().join("lock")
    }
}

/// Bytes free for us on the file system of `path`.
#[allow(unsafe_code)] // statvfs has no safe wrapper in the standard library
pub fn free_space(path: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(path.as_os_str().as_bytes()).ok()?;
    // SAFETY: an all-zero statvfs is valid, `path` is a C string, and the struct outlives the call.
    let mut stat: libc::statvfs = unsafe { std::mem::zeroed() };
    let answer = unsafe { libc::statvfs(path.as_ptr(), &raw mut stat) };
    (answer == 0).then(|| stat.f_bavail as u64 * stat.f_frsize as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_what_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(dir.path()).unwrap();
        for ours in [layout.serve(), layout.serve_on(9_000), layout.collector(), layout.kafka()] {
            fs::create_dir_all(ours).unwrap();
        }
        fs::write(dir.path().join("mine.toml"), "").unwrap();
        layout.everything().iter().for_each(|path| fs::remove_dir_all(path).unwrap());
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().flatten().map(|e| e.file_name()).collect();
        assert_eq!(left, ["mine.toml"]);
    }

    #[test]
    fn a_file_is_no_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let error = Layout::prepare(&file).unwrap_err().to_string();
        assert!(error.contains("it is a file"), "{error}");
        assert!(Layout::prepare(&dir.path().join("new")).is_ok());
    }
}

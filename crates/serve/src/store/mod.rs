//! The history of result rows in an embedded database, so that it survives restarts and is read in milliseconds.
//!
//! | module | does |
//! |---|---|
//! | `schema` | tables and connections |
//! | `write` | takes rows in, many at once |
//! | `read` | answers questions |
//! | `frames` | what the live stream showed |
//! | `tidy` | forgets what is old |

mod frames;
mod read;
mod schema;
mod tidy;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use rusqlite::{Connection, OptionalExtension, params};

pub use frames::FrameMark;
pub use read::{EventQuery, Listing, WindowQuery};
pub use tidy::EventLimit;
pub use write::Position;

use crate::kind::{KINDS, Kind};

/// What is kept for how long; times are event times, counted back from the newest window.
#[derive(Clone, Debug)]
pub struct Retention {
    /// Nothing older is kept, in milliseconds.
    pub keep_ms: i64,
    /// So long every window is kept, with all its rows, in milliseconds.
    pub detail_ms: i64,
    /// Older windows are kept if they end at a multiple of this, in milliseconds. With the window's size, the kept
    /// windows lie side by side, and no event is in two of them or in none.
    pub coarse_step_ms: i64,
    /// Of these, so many rows per kind: those with the greatest numbers.
    pub coarse_rows: u32,
    /// Sessions kept per site.
    pub sessions: u32,
    /// Anomalies kept per site.
    pub anomalies: u32,
    /// Dead letters kept; their counts by reason stay.
    pub dead_letters: u32,
}

impl Default for Retention {
    fn default() -> Self {
        let (minute, hour) = (60_000, 3_600_000);
        Self {
            keep_ms: 7 * 24 * hour,
            detail_ms: hour,
            coarse_step_ms: 5 * minute,
            coarse_rows: 50,
            sessions: 100_000,
            anomalies: 100_000,
            dead_letters: 100_000,
        }
    }
}

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused.
    #[error("the store of results: {0}")]
    Database(#[from] rusqlite::Error),
    /// The file or its directory.
    #[error("the store of results at {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The store; clones share it.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    retention: Retention,
    writer: Mutex<Connection>,
    idle_readers: Mutex<Vec<Connection>>,
    /// Newest window and its events, of each site.
    sites: RwLock<BTreeMap<String, (i64, i64)>>,
    /// How often rows of a kind were written since the start; tells whether an answer is still good.
    versions: [AtomicU64; KINDS.len()],
    /// Tells this file from any other.
    epoch: String,
}

impl Store {
    /// Opens the store, or makes it. A file that is no database is put aside under another name: all it held can be read
    /// from Kafka again.
    pub fn open(path: &Path, retention: Retention) -> Result<Self, StoreError> {
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)
                .map_err(|source| StoreError::File { path: path.to_owned(), source })?;
        }
        let writer = match schema::writer(path) {
            Err(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
                ) =>
            {
                let aside = path.with_extension("broken");
                tracing::warn!(%error, aside = %aside.display(), "the store of results is put aside and begun anew");
                std::fs::rename(path, &aside)
                    .map_err(|source| StoreError::File { path: path.to_owned(), source })?;
                for suffix in ["-wal", "-shm"] {
                    let mut name = path.as_os_str().to_owned();
                    name.push(suffix);
                    let _ = std::fs::remove_file(PathBuf::from(name));
                }
                schema::writer(path)?
            }
            other => other?,
        };
        let epoch = epoch(&writer)?;
        let sites = newest_windows(&writer)?;
        let store = Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                retention,
                writer: Mutex::new(writer),
                idle_readers: Mutex::new(Vec::new()),
                sites: RwLock::new(sites),
                versions: Default::default(),
                epoch,
            }),
        };
        let inner = Arc::downgrade(&store.inner);
        schema::checkpoints(path, move || inner.strong_count() == 0)?;
        Ok(store)
    }

    /// Names this file: numbers of frames mean something only together with it.
    pub fn epoch(&self) -> &str {
        &self.inner.epoch
    }

    /// The sites, by name.
    pub fn sites(&self) -> Vec<String> {
        self.inner.sites.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Whether there is anything of the site.
    pub fn has_site(&self, site: &str) -> bool {
        self.inner.sites.read().unwrap_or_else(PoisonError::into_inner).contains_key(site)
    }

    /// The site shown to whom names none: of those with the newest window, the one with most events.
    pub fn default_site(&self) -> Option<String> {
        let sites = self.inner.sites.read().unwrap_or_else(PoisonError::into_inner);
        sites.iter().max_by_key(|(_, seen)| **seen).map(|(site, _)| site.clone())
    }

    /// End of the newest window of any site.
    pub fn newest(&self) -> Option<i64> {
        let sites = self.inner.sites.read().unwrap_or_else(PoisonError::into_inner);
        sites.values().map(|(at, _)| *at).max()
    }

    /// Grows whenever rows of the kind are written.
    pub fn version(&self, kind: &Kind) -> u64 {
        self.inner.versions[kind.index()].load(Ordering::Acquire)
    }

    /// Grows whenever site rows are written: then sites and the newest windows may be others.
    pub fn newest_version(&self) -> u64 {
        Kind::named("site-metrics").map_or(0, |kind| self.version(kind))
    }

    /// Size of the file, in bytes.
    pub fn bytes(&self) -> u64 {
        std::fs::metadata(&self.inner.path).map_or(0, |meta| meta.len())
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends a reading connection.
    fn read<T>(&self, ask: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = || self.inner.idle_readers.lock().unwrap_or_else(PoisonError::into_inner);
        let lent = idle().pop();
        let db = match lent {
            Some(db) => db,
            None => schema::reader(&self.inner.path)?,
        };
        let answer = ask(&db);
        let mut idle = idle();
        if idle.len() < MAX_IDLE_READERS {
            idle.push(db);
        }
        Ok(answer?)
    }
}

/// Reading connections kept open while nobody asks.
const MAX_IDLE_READERS: usize = 8;

fn epoch(db: &Connection) -> rusqlite::Result<String> {
    db.execute(
        "INSERT OR IGNORE INTO meta (name, value) VALUES ('epoch', lower(hex(randomblob(6))))",
        params![],
    )?;
    db.query_row("SELECT value FROM meta WHERE name = 'epoch'", [], |row| row.get(0))
}

fn newest_windows(db: &Connection) -> rusqlite::Result<BTreeMap<String, (i64, i64)>> {
    let mut newest = BTreeMap::new();
    let mut spans = db.prepare("SELECT site, max(at) FROM span WHERE kind = 'site-metrics' GROUP BY site")?;
    let mut weight = db.prepare(
        "SELECT weight FROM result WHERE kind = 'site-metrics' AND site = ?1 AND at = ?2 AND key = ''",
    )?;
    let mut rows = spans.query([])?;
    while let Some(row) = rows.next()? {
        let (site, at): (String, i64) = (row.get(0)?, row.get(1)?);
        let events = weight.query_row(params![site, at], |row| row.get(0)).optional()?;
        newest.insert(site, (at, events.unwrap_or(0)));
    }
    Ok(newest)
}

#[cfg(test)]
mod tests;

//! Tables, and connections to them.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// Changes whenever the tables do. What is stored can be read from Kafka again, so an older file is not converted.
pub const VERSION: i64 = 2;

/// `result` holds every row but dead letters. Its primary key serves each question: the rows of a window lie together,
/// and a page's history is one look-up per window. `span` has one line per kind, site and window, also of windows without
/// rows; `tier` is 0 while all of them are kept, then 1. `frame` numbers what went into the live stream, so that a client
/// can go on where it was. `session_page` finds the sessions that began or ended on a page. `position` says up to where each result topic has been read.
const TABLES: &str = "
    CREATE TABLE IF NOT EXISTS result (
        kind TEXT NOT NULL, site TEXT NOT NULL, at INTEGER NOT NULL, key TEXT NOT NULL,
        weight INTEGER NOT NULL, json TEXT NOT NULL, PRIMARY KEY (kind, site, at, key)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS result_order ON result (kind, site, at, weight DESC);
    CREATE TABLE IF NOT EXISTS session_page (
        site TEXT NOT NULL, page TEXT NOT NULL, at INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (site, page, at, key)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS span (
        kind TEXT NOT NULL, site TEXT NOT NULL, at INTEGER NOT NULL, rows INTEGER NOT NULL,
        tier INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (kind, site, at)
    ) WITHOUT ROWID;
    CREATE INDEX IF NOT EXISTS span_tier ON span (tier, at);
    CREATE TABLE IF NOT EXISTS dead_letter (
        id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL UNIQUE, reason TEXT NOT NULL, json TEXT NOT NULL
    );
    CREATE INDEX IF NOT EXISTS dead_letter_reason ON dead_letter (reason, id);
    CREATE TABLE IF NOT EXISTS letter_count (reason TEXT PRIMARY KEY, letters INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS frame (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, site TEXT NOT NULL,
        low INTEGER NOT NULL, high INTEGER NOT NULL
    );
    CREATE TABLE IF NOT EXISTS position (
        topic TEXT NOT NULL, part INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (topic, part)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
";

/// How often the write-ahead log is brought into the file.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// The one connection that writes; makes the tables where there are none.
pub fn writer(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_secs(5))?;
    // a lost power supply may cost the last rows, which are in Kafka; the file stays whole
    db.pragma_update(None, "journal_mode", "WAL")?;
    db.pragma_update(None, "synchronous", "NORMAL")?;
    db.pragma_update(None, "cache_size", -16_384)?;
    db.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    // the log goes into the file elsewhere: see `checkpoints`
    db.pragma_update(None, "wal_autocheckpoint", 0)?;
    let version: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version != 0 && version != VERSION {
        for table in
            ["result", "session_page", "span", "dead_letter", "letter_count", "frame", "position", "meta"]
        {
            db.execute_batch(&format!("DROP TABLE IF EXISTS {table}"))?;
        }
    }
    db.execute_batch(TABLES)?;
    db.pragma_update(None, "user_version", VERSION)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// Brings what was written from the write-ahead log into the file, once a second until `ended` says so, in a thread of its own: it waits
/// for the disk, and rows that come in must not.
pub fn checkpoints(path: &Path, ended: impl Fn() -> bool + Send + 'static) -> Result<(), StoreError> {
    let db = Connection::open(path)?;
    let run = move || {
        while !ended() {
            // of what others read or write at the moment a later one takes care
            let done = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
            if let Err(error) = done {
                tracing::debug!(%error, "the store's log stays as it is for now");
            }
            std::thread::sleep(CHECKPOINT_EVERY);
        }
    };
    let spawned = std::thread::Builder::new().name("results-checkpoint".into()).spawn(run);
    spawned.map(drop).map_err(|source| StoreError::File { path: path.to_owned(), source })
}

/// A connection that only reads.
pub fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI,
    )?;
    db.busy_timeout(Duration::from_secs(5))?;
    db.pragma_update(None, "cache_size", -8_192)?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

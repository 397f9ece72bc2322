//! Our own log: a file of bounded size in the data directory, so that it never runs into the tables.

use std::path::Path;
use std::sync::Mutex;

use clickstream_stack::rotating_log::RotatingLog;
use tracing_subscriber::EnvFilter;

/// Logs to `path` from now on, in JSON or as text.
pub fn to_file(path: &Path, level: &str, json: bool) {
    let Ok(file) = RotatingLog::open(path) else { return };
    let filter = EnvFilter::new(format!(
        "warn,clickstream={level},clickstream_stack={level},clickstream_traffic={level}"
    ));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(Mutex::new(file));
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
}

//! The configuration: one table of keys ([`keys`]), the layers they come from ([`layers`]), and the typed result.
//!
//! A key has the same name everywhere: `--max-disorder` on the command line, `CLICKSTREAM_MAX_DISORDER` in the
//! environment, `max_disorder` in the file. What is given twice: flag before environment before file before default.

pub mod keys;
pub mod last_up;
pub mod layers;
mod typed;

pub use typed::{Config, Engine, is_site_name};

/// A time in milliseconds as it is written in the configuration: `5m`, `100ms`.
pub fn time_text(ms: i64) -> String {
    let time = std::time::Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    humantime::format_duration(time).to_string()
}

/// A mistake in the configuration: one sentence with what, why, and what to do.
#[derive(Debug)]
pub struct ConfigError(pub String);

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

//! What tests compare the engines with: a recount in the plainest way, logs to recount, and cases worked out by hand.
//!
//! For tests only; it panics where something is not as it must be.
//!
//! | module | holds |
//! |---|---|
//! | [`recount`](mod@recount) | every event into every window that holds it, sets for what is distinct |
//! | [`logs`] | generated logs: disorder, silence, copies, hostile records |
//! | [`hostile`] | records that are no events, or hardly ones |
//! | [`odd`] | records on the edge of the rule for valid events |
//! | `scenes` | stretches of such logs in which something is just about to be noticed |
//! | `any_record` | generated records, each member of them valid or not |
//! | [`golden`] | the cases in `tests/golden` |

mod any_record;
pub mod golden;
pub mod hostile;
pub mod logs;
pub mod odd;
pub mod recount;
mod scenes;

pub use recount::{Expected, Shape, key_of, recount, same, written_at};

/// A record as it stands in a log.
#[derive(Clone, PartialEq)]
pub struct Record {
    /// Its partition.
    pub partition: i32,
    /// Its place there.
    pub offset: i64,
    /// When the log took it, in milliseconds since the epoch.
    pub arrival: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

impl std::fmt::Debug for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let value = self.value.as_deref().map(String::from_utf8_lossy);
        let value: Option<String> = value.map(|text| text.chars().take(400).collect());
        write!(f, "{}:{} at {} {value:?}", self.partition, self.offset, self.arrival)
    }
}

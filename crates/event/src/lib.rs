//! What travels through `clickstream`: events, the rule that tells an event from a malformed record, result rows,
//! and the arithmetic of sliding windows.
//!
//! Pure data and functions; no input or output, no clock. Everything else depends on this crate, and it depends on
//! none of ours.
//!
//! | module | holds |
//! |---|---|
//! | [`timestamp`] | milliseconds since the epoch, read and written as RFC 3339 |
//! | [`detection`] | limits of the rules that find anomalies |
//! | [`event`] | [`Event`] and its JSON form |
//! | [`json`] | JSON as Flink's reader takes it: texts of numbers, limits |
//! | [`validate`] | the rule for what counts as an event, with typed reasons |
//! | [`page_url`] | addresses made alike, before they are written |
//! | [`result_row`] | what all rows have in common: topic, key, time |
//! | [`rows`] | rows of the result topics and their keys |
//! | [`journeys`] | the rows among them that are about sessions and their ways, and anomalies |
//! | [`window`] | sliding windows: slices, window bounds |
//! | [`topic`] | names of the Kafka topics |

mod canonical;
pub mod detection;
pub mod event;
pub mod journeys;
pub mod json;
pub mod page_url;
pub mod result_row;
pub mod rows;
pub mod timestamp;
pub mod topic;
pub mod validate;
pub mod window;

pub use event::{Event, EventType};
pub use timestamp::Timestamp;
pub use validate::{Reason, Record, Rejection, Rules, decode};
pub use window::Windows;

//! Exact sliding-window analytics over a partitioned log of click events, as a pure library.
//!
//! Records in, rows out: no clock, no input or output, no threads. The results are a function of the log alone, so the engine
//! serves twice: it computes the rows where neither Kafka nor Flink runs, and it recomputes what Flink wrote, to prove it.
//!
//! | module | holds |
//! |---|---|
//! | [`engine`] | [`Engine`]: takes records, keeps the watermark, closes windows; state that can be saved |
//! | [`prepared`] | what can be done for a record on its own: fingerprints |
//! | [`judge`] | what becomes of a record: counted, duplicate, late, rejected |
//! | [`order`] | counted events until the watermark has passed them |
//! | [`chain`] | what depends on the order of events, and what is known of sites |
//! | [`users`], [`bots`], [`unusual`] | what users did, who is a labelled bot, who is unusual |
//! | [`visits`], [`journeys`], [`paths`], [`timers`] | sessions, and what they add to windows |
//! | [`traffic`] | slides compared with those before |
//! | [`shard`] | the counters of pages and products for a share of the users |
//! | [`distinct`], [`sums`] | exact different users, and sums, over sliding windows |
//! | [`recent`], [`pairs`], [`numbers`], [`fingerprint`], [`names`], [`ways`] | tables underneath |
//! | [`workload`] | events to measure it with |
//! | [`metric`] | rows from totals, one file per metric |
//!
//! ```
//! use clickstream_engine::{Config, Engine, Verdict};
//! use clickstream_event::{Timestamp, Windows};
//!
//! let windows = Windows::new(60_000, 10_000).unwrap();
//! let mut engine = Engine::new(Config::new(windows), 1);
//! let value = br#"{"event_id":"e1","site_id":"shop","event_type":"page_view","user_id":"u1","session_id":"s1",
//!     "page_url":"/","timestamp":"2026-01-01T08:00:00.000Z"}"#;
//! let arrival = Timestamp::parse("2026-01-01T08:00:00.005Z").unwrap();
//! assert_eq!(engine.push(0, arrival, Some(value)), Verdict::Counted);
//! let heartbeat = br#"{"event_type":"heartbeat","site_id":"shop","timestamp":"2026-01-01T08:00:10.101Z"}"#;
//! engine.push(0, Timestamp::parse("2026-01-01T08:00:10.101Z").unwrap(), Some(heartbeat));
//! let window = engine.closed().next().unwrap();
//! assert_eq!(window.end.to_string(), "2026-01-01T08:00:10.000Z");
//! assert_eq!(window.pages[0].counts.unique_users, 1);
//! ```

pub mod bots;
pub mod chain;
pub mod distinct;
pub mod engine;
pub mod fingerprint;
pub mod journeys;
pub mod judge;
pub mod metric;
pub mod names;
pub mod numbers;
pub mod order;
pub mod pairs;
pub mod paths;
pub mod prepared;
pub mod recent;
pub mod shard;
pub mod sums;
pub mod timers;
pub mod traffic;
pub mod unusual;
pub mod users;
pub mod visits;
pub mod ways;
pub mod workload;

pub use engine::{Config, Engine, Labelled, Saved, Shards, Snapshot};
pub use judge::Verdict;
pub use metric::Window;
pub use prepared::{Prepared, Preparer};
pub use shard::Shard;

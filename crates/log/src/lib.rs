//! A durable, partitioned, append-only log in files: topics, partitions, dense offsets, keys, one header.
//!
//! One process writes ([`Log`], [`Topic`]); it and any other process read ([`Reader`]), without talking to each other.
//!
//! ```text
//! <dir>/.lock                                    held by the writing process
//! <dir>/<topic>/<partition>/<base offset>.log    segments, 20 digits, whole frames one after the other
//! ```
//!
//! # Guarantees
//!
//! - **A frame is atomic.** What is appended to a partition between two commits is one frame with a checksum; after a
//!   crash all its records are there, or none.
//! - **Acknowledged means written**, and with [`Options::sync`] on the disk: [`Topic::commit`] returns after that.
//!   Without `sync` a commit survives the death of the process, not that of the machine.
//! - **Nothing is atomic across partitions or topics.** [`commit_together`] writes the frames of several topics in the
//!   order given, each topic's partitions in ascending order, one write call per frame. After `kill -9` a prefix of
//!   that sequence is there; so the topic that says how far the others have got belongs last. After a power cut any
//!   subset of the unacknowledged frames may be there, also with `sync`; who needs an order then commits topic by topic.
//! - **A reader in another process may see a frame before it is acknowledged**, between the write and the sync. Only a
//!   power cut takes such a frame back. [`Topic::reader`] returns acknowledged records only.
//! - **Damage is not hidden.** [`Log::topic`] cuts off a torn end (and warns); a damaged frame that whole frames follow
//!   is [`LogError::Corrupt`], for the writer as for a reader.
//!
//! | module | holds |
//! |---|---|
//! | `frame` | the bytes of a frame and of its records |
//! | `segment` | names of segment files, looking for frames in one |
//! | `partition` | the writing side of a partition: recovery, rolling, retention |
//! | `topic`, `log` | what the writer sees |
//! | `commits` | waiting for a commit |
//! | `reader` | reading, while another process writes |
//! | `place` | how far a partition goes, and where to go on when one looks again |

mod commits;
mod error;
mod frame;
mod log;
mod partition;
mod place;
mod reader;
mod segment;
mod topic;
mod window;

pub use commits::Commits;
pub use error::LogError;
pub use frame::{HEADER_BYTES, MAX_FRAME_BYTES, Record, RecordRef};
pub use log::{Log, Options};
pub use place::{Place, bounds, bounds_since};
pub use reader::Reader;
pub use topic::{Topic, commit_together};

/// Results of this crate.
pub type Result<T> = std::result::Result<T, LogError>;

//! The read side: keeps result rows in an embedded database, and shows them over REST, as a live stream, as figures for
//! Prometheus, and on a dashboard.
//!
//! Whoever runs the pipeline brings rows and figures, this crate knows neither Kafka nor Flink:
//!
//! ```no_run
//! # async fn example(row_from_kafka: &[u8], shutdown: tokio_util::sync::CancellationToken) -> Result<(), Box<dyn std::error::Error>> {
//! use clickstream_serve::{Feed, Options, PipelineStatus, Retention, Store, serve};
//!
//! let store = Store::open("data/results.db".as_ref(), Retention::default())?;
//! let read_on_from = store.positions()?;      // where an earlier run stopped reading each result topic
//! let feed = Feed::start(store.clone())?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
//! tokio::spawn(serve(listener, store, feed.clone(), Options::default(), shutdown));
//! feed.row("clickstream.funnels", Some((0, 17)), row_from_kafka).await?;
//! feed.status(PipelineStatus { state: "running".into(), ..Default::default() });
//! feed.stop().await;                          // files what is waiting
//! # Ok(())
//! # }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `kind` | the kinds of rows: names, fields, order |
//! | `head` | what of a row has to be known to file it |
//! | `store` | the database |
//! | `feed` | where rows and figures come in |
//! | `frame` | events of the live stream |
//! | `status`, `job` | what the pipeline reports |
//! | `http`, `server` | what is answered, and to whom |

mod feed;
mod frame;
mod head;
mod http;
mod job;
mod kind;
mod server;
mod status;
mod store;
#[cfg(test)]
mod testing;

pub use feed::{Feed, FeedCounts, Stopped};
pub use http::{Explain, ExplainQuery, Options};
pub use job::{JobGraph, Vertex};
pub use server::serve;
pub use status::{ComponentStatus, PartitionStatus, PipelineStatus, ProofState, ProofStatus};
pub use store::{Position, Retention, Store, StoreError};

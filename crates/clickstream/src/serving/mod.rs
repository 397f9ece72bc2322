//! The read side beside a running pipeline: rows of the result topics go into the store, and REST, live stream and dashboard
//! answer from there.
//!
//! | module | does |
//! |---|---|
//! | [`rows`] | brings the rows, of Kafka or of the log in files, from where an earlier run stopped |
//! | [`pipeline`] | brings what the pipeline is doing, once a second |
//! | [`reporting`] | does so beside a loop that must not wait |

pub mod pipeline;
pub mod reporting;
pub mod rows;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clickstream_serve::{Explain, ExplainQuery, Feed, Options, PipelineStatus, Retention, Store};
use clickstream_stack::StackError;
use clickstream_stack::ports::{self, Wanted};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::commands::explain_text;
use crate::config::{Config, time_text};

/// Results are shown here until it is stopped.
pub struct Serving {
    feed: Feed,
    store: Store,
    url: String,
    shutdown: CancellationToken,
    server: JoinHandle<std::io::Result<()>>,
    rows: Option<JoinHandle<()>>,
}

/// Takes the port, before anything else is started.
pub async fn bind(port: u16) -> Result<TcpListener, StackError> {
    ports::listen(Wanted { port, purpose: "the dashboard", flag: "http-port" }).await
}

/// The store of the results of our own Kafka.
pub const STORE: &str = "results.db";
/// That of the log in files, which has offsets of its own.
pub const STORE_OF_FILES: &str = "results-embedded.db";
/// A Kafka that runs tells its id within this time.
const TELLS_ID_WITHIN: Duration = Duration::from_secs(10);

/// The store of the results of somebody else's Kafka: each cluster has one, so that neither windows nor offsets of two are mixed.
pub async fn store_of(kafka: &str) -> Result<String> {
    let servers = kafka.to_owned();
    let id =
        tokio::task::spawn_blocking(move || clickstream_kafka::cluster_id(&servers, TELLS_ID_WITHIN)).await?;
    let id = id.with_context(|| format!("Kafka at {kafka} does not say which cluster it is"))?;
    let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    Ok(format!("results-{}.db", id.chars().map(safe).collect::<String>()))
}

impl Serving {
    /// Opens the store and answers on `listener`.
    pub fn start(config: &Config, store: &Path, listener: TcpListener) -> Result<Self> {
        let url = format!("http://{}", listener.local_addr()?);
        let retention = Retention {
            keep_ms: config.history.as_millis() as i64,
            detail_ms: config.history_detail.as_millis() as i64,
            coarse_step_ms: config.stack.job.windows.size_ms(),
            ..Retention::default()
        };
        let store = Store::open(store, retention).context("cannot keep results")?;
        let feed = Feed::start(store.clone())?;
        let shutdown = CancellationToken::new();
        let options = Options {
            explain: Some(explain(config)),
            explain_options: explain_options(config),
            ..Options::default()
        };
        let server = tokio::spawn(clickstream_serve::serve(
            listener,
            store.clone(),
            feed.clone(),
            options,
            shutdown.clone(),
        ));
        Ok(Self { feed, store, url, shutdown, server, rows: None })
    }

    /// Where it is.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reads the result topics of a Kafka from now on, and what an earlier run did not read.
    pub fn follow_kafka(&mut self, kafka: String) {
        let (store, feed, shutdown) = (self.store.clone(), self.feed.clone(), self.shutdown.clone());
        self.rows = Some(tokio::spawn(async move { rows::of_kafka(&kafka, &store, &feed, &shutdown).await }));
    }

    /// The same of the log in files.
    pub fn follow_files(&mut self, dir: &Path) {
        let (store, feed, shutdown) = (self.store.clone(), self.feed.clone(), self.shutdown.clone());
        let dir = dir.to_owned();
        self.rows = Some(tokio::task::spawn_blocking(move || rows::of_files(&dir, &store, &feed, &shutdown)));
    }

    /// Shows what the pipeline is doing.
    pub fn status(&self, status: PipelineStatus) {
        self.feed.status(status);
    }

    /// Files what is waiting and ends.
    pub async fn stop(self) {
        self.shutdown.cancel();
        if let Some(rows) = self.rows {
            let _ = tokio::time::timeout(Duration::from_secs(2), rows).await;
        }
        let _ = tokio::time::timeout(Duration::from_secs(3), self.feed.stop()).await;
        let _ = tokio::time::timeout(Duration::from_secs(3), self.server).await;
    }
}

/// What `clickstream explain` has to be told to look into the same log: whatever it would not take by itself.
fn explain_options(config: &Config) -> Vec<String> {
    let mut options = Vec::new();
    let mut add = |flag: &str, value: String| options.extend([flag.to_owned(), value]);
    if let Some(dir) = config.data_dir_given() {
        add("--data-dir", std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned()).display().to_string());
    }
    // of a Kafka that is somebody else's nobody may have noted down here what is counted there
    if let Some(kafka) = &config.stack.external_kafka {
        let job = &config.stack.job;
        add("--kafka", kafka.clone());
        add("--window", time_text(job.windows.size_ms()));
        add("--slide", time_text(job.windows.slide_ms()));
        add("--session-gap", time_text(job.session_gap_ms));
    }
    options
}

/// What `clickstream explain` says, for "why this number".
fn explain(config: &Config) -> Explain {
    let config = Arc::new(config.clone());
    Arc::new(move |query: ExplainQuery| {
        let config = Arc::clone(&config);
        Box::pin(async move {
            let text = tokio::task::spawn_blocking(move || explain_text(&config, query)).await;
            text.map_err(|error| error.to_string())?.map_err(|error| crate::explain(&error))
        })
    })
}

//! Where rows and figures of the pipeline come in.
//!
//! Rows are filed by one thread. It waits a few tens of milliseconds for the rest of a window, writes many rows in one transaction,
//! and then makes one frame of them for the live stream. So what a client is shown is always in the store already.

mod pending;
mod thread;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use crate::frame::Frame;
use crate::head::{self, Filed, Unfit};
use crate::kind::{KINDS, Kind};
use crate::status::PipelineStatus;
use crate::store::Store;

/// A row on its way, read already: the thread that files rows has enough to do at the end of a window.
pub(crate) struct Incoming {
    topic: &'static str,
    position: Option<(i32, i64)>,
    row: Result<Filed, Unfit>,
}

impl Incoming {
    /// `None` if it is of no result topic.
    fn read(topic: &str, position: Option<(i32, i64)>, json: &[u8]) -> Option<Self> {
        let topic = Kind::of_topic(topic)?.topic;
        Some(Self { topic, position, row: head::file(topic, json) })
    }
}

/// Rows that wait for the thread at most; then whoever brings them waits.
const QUEUE: usize = 16_384;
/// Frames that a client may be behind; then it loses the oldest of them.
const FRAMES_BEHIND: usize = 256;

/// The feed was stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the feed of results was stopped")]
pub struct Stopped;

/// Takes rows and figures; clones share it.
#[derive(Clone)]
pub struct Feed {
    shared: Arc<Shared>,
    rows: SyncSender<Option<Incoming>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// What the feed's thread and the readers of the live stream share.
pub(crate) struct Shared {
    frames: broadcast::Sender<Arc<Frame>>,
    status: watch::Sender<Option<Arc<PipelineStatus>>>,
    rows_of_kind: [AtomicU64; KINDS.len()],
    unfit: AtomicU64,
    failed_writes: AtomicU64,
    clients: AtomicUsize,
    frames_lost: AtomicU64,
}

/// What went through the feed since it was started.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FeedCounts {
    /// Rows by the name of their kind.
    pub rows: BTreeMap<&'static str, u64>,
    /// Records of result topics that were no rows.
    pub unfit: u64,
    /// Writes that the store refused; they are tried again.
    pub failed_writes: u64,
    /// Clients of the live stream, now.
    pub clients: usize,
    /// Frames that slow clients lost.
    pub frames_lost: u64,
}

impl Feed {
    /// Starts the thread that files rows in `store`.
    pub fn start(store: Store) -> std::io::Result<Self> {
        let (rows, queue) = sync_channel(QUEUE);
        let shared = Arc::new(Shared {
            frames: broadcast::Sender::new(FRAMES_BEHIND),
            status: watch::Sender::new(None),
            rows_of_kind: Default::default(),
            unfit: AtomicU64::new(0),
            failed_writes: AtomicU64::new(0),
            clients: AtomicUsize::new(0),
            frames_lost: AtomicU64::new(0),
        });
        let thread = thread::Filing::new(store, shared.clone());
        let thread =
            std::thread::Builder::new().name("results-store".into()).spawn(move || thread.run(&queue))?;
        Ok(Self { shared, rows, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Takes a row of a result topic or a dead letter, as it stands in Kafka. `position` is its partition and offset there;
    /// with it, [`Store::positions`] tells a later start where to read on. Waits while the store is behind. What is no result
    /// topic is left out.
    pub async fn row(&self, topic: &str, position: Option<(i32, i64)>, json: &[u8]) -> Result<(), Stopped> {
        let Some(row) = Incoming::read(topic, position, json) else { return Ok(()) };
        let mut row = Some(row);
        loop {
            match self.rows.try_send(row) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Disconnected(_)) => return Err(Stopped),
                Err(TrySendError::Full(back)) => row = back,
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// The same for threads outside of tokio.
    pub fn row_blocking(
        &self,
        topic: &str,
        position: Option<(i32, i64)>,
        json: &[u8],
    ) -> Result<(), Stopped> {
        let Some(row) = Incoming::read(topic, position, json) else { return Ok(()) };
        self.rows.send(Some(row)).map_err(|_| Stopped)
    }

    /// Takes what the pipeline is doing; about once a second.
    pub fn status(&self, status: PipelineStatus) {
        if let Ok(data) = serde_json::to_string(&status) {
            let _ = self.shared.frames.send(Frame::passing("pipeline", &data));
        }
        self.shared.status.send_replace(Some(Arc::new(status)));
    }

    /// Files what is waiting and ends the thread. Rows that come later are refused.
    pub async fn stop(&self) {
        let feed = self.clone();
        let _ = tokio::task::spawn_blocking(move || {
            let thread = feed.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(thread) = thread {
                let _ = feed.rows.send(None);
                let _ = thread.join();
            }
        })
        .await;
    }

    /// What went through.
    pub fn counts(&self) -> FeedCounts {
        let shared = &self.shared;
        FeedCounts {
            rows: KINDS
                .iter()
                .map(|kind| (kind.name, shared.rows_of_kind[kind.index()].load(Ordering::Relaxed)))
                .collect(),
            unfit: shared.unfit.load(Ordering::Relaxed),
            failed_writes: shared.failed_writes.load(Ordering::Relaxed),
            clients: shared.clients.load(Ordering::Relaxed),
            frames_lost: shared.frames_lost.load(Ordering::Relaxed),
        }
    }

    /// What the pipeline was doing last.
    pub fn last_status(&self) -> Option<Arc<PipelineStatus>> {
        self.shared.status.borrow().clone()
    }

    pub(crate) fn subscribe(&self) -> Subscription {
        self.shared.clients.fetch_add(1, Ordering::Relaxed);
        Subscription { frames: self.shared.frames.subscribe(), shared: self.shared.clone() }
    }
}

/// A client of the live stream.
pub(crate) struct Subscription {
    frames: broadcast::Receiver<Arc<Frame>>,
    shared: Arc<Shared>,
}

/// What a client gets next.
pub(crate) enum Next {
    Frame(Arc<Frame>),
    /// It was too slow: so many frames are gone.
    Lost(u64),
    End,
}

impl Subscription {
    pub(crate) async fn next(&mut self) -> Next {
        match self.frames.recv().await {
            Ok(frame) => Next::Frame(frame),
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                self.shared.frames_lost.fetch_add(lost, Ordering::Relaxed);
                Next::Lost(lost)
            }
            Err(broadcast::error::RecvError::Closed) => Next::End,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.shared.clients.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::store::Retention;
    use crate::testing::{every_kind, filed};
    use clickstream_event::topic;

    #[tokio::test]
    async fn a_window_that_a_kill_left_open_is_closed_at_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("results.db"), Retention::default()).unwrap();
        let mut rows = every_kind("shop", 60_000, "/");
        rows.retain(|(topic, _)| *topic == topic::SITE_METRICS);
        store.write(&filed(&rows), &[]).unwrap();
        let trending = Kind::named("trending-pages").unwrap();
        assert_eq!(store.newest_window(trending, "shop").unwrap(), None);
        let feed = Feed::start(store.clone()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(120);
        while store.newest_window(trending, "shop").unwrap() != Some(60_000) {
            assert!(Instant::now() < deadline, "the window stays open");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        feed.stop().await;
    }
}

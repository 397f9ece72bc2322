//! Records that another program hands in, as `chaos inject` does: the log is written by this process alone.
//!
//! They come in a file each time, in a directory beside the lock, under a name that says that it is complete. It is deleted when the
//! records are in the log; what is left over from an `up` that died is too old to be what somebody wants now.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clickstream_stack::layout::Layout;
use clickstream_traffic::producer::now_us;
use clickstream_traffic::{EventSink, ProducerError};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::inlet::Inlet;

/// How often is looked: what is handed in shall not be late because of it.
const EVERY: Duration = Duration::from_millis(20);
/// The log has so long to take it.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a complete file ends with.
const COMPLETE: &str = "json";
/// What the `truth` header may say.
const TRUTHS: [&str; 4] = ["late", "duplicate", "malformed", "future"];

/// A record that is handed in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HandedIn {
    /// Its key.
    pub key: String,
    /// Its value, byte by byte: it need not be text.
    pub value: Vec<u8>,
    /// What is special about it.
    pub truth: Option<String>,
}

fn dir(layout: &Layout) -> PathBuf {
    layout.run().join("handed-in")
}

/// Hands records to the `up` that runs there; the file is gone when they are in the log.
pub fn hand_in(layout: &Layout, records: &[HandedIn]) -> io::Result<PathBuf> {
    let dir = dir(layout);
    std::fs::create_dir_all(&dir)?;
    let file = dir.join(format!("{}-{}.{COMPLETE}", std::process::id(), now_us()));
    let incomplete = file.with_extension("new");
    std::fs::write(&incomplete, serde_json::to_vec(records)?)?;
    std::fs::rename(&incomplete, &file)?;
    Ok(file)
}

/// Takes what is handed in, until `shutdown`.
pub async fn run(layout: Layout, inlet: Inlet, shutdown: CancellationToken) {
    let dir = dir(&layout);
    let _ = std::fs::remove_dir_all(&dir);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        for file in complete(&dir) {
            if let Err(error) = take(&file, &inlet).await {
                tracing::warn!(%error, file = %file.display(), "what was handed in could not be taken");
            }
            let _ = std::fs::remove_file(&file);
        }
    }
}

fn complete(dir: &Path) -> Vec<PathBuf> {
    // as a rule there is no such directory
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.extension().is_some_and(|extension| extension == COMPLETE)).collect()
}

async fn take(file: &Path, inlet: &Inlet) -> Result<(), ProducerError> {
    let closed = |error: &dyn std::fmt::Display| ProducerError::Closed(error.to_string());
    let bytes = std::fs::read(file).map_err(|error| closed(&error))?;
    let records: Vec<HandedIn> = serde_json::from_slice(&bytes).map_err(|error| closed(&error))?;
    for record in &records {
        let truth = TRUTHS.into_iter().find(|truth| record.truth.as_deref() == Some(truth));
        inlet.send(&record.key, &record.value, now_us(), truth).await?;
    }
    inlet.flush(PATIENCE).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_complete_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(dir.path());
        let record = HandedIn { key: "/".into(), value: vec![0xff, b'{'], truth: Some("malformed".into()) };
        let file = hand_in(&layout, std::slice::from_ref(&record)).unwrap();
        std::fs::write(file.with_extension("new"), "half of").unwrap();
        assert_eq!(complete(&super::dir(&layout)), std::slice::from_ref(&file));
        let read: Vec<HandedIn> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(read, [record]);
    }
}

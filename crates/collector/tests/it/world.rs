//! A collector on loopback, its log, and a client that speaks HTTP by hand.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clickstream_collector::{Collector, Intake, IntakeError, Options, Record, serve};
use clickstream_event::{Record as Decoded, Rules, Timestamp, decode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How the log is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mood {
    Well,
    /// Takes records and acknowledges them only when it is well again.
    Silent,
    Full,
    Failing,
}

/// A log in memory.
pub struct Memory {
    pub records: Arc<Mutex<Vec<(Timestamp, Record)>>>,
    pub mood: watch::Sender<Mood>,
}

impl Intake for Memory {
    fn append(
        &self,
        records: Vec<Record>,
    ) -> futures_util::future::BoxFuture<'static, Result<(), IntakeError>> {
        let mut mood = self.mood.subscribe();
        let refused = match *mood.borrow_and_update() {
            Mood::Full => Some(IntakeError::Full),
            Mood::Failing => Some(IntakeError::Failed("the disk is full".into())),
            Mood::Well | Mood::Silent => None,
        };
        // at once, as an intake must: the order of the calls is the order in the log
        if refused.is_none() {
            let now = Timestamp::now();
            self.records.lock().unwrap().extend(records.into_iter().map(|record| (now, record)));
        }
        Box::pin(async move {
            if let Some(error) = refused {
                return Err(error);
            }
            mood.wait_for(|mood| *mood != Mood::Silent).await.map(|_| ()).map_err(|_| IntakeError::Full)
        })
    }
}

pub struct World {
    pub address: SocketAddr,
    pub log: Arc<Memory>,
    pub collector: Collector,
    pub dir: Arc<tempfile::TempDir>,
    shutdown: CancellationToken,
}

impl Drop for World {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl World {
    pub async fn new(change: impl FnOnce(&mut Options)) -> Self {
        let log = Arc::new(Memory { records: Arc::default(), mood: watch::Sender::new(Mood::Well) });
        Self::on(log, Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    /// On a log and in a directory that are there already: a restart.
    pub async fn on(
        log: Arc<Memory>,
        dir: Arc<tempfile::TempDir>,
        change: impl FnOnce(&mut Options),
    ) -> Self {
        let mut options = Options::new("shop");
        change(&mut options);
        let collector = Collector::open(options, Arc::clone(&log) as _, dir.path()).unwrap();
        for (arrival, record) in log.records.lock().unwrap().iter() {
            if let Ok(Decoded::Event(event, _)) = decode(&record.value, *arrival, Rules::default()) {
                collector.restore(&event, *arrival);
            }
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        tokio::spawn({
            let (collector, shutdown) = (collector.clone(), shutdown.clone());
            async move { serve(listener, &collector, shutdown).await }
        });
        Self { address, log, collector, dir, shutdown }
    }

    pub async fn post(&self, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        self.send("POST", path, &[("content-type", "text/plain")], body).await
    }

    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Answer {
        let body = body.into();
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let mut bytes = format!("{request}\r\n").into_bytes();
        bytes.extend_from_slice(&body);
        self.raw(bytes).await
    }

    /// Sends bytes as they are, and reads what comes until the connection ends.
    pub async fn raw(&self, bytes: Vec<u8>) -> Answer {
        let address = self.address;
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
            // who refuses may not read to the end
            let _ = stream.write_all(&bytes);
            let mut answer = Vec::new();
            let _ = stream.read_to_end(&mut answer);
            Answer(String::from_utf8_lossy(&answer).into_owned())
        })
        .await
        .unwrap()
    }

    /// Events in the log.
    pub fn events(&self) -> Vec<Value> {
        let records = self.log.records.lock().unwrap();
        let valid = records.iter().filter(|(at, record)| {
            matches!(decode(&record.value, *at, Rules::default()), Ok(Decoded::Event(..)))
        });
        valid.map(|(_, record)| serde_json::from_slice(&record.value).unwrap()).collect()
    }

    /// Records that are no events.
    pub fn dead(&self) -> Vec<Vec<u8>> {
        let records = self.log.records.lock().unwrap();
        let dead =
            records.iter().filter(|(at, record)| decode(&record.value, *at, Rules::default()).is_err());
        dead.map(|(_, record)| record.value.clone()).collect()
    }
}

pub struct Answer(pub String);

impl Answer {
    pub fn status(&self) -> u16 {
        self.0.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.0.split("\r\n\r\n").next()?;
        head.lines()
            .skip(1)
            .filter_map(|line| line.split_once(": "))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    pub fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").map_or("", |(_, body)| body)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(self.body()).unwrap_or_else(|error| panic!("{error}: {}", self.0))
    }
}

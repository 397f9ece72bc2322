//! The collector: takes events of web sites over HTTP and writes them to the events topic. It understands an own format and the wires of
//! the trackers of Segment, Plausible and Snowplow as they are.
//!
//! What it promises:
//! - **An answer means acknowledged.** A success is given once the log has acknowledged every event of the request; overload and a log
//!   that does not answer are a 429 with `Retry-After`, which trackers obey.
//! - **Nothing twice.** A message with an id that is in the log already gets the same answer, and nothing is written.
//! - **Nothing dropped silently.** What is not an event is a 400 that names the field, and stands in the dead letters.
//! - **One rule.** What it accepts is what [`clickstream_event::decode`] accepts.
//! - **No address is stored** or logged; see [`visitor`].
//!
//! It knows neither Kafka nor files: whoever runs it brings an [`Intake`].
//!
//! ```no_run
//! # async fn example(intake: std::sync::Arc<dyn clickstream_collector::Intake>, shutdown: tokio_util::sync::CancellationToken) -> std::io::Result<()> {
//! use clickstream_collector::{Collector, Options, serve};
//!
//! let collector = Collector::open(Options::new("shop"), intake, "data/collector".as_ref())?;
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:8090").await?;
//! serve(listener, &collector, shutdown).await
//! # }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`intake`] | the log, as far as it is known here |
//! | `http`, `server`, `cors`, `body`, `answer`, `page` | what is answered, and to whom |
//! | [`protocol`] | one file per wire |
//! | [`draft`] | what a wire's message becomes |
//! | [`desk`], [`writer`] | the way from there into the log |
//! | [`seen`] | ids of messages that are in it |
//! | [`visitor`], [`clock`] | visitors, visits and times where a tracker gives none |
//! | [`keys`], [`limits`] | who may send, and how much |
//! | [`counts`] | what became of everything |

mod answer;
mod body;
pub mod clock;
mod cors;
pub mod counts;
pub mod desk;
pub mod draft;
mod http;
pub mod intake;
pub mod keys;
pub mod limits;
mod page;
pub mod protocol;
pub mod seen;
mod server;
pub mod visitor;
pub mod writer;

use std::io;
use std::path::Path;
use std::sync::Arc;

use clickstream_event::page_url::UrlRules;
use clickstream_event::{Event, Rules, Timestamp};

pub use clock::EventTime;
pub use counts::Counts;
pub use desk::KeyOf;
pub use intake::{BoxFuture, Intake, IntakeError, Record};
pub use server::serve;

use desk::Desk;

/// What can be set.
#[derive(Clone)]
pub struct Options {
    /// Keys with their sites; without any, whoever reaches the collector may send for any site.
    pub keys: Vec<(String, String)>,
    /// The site of events that name none.
    pub first_site: String,
    /// Events per second of one address, and of one site; 0 for no limit.
    pub rate: u32,
    /// Whose clock says when something was done.
    pub time: EventTime,
    /// How addresses become pages.
    pub urls: UrlRules,
    /// Events of a visitor so far apart are two visits, in milliseconds.
    pub session_gap_ms: i64,
    /// The rule for valid events.
    pub rules: Rules,
    /// What a record's partition is chosen by.
    pub key_of: KeyOf,
}

impl Options {
    /// The defaults, with this site for events that name none.
    pub fn new(first_site: &str) -> Self {
        Self {
            keys: Vec::new(),
            first_site: first_site.to_owned(),
            rate: 0,
            time: EventTime::Arrival,
            urls: UrlRules::default(),
            session_gap_ms: 30_000,
            rules: Rules::default(),
            key_of: Arc::new(|event| event.page_url.clone().into_owned()),
        }
    }
}

/// A collector, before and while it is served. Cheap to clone.
#[derive(Clone)]
pub struct Collector {
    desk: Arc<Desk>,
}

impl Collector {
    /// Opens a collector that keeps its secret in `dir`.
    pub fn open(options: Options, intake: Arc<dyn Intake>, dir: &Path) -> io::Result<Self> {
        let desk = Desk {
            writer: writer::Writer::new(intake),
            seen: Default::default(),
            visitors: visitor::Visitors::open(dir, Timestamp::now())?,
            visits: visitor::Visits::new(options.session_gap_ms),
            time: options.time,
            urls: options.urls,
            sites: keys::Sites::new(options.keys, options.first_site),
            rates: limits::Rates::new(options.rate),
            rules: options.rules,
            key_of: options.key_of,
            counters: Default::default(),
        };
        Ok(Self { desk: Arc::new(desk) })
    }

    /// Takes up an event that stands in the log, so that its id is known and its visit goes on. Whoever runs the collector
    /// brings what arrived in the last [`seen::MEMORY_MS`], before serving.
    pub fn restore(&self, event: &Event<'_>, arrival: Timestamp) {
        self.desk.seen.restore([(event.site_id.as_ref(), event.event_id.as_ref(), arrival)].into_iter());
        self.desk.visits.restore(
            &event.site_id,
            &event.user_id,
            &event.session_id,
            event.timestamp.min(arrival),
        );
    }

    /// What became of everything that was sent.
    pub fn counts(&self) -> Counts {
        self.desk.counters.counts()
    }
}

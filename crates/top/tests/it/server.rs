//! A real server: live rows, a break, another beginning.

use std::net::SocketAddr;
use std::time::Duration;

use clickstream_event::Timestamp;
use clickstream_serve::{Feed, Options, PipelineStatus, Retention, Store, serve};
use clickstream_top::client::Client;
use clickstream_top::state::Connection;
use clickstream_top::update::{Request, Update};
use clickstream_top::{State, once};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::fixture::{self, at};

struct Server {
    address: SocketAddr,
    feed: Feed,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(dir: &std::path::Path, address: SocketAddr) -> Self {
        let store = Store::open(&dir.join("results.db"), Retention::default()).unwrap();
        let feed = Feed::start(store.clone()).unwrap();
        let shutdown = CancellationToken::new();
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve(listener, store, feed.clone(), Options::default(), shutdown.clone());
        let task = tokio::spawn(async move { serving.await.unwrap() });
        Self { address, feed, shutdown, task }
    }

    /// The rows of the window that ends then.
    async fn window(&self, end: i64) {
        let mut site = fixture::site(end);
        for field in
            ["click_count", "add_to_cart_count", "purchase_count", "human_event_count", "human_view_count"]
        {
            site[field] = json!(1);
        }
        let mut rows = vec![("clickstream.site-metrics", site)];
        for mut page in fixture::pages(end).rows {
            page["site_id"] = json!("shop");
            page["window_start"] = json!(at(end - 300));
            page["window_end"] = json!(at(end));
            rows.push(("clickstream.page-metrics", page));
        }
        for (topic, row) in rows {
            self.feed.row(topic, None, &serde_json::to_vec(&row).unwrap()).await.unwrap();
        }
    }

    async fn stop(self) {
        self.feed.stop().await;
        self.shutdown.cancel();
        self.task.await.unwrap();
    }
}

/// Takes updates until something holds.
async fn until(
    state: &mut State,
    updates: &mut mpsc::Receiver<Update>,
    what: &str,
    holds: impl Fn(&State) -> bool,
) {
    let waiting = async {
        while !holds(state) {
            let update = updates.recv().await.expect("the client goes on");
            state.apply(update);
        }
    };
    if tokio::time::timeout(Duration::from_secs(120), waiting).await.is_err() {
        panic!("not within two minutes: {what}; {:?}", state.connection);
    }
}

/// Each kind of row has a frame of its own, and the site's comes first.
fn pages_of_the_newest(state: &State) -> bool {
    let pages = state.frame("page-metrics");
    let newest = state.history.back().map(|site| &site["window_end"]);
    pages.len() == fixture::PAGES.len() && pages.iter().all(|page| Some(&page["window_end"]) == newest)
}

#[tokio::test]
async fn live_a_break_and_live_again() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), ([127, 0, 0, 1], 0).into()).await;
    let address = server.address;
    server.window(0).await;
    server.window(10).await;
    let url = format!("http://{address}");
    let (sender, mut updates) = mpsc::channel(64);
    let (requests, asked) = mpsc::channel(4);
    let following = tokio::spawn(Client::new(&url).unwrap().follow(None, sender, asked));
    let mut state = State::new(url.clone(), None, false);
    state.now = Timestamp(0);
    until(&mut state, &mut updates, "connected", |state| state.connection == Connection::Live).await;
    until(&mut state, &mut updates, "two windows", |state| state.history.len() == 2).await;
    until(&mut state, &mut updates, "its pages", pages_of_the_newest).await;
    assert_eq!(state.site, "shop");

    server.window(20).await;
    until(&mut state, &mut updates, "a window, live", |state| state.history.len() == 3).await;
    until(&mut state, &mut updates, "its pages, live", pages_of_the_newest).await;
    server.feed.status(PipelineStatus { engine: "embedded".into(), ..PipelineStatus::default() });
    until(&mut state, &mut updates, "figures, live", |state| {
        state.status("engine") == Some(&json!("embedded"))
    })
    .await;

    // a page with every kind of letter in its name
    let page = fixture::PAGES[6].to_owned();
    state.detail = Some(clickstream_top::update::Detail { page: page.clone(), ..Default::default() });
    requests.send(Request::Detail { site: "shop".into(), page }).await.unwrap();
    until(&mut state, &mut updates, "the page, closely", |state| {
        state.detail.as_ref().unwrap().series.len() == 3
    })
    .await;

    server.stop().await;
    until(&mut state, &mut updates, "the break", |state| matches!(state.connection, Connection::Lost { .. }))
        .await;
    let server = Server::start(dir.path(), address).await;
    until(&mut state, &mut updates, "live again", |state| state.connection == Connection::Live).await;
    server.window(30).await;
    until(&mut state, &mut updates, "a window after the break", |state| state.history.len() == 4).await;

    let options = clickstream_top::Options { url, site: None, tab: Default::default() };
    let text = once(options, 100, 30).await.unwrap();
    assert!(text.contains("/p/alder-desk-lamp") && text.contains("12:00:30"), "{text}");
    drop(updates);
    following.abort();
    server.stop().await;
}

#[tokio::test]
async fn nobody_there_and_no_url() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let ask =
        |url: String| once(clickstream_top::Options { url, site: None, tab: Default::default() }, 80, 24);
    let error = ask(url).await.unwrap_err();
    assert!(error.is_setup() && error.to_string().contains("Is `clickstream up` running?"), "{error}");
    let error = ask("https://example".into()).await.unwrap_err();
    assert!(error.to_string().contains("ssh -L"), "{error}");
}

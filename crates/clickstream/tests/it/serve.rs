//! `serve` beside `up`: several at once show the same rows, go on after a kill, and say when Kafka is away.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};

use clickstream_event::{Timestamp, topic};
use serde_json::Value;

use crate::embedded::output_of;
use crate::harness::{World, binary, signal, until, within_patience};
use crate::kafka::Writer;
use crate::numbers::LISTS;

const SHORT: [&str; 6] = ["--window", "8s", "--slide", "2s", "--session-gap", "2s"];

/// A running `serve` on a port and in a directory of its own.
struct Serve {
    kafka: String,
    dir: tempfile::TempDir,
    url: String,
    child: Child,
}

impl Serve {
    fn start(kafka: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("http://127.0.0.1:{}", clickstream_stack::ports::free_port());
        let child = spawn(kafka, dir.path(), &url);
        Self { kafka: kafka.to_owned(), dir, url, child }
    }

    /// Kills it as hard as can be, and starts it on what it left behind.
    fn kill_and_start(&mut self, meanwhile: impl FnOnce()) {
        self.end();
        meanwhile();
        self.child = spawn(&self.kafka, self.dir.path(), &self.url);
    }

    fn end(&mut self) {
        signal(self.child.id() as i32, libc::SIGKILL);
        self.child.wait().unwrap();
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            self.end();
        }
    }
}

fn spawn(kafka: &str, dir: &std::path::Path, url: &str) -> Child {
    let port = url.rsplit(':').next().unwrap();
    let mut command = binary();
    command.args(["serve", "--kafka", kafka, "--http-port", port, "--data-dir"]).arg(dir).args(SHORT);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
}

/// Asks over HTTP, and waits for the answers.
struct Client {
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    /// Status and text of an answer; 0 while nobody answers.
    fn get(&self, url: String) -> (u16, String) {
        self.runtime.block_on(async {
            let Ok(answer) = self.http.get(url).send().await else { return (0, String::new()) };
            (answer.status().as_u16(), answer.text().await.unwrap_or_default())
        })
    }

    fn ready(&self, url: &str) -> u16 {
        self.get(format!("{url}/health/ready")).0
    }

    /// Ends of the windows that are kept, newest first.
    fn windows(&self, url: &str) -> Vec<String> {
        let (_, text) = self.get(format!("{url}/api/v1/windows?limit=1000"));
        let answer: Value = serde_json::from_str(&text).unwrap_or_default();
        let windows = answer["windows"].as_array().cloned().unwrap_or_default();
        windows.iter().map(|window| window["window_end"].as_str().unwrap().to_owned()).collect()
    }

    /// Everything that is shown of a window, and of the sessions that ended within it; long lists as far as the first thousand rows.
    fn shown(&self, url: &str, end: &str) -> Vec<(&'static str, (u16, String))> {
        let before = Timestamp(Timestamp::parse(end).unwrap().0 - 8_000);
        let lists = LISTS.into_iter().map(|(path, _)| path).chain(["sessions"]);
        lists
            .map(|path| {
                let which = match path {
                    "site" => format!("from={end}&to={end}"),
                    "sessions" => format!("from={before}&to={end}"),
                    _ => format!("window_end={end}"),
                };
                (path, self.get(format!("{url}/api/v1/{path}?limit=1000&{which}")))
            })
            .collect()
    }

    /// Waits until two show the same of a window, and have something to show.
    fn agree(&self, url: &str, other: &str, end: &str) {
        let mut last = (Vec::new(), Vec::new());
        let agreed = within_patience(|| {
            last = (self.shown(url, end), self.shown(other, end));
            let whole =
                |(_, (status, text)): &(_, (u16, String))| *status == 200 && !text.contains("\"rows\":[]");
            // pages that rise and ends of sessions there may be none
            (last.0 == last.1 && last.0.iter().filter(|list| whole(list)).count() >= LISTS.len() - 1)
                .then_some(())
        });
        if agreed.is_some() {
            return;
        }
        for ((path, one), (_, other)) in last.0.iter().zip(&last.1) {
            assert_eq!(one, other, "{path} of the window that ended at {end}");
        }
        let lists = last.0.iter().map(|(path, (status, text))| format!("{path} {status} {}", text.len()));
        panic!("of the window that ended at {end} too little is shown: {:?}", lists.collect::<Vec<_>>());
    }

    /// Rows of the site that a process has read since it was started.
    fn rows_read(&self, url: &str) -> usize {
        let (_, metrics) = self.get(format!("{url}/metrics"));
        let name = format!("clickstream_result_rows_total{{topic=\"{}\"}} ", topic::SITE_METRICS);
        metrics.lines().find_map(|line| line.strip_prefix(name.as_str())?.parse().ok()).unwrap_or(0)
    }
}

/// Ends of the windows that stand in the topic of the site, and how many rows there are.
fn in_topic(world: &World) -> (BTreeSet<String>, usize) {
    let rows = world.read(topic::SITE_METRICS);
    let end = |value: &[u8]| {
        serde_json::from_slice::<Value>(value).unwrap()["window_end"].as_str().unwrap().to_owned()
    };
    (rows.iter().filter_map(|row| row.value.as_deref()).map(end).collect(), rows.len())
}

#[test]
fn several_show_the_same_and_go_on_after_kills() {
    let mut world = World::new(&SHORT);
    world.up(&["--rate", "300", "--taskmanager-heap", "400"]);
    let up =
        output_of(world.data_dir(), "addresses").pop().unwrap()["dashboard"].as_str().unwrap().to_owned();
    let client = Client { http: reqwest::Client::new(), runtime: tokio::runtime::Runtime::new().unwrap() };
    let mut serves = [Serve::start(&world.kafka()), Serve::start(&world.kafka())];
    for serve in &serves {
        until("it is ready", || (client.ready(&serve.url) == 200).then_some(()));
    }
    let ends = until("windows", || Some(client.windows(&serves[0].url)).filter(|ends| ends.len() >= 6));
    for serve in &serves {
        client.agree(&serve.url, &up, &ends[3]);
    }

    // killed, it begins where its store ends, and what came meanwhile is there too
    let (before, url) = (client.windows(&serves[0].url), serves[0].url.clone());
    serves[0].kill_and_start(|| {
        let missed = || in_topic(&world).0.len() >= before.len() + 2;
        until("windows that it misses", || missed().then_some(()));
    });
    let newer = until("a window that it did not miss", || {
        let ends = client.windows(&url);
        Some(ends.first()?.clone()).filter(|_| ends.len() >= before.len() + 4)
    });
    // rows are counted first, then the topic is read: so all that were counted stand there
    let (read_again, kept) = (client.rows_read(&url), client.windows(&url));
    let (ends, rows) = in_topic(&world);
    let kept: BTreeSet<String> = kept.into_iter().collect();
    let up_to =
        |ends: &BTreeSet<String>| ends.iter().filter(|end| **end <= newer).cloned().collect::<Vec<_>>();
    assert_eq!(up_to(&kept), up_to(&ends), "no gap, and nothing that is not there");
    assert!(
        (4..=rows - before.len()).contains(&read_again),
        "{read_again} of {rows} rows read after the kill, {} windows were kept before",
        before.len()
    );
    client.agree(&url, &up, &before[1]);
    client.agree(&url, &serves[1].url, &newer);

    // while Kafka is away nobody is told that all is well, but history is there
    let times = |what: &str, wanted: fn(u16) -> bool| {
        for serve in &serves {
            until(what, || wanted(client.ready(&serve.url)).then_some(()));
        }
    };
    world.kill("kafka");
    times("Kafka is missed", |status| status == 503);
    assert!(client.windows(&url).contains(&newer));
    times("Kafka is back", |status| status == 200);
    let seen = client.windows(&url);
    let newest = until("windows after that", || {
        let ends = client.windows(&url);
        (ends.len() >= seen.len() + 3).then(|| ends[1].clone())
    });
    for serve in &serves {
        client.agree(&serve.url, &up, &newest);
    }
    world.down();
}

#[test]
fn topics_that_are_made_later_are_read() {
    let mut world = World::new(&SHORT);
    world.start_empty_kafka();
    let client = Client { http: reqwest::Client::new(), runtime: tokio::runtime::Runtime::new().unwrap() };
    let serve = Serve::start(&world.kafka());
    // it has looked for topics: it says what became of them once a second
    until("the state of a Kafka without topics", || {
        let (_, text) = client.get(format!("{}/api/v1/pipeline", serve.url));
        let overview: Value = serde_json::from_str(&text).unwrap_or_default();
        overview["status"].is_object().then_some(())
    });
    world.make_topics(2);
    let row = r#"{"site_id":"shop","window_start":"2026-03-01T10:00:00.000Z","window_end":"2026-03-01T10:00:08.000Z","event_count":7}"#;
    Writer::new(&world.kafka()).write_to(topic::SITE_METRICS, &[(0, Some(row.as_bytes().to_vec()))]);
    until("the window", || (client.windows(&serve.url) == ["2026-03-01T10:00:08.000Z"]).then_some(()));
    // the store is that of this cluster
    let stores = serve.dir.path().join(format!("serve-{}", serve.url.rsplit(':').next().unwrap()));
    let names =
        std::fs::read_dir(stores).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let stores: Vec<String> = names.filter(|name| name.ends_with(".db")).collect();
    assert!(stores.len() == 1 && stores[0].len() > "results-.db".len(), "{stores:?}");
}

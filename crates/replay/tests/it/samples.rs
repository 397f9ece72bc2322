//! Logs written after the servers' documented formats, odd lines included.

use std::collections::BTreeMap;

use clickstream_replay::{Options, Replay, Salt, View};

struct Read {
    views: Vec<View>,
    skipped: BTreeMap<&'static str, u64>,
    bots: u64,
}

fn read(sample: &[u8]) -> Read {
    let mut replay = Replay::new(Options::default(), Salt::from_text("test"));
    let mut views = Vec::new();
    sample.split(|byte| *byte == b'\n').for_each(|line| replay.line(line, &mut views));
    replay.finish(&mut views);
    let summary = replay.summary();
    assert_eq!(summary.lines, summary.views + summary.left_out());
    let skipped = summary.skipped.iter().map(|(why, (count, _))| (why.name(), *count)).collect();
    Read { views, skipped, bots: summary.bot_views }
}

fn pages(read: &Read) -> Vec<(&str, &str)> {
    read.views.iter().map(|view| (&*view.site, &*view.page)).collect()
}

#[test]
fn apache_common() {
    let read = read(include_bytes!("../samples/apache_common.log"));
    assert_eq!(pages(&read), [("web", "/"), ("web", "/docs"), ("web", "/docs/a%20b")]);
    assert_eq!(read.views[0].session, read.views[1].session);
    assert_eq!(read.views[0].time.to_string(), "2000-10-10T20:55:37.000Z");
    assert_eq!(read.skipped, BTreeMap::from([("asset", 1), ("bad_request", 2), ("error", 1), ("method", 1)]));
}

#[test]
fn apache_with_virtual_hosts() {
    let read = read(include_bytes!("../samples/apache_vhost_combined.log"));
    assert_eq!(
        pages(&read),
        [
            ("blog.example", "/about"),
            ("shop.example", "/shoes"),
            ("blog.example", "/2026/gr%C3%B6%C3%9Fe"),
            ("blog.example", "/"),
            ("blog.example", "/unfinished"),
        ]
    );
    assert_eq!(read.views[1].referrer.as_deref(), Some("https://search.example/?q=\"red shoes\""));
    assert_eq!(read.views[2].user_agent.as_deref(), Some("Mozilla/5.0 \\odd\t\"agent\""));
    assert_eq!(read.views[2].time.to_string(), "2026-11-26T09:00:02.000Z");
    assert_eq!(read.views[3].time.to_string(), "2026-11-26T09:00:02.500Z");
    assert_eq!(read.views[4].user_agent, None);
    assert_eq!((read.bots, read.skipped), (2, BTreeMap::from([("asset", 1), ("redirect", 1)])));
}

#[test]
fn nginx_combined() {
    let read = read(include_bytes!("../samples/nginx_combined.log"));
    assert_eq!(pages(&read), [("web", "/"), ("web", "/shoes"), ("web", "/search"), ("web", "/shoes")]);
    assert_eq!(read.views[2].user_agent.as_deref(), Some("Mozilla/5.0 ä"));
    assert_eq!(read.views[2].time.0 - read.views[0].time.0, 666);
    assert_eq!(
        read.skipped,
        BTreeMap::from([("bad_request", 1), ("error", 1), ("method", 1), ("unreadable", 1)])
    );
}

#[test]
fn nginx_json() {
    let read = read(include_bytes!("../samples/nginx_json.log"));
    assert_eq!(pages(&read), [("web", "/shoes"), ("shop.example", "/cart"), ("web", "/odd%22quote")]);
    assert_eq!(read.skipped, BTreeMap::from([("method", 1), ("unreadable", 2)]));
}

#[test]
fn caddy() {
    let read = read(include_bytes!("../samples/caddy.log"));
    assert_eq!(pages(&read), [("shop.example", "/shoes"), ("shop.example", "/")]);
    assert_eq!(read.views[0].time.to_string(), "2026-11-26T09:00:00.254Z");
    assert_eq!(read.views[1].time.to_string(), "2026-11-26T09:00:00.500Z");
    assert_eq!(read.skipped, BTreeMap::from([("asset", 1), ("error", 1), ("unreadable", 1)]));
}

#[test]
fn apache_json() {
    let read = read(include_bytes!("../samples/apache_json.log"));
    assert_eq!(pages(&read), [("shop.example", "/shoes"), ("shop.example", "/shoes")]);
    assert_eq!(read.views[1].user_agent.as_deref(), Some("quote \" and \ttab"));
    assert_eq!(read.skipped, BTreeMap::from([("error", 1)]));
}

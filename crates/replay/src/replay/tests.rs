use super::*;
use clickstream_event::{Record, Rules, decode};
use proptest::prelude::*;

fn replay(options: Options, lines: &[String]) -> (Vec<View>, Summary) {
    let mut replay = Replay::new(options, Salt::from_text("salt"));
    let mut out = Vec::new();
    lines.iter().for_each(|line| replay.line(line.as_bytes(), &mut out));
    replay.finish(&mut out);
    (out, replay.summary())
}

fn line(second: u32, address: &str, target: &str) -> String {
    format!(
        r#"{address} - - [26/Nov/2026:10:{:02}:{:02} +0000] "GET {target} HTTP/1.1" 200 5 "-" "agent""#,
        second / 60,
        second % 60
    )
}

#[test]
fn a_visit() {
    let lines = [line(0, "a", "/"), line(0, "b", "/"), line(1, "a", "/x/?q=1"), line(1, "a", "/x.css")];
    let (views, summary) = replay(Options::default(), &lines);
    let pages: Vec<&str> = views.iter().map(|view| &*view.page).collect();
    assert_eq!(pages, ["/", "/", "/x"]);
    assert_eq!(views[0].session, views[2].session);
    assert_ne!(views[0].user, views[1].user);
    assert_eq!(views[1].time.0 - views[0].time.0, 500);
    assert_eq!((summary.lines, summary.views, summary.sessions, summary.left_out()), (4, 3, 2, 1));
    assert_eq!(summary.skipped[&Skip::Asset].1, lines[3]);
    let mut value = Vec::new();
    views[2].encode(views[2].time, &mut value);
    let Ok(Record::Event(event, _)) = decode(&value, views[2].time, Rules::default()) else { panic!() };
    assert_eq!(
        (&*event.page_url, &*event.site_id, event.user_agent.as_deref()),
        ("/x", "web", Some("agent"))
    );
    assert!(!String::from_utf8(value).unwrap().contains("192.0.2"));
}

#[test]
fn the_same_file_gives_the_same_ids_and_copies_of_a_line_do_not() {
    let lines = [line(0, "a", "/"), line(0, "a", "/"), line(1, "a", "/")];
    let (views, _) = replay(Options::default(), &lines);
    let ids: Vec<u128> = views.iter().map(|view| view.event_id).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    // cut off at the front, as a rotated file: the rest has the same ids
    let (rest, _) = replay(Options::default(), &lines[2..]);
    assert_eq!(rest[0].event_id, ids[2]);
}

#[test]
fn sites_by_host_are_bounded() {
    let host =
        |host: &str| format!("{host} 192.0.2.1 - - [26/Nov/2026:10:00:00 +0000] \"GET / HTTP/1.1\" 200 5");
    let mut lines: Vec<String> = ["Shop.example:443", "shop.example.", "shop.example:80"].map(host).into();
    lines.extend((0..5_000).map(|n| host(&format!("evil{n}.example"))));
    let (views, summary) = replay(Options::default(), &lines);
    assert_eq!(&*views[0].site, "shop.example");
    assert_eq!(summary.sites["shop.example"], 3);
    assert_eq!(summary.sites.len(), MAX_SITES);
    assert_eq!(summary.skipped[&Skip::Host].0, 5_000 - (MAX_SITES as u64 - 1));
    let (views, _) = replay(Options { site: Some("one".into()), ..Options::default() }, &lines);
    assert!(views.iter().all(|view| &*view.site == "one"));
}

#[test]
fn lines_of_the_future_are_left_out_where_times_are_kept() {
    const NOW: fn() -> Timestamp = || Timestamp::parse("2026-11-26T10:00:20Z").unwrap();
    let lines = [
        line(0, "a", "/"),
        line(3_000, "a", "/"),
        line(29, "b", "/"),
        line(30, "b", "/"),
        line(28, "c", "/"),
    ];
    let keep = Options { clock: Some(NOW), ..Options::default() };
    let (views, summary) = replay(keep, &lines);
    // what is left out makes nothing else late, either
    assert_eq!(views.len(), 3);
    assert_eq!(summary.skipped[&Skip::Future], (2, lines[1].clone()));
    let (moved, summary) = replay(Options::default(), &lines);
    assert_eq!((moved.len(), summary.skipped.get(&Skip::Future)), (4, None), "the last is too old then");
}

#[test]
fn old_lines_and_long_ones_are_left_out() {
    let lines = [
        line(30, "a", "/"),
        line(27, "b", "/"),
        line(40, "a", "/"),
        line(20, "c", "/"),
        line(41, "d", &format!("/{}", "x".repeat(9_000))),
        line(41, "d", &format!("/{}", "ö".repeat(3_000))),
    ];
    let (views, summary) = replay(Options::default(), &lines);
    assert_eq!(views.len(), 3);
    assert!(views.windows(2).all(|pair| pair[0].time <= pair[1].time));
    assert_eq!(summary.skipped[&Skip::OutOfOrder].0, 1);
    assert_eq!(summary.skipped[&Skip::TooLong].0, 2);
}

#[test]
fn with_the_host_in_pages() {
    let urls = UrlRules { host: true, ..UrlRules::default() };
    let lines = [
        "shop.example 192.0.2.1 - - [26/Nov/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 5".to_owned(),
        line(0, "b", "/b"),
    ];
    let (views, _) = replay(Options { urls, ..Options::default() }, &lines);
    let pages: Vec<&str> = views.iter().map(|view| &*view.page).collect();
    assert_eq!(pages, ["shop.example/a", "/b"]);
}

proptest! {
    /// Whatever a log holds: every line is a view or left out, views are in order and valid, and no two of a session share a moment.
    #[test]
    fn views_are_always_valid(
        lines in prop::collection::vec(
            (0u32..40, 0u8..3, prop_oneof![Just("/".to_owned()), Just("/a b".to_owned()), "[ -~é\\\\]{0,12}", "/\\PC{0,8}", Just("*".to_owned()), Just("http://x:9/y".to_owned())]),
            0..300,
        ),
        garbage in any::<Vec<u8>>(),
    ) {
        let mut replay = Replay::new(Options::default(), Salt::from_text("salt"));
        let mut out = Vec::new();
        for (second, visitor, target) in &lines {
            replay.line(line(*second, &format!("v{visitor}"), target).as_bytes(), &mut out);
        }
        garbage.split(|b| *b == b'\n').for_each(|line| replay.line(line, &mut out));
        replay.finish(&mut out);
        let summary = replay.summary();
        prop_assert_eq!(summary.views as usize, out.len());
        prop_assert_eq!(summary.lines, summary.views + summary.left_out());
        prop_assert!(out.windows(2).all(|pair| pair[0].time <= pair[1].time));
        let mut seen = std::collections::HashSet::new();
        for view in &out {
            prop_assert!(seen.insert((view.session, view.time)));
            let mut value = Vec::new();
            view.encode(view.time, &mut value);
            prop_assert!(decode(&value, view.time, Rules::default()).is_ok(), "{}", String::from_utf8_lossy(&value));
        }
    }
}

//! A million generated lines are read as they were made.

use clickstream_event::Timestamp;
use clickstream_replay::line::{Format, read};
use clickstream_replay::workload::{self, Style};
use clickstream_replay::{Options, Replay, Salt, rules};

#[test]
fn a_million_lines_in_four_styles() {
    let start = Timestamp::parse("2026-11-26T10:00:00Z").unwrap().0;
    let mut text = String::new();
    for n in 0..1_000_000 {
        let made = workload::line(n, 1_000, start);
        let style = [Style::Combined, Style::VirtualHost, Style::Nginx, Style::Caddy][n as usize % 4];
        text.clear();
        made.write(style, &mut text);
        let line = read(&text, Format::Auto).unwrap_or_else(|| panic!("{text}"));
        assert_eq!((line.time_ms, &*line.address), (made.time_ms, &*made.address), "{text}");
        assert_eq!(
            (&*line.method, &*line.target, line.status),
            (made.method, &*made.target, made.status),
            "{text}"
        );
        assert_eq!(line.referrer.as_deref(), made.referrer.as_deref(), "{text}");
        assert_eq!(line.user_agent.as_deref(), Some(&*made.user_agent), "{text}");
        if style != Style::Combined {
            assert_eq!(
                line.host.as_deref().map(|host| host.trim_end_matches(":443")),
                Some(made.host),
                "{text}"
            );
        }
    }
}

#[test]
fn a_log_is_a_sum() {
    let start = Timestamp::parse("2026-11-26T10:00:00Z").unwrap().0;
    let mut replay =
        Replay::new(Options { session_gap_ms: 30_000, ..Options::default() }, Salt::from_text("x"));
    let (mut out, mut views, mut text) = (Vec::new(), 0u64, String::new());
    for n in 0..100_000 {
        text.clear();
        let made = workload::line(n, 2_000, start);
        made.write(Style::Combined, &mut text);
        views += u64::from(
            made.method == "GET" && matches!(made.status, 200 | 304) && !rules::is_asset(&made.target),
        );
        replay.line(text.as_bytes(), &mut out);
    }
    replay.finish(&mut out);
    let summary = replay.summary();
    assert_eq!((summary.lines, summary.views), (100_000, views));
    assert_eq!(summary.lines, summary.views + summary.left_out());
    assert!(out.windows(2).all(|pair| pair[0].time <= pair[1].time));
    let bots = summary.bot_views as f64 / views as f64;
    assert!((0.1..0.25).contains(&bots), "{bots}");
}

//! `clickstream verify`: recounts the log and compares every row.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clickstream_event::Timestamp;
use console::style;
use serde_json::json;

use crate::config::{Config, time_text};
use crate::logs::{Bounds, Log};
use crate::proof::explain::{self, Question, Subject};
use crate::proof::follow::Follower;
use crate::proof::narrow::Narrow;
use crate::proof::prove::prove;
use crate::proof::report::{Difference, Report};
use crate::proof::row::Row;
use crate::shell;
use clickstream_top::text::thousands;

use super::{emit, facts};

/// Exit code of a proof that could not be made.
const COULD_NOT_CHECK: u8 = 2;
/// Results that end further behind the log than this are no proof that the pipeline works, in seconds.
const MAX_BEHIND_S: i64 = 60;
/// Differences that are shown with the events behind them.
const EXPLAINED: usize = 3;
/// Events that are listed of each.
const LISTED: usize = 3;

/// Verifies once, or on and on; exit code 0 proven, 1 refuted, 2 could not check.
pub fn run(config: &Config, follow: bool) -> Result<ExitCode> {
    if follow {
        return match keep_proving(config) {
            Ok(code) => Ok(code),
            Err(error) => could_not_check(&error),
        };
    }
    let began = Instant::now();
    let outcome = crate::logs::open(config).and_then(|log| {
        let mut report = prove(log.as_ref(), config.engine_config(), config.settings_since, Timestamp::now)?;
        for difference in report.differences.iter_mut().take(10) {
            difference.found = found(log.as_ref(), difference)?;
        }
        Ok((log, report))
    });
    let (log, report) = match outcome {
        Ok(outcome) => outcome,
        Err(error) => return could_not_check(&error),
    };
    let verdict = verdict(&report);
    if config.json {
        let line = json!({ "verdict": verdict.0, "took_ms": began.elapsed().as_millis() as u64, "log": log.place(), "report": report });
        emit(&format!("{line}\n"));
    } else {
        emit(&draw(&report, log.as_ref(), config, began.elapsed()));
    }
    Ok(ExitCode::from(verdict.1))
}

fn could_not_check(error: &anyhow::Error) -> Result<ExitCode> {
    eprintln!("clickstream: could not check: {}", crate::explain(error));
    Ok(ExitCode::from(COULD_NOT_CHECK))
}

/// Proves the log from its beginning, then what is added, until it is refuted, or `--duration` is over.
fn keep_proving(config: &Config) -> Result<ExitCode> {
    let began = Instant::now();
    let slide = Duration::from_millis(config.stack.job.windows.slide_ms() as u64).max(Duration::from_secs(1));
    let mut follower = Follower::new(crate::logs::open(config)?, config.engine_config(), None, true)?
        .with_settings_since(config.settings_since);
    loop {
        let report = follower.step()?;
        let verdict = verdict(report);
        if config.json {
            say!("{}", json!({ "verdict": verdict.0, "report": report }));
        } else if report.problems() == 0 {
            say!(
                "{} up to {}: {} rows and dead letters equal the recount of {} records",
                style(if verdict.1 == 0 { "✓ proven" } else { "… nothing to compare" }).green(),
                report.proven_to.map_or_else(|| "–".to_owned(), Timestamp::clock),
                thousands(report.equal()),
                thousands(report.balance.records)
            );
        }
        if report.problems() > 0 {
            let report = report.clone();
            if !config.json {
                emit(&draw(&report, crate::logs::open(config)?.as_ref(), config, began.elapsed()));
            }
            return Ok(ExitCode::from(1));
        }
        if config.duration.is_some_and(|time| began.elapsed() + slide > time) {
            return Ok(ExitCode::from(verdict.1));
        }
        std::thread::sleep(slide);
    }
}

fn verdict(report: &Report) -> (&'static str, u8) {
    match (report.problems(), report.proven_to) {
        (1.., _) => ("refuted", 1),
        // no row of any window was compared: sessions and dead letters alone prove no number
        (0, None) => ("could not check", COULD_NOT_CHECK),
        // what is there is right, but most of it is not there
        (0, Some(to)) if report.behind_s(to) > MAX_BEHIND_S && report.pending > 0 => {
            ("could not check", COULD_NOT_CHECK)
        }
        (0, Some(_)) => ("proven", 0),
    }
}

/// The row that stands where a difference was found.
fn found(log: &dyn Log, difference: &Difference) -> Result<Option<serde_json::Value>> {
    let Some((partition, offset)) = difference.found_at else { return Ok(None) };
    let bounds = Bounds::one(log.bounds(difference.topic)?.0.len(), partition, offset);
    let mut value = None;
    log.read(difference.topic, &bounds, &mut |record| {
        value = record.value.map(|value| {
            serde_json::from_slice(value).unwrap_or_else(|_| json!(String::from_utf8_lossy(value)))
        });
        Ok(())
    })?;
    Ok(value)
}

fn draw(report: &Report, log: &dyn Log, config: &Config, took: Duration) -> String {
    let mut text = String::new();
    let records = thousands(report.balance.records);
    text.push_str(&match verdict(report).0 {
        "proven" => format!(
            "{} up to {}: {} rows and dead letters equal the recount of {records} records in {}\n\n",
            style("✓ proven").green().bold(),
            report.proven_to.map_or_else(|| "–".to_owned(), Timestamp::clock),
            thousands(report.equal()),
            log.place()
        ),
        "refuted" => format!(
            "{} {} of {} rows and dead letters are not what the log says\n\n",
            style("✗ refuted:").red().bold(),
            thousands(report.problems()),
            thousands(report.problems() + report.equal())
        ),
        _ => format!("{} {}\n\n", style("? could not check:").yellow().bold(), why_not(report, config)),
    });
    let header = ["topic", "equal", "differing", "missing", "unexpected"].map(String::from);
    let rows = report.topics.iter().map(|(name, topic)| {
        [
            (*name).to_owned(),
            thousands(topic.equal),
            thousands(topic.differing),
            thousands(topic.missing),
            thousands(topic.unexpected),
        ]
    });
    text.push_str(&facts(std::iter::once(header).chain(rows)));
    text.push('\n');
    text.push_str(&facts(lines(report, config, took)));
    for (n, difference) in report.differences.iter().enumerate().take(10) {
        text.push_str(&format!("\n{}. {}", n + 1, show(difference)));
        if n < EXPLAINED {
            // what is wrong was found without it
            text.push_str(
                &behind(difference, log, config).unwrap_or_else(|error| {
                    format!("     the events behind it cannot be listed: {error:#}\n")
                }),
            );
        }
    }
    if report.problems() > 10 {
        text.push_str(&format!(
            "\n… and {} more; --json has the first 50\n",
            thousands(report.problems() - 10)
        ));
    }
    text
}

/// Why there is no verdict.
fn why_not(report: &Report, config: &Config) -> String {
    let windows = config.stack.job.windows;
    let asked = format!("{} s every {} s", windows.size_ms() / 1_000, windows.slide_ms() / 1_000);
    match (report.proven_to, report.other_shape) {
        (Some(to), _) => format!(
            "what is written equals the recount up to {}, but that is {} s before the end of the log, and {} rows are missing since: is the job running, and keeping up? `clickstream status` tells",
            to.clock(),
            report.behind_s(to),
            thousands(report.pending)
        ),
        (None, Some((start, end))) => format!(
            "the rows are of windows of {} s, and you asked for {asked}: give --window and --slide as the `up` or `replay` that wrote them",
            (end.0 - start.0) / 1_000
        ),
        (None, None) => format!(
            "no window of {asked} has ended and been written yet; the first takes a slide and a window's end"
        ),
    }
}

/// The facts below the table.
fn lines(report: &Report, config: &Config, took: Duration) -> Vec<[String; 2]> {
    let show = |time: Option<Timestamp>| time.map_or_else(|| "–".to_owned(), |time| time.to_string());
    let windows = config.stack.job.windows;
    let balance = report.balance;
    let mut lines = vec![
        [
            "windows that ended".to_owned(),
            format!(
                "{} to {}, {} every {}",
                show(report.from),
                show(report.to),
                time_text(windows.size_ms()),
                time_text(windows.slide_ms())
            ),
        ],
        ["log".to_owned(), format!("{} to {}", show(report.log_from), show(report.log_to))],
        [
            "balance".to_owned(),
            format!(
                "{} records = {} counted + {} heartbeats + {} duplicates + {} late + {} rejected",
                thousands(balance.records),
                thousands(balance.counted),
                thousands(balance.heartbeats),
                thousands(balance.duplicates),
                thousands(balance.late),
                thousands(balance.rejected)
            ),
        ],
        [
            "decided by timing".to_owned(),
            match report.timing_event_count {
                0 => "nothing".to_owned(),
                n => format!(
                    "{} events; {} rows that they touch differ",
                    thousands(n),
                    thousands(report.timing_rows)
                ),
            },
        ],
    ];
    for event in &report.timing_events {
        let where_ = format!("{}:{}", event.partition, event.offset);
        lines.push([
            String::new(),
            format!("{where_} {} {}: {}", event.event_time, event.event_id, event.reason),
        ]);
    }
    let mut apart = Vec::new();
    for (n, what) in [
        (report.pending, "rows of the newest windows are still to be written"),
        (report.beyond, "rows are of windows that ended after the log was read"),
        (report.before, "rows are of windows before the first that is whole in the log"),
        (
            report.other_settings,
            "rows were written under other settings, before or after --window, --slide, --session-gap or another was changed",
        ),
        (report.written_again, "rows were written again, the same, as after a restart"),
        (report.letters_again, "dead letters were written again"),
    ] {
        if n > 0 {
            apart.push(format!("{} {what}", thousands(n)));
        }
    }
    if !apart.is_empty() {
        lines.push(["not judged".to_owned(), apart.join("; ")]);
    }
    lines.push([
        "took".to_owned(),
        format!(
            "{:.1} s, {} records/s",
            took.as_secs_f64(),
            thousands((balance.records as f64 / took.as_secs_f64()) as u64)
        ),
    ]);
    lines
}

/// A difference with both rows side by side.
fn show(difference: &Difference) -> String {
    let at = difference.found_at.map_or(String::new(), |(p, o)| format!(", partition {p} offset {o}"));
    let before =
        difference.before_at.map_or(String::new(), |(p, o)| format!(" (at partition {p} offset {o})"));
    let mut text = format!("{}{at}: {}{before}\n", difference.topic, style(difference.what).bold());
    let expected = difference.expected.as_ref().and_then(|row| serde_json::to_value(row).ok());
    match (&expected, &difference.found, &difference.letter) {
        (Some(expected), Some(found), _) => {
            let fields = expected.as_object().into_iter().flatten();
            let rows = fields.map(|(field, value)| {
                let found = found.get(field).unwrap_or(&serde_json::Value::Null);
                let mark = if value == found { "" } else { "  ◀" };
                [format!("     {field}"), plain(value), format!("{}{mark}", plain(found))]
            });
            let header = ["     field", "recount", "stands there"].map(String::from);
            text.push_str(&facts(std::iter::once(header).chain(rows)));
        }
        (Some(row), None, _) | (None, Some(row), _) => text.push_str(&format!("     {row}\n")),
        (None, None, Some(letter)) => text.push_str(&format!(
            "     the recount says {} for partition {} offset {}: {}\n",
            letter.reason,
            letter.source_partition,
            letter.source_offset,
            letter.detail.as_deref().unwrap_or("")
        )),
        _ => {}
    }
    if let Some((partition, offset)) = difference.of {
        text.push_str(&format!("     the record at partition {partition} offset {offset}\n"));
    }
    text
}

fn plain(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The events behind a row.
fn behind(difference: &Difference, log: &dyn Log, config: &Config) -> Result<String> {
    let row = difference.expected.clone().or_else(|| {
        difference.found.as_ref().and_then(|row| Row::parse(difference.topic, row.to_string().as_bytes()))
    });
    let Some(row) = row else { return Ok(String::new()) };
    let subject = Subject::of(&row);
    let end = row.settled_at(config.engine_config().session_gap_ms);
    // of what belongs to no window, the first window that shows it
    let slide = config.stack.job.windows.slide_ms();
    let window_end = Timestamp((end.0 + slide - 1).div_euclid(slide) * slide);
    let site_id = row.site().to_owned();
    let question = Question { site_id, subject, window_end, narrow: Narrow::default(), keep: LISTED };
    let explanation =
        explain::explain(log, config.engine_config(), question).context("the events behind it")?;
    let mut text = format!("     the events behind it: {} count", explanation.totals.counted);
    for line in &explanation.counted {
        text.push_str(&format!(
            "\n       {}:{} {} {} of {}",
            line.partition, line.offset, line.event_time, line.event_type, line.user_id
        ));
    }
    if explanation.totals.counted > LISTED {
        let dir = shell::option("--data-dir", &config.stack.data_dir.to_string_lossy());
        let site = shell::option("--site", &explanation.site_id);
        text.push_str(&format!(
            "\n       all of them: clickstream explain {dir} {site}{} --window-end {}",
            explanation.subject.flag(),
            explanation.window_end
        ));
    }
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proof::report::TopicReport;

    #[test]
    fn nothing_is_proven_by_what_was_not_compared() {
        let equal = TopicReport { equal: 9, ..TopicReport::default() };
        let at = |s: i64| Some(Timestamp(s * 1_000));
        let mut report = Report { watermark: at(500), pending: 7, ..Report::default() };
        assert_eq!(verdict(&report).1, COULD_NOT_CHECK);
        // sessions have no window: they may be right while all windows are of another shape
        report.topics.insert(clickstream_event::topic::SESSIONS, equal);
        assert_eq!(verdict(&report).1, COULD_NOT_CHECK);
        report.proven_to = at(490);
        assert_eq!(verdict(&report), ("proven", 0));
        report.proven_to = at(430);
        assert_eq!(verdict(&report).1, COULD_NOT_CHECK);
        report.pending = 0;
        assert_eq!(verdict(&report), ("proven", 0));
        report.unreadable = 1;
        assert_eq!(verdict(&report), ("refuted", 1));
    }
}

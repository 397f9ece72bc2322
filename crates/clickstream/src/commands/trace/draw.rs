//! The story of an event, for people: what happened, one below the other, then the windows.

use clickstream_engine::Config;
use clickstream_event::{Timestamp, topic};
use clickstream_top::text::{safe, thousands};
use console::style;
use serde_json::Value;

use super::windows;
use crate::commands::{clock_ms, length};
use crate::config::time_text;
use crate::proof::row::Row;
use crate::proof::trace::{Fate, Standing, Trace, Visit};

/// A step of the story: when, in a word what, and the words for it.
struct Step {
    at: Option<Timestamp>,
    what: &'static str,
    lines: Vec<String>,
}

/// The whole story; of the windows at most `limit`. `on` is what names the data directory in commands that are shown.
pub fn draw(story: &Trace, config: Config, limit: usize, on: &str) -> String {
    let mut text = format!("{}\n\n", title(story));
    for step in steps(story, config) {
        text.push_str(&show(&step));
    }
    if !story.windows.is_empty() {
        text.push_str(&windows::draw(story, config, limit));
    }
    text.push_str(&next(story, on));
    text
}

/// A field of the record as a text; empty if there is none.
pub(super) fn field(story: &Trace, name: &str) -> String {
    match story.event.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => safe(text),
        Some(other) => safe(&other.to_string()),
    }
}

fn title(story: &Trace) -> String {
    let what = match (&story.fate, story.timestamp) {
        (Fate::Heartbeat, _) => "heartbeat".to_owned(),
        (_, None) => "a record that is no event".to_owned(),
        _ => format!("{} of {}", field(story, "event_type"), field(story, "page_url")),
    };
    let id = field(story, "event_id");
    let id = if id.is_empty() { String::new() } else { format!(", event {id}") };
    let day = story.event_time.unwrap_or(story.arrival).to_string();
    format!("{}{id}\n{}, times in UTC", style(what).bold(), day.get(..10).unwrap_or_default())
}

fn steps(story: &Trace, config: Config) -> Vec<Step> {
    let mut steps = Vec::new();
    if let Some(at) = story.timestamp {
        steps.push(Step { at: Some(at), what: "happened", lines: happened(story) });
    }
    steps.push(Step { at: Some(story.arrival), what: "in the log", lines: in_the_log(story) });
    // event time is no moment of this way, which goes by the clock
    steps.push(Step { at: None, what: "judged", lines: judged(story) });
    if let Some(passed) = story.watermark_passed {
        let after = length(passed.at.0 - story.event_time.unwrap_or(passed.at).0);
        let line = format!("{after} after its event time, moved by the record at {}", passed.by);
        steps.push(Step { at: Some(passed.at), what: "watermark", lines: vec![line] });
    } else if story.fate == Fate::Counted {
        let line = "has not passed it yet: until then it waits to be counted in order".to_owned();
        steps.push(Step { at: None, what: "watermark", lines: vec![line] });
    }
    if story.fate == Fate::Counted {
        steps.push(Step { at: None, what: "user", lines: user(story) });
    }
    if let Some(visit) = &story.session {
        steps.push(Step { at: None, what: "session", lines: session(visit, config) });
    }
    if matches!(story.fate, Fate::Late { .. } | Fate::Rejected { .. }) {
        steps.push(match &story.dead_letter {
            Some(letter) => Step {
                at: Some(letter.written),
                what: "dead letter",
                lines: vec![format!(
                    "{} after its arrival, in {}",
                    length(letter.after_ms),
                    topic::DEAD_LETTERS
                )],
            },
            None => Step {
                at: None,
                what: "dead letter",
                lines: vec![format!(
                    "none in {} yet: is the job running? `clickstream status` tells",
                    topic::DEAD_LETTERS
                )],
            },
        });
    }
    steps
}

fn happened(story: &Trace) -> Vec<String> {
    let who = ["user_id", "session_id", "site_id"].map(|name| field(story, name));
    let mut lines = vec![format!("by user {} in session {}, site {}", who[0], who[1], who[2])];
    let more: Vec<String> = ["product_id", "element", "value", "currency", "referrer"]
        .into_iter()
        .filter(|name| !field(story, name).is_empty())
        .map(|name| format!("{name} {}", field(story, name)))
        .collect();
    if !more.is_empty() {
        lines.push(more.join(" · "));
    }
    lines
}

fn in_the_log(story: &Trace) -> Vec<String> {
    let place = story.place;
    let key = story.key.as_deref().map_or_else(|| "no key".to_owned(), |key| format!("key {}", safe(key)));
    let mut lines = vec![format!(
        "partition {}, offset {}, {key}; {}",
        place.partition,
        thousands(place.offset.max(0) as u64),
        safe(&story.log)
    )];
    match story.timestamp.map(|at| story.arrival.0 - at.0) {
        Some(after @ 0..) => lines.push(format!("arrived {} after its timestamp", length(after))),
        Some(ahead) => lines.push(format!("its timestamp is {} ahead of its arrival", length(-ahead))),
        None => {}
    }
    if let Some(truth) = &story.truth {
        lines.push(format!(
            "header truth: {}, said by who sent it; the pipeline never reads that",
            style(safe(truth)).yellow()
        ));
    }
    if story.timestamp.is_none() && story.fate != Fate::Heartbeat {
        let value = story.event.as_str().map_or_else(|| story.event.to_string(), str::to_owned);
        lines.push(format!("value: {}", clickstream_top::text::fit(&value, 160)));
    }
    lines
}

fn judged(story: &Trace) -> Vec<String> {
    let mut lines = match &story.fate {
        Fate::Counted => {
            let why = match (story.event_time, story.timestamp) {
                (Some(at), Some(timestamp)) if at < timestamp => {
                    "event time is its arrival, for its timestamp is later"
                }
                _ => "event time is its timestamp",
            };
            let at = story.event_time.map_or_else(String::new, |at| format!(", {}", clock_ms(at)));
            vec![format!("{}: {why}{at}", style("counted").green().bold())]
        }
        Fate::Duplicate { of } => {
            let of = of.map_or_else(
                || "one that the log no longer holds".to_owned(),
                |place| format!("{place}, which counts"),
            );
            vec![format!("{} of {of}: this one counts nowhere", style("duplicate").yellow().bold())]
        }
        Fate::Late { high_mark, behind_ms, max_disorder_ms } => vec![
            format!(
                "{} by {}: counts nowhere",
                style("late").yellow().bold(),
                length(behind_ms - max_disorder_ms)
            ),
            format!(
                "the high mark of its partition was {high_mark}, {} ahead; --max-disorder allows {}",
                length(*behind_ms),
                time_text(*max_disorder_ms)
            ),
        ],
        Fate::Rejected { reason, detail } => {
            vec![format!("{} {reason}: {}", style("rejected:").red().bold(), safe(detail))]
        }
        Fate::Heartbeat => vec![format!(
            "{}: moves event time in a silent partition, counts nowhere",
            style("heartbeat").bold()
        )],
    };
    let others: Vec<String> =
        story.copies.iter().filter(|copy| !copy.counted).map(|copy| copy.place.to_string()).collect();
    if !others.is_empty() && story.fate == Fate::Counted {
        lines.push(format!("copies of it that count nowhere: {}", others.join(", ")));
    }
    lines
}

fn user(story: &Trace) -> Vec<String> {
    let label = match story.labelled_bot {
        None => "whether it is a labelled bot is decided when the watermark has passed".to_owned(),
        Some(false) => "no labelled bot at the time: it counts in the human_ numbers too".to_owned(),
        Some(true) => format!("{} at the time: not in the human_ numbers", style("a labelled bot").yellow()),
    };
    let mut lines = vec![format!("{}, {label}", field(story, "user_id"))];
    for anomaly in story.anomalies.iter().take(3) {
        lines.push(format!("{} at {}: {}", anomaly.kind, anomaly.detected_at.clock(), safe(&anomaly.reason)));
    }
    lines
}

fn session(visit: &Visit, config: Config) -> Vec<String> {
    let span = if visit.start == visit.end {
        visit.start.clock()
    } else {
        format!("{} – {}", visit.start.clock(), visit.end.clock())
    };
    let events = if visit.event_count == 1 {
        "1 event".to_owned()
    } else {
        format!("{} events", thousands(visit.event_count))
    };
    let id = safe(&visit.session_id);
    let Some(row) = &visit.row else {
        let closes = Timestamp(visit.end.0 + config.session_gap_ms).clock();
        return vec![format!(
            "{id}, open: {span}, {events} so far; it closes at {closes} if nothing more comes"
        )];
    };
    let mut lines = vec![format!("{id}, closed: {span}, {events}")];
    if let Some(Row::Session(row)) = row.rows.found.as_ref().or(row.rows.recount.as_ref()) {
        let left =
            if row.bounced { "bounced".to_owned() } else { format!("left from {}", safe(&row.exit_page)) };
        lines.push(format!(
            "entered at {}, {left}, engagement {:.0}",
            safe(&row.entry_page),
            row.engagement_score
        ));
    }
    let row = match (row.written, row.after_ms) {
        (Some(at), Some(after)) => format!(
            "its row in {} at {}, {} after it closed {}",
            topic::SESSIONS,
            clock_ms(at),
            length(after),
            mark(row)
        ),
        _ => format!("no row in {} yet", topic::SESSIONS),
    };
    lines.push(row);
    lines
}

/// Whether the topic says what the recount says.
pub(super) fn mark(standing: &Standing) -> String {
    match (&standing.rows.recount, &standing.rows.found) {
        _ if standing.rows.agrees() => style("✓").green().to_string(),
        (Some(_), Some(_)) => style("✗ the recount differs").red().to_string(),
        _ => String::new(),
    }
}

fn show(step: &Step) -> String {
    let at = step.at.map_or_else(|| " ".repeat(12), clock_ms);
    let mut text = String::new();
    for (n, line) in step.lines.iter().enumerate() {
        // padded before it is painted: colours have no width
        let (dot, at, what) = match n {
            0 => (style("●").cyan(), at.as_str(), format!("{:<12}", step.what)),
            _ => (style("│").dim(), "            ", " ".repeat(12)),
        };
        text.push_str(&format!("{dot} {}  {} {line}\n", style(at).dim(), style(what).bold()));
    }
    text
}

/// What to look at next.
fn next(story: &Trace, on: &str) -> String {
    let Some(window) = story.windows.iter().rev().find(|window| window.closed.is_some()) else {
        return String::new();
    };
    let page = story.event.get("page_url").and_then(Value::as_str).unwrap_or_default();
    let site = story.event.get("site_id").and_then(Value::as_str).unwrap_or_default();
    format!(
        "\nall events behind the last of these numbers:\n  clickstream explain{on} {} {} --window-end {}\n",
        crate::shell::option("--site", site),
        crate::shell::option("--page", page),
        window.end
    )
}

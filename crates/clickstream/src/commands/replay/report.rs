//! What became of a log, for people and for programs.

use clickstream_event::Timestamp;
use clickstream_replay::Summary;
use console::style;
use serde_json::{Value, json};

use super::run::Outcome;
use crate::commands::facts;
use crate::config::Config;
use clickstream_top::text::thousands;

/// Columns of a sample line.
const SAMPLE: usize = 72;
/// Sites that are named.
const SITES: usize = 8;

/// The report as text. `place`: where the events went.
pub fn draw(summary: &Summary, outcome: &Outcome, place: &str, next: &[String]) -> String {
    let rate = summary.lines as f64 / outcome.took.as_secs_f64().max(0.001);
    let mark = if outcome.stopped { style("–").yellow() } else { style("✓").green() };
    let mut text = format!(
        "{mark} {} of {} lines are page views now, in {place}{} ({:.1} s, {} lines/s)\n\n",
        thousands(summary.views),
        thousands(summary.lines),
        if outcome.stopped { "; stopped before the end" } else { "" },
        outcome.took.as_secs_f64(),
        thousands(rate as u64)
    );
    let mut rows = vec![[
        "sessions".to_owned(),
        format!("{}, of visitors told apart by address and browser", thousands(summary.sessions)),
    ]];
    let share = summary.bot_views as f64 / (summary.views as f64).max(1.0) * 100.0;
    rows.push([
        "declared bots".to_owned(),
        format!("{} views ({share:.1} %), which the pipeline labels", thousands(summary.bot_views)),
    ]);
    if let Some((from, to)) = summary.range {
        rows.push(["log".to_owned(), format!("{from} to {to}")]);
    }
    let mut sites: Vec<_> = summary.sites.iter().collect();
    sites.sort_by_key(|(_, views)| std::cmp::Reverse(**views));
    let mut named: Vec<String> =
        sites.iter().take(SITES).map(|(site, views)| format!("{site} {}", thousands(**views))).collect();
    if sites.len() > SITES {
        named.push(format!("and {} more", sites.len() - SITES));
    }
    if !named.is_empty() {
        rows.push(["sites".to_owned(), named.join(" · ")]);
    }
    text.push_str(&facts(rows));
    if !summary.skipped.is_empty() {
        let mut skipped: Vec<_> = summary.skipped.iter().collect();
        skipped.sort_by_key(|(_, (count, _))| std::cmp::Reverse(*count));
        let header = ["left out".to_owned(), "lines".to_owned(), "such as".to_owned()];
        let rows = skipped
            .into_iter()
            .map(|(why, (count, sample))| [why.about().to_owned(), thousands(*count), shorten(sample)]);
        text.push('\n');
        text.push_str(&facts(std::iter::once(header).chain(rows)));
    }
    for why in &outcome.broken {
        text.push_str(&format!("\n{} the rest could not be read: {why}\n", style("!").yellow()));
    }
    if !next.is_empty() {
        text.push_str(&format!("\nTry: {}\n", next.join("\n     ")));
    }
    text
}

fn shorten(sample: &str) -> String {
    match sample.char_indices().nth(SAMPLE) {
        Some((at, _)) => format!("{}…", &sample[..at]),
        None => sample.to_owned(),
    }
}

/// The report as an object.
pub fn json(summary: &Summary, outcome: &Outcome, place: &str) -> Value {
    let skipped: serde_json::Map<String, Value> = summary
        .skipped
        .iter()
        .map(|(why, (count, sample))| (why.name().to_owned(), json!({ "lines": count, "sample": sample })))
        .collect();
    json!({
        "type": "replayed",
        "into": place,
        "lines": summary.lines,
        "views": summary.views,
        "declared_bot_views": summary.bot_views,
        "sessions": summary.sessions,
        "log_from": summary.range.map(|(from, _)| from),
        "log_to": summary.range.map(|(_, to)| to),
        "sites": summary.sites,
        "skipped": skipped,
        "broken": outcome.broken,
        "stopped": outcome.stopped,
        "took_ms": outcome.took.as_millis() as u64,
        "lines_per_second": (summary.lines as f64 / outcome.took.as_secs_f64().max(0.001)) as u64,
    })
}

/// What to do next with a log in files.
pub fn next_embedded(config: &Config, outcome: &Outcome) -> Vec<String> {
    let dir = config.stack.data_dir.display();
    let slide = config.stack.job.windows.slide_ms();
    let mut next = vec![format!("clickstream verify --data-dir {dir}")];
    if let Some(last) = outcome.last {
        let end = Timestamp((last.0.div_euclid(slide) + 1) * slide);
        next.push(format!("clickstream explain --data-dir {dir} --site {} --window-end {end}", outcome.site));
    }
    next.push(format!("clickstream up --embedded --data-dir {dir} --no-generate   # the dashboard on it"));
    next
}

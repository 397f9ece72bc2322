//! What became of a log, for people and for programs.

use clickstream_event::Timestamp;
use clickstream_replay::{Skip, Summary};
use console::style;
use serde_json::{Value, json};

use super::run::Outcome;
use crate::commands::facts;
use crate::config::{Config, last_up};
use crate::shell;
use clickstream_top::text::thousands;

/// Columns of a sample line.
const SAMPLE: usize = 72;
/// Sites that are named.
const SITES: usize = 8;

/// The report as text. `place`: where the events went.
pub fn draw(summary: &Summary, outcome: &Outcome, place: &str, next: &[String]) -> String {
    let rate = summary.lines as f64 / outcome.took.as_secs_f64().max(0.001);
    let mark = match (failed(summary, outcome), summary.views) {
        (true, _) => style("✗").red(),
        (false, 0) => style("–").yellow(),
        (false, _) if outcome.stopped => style("–").yellow(),
        _ => style("✓").green(),
    };
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
    // of nothing there is nothing to prove or to look at
    if !next.is_empty() && outcome.last.is_some() {
        text.push_str(&format!("\nTry: {}\n", next.join("\n     ")));
    }
    text
}

/// Whether something could not be read: a file to its end, or any line at all.
pub fn failed(summary: &Summary, outcome: &Outcome) -> bool {
    let unreadable = summary.skipped.get(&Skip::Unreadable).map_or(0, |(count, _)| *count);
    !outcome.broken.is_empty() || (summary.lines > 0 && unreadable == summary.lines)
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
    let dir = shell::option("--data-dir", &config.stack.data_dir.to_string_lossy());
    let slide = config.stack.job.windows.slide_ms();
    let mut next = vec![format!("clickstream verify {dir}")];
    if let Some(last) = outcome.last {
        let end = Timestamp((last.0.div_euclid(slide) + 1) * slide);
        let site = shell::option("--site", &outcome.site);
        next.push(format!("clickstream explain {dir} {site} --window-end {end}"));
    }
    let up = up_again(config, &format!("--embedded {dir}"));
    next.push(format!("{up}   # the dashboard on it"));
    next
}

/// What shows the log: an `up` with the same windows, or its rows would be others. `where_`: the options that say which log.
pub fn up_again(config: &Config, where_: &str) -> String {
    let mut up = format!("clickstream up {where_} --no-generate");
    for word in last_up::options(config) {
        up.push(' ');
        up.push_str(&shell::line([word.as_str()]));
    }
    up
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::layers::Settings;

    fn outcome(site: &str) -> Outcome {
        let last = Timestamp::parse("2026-03-01T10:01:00Z");
        Outcome { took: Duration::ZERO, stopped: false, broken: Vec::new(), last, site: site.into() }
    }

    #[test]
    fn what_comes_next_has_the_same_windows_and_is_safe_to_paste() {
        let words =
            ["clickstream", "config", "--window", "1h", "--slide", "5m", "--data-dir", "/tmp/my logs"];
        let matches = crate::cli::command().try_get_matches_from(words).unwrap();
        let settings = Settings::load(matches.subcommand().unwrap().1, std::iter::empty()).unwrap();
        let config = Config::from_settings(&settings).unwrap();
        let next = next_embedded(&config, &outcome("$(touch /tmp/pwn)"));
        assert_eq!(
            next,
            [
                "clickstream verify --data-dir '/tmp/my logs'",
                "clickstream explain --data-dir '/tmp/my logs' --site '$(touch /tmp/pwn)' --window-end 2026-03-01T10:05:00.000Z",
                "clickstream up --embedded --data-dir '/tmp/my logs' --no-generate --window 1h --slide 5m   # the dashboard on it",
            ]
        );
    }

    #[test]
    fn what_could_not_be_read_is_no_success() {
        let mut summary = Summary { lines: 2, views: 1, ..Summary::default() };
        assert!(!failed(&summary, &outcome("web")));
        assert!(failed(
            &summary,
            &Outcome { broken: vec!["cut.gz: ends too early".into()], ..outcome("web") }
        ));
        summary.skipped.insert(Skip::Unreadable, (1, "?".into()));
        assert!(!failed(&summary, &outcome("web")));
        summary.skipped.insert(Skip::Unreadable, (2, "?".into()));
        assert!(failed(&summary, &outcome("web")));
        assert!(!failed(&Summary::default(), &outcome("web")), "an empty file is one");
    }
}

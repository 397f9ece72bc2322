//! `clickstream explain`: the events behind a number.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::ArgMatches;
use clickstream_event::Timestamp;
use console::style;
use serde_json::Value;

use crate::config::{Config, ConfigError};
use crate::console::window::thousands;
use crate::proof::explain::{Explanation, Line, Question, Subject, explain};

use super::{facts, page};

/// What is asked on the command line.
#[derive(Clone, Debug)]
pub struct Options {
    subject: Subject,
    site: Option<String>,
    window_end: Timestamp,
    metric: Option<String>,
    limit: usize,
}

/// Metrics with the way they come about.
const FORMULAS: &[(&str, &str)] = &[
    ("event_count", "events"),
    ("view_count", "events of type page_view"),
    ("click_count", "events of type click"),
    ("add_to_cart_count", "events of type add_to_cart"),
    ("purchase_count", "events of type purchase"),
    ("unique_users", "different user_id over all events"),
    ("active_sessions", "different session_id over all events"),
    ("click_through_rate", "click_count / view_count"),
    ("conversion_rate", "users with a purchase / unique_users"),
    ("revenue", "sum of value over purchases"),
];

impl Options {
    /// Reads the options.
    pub fn read(matches: &ArgMatches, now: Timestamp) -> Result<Self, ConfigError> {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let subject = match (text("page"), text("product")) {
            (Some(page), _) => Subject::Page(page),
            (None, Some(product)) => Subject::Product(product),
            (None, None) => Subject::Site,
        };
        let end = text("window_end").unwrap_or_default();
        let window_end = read_time(&end, now).ok_or_else(|| {
            ConfigError(format!(
                "--window-end is `{end}`: a time in UTC is needed, as {now}, or as 14:05:10 for the last time it was that late"
            ))
        })?;
        let metric = text("metric");
        if let Some(metric) = &metric
            && !FORMULAS.iter().any(|(name, _)| name == metric)
        {
            let names: Vec<&str> = FORMULAS.iter().map(|(name, _)| *name).collect();
            return Err(ConfigError(format!("metric is `{metric}`: one of {} is needed", names.join(", "))));
        }
        // a person at a terminal gets all, and can leaf through it
        let default = if std::io::stdout().is_terminal() { 0 } else { 20 };
        let limit = match matches.get_one::<u64>("limit").copied().unwrap_or(default) {
            0 => usize::MAX,
            limit => limit as usize,
        };
        Ok(Self { subject, site: text("in_site"), window_end, metric, limit })
    }
}

/// A time as RFC 3339, or as a time of the day: the latest such time.
fn read_time(text: &str, now: Timestamp) -> Option<Timestamp> {
    const DAY: i64 = 86_400_000;
    Timestamp::parse(text).or_else(|| {
        let today = now.to_string();
        let clock = if text.len() == 5 { format!("{text}:00") } else { text.to_owned() };
        let at = Timestamp::parse(&format!("{}T{clock}Z", today.get(..10)?))?;
        Some(if at > now { Timestamp(at.0 - DAY) } else { at })
    })
}

/// Prints the events behind a row.
pub fn run(config: &Config, options: Options) -> Result<ExitCode> {
    match answer(config, options) {
        Ok(code) => Ok(code),
        Err(error) => {
            eprintln!("clickstream: {}", crate::explain(&error));
            Ok(ExitCode::from(2))
        }
    }
}

fn answer(config: &Config, options: Options) -> Result<ExitCode> {
    let log = crate::logs::open(config)?;
    let site_id =
        options.site.clone().or_else(|| config.generator.sites.first().cloned()).unwrap_or_default();
    let question = Question { site_id, subject: options.subject.clone(), window_end: options.window_end };
    let explanation = explain(log.as_ref(), config.engine_config(), question)?;
    if explanation.counted.is_empty() && explanation.left_out.is_empty() {
        anyhow::bail!(
            "nothing about {} happened in the window [{}, {}): is the name right, and is it a time {} covers?",
            about(&explanation),
            explanation.window_start,
            explanation.window_end,
            log.place()
        );
    }
    if config.json {
        page(&(serde_json::to_string(&explanation)? + "\n"));
    } else {
        page(&draw(&explanation, &options));
    }
    Ok(ExitCode::SUCCESS)
}

fn about(explanation: &Explanation) -> String {
    match &explanation.subject {
        Subject::Page(page) => format!("page {page} of {}", explanation.site_id),
        Subject::Product(product) => format!("product {product} of {}", explanation.site_id),
        Subject::Site => format!("site {}", explanation.site_id),
    }
}

fn draw(explanation: &Explanation, options: &Options) -> String {
    let mut text = format!(
        "{}\nwindow [{}, {})\n\n",
        style(about(explanation)).bold(),
        explanation.window_start,
        explanation.window_end
    );
    if !explanation.ended {
        text.push_str("the window has not ended yet by the watermark; this is what counts so far\n\n");
    }
    let recount = explanation.recount.as_ref().and_then(|row| serde_json::to_value(row).ok());
    let header = ["metric", "recount", "in the topic", "formula"].map(String::from);
    let value = |row: &Option<Value>, name: &str| {
        row.as_ref().and_then(|row| row.get(name)).map_or_else(|| "–".to_owned(), Value::to_string)
    };
    let rows = FORMULAS
        .iter()
        .filter(|(name, _)| options.metric.as_deref().is_none_or(|metric| metric == *name))
        .filter(|(name, _)| recount.as_ref().is_none_or(|row| row.get(name).is_some()))
        .map(|(name, formula)| {
            [
                (*name).to_owned(),
                value(&recount, name),
                value(&explanation.found, name),
                (*formula).to_owned(),
            ]
        });
    text.push_str(&facts(std::iter::once(header).chain(rows)));
    let of_metric = |line: &&Line| match options.metric.as_deref() {
        Some("view_count") => line.event_type == "page_view",
        Some("click_count") => line.event_type == "click",
        Some("add_to_cart_count") => line.event_type == "add_to_cart",
        Some("purchase_count" | "revenue") => line.event_type == "purchase",
        Some("click_through_rate") => matches!(line.event_type.as_str(), "page_view" | "click"),
        _ => true,
    };
    let counted: Vec<&Line> = explanation.counted.iter().filter(of_metric).collect();
    text.push_str(&list("counted", &counted, options.limit));
    let left_out: Vec<&Line> = explanation.left_out.iter().collect();
    text.push_str(&list("left out", &left_out, options.limit));
    if matches!(options.metric.as_deref(), None | Some("unique_users" | "conversion_rate")) {
        let users = explanation.users.iter().take(options.limit);
        let mut names: Vec<String> = users.map(|(user, n)| format!("{user} ({n})")).collect();
        if explanation.users.len() > names.len() {
            names.push(format!("… {} more", thousands((explanation.users.len() - names.len()) as u64)));
        }
        text.push_str(&format!(
            "\n{} users, with their events:\n  {}\n",
            thousands(explanation.users.len() as u64),
            names.join(", ")
        ));
    }
    text
}

fn list(title: &str, lines: &[&Line], limit: usize) -> String {
    let mut text = format!("\n{} {title}", thousands(lines.len() as u64));
    if lines.is_empty() {
        return text + "\n";
    }
    text.push_str(", as partition:offset\n");
    let rows = lines.iter().take(limit).map(|line| {
        [
            format!("  {}:{}", line.partition, line.offset),
            line.event_time.to_string(),
            line.event_type.clone(),
            line.user_id.clone(),
            line.left_out.clone().unwrap_or_default(),
        ]
    });
    text.push_str(&facts(rows));
    if lines.len() > limit {
        text.push_str(&format!(
            "  … {} more: --limit 0 lists all, --json gives them to a program\n",
            thousands((lines.len() - limit) as u64)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_of_the_day_is_the_latest_one() {
        let now = Timestamp::parse("2026-11-25T12:00:00Z").unwrap();
        let at = |text: &str| read_time(text, now).map(|at| at.to_string());
        assert_eq!(at("11:59:50").as_deref(), Some("2026-11-25T11:59:50.000Z"));
        assert_eq!(at("12:10").as_deref(), Some("2026-11-24T12:10:00.000Z"));
        assert_eq!(at("2026-11-25T12:10:00Z").as_deref(), Some("2026-11-25T12:10:00.000Z"));
        assert_eq!(at("soon"), None);
    }
}

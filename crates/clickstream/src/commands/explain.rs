//! `clickstream explain`: the events behind a number.

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::ArgMatches;
use clickstream_event::{Timestamp, topic};
use console::style;
use serde_json::Value;

use crate::config::{Config, ConfigError};
use crate::proof::explain::{Explanation, Line, Question, Subject, explain};
use crate::proof::narrow::Narrow;
use crate::proof::row::Row;
use crate::proof::written::Compared;
use clickstream_top::text::thousands;

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

/// Metrics with the way they come about; `docs/metrics.md` defines each.
const FORMULAS: &[(&str, &str)] = &[
    ("event_count", "events"),
    ("view_count", "events of type page_view"),
    ("click_count", "events of type click"),
    ("add_to_cart_count", "events of type add_to_cart"),
    ("purchase_count", "events of type purchase"),
    ("unique_users", "different user_id over all events"),
    ("active_sessions", "different session_id over all events"),
    ("click_through_rate", "click_count / view_count"),
    ("conversion_rate", "users with a purchase / unique_users; in a funnel purchased / sessions"),
    ("revenue", "sum of value over purchases"),
    ("human_event_count", "events whose user was no labelled bot at the time"),
    ("human_view_count", "page views of these events"),
    ("human_click_count", "clicks of these events"),
    ("human_add_to_cart_count", "adds to cart of these events"),
    ("human_purchase_count", "purchases of these events"),
    ("human_unique_users", "different user_id over these events"),
    ("human_click_through_rate", "human_click_count / human_view_count"),
    ("human_conversion_rate", "users with a purchase / human_unique_users"),
    ("human_revenue", "sum of value over these purchases"),
    ("recent_views", "views in the later half of the window"),
    ("prior_views", "views in the earlier half"),
    ("growth", "(recent_views - prior_views) / max(prior_views, 1)"),
    ("score", "how strange, or how much it rises"),
    ("entries", "sessions that entered there"),
    ("bounces", "of these, with one page view and nothing else"),
    ("bounce_rate", "bounces / entries"),
    ("undecided", "open sessions with one page view so far"),
    ("provisional_bounce_rate", "bounces / (entries - undecided)"),
    ("exits", "sessions that ended there"),
    ("entry_rate", "entries / sessions"),
    ("exit_rate", "exits / sessions"),
    ("transition_count", "stays that ended with a view of the other page"),
    ("transition_rate", "share of all departures from the page"),
    ("path_count", "runs of these page views in sessions"),
    ("sessions", "sessions that closed within the window"),
    ("viewed", "of these, with a page view"),
    ("carted", "of these, with an add to cart"),
    ("purchased", "of these, with a purchase"),
    ("view_to_cart_rate", "carted / viewed"),
    ("cart_to_purchase_rate", "purchased / carted"),
    ("stay_count", "stays on the page that ended within the window"),
    ("mean_stay_ms", "their mean length"),
    ("median_stay_ms", "upper bound of the class of their median"),
    ("engagement_score", "100 · (1 - e^(-points / 20))"),
];

impl Options {
    /// Reads the options.
    pub fn read(matches: &ArgMatches, now: Timestamp) -> Result<Self, ConfigError> {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let subject = text("page")
            .map(Subject::Page)
            .or_else(|| text("product").map(Subject::Product))
            .or_else(|| text("user").map(Subject::User))
            .or_else(|| text("session").map(Subject::Session))
            .unwrap_or(Subject::Site);
        let end = text("window_end").unwrap_or_default();
        let window_end = read_time(&end, now).ok_or_else(|| {
            ConfigError(format!(
                "--window-end is `{end}`: a time in UTC is needed, as {now}, or as 14:05:10 for the last time it was that late"
            ))
        })?;
        let metric = text("metric");
        is_known(metric.as_deref())?;
        // a person at a terminal gets all, and can leaf through it
        let default = if std::io::stdout().is_terminal() { 0 } else { 20 };
        let limit = match matches.get_one::<u64>("limit").copied().unwrap_or(default) {
            0 => usize::MAX,
            limit => limit as usize,
        };
        Ok(Self { subject, site: text("in_site"), window_end, metric, limit })
    }
}

/// Refuses a metric that there is not.
fn is_known(metric: Option<&str>) -> Result<(), ConfigError> {
    match metric {
        Some(metric) if !FORMULAS.iter().any(|(name, _)| *name == metric) => {
            let names: Vec<&str> = FORMULAS.iter().map(|(name, _)| *name).collect();
            Err(ConfigError(format!("metric is `{metric}`: one of {} is needed", names.join(", "))))
        }
        _ => Ok(()),
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

/// What this command would print, for the dashboard.
pub fn text(config: &Config, query: clickstream_serve::ExplainQuery) -> Result<String> {
    is_known(query.metric.as_deref())?;
    let subject = query
        .page
        .map(Subject::Page)
        .or(query.product.map(Subject::Product))
        .or(query.user.map(Subject::User))
        .or(query.session.map(Subject::Session))
        .unwrap_or(Subject::Site);
    let options = Options {
        subject,
        site: query.site_id,
        window_end: query.window_end,
        metric: query.metric,
        limit: 20,
    };
    let explanation = ask(config, &options, options.limit)?;
    Ok(console::strip_ansi_codes(&draw(&explanation, &options)).into_owned())
}

fn answer(config: &Config, options: Options) -> Result<ExitCode> {
    if config.json {
        // a program gets all that made the row, and chooses itself
        let all = Options { metric: None, ..options };
        page(&(serde_json::to_string(&ask(config, &all, usize::MAX)?)? + "\n"));
    } else {
        page(&draw(&ask(config, &options, options.limit)?, &options));
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(config: &Config, options: &Options, keep: usize) -> Result<Explanation> {
    let log = crate::logs::open(config)?;
    let asked = |site_id: String| {
        let question = Question {
            site_id,
            subject: options.subject.clone(),
            window_end: options.window_end,
            narrow: options.metric.as_deref().map(Narrow::of).unwrap_or_default(),
            keep,
        };
        explain(log.as_ref(), config.engine_config(), question)
    };
    let site = options.site.clone().or_else(|| config.generator.sites.first().cloned()).unwrap_or_default();
    let mut explanation = asked(site)?;
    // where no site was named, and the log has another one only, that is the one
    if is_empty(&explanation) && options.site.is_none() && explanation.other_sites.len() == 1 {
        explanation = asked(explanation.other_sites.pop_first().unwrap_or_default())?;
    }
    if is_empty(&explanation) {
        let others: Vec<String> = std::mem::take(&mut explanation.other_sites).into_iter().collect();
        let others = match others.is_empty() {
            true => String::new(),
            false => format!(" Sites with events in it: {}; choose with --site.", others.join(", ")),
        };
        anyhow::bail!(
            "nothing about {} happened in the window [{}, {}): is the name right, and is it a time {} covers?{others}",
            about(&explanation),
            explanation.window_start,
            explanation.window_end,
            log.place()
        );
    }
    Ok(explanation)
}

fn is_empty(explanation: &Explanation) -> bool {
    explanation.totals.counted + explanation.totals.left_out + explanation.rows.len() == 0
}

fn about(explanation: &Explanation) -> String {
    match &explanation.subject {
        Subject::Page(page) => format!("page {page} of {}", explanation.site_id),
        Subject::Product(product) => format!("product {product} of {}", explanation.site_id),
        Subject::User(user) => format!("user {user} of {}", explanation.site_id),
        Subject::Session(session) => format!("session {session} of {}", explanation.site_id),
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
    text.push_str(&rows(explanation, options));
    let totals = explanation.totals;
    text.push_str(&list("counted", &explanation.counted, totals.counted));
    text.push_str(&list("left out", &explanation.left_out, totals.left_out));
    text.push_str(&sessions(explanation, options));
    let of_users =
        |metric: &str| matches!(metric.trim_start_matches("human_"), "unique_users" | "conversion_rate");
    if options.metric.as_deref().is_none_or(of_users) {
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

/// The rows about the subject: its own metrics one below the other, all other rows in a line each.
fn rows(explanation: &Explanation, options: &Options) -> String {
    let wanted = |name: &str| options.metric.as_deref().is_none_or(|metric| metric == name);
    let json = |row: &Option<Row>| row.as_ref().and_then(|row| serde_json::to_value(row).ok());
    let (own, others): (Vec<&Compared>, Vec<&Compared>) =
        explanation.rows.iter().partition(|pair| OWN.contains(&pair.topic));
    let mut text = String::new();
    for pair in own {
        let (recount, found) = (json(&pair.recount), json(&pair.found));
        let value = |row: &Option<Value>, name: &str| {
            row.as_ref().and_then(|row| row.get(name)).map_or_else(|| "–".to_owned(), Value::to_string)
        };
        let has = |name: &str| [&recount, &found].into_iter().flatten().any(|row| row.get(name).is_some());
        let lines: Vec<[String; 4]> = FORMULAS
            .iter()
            .filter(|(name, _)| wanted(name) && has(name))
            .map(|(name, formula)| {
                [(*name).to_owned(), value(&recount, name), value(&found, name), (*formula).to_owned()]
            })
            .collect();
        if !lines.is_empty() {
            let header = [pair.topic, "recount", "in the topic", "formula"].map(String::from);
            text.push_str(&facts(std::iter::once(header).chain(lines)));
            text.push('\n');
        }
    }
    let lines: Vec<[String; 4]> = others.into_iter().filter_map(|pair| line(pair, &wanted)).collect();
    if !lines.is_empty() {
        text.push_str("other rows about it (✓ the topic says what the recount says)\n");
        let count = lines.len();
        text.push_str(&facts(lines.into_iter().take(options.limit)));
        if count > options.limit {
            text.push_str(&format!(
                "  … {} more: --limit 0 lists all\n",
                thousands((count - options.limit) as u64)
            ));
        }
    }
    text
}

/// Topics whose row is the subject's own.
const OWN: [&str; 4] = [topic::PAGE_METRICS, topic::PRODUCT_METRICS, topic::SITE_METRICS, topic::FUNNELS];

/// A row in one line: whether both agree, its topic, its key, and what it says.
fn line(pair: &Compared, wanted: &dyn Fn(&str) -> bool) -> Option<[String; 4]> {
    let row = pair.any()?;
    let Ok(Value::Object(fields)) = serde_json::to_value(row) else { return None };
    let mark = match (&pair.recount, &pair.found) {
        _ if pair.agrees() => "✓",
        (Some(_), None) => "not in the topic",
        (None, Some(_)) => "not in the recount",
        _ => "✗ differs",
    };
    let said: Vec<String> = fields
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "site_id" | "window_start" | "window_end"))
        .filter(|(name, _)| !FORMULAS.iter().any(|(metric, _)| metric == name) || wanted(name))
        .map(|(name, value)| {
            format!("{name} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        })
        .collect();
    let name = pair.topic.trim_start_matches("clickstream.").to_owned();
    Some([format!("  {mark}"), name, said.join(" · "), String::new()])
}

/// The sessions behind bounce rates, entries and funnels.
fn sessions(explanation: &Explanation, options: &Options) -> String {
    const ABOUT_SESSIONS: [&str; 6] =
        ["entries", "bounces", "bounce_rate", "sessions", "carted", "purchased"];
    let asked = options.metric.as_deref().is_none_or(|metric| ABOUT_SESSIONS.contains(&metric));
    if explanation.sessions.is_empty() || !asked {
        return String::new();
    }
    let (count, shown) = (explanation.totals.sessions, explanation.sessions.len());
    let mut text =
        format!("\n{} sessions that entered and closed within the window\n", thousands(count as u64));
    let rows = explanation.sessions.iter().map(|session| {
        [
            format!("  {}", session.session_id),
            format!("{} – {}", session.session_start.clock(), session.session_end.clock()),
            format!("{} events, {} views", session.event_count, session.page_view_count),
            if session.bounced { "bounced".to_owned() } else { format!("left from {}", session.exit_page) },
        ]
    });
    text.push_str(&facts(rows));
    if count > shown {
        text.push_str(&format!("  … {} more: --limit 0 lists all\n", thousands((count - shown) as u64)));
    }
    text
}

/// The first lines of a list that has `total`.
fn list(title: &str, lines: &[Line], total: usize) -> String {
    let mut text = format!("\n{} {title}", thousands(total as u64));
    if lines.is_empty() {
        return text + "\n";
    }
    text.push_str(", as partition:offset\n");
    let rows = lines.iter().map(|line| {
        [
            format!("  {}:{}", line.partition, line.offset),
            line.event_time.to_string(),
            match &line.value {
                Some(value) => format!("{} {value}", line.event_type),
                None => line.event_type.to_owned(),
            },
            line.user_id.clone(),
            match &line.left_out {
                Some(why) => why.clone(),
                None if line.labelled_bot => "of a labelled bot: not in the human_ numbers".to_owned(),
                None => String::new(),
            },
        ]
    });
    text.push_str(&facts(rows));
    if total > lines.len() {
        text.push_str(&format!(
            "  … {} more: --limit 0 lists all, --json gives them to a program\n",
            thousands((total - lines.len()) as u64)
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

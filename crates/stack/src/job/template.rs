//! Fills in the `.sql` files: window, slide, disorder, topics, and the columns that depend on the number of slices.
//!
//! The files are templates in Jinja's syntax, rendered by `minijinja`; a name that is not given is an error, so a typo
//! never reaches Flink.

use std::collections::BTreeSet;

use minijinja::{Environment, UndefinedBehavior, context};
use serde::{Deserialize, Serialize};

use clickstream_event::{Windows, detection, topic, validate};

use crate::error::{Result, StackError};

/// Everything the SQL depends on.
#[derive(Clone, PartialEq, Debug)]
pub struct JobParameters {
    /// The sliding windows.
    pub windows: Windows,
    /// How far events of one partition may be out of order, in milliseconds.
    pub max_disorder_ms: i64,
    /// How far a timestamp may be ahead of the arrival, in milliseconds.
    pub max_future_ms: i64,
    /// How long the id of an event is remembered, in seconds.
    pub dedup_horizon_s: i64,
    /// A session ends after so long without an event, in milliseconds.
    pub session_gap_ms: i64,
    /// Kafka as Flink reaches it.
    pub kafka: String,
    /// How unique users are counted.
    pub unique_users: UniqueUsers,
}

/// How the job counts unique users; both ways give the same rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UniqueUsers {
    /// By the distance of each event to the user's previous one: closing a window costs the same however long it is.
    Distance,
    /// By `COUNT(DISTINCT user_id)`: the textbook query; closing a window unites the users of all its slides.
    Textbook,
}

/// Where the job begins to read, and from which window on it writes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Start {
    /// At the beginning of the log.
    Earliest,
    /// In the middle of the log.
    At(Replay),
}

/// A start in the middle of the log; times are milliseconds since the epoch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Replay {
    /// Reading begins at the first record that arrived at or after this time.
    pub read_from: i64,
    /// Only windows that start at or after this time are written, and of other rows those of this time or later.
    pub emit_from: i64,
    /// Only sessions that began at or after this time are known from their beginning.
    pub sessions_from: i64,
}

const MACROS: &str = include_str!("../../sql/macros.sql");

/// A file by its name.
macro_rules! file {
    ($name:literal) => {
        ($name, include_str!(concat!("../../sql/", $name)), None)
    };
    ($name:literal, textbook) => {
        (
            $name,
            include_str!(concat!("../../sql/", $name)),
            Some(include_str!(concat!("../../sql/textbook/", $name))),
        )
    };
}

/// The SQL files in the order they are sent; of a metric with a textbook form, that form comes second.
const FILES: [(&str, &str, Option<&str>); 26] = [
    file!("events.sql"),
    file!("sorted_events.sql"),
    file!("user_events.sql"),
    file!("page_events.sql"),
    file!("product_events.sql"),
    file!("session_events.sql"),
    file!("page_trails.sql"),
    file!("page_metrics.sql", textbook),
    file!("product_metrics.sql", textbook),
    file!("site_metrics.sql", textbook),
    file!("top_pages.sql"),
    file!("human_top_pages.sql"),
    file!("trending_pages.sql"),
    file!("sessions.sql"),
    file!("bounce_rates.sql"),
    file!("entry_exit_pages.sql"),
    file!("funnels.sql"),
    file!("provisional_bounce_rates.sql"),
    file!("page_transitions.sql"),
    file!("common_paths.sql"),
    file!("page_engagement.sql"),
    file!("traffic_anomalies.sql"),
    file!("bots.sql"),
    file!("unusual_users.sql"),
    file!("anomalies.sql"),
    file!("dead_letters.sql"),
];

/// The statements of the job: tables and views, then the queries that fill the result topics.
#[derive(Clone, PartialEq, Debug)]
pub struct Statements {
    /// `CREATE TEMPORARY …`, in order.
    pub definitions: Vec<String>,
    /// `INSERT INTO …`, for one statement set.
    pub inserts: Vec<String>,
    /// All of it as one readable text.
    pub text: String,
}

/// Fills in all files.
pub fn render(parameters: &JobParameters, start: Start) -> Result<Statements> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.add_filter("interval", interval);
    let values = values(parameters, start);
    let mut statements = Statements { definitions: Vec::new(), inserts: Vec::new(), text: String::new() };
    for (name, source, textbook) in FILES {
        let fail = |why: String| StackError::Template { file: name.into(), why };
        let source = match (textbook, parameters.unique_users) {
            (Some(textbook), UniqueUsers::Textbook) => {
                // the sinks are the same: take the textbook's view and the rest of the file from its sink on
                let sink =
                    source.find("CREATE TEMPORARY TABLE").ok_or_else(|| fail("it has no sink".into()))?;
                format!("{textbook}\n{}", &source[sink..])
            }
            _ => source.to_owned(),
        };
        let text = environment
            .render_str(&format!("{MACROS}{source}"), &values)
            .map_err(|e| fail(format!("{e:#}")))?;
        for statement in split(&text) {
            if statement.starts_with("INSERT INTO") {
                statements.inserts.push(statement);
            } else if statement.starts_with("CREATE TEMPORARY") {
                statements.definitions.push(statement);
            } else {
                let begin: String = statement.chars().take(60).collect();
                return Err(fail(format!(
                    "a statement is neither CREATE TEMPORARY nor INSERT INTO: {begin}"
                )));
            }
        }
        statements.text.push_str(text.trim());
        statements.text.push_str("\n\n");
    }
    Ok(statements)
}

fn values(parameters: &JobParameters, start: Start) -> minijinja::Value {
    let windows = parameters.windows;
    let kafka = &parameters.kafka;
    let replay = match start {
        Start::Earliest => None,
        Start::At(replay) => Some(replay),
    };
    let emit_from_time = replay.map(|replay| {
        clickstream_event::Timestamp(replay.emit_from).to_string().replace('T', " ").replace('Z', "")
    });
    let (recent_parts, recent_half_of_views) = recent_parts(windows);
    context! {
        ..rules(),
        ..context! {
        startup_mode => if replay.is_some() { "timestamp" } else { "earliest-offset" },
        startup_timestamp_ms => replay.map(|replay| replay.read_from),
        emit_from_time,
        emit_from_ms => replay.map(|replay| replay.emit_from),
        sessions_from_ms => replay.map(|replay| replay.sessions_from),
        recent_parts, recent_half_of_views,
        slices => windows.slices(),
        slide_s => windows.slide_ms() / 1000,
        slide_ms => windows.slide_ms(),
        window_s => windows.size_ms() / 1000,
        window_ms => windows.size_ms(),
        stay_bounds => detection::stay_bounds(parameters.session_gap_ms),
        max_disorder_ms => parameters.max_disorder_ms,
        max_future_ms => parameters.max_future_ms,
        dedup_horizon_s => parameters.dedup_horizon_s,
        session_gap_ms => parameters.session_gap_ms,
        kafka => kafka,
        events_topic => topic::EVENTS,
        topic_prefix => "clickstream.",
        // idempotence keeps the rows of one window in order; the figures of fifteen producers would be sent to the JobManager every
        // second and looked at by nobody
        kafka_sink => format!("'properties.bootstrap.servers' = '{kafka}', 'properties.delivery.timeout.ms' = '120000', 'properties.compression.type' = 'lz4', 'properties.register.producer.metrics' = 'false'"),
        // in few characters there cannot be too many bytes
        is_canonical => format!("CHAR_LENGTH(record_value) <= {} AND REGEXP(record_value, '{}')", validate::MAX_BYTES / 4, canonical_pattern()),
        foreign_pattern => foreign_pattern(),
        timestamp_pattern => format!("{DATE}T{TIME}{FRACTION}{CUT}Z"),
        number_pattern => NUMBER,
        time_pattern => format!("^{DATE}T{TIME}{FRACTION}"),
        foreign_text => foreign_text("", r"U&'\0001'"),
        // each field at four times its number, as in a canonical record cut at its quotes
        foreign_pieces => foreign_text(r"U&'\0001\0001\0001', ", r"U&'\0001\0001\0001\0001'"),
        foreign_piece_count => 36,
        too_long => too_long(),
        is_utf8 => IS_UTF8,
        }
    }
}

/// The limits of the rules that find what is out of the ordinary.
fn rules() -> minijinja::Value {
    context! {
        bot_words => bot_pattern(),
        // so many of a user's last events some rule looks at
        ring => [
            detection::FAST_EVENTS,
            detection::METRONOME_EVENTS,
            detection::REPEATED_EVENTS,
            detection::CRAWL_EVENTS,
        ]
        .into_iter()
        .max(),
        fast_events => detection::FAST_EVENTS,
        fast_ms => detection::FAST_MS,
        metronome_events => detection::METRONOME_EVENTS,
        repeated_events => detection::REPEATED_EVENTS,
        repeated_ms => detection::REPEATED_MS,
        crawl_events => detection::CRAWL_EVENTS,
        spike_z => double(detection::SPIKE_Z),
        drop_z => double(detection::DROP_Z),
        spike_ratio => double(detection::SPIKE_RATIO),
        drop_ratio => double(detection::DROP_RATIO),
        excess_variance => double(detection::EXCESS_VARIANCE),
        spike_events => detection::SPIKE_EVENTS,
        baseline_slides => detection::BASELINE_SLIDES,
        baseline_min_slides => detection::BASELINE_MIN_SLIDES,
        unusual_ms => detection::UNUSUAL_MS,
        unusual_pages => detection::UNUSUAL_PAGES,
        unusual_sessions => detection::UNUSUAL_SESSIONS,
        trending_length => detection::TRENDING_LENGTH,
        trending_views => detection::TRENDING_VIEWS,
        trending_score => double(detection::TRENDING_SCORE),
        paths_kept => detection::PATHS_KEPT,
    }
}

/// Finds a word that names a bot. Nearly every user agent has none, so nearly every place is dismissed by a look at its first
/// three characters; trying word by word everywhere takes six times as long.
fn bot_pattern() -> String {
    let words = detection::BOT_WORDS;
    let nth = |n: usize| -> String {
        let characters: BTreeSet<char> = words.iter().filter_map(|word| word.chars().nth(n)).collect();
        characters.into_iter().collect()
    };
    format!("(?i)(?=[{}][{}][{}])(?:{})", nth(0), nth(1), nth(2), words.join("|"))
}

/// A literal of type DOUBLE; without an exponent it would be a DECIMAL.
fn double(number: f64) -> String {
    format!("{number:?}E0")
}

/// What the later half of a window consists of: so many slides at its end, and what is taken of them. Half of an odd number
/// of slides ends in the middle of one, of which only the views of its later half are taken; these are one more column of the
/// slices, the second value.
fn recent_parts(windows: Windows) -> (Vec<minijinja::Value>, String) {
    let part = |slides: i64, views: &str| context! { slides, views };
    let half = windows.slices() / 2;
    if windows.slices() % 2 == 0 {
        return (vec![part(half, "view_count")], String::new());
    }
    let mut parts = vec![part(half + 1, "later_view_count")];
    if half > 0 {
        parts.push(part(half, "view_count - later_view_count"));
    }
    let column = format!(
        ",\n       COUNT(*) FILTER (WHERE event_type = 'page_view' AND MOD(ts, {}) >= {}) AS later_view_count",
        windows.slide_ms(),
        windows.slide_ms() / 2
    );
    (parts, column)
}

/// `INTERVAL '00:10.001' MINUTE TO SECOND` for a number of milliseconds: Flink takes no plain seconds above 99.
fn interval(ms: i64) -> String {
    format!("INTERVAL '{:02}:{:02}.{:03}' MINUTE TO SECOND", ms / 60_000, ms / 1000 % 60, ms % 1000)
}

/// A valid date from 1970 on, leap years included: Flink's TRY_CAST would move February 30th into March.
const DATE: &str = concat!(
    r"(?:(?:19[7-9]|[2-9]\d\d)\d-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))",
    r"|(?:19(?:7[26]|8[048]|9[26])|[2-9]\d(?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[3579][26])00)-02-29)"
);
const TIME: &str = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d";
/// A number below 10^13 as JSON or `BigDecimal.toString` writes it, or nothing: the same as `read_amount` of the decoder takes.
/// With 14 digits the rounding to four of fraction could overflow the column, and of smaller exponents Flink makes NULL.
const NUMBER: &str = r"(?:-?\d{1,13}(?:\.\d+)?|-?\d(?:\.\d+)?E[+-](?:\d|1[0-2]))?";
/// A fraction of a second down to milliseconds, and the rest that is cut off.
const FRACTION: &str = r"(?:\.\d{1,3})?";
const CUT: &str = r"(?:(?<=\.\d{3})\d{1,6})?";
/// A character that stands in a canonical text as itself: printable ASCII but quote and backslash. Text beyond ASCII takes
/// the other way, which also finds bytes that are no UTF-8. They are listed one by one because Java then looks them up in
/// one table, while it asks every range of a class in turn. (And it matches a greedy class in a tight loop, a possessive one
/// not; as the class holds no quote, nothing is tried twice.)
fn plain() -> String {
    let characters: String = (' '..='~').filter(|c| !matches!(c, '"' | '\\')).collect();
    format!(
        "[{}]",
        characters
            .replace('[', r"\[")
            .replace(']', r"\]")
            .replace('^', r"\^")
            .replace('&', r"\&")
            .replace('-', r"\-")
            .replace('\'', "''")
    )
}
/// HEX reads the value as text; where that is not faithful, other bytes come back.
const IS_UTF8: &str = "UNHEX(HEX(record_value)) = CAST(record_value AS BYTES)";

/// The whole of a canonical record. It ends with `\z`: `$` would overlook a line's end.
fn canonical_pattern() -> String {
    let plain = plain();
    let text = |name: &str| format!(r#""{name}":"{plain}+""#);
    let option = |name: &str| format!(r#"(?:,"{name}":"{plain}*")?"#);
    format!(
        r#"^\{{"timestamp":"{DATE}T{TIME}\.\d\d\dZ",{},{},"event_type":"(?:page_view|click|add_to_cart|purchase)",{},{},{}(?:,{})?{}{}{}(?:,"value":-?(?:0|[1-9]\d{{0,11}})(?:\.\d{{1,4}})?)?{}\}}\z"#,
        text("event_id"),
        text("site_id"),
        text("user_id"),
        text("session_id"),
        text("page_url"),
        text("product_id"),
        option("referrer"),
        option("user_agent"),
        option("element"),
        option("currency"),
    )
}

/// The time at the beginning of the joined fields of any other record, if they make an event, or a heartbeat, which
/// needs site and time only.
fn foreign_pattern() -> String {
    let some = r"[^\x00-\x1F]++\x01";
    let any = r"[^\x00-\x1F]*+\x01";
    format!(
        r"^{DATE}T{TIME}{FRACTION}(?={CUT}Z\x01(?:{some}{some}(?:page_view|click|add_to_cart|purchase)\x01{some}{some}{some}{any}{NUMBER}|{any}{some}heartbeat\x01{any}{any}{any}{any}[^\x00-\x1F]*+)\z)"
    )
}

fn too_long() -> String {
    // HEX has two digits for each byte; a text of few characters cannot be too long and is not converted
    let max = validate::MAX_BYTES;
    format!(
        "CHAR_LENGTH(record_value) > {max} OR (CHAR_LENGTH(record_value) > {} AND CHAR_LENGTH(HEX(record_value)) > {})",
        max / 4,
        max * 2
    )
}

/// Exactly one JSON object: `IS JSON OBJECT` overlooks what follows it, but nothing can follow it inside an array and
/// inside an object alike.
fn foreign_text(before: &str, between: &str) -> String {
    let fields = [
        "timestamp",
        "event_id",
        "site_id",
        "event_type",
        "user_id",
        "session_id",
        "page_url",
        "product_id",
        "value",
    ]
    .map(|name| format!("COALESCE(JSON_VALUE(record_value, '$.{name}'), '')"))
    .join(&format!(", {between}, "));
    // one CONCAT of all is a tenth of the code of so many ||
    format!(
        "CASE WHEN NOT ({}) AND {IS_UTF8} AND record_value IS JSON OBJECT AND CONCAT('[', record_value, ']') IS JSON ARRAY \
         AND CONCAT('{{\"\":', record_value, '}}') IS JSON OBJECT\n      THEN CONCAT({before}{fields}) END",
        too_long()
    )
}

/// The statements of a file: comments go, and a semicolon at the end of a line ends one.
fn split(text: &str) -> Vec<String> {
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
        .map(|line| format!("{}\n", line.trim_end()))
        .collect();
    code.split(";\n")
        .map(|statement| statement.trim().to_owned())
        .filter(|statement| !statement.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(unique_users: UniqueUsers) -> JobParameters {
        JobParameters {
            windows: Windows::new(300_000, 10_000).unwrap(),
            max_disorder_ms: 100,
            max_future_ms: 10_000,
            dedup_horizon_s: 120,
            session_gap_ms: 30_000,
            kafka: "127.0.0.1:9092".into(),
            unique_users,
        }
    }

    #[test]
    fn every_file_renders_to_definitions_and_one_insert_each() {
        for form in [UniqueUsers::Distance, UniqueUsers::Textbook] {
            let statements = render(&parameters(form), Start::Earliest).unwrap();
            assert_eq!(statements.inserts.len(), topic::RESULTS.len() + 1);
            assert!(statements.definitions.iter().all(|d| !d.contains("{{") && !d.contains("--")));
            let distinct = statements
                .definitions
                .iter()
                .filter(|d| {
                    d.contains("COUNT(DISTINCT user_id),") || d.contains("COUNT(DISTINCT user_id) AS")
                })
                .count();
            assert_eq!(distinct, if form == UniqueUsers::Textbook { 3 } else { 0 });
        }
    }

    #[test]
    fn a_replay_reads_from_its_start_and_writes_whole_windows() {
        let replay = Replay {
            read_from: 1_795_583_040_000,
            emit_from: 1_795_583_640_000,
            sessions_from: 1_795_583_070_000,
        };
        let text = render(&parameters(UniqueUsers::Distance), Start::At(replay)).unwrap().text;
        assert!(text.contains("'scan.startup.timestamp-millis' = '1795583040000'"), "{text}");
        assert_eq!(text.matches("window_start >= TIMESTAMP '2026-11-25 05:14:00.000'").count(), 10);
        assert_eq!(text.matches(">= 1795583640000").count(), 4);
        assert_eq!(text.matches("session_start >= 1795583070000").count(), 1);
    }

    #[test]
    fn words_are_what_the_pattern_takes_them_for() {
        let is_plain = |c: char| c.is_ascii_lowercase() || c == '/' || c == '-';
        for word in detection::BOT_WORDS {
            assert!(word.len() >= 3 && word.chars().all(is_plain), "{word}");
            assert!(word.chars().take(3).all(|c| c.is_ascii_lowercase()), "{word}");
        }
        assert!(bot_pattern().starts_with("(?i)(?=[bcf"), "{}", bot_pattern());
    }

    #[test]
    fn intervals_of_any_length() {
        assert_eq!(interval(101), "INTERVAL '00:00.101' MINUTE TO SECOND");
        assert_eq!(interval(150_001), "INTERVAL '02:30.001' MINUTE TO SECOND");
    }
}

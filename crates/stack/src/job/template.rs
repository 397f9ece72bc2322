//! Fills in the `.sql` files: window, slide, disorder, topics, and the columns that depend on the number of slices.
//!
//! The files are templates in Jinja's syntax, rendered by `minijinja`; a name that is not given is an error, so a typo
//! never reaches Flink.

use minijinja::{Environment, UndefinedBehavior, context};

use clickstream_event::{Windows, topic, validate};

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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// At the beginning of the log.
    Earliest,
    /// At the first record that arrived at or after this time (milliseconds since the epoch); only windows that start
    /// at or after it are written, for they alone are whole.
    At(i64),
}

const MACROS: &str = include_str!("../../sql/macros.sql");

/// The SQL files in the order they are sent; of a metric with a textbook form, that form comes second.
const FILES: [(&str, &str, Option<&str>); 7] = [
    ("events.sql", include_str!("../../sql/events.sql"), None),
    ("sorted_events.sql", include_str!("../../sql/sorted_events.sql"), None),
    (
        "page_metrics.sql",
        include_str!("../../sql/page_metrics.sql"),
        Some(include_str!("../../sql/textbook/page_metrics.sql")),
    ),
    (
        "product_metrics.sql",
        include_str!("../../sql/product_metrics.sql"),
        Some(include_str!("../../sql/textbook/product_metrics.sql")),
    ),
    (
        "site_metrics.sql",
        include_str!("../../sql/site_metrics.sql"),
        Some(include_str!("../../sql/textbook/site_metrics.sql")),
    ),
    ("top_pages.sql", include_str!("../../sql/top_pages.sql"), None),
    ("dead_letters.sql", include_str!("../../sql/dead_letters.sql"), None),
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
    let (startup_mode, startup_timestamp_ms, emit_from) = match start {
        Start::Earliest => ("earliest-offset", None, String::new()),
        Start::At(ms) => {
            let time = clickstream_event::Timestamp(ms).to_string().replace('T', " ").replace('Z', "");
            ("timestamp", Some(ms), format!("WHERE window_start >= TIMESTAMP '{time}'"))
        }
    };
    context! {
        slices => windows.slices(),
        slide_s => windows.slide_ms() / 1000,
        window_s => windows.size_ms() / 1000,
        max_disorder_ms => parameters.max_disorder_ms,
        max_future_ms => parameters.max_future_ms,
        dedup_horizon_s => parameters.dedup_horizon_s,
        session_gap_ms => parameters.session_gap_ms,
        kafka => kafka,
        events_topic => topic::EVENTS,
        topic_prefix => "clickstream.",
        // a row leaves at once; idempotence keeps the rows of one window in order
        kafka_sink => format!("'properties.bootstrap.servers' = '{kafka}', 'properties.linger.ms' = '0', 'properties.delivery.timeout.ms' = '120000'"),
        startup_mode, startup_timestamp_ms, emit_from,
        // in few characters there cannot be too many bytes
        is_canonical => format!("CHAR_LENGTH(record_value) <= {} AND REGEXP(record_value, '{}')", validate::MAX_BYTES / 4, canonical_pattern()),
        foreign_pattern => foreign_pattern(),
        timestamp_pattern => format!("{DATE}T{TIME}{FRACTION}{CUT}Z"),
        number_pattern => NUMBER,
        time_pattern => format!("^{DATE}T{TIME}{FRACTION}"),
        foreign_text => foreign_text("", r" || U&'\0001' || "),
        // each field at four times its number, as in a canonical record cut at its quotes
        foreign_pieces => foreign_text(r"U&'\0001\0001\0001' || ", r" || U&'\0001\0001\0001\0001' || "),
        foreign_piece_count => 36,
        too_long => too_long(),
        is_utf8 => IS_UTF8,
    }
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
    .join(between);
    format!(
        "CASE WHEN NOT ({}) AND {IS_UTF8} AND record_value IS JSON OBJECT AND ('[' || record_value || ']') IS JSON ARRAY \
         AND ('{{\"\":' || record_value || '}}') IS JSON OBJECT\n      THEN {before}{fields} END",
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
            assert_eq!(statements.inserts.len(), 5);
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
        let text = render(&parameters(UniqueUsers::Distance), Start::At(1_795_583_040_000)).unwrap().text;
        assert!(text.contains("'scan.startup.timestamp-millis' = '1795583040000'"), "{text}");
        assert_eq!(text.matches("WHERE window_start >= TIMESTAMP '2026-11-25 05:04:00.000'").count(), 3);
    }

    #[test]
    fn intervals_of_any_length() {
        assert_eq!(interval(101), "INTERVAL '00:00.101' MINUTE TO SECOND");
        assert_eq!(interval(150_001), "INTERVAL '02:30.001' MINUTE TO SECOND");
    }
}

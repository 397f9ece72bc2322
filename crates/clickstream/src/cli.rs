//! The command line. Options that are configuration keys come from the table in [`crate::config::keys`].

use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, value_parser};

use crate::config::keys::{Form, KEYS};

const ABOUT: &str = "Real-time clickstream analytics on Apache Kafka and Apache Flink, up with one command.

`clickstream up` starts Kafka and Flink on this machine (no Docker), sends sample traffic of a shop, and shows the most
visited pages in a sliding window. Every number is computed by the Flink SQL in crates/stack/sql and stands in a Kafka topic;
`clickstream verify` recounts all of them with an engine of its own. `--embedded` runs that engine alone, without Java.";

const AFTER: &str = "Every option can also stand in ./clickstream.toml (or --config FILE) and in the environment:
  --max-disorder 1s   max_disorder = \"1s\"   CLICKSTREAM_MAX_DISORDER=1s
Flags win over the environment, the environment over the file. `clickstream config` shows what is in effect, and why.
verify, explain, trace, chaos, serve and replay count as the last `up` in the data directory did: its window, slide, rules and
session gap win over environment and file, and only flags over them. (Not for the log of another --kafka or --engine.)

Exit codes:
  0  done, or stopped by Ctrl-C
  1  something failed while running
  2  the command line, the configuration or this machine needs a change first; nothing was started";

fn options(command: Command, names: &[&str]) -> Command {
    KEYS.iter().filter(|key| names.is_empty() || names.contains(&key.name)).fold(command, |command, key| {
        let mut help = key.help.to_owned();
        if !key.default.is_empty() && matches!(key.form, Form::Value(_)) {
            help.push_str(&format!(" [default: {}]", key.default));
        }
        let arg = Arg::new(key.name).long(key.flag()).help(help).help_heading(key.heading);
        command.arg(match key.form {
            Form::Value(name) => arg
                .value_name(name)
                .action(ArgAction::Set)
                // so that it is the range of the option that is told, not an argument nobody gave
                .allow_negative_numbers(true)
                .allow_hyphen_values(key.name == "taskmanager_options"),
            Form::Switch | Form::NegativeSwitch => arg.action(ArgAction::SetTrue),
        })
    })
}

fn subcommand(name: &'static str, about: &'static str, examples: &'static str, keys: &[&str]) -> Command {
    let command = Command::new(name).about(about).after_help(examples).arg(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .help("Configuration file [default: ./clickstream.toml if it exists]")
            .help_heading("General"),
    );
    options(command, keys)
}

/// Keys that say how events are counted.
const COUNTING: &[&str] = &["window", "slide", "max_disorder", "max_future", "dedup_horizon", "session_gap"];

/// Keys of the commands that read a log, besides those.
const LOG_KEYS: &[&str] = &["kafka", "kafka_port", "engine", "data_dir", "json"];

const REPLAY: &str = "Send the access logs of a web server as page views, live or as a backfill";

const REPLAY_AFTER: &str = "Examples:
  clickstream replay access.log                         # into the Kafka of a running `up`, as if it happened now
  clickstream replay --speed 60 access.log.1            # a minute of log a second
  tail -F access.log | clickstream replay -             # live
  clickstream replay --embedded --keep-time --data-dir /tmp/march --window 1h --slide 5m --session-gap 30m march/*.gz
  clickstream verify --data-dir /tmp/march              # and prove what came of it

Formats: common, combined (also with the virtual host in front), JSON of nginx, Caddy and Apache; told apart line by line.
A view is a GET that was answered with 2xx or 304 and is not an asset. A visitor is a keyed hash of address and browser; no
address is kept. docs/replay.md has all rules.

Exit codes: 0 done, 1 a file could not be read to its end, or no line of it, 2 nothing was started.";

const TRACE_AFTER: &str = "Examples:
  clickstream trace                                     # a recent event that counts, some of whose windows have closed
  clickstream trace --offset 2:18432
  clickstream trace --event-id 5f2c81d0 --json | jq '.windows[].rows[].after_ms'

It reads the log and the result topics and recounts what it needs, while the pipeline runs or after it has stopped: windows
and rules are those of the last `up` in the data directory, unless options say otherwise; environment and file do not. Times are
UTC.

Exit codes: 0 told, 2 there is no such event, or the log cannot be read.";

/// Keys of `replay`, besides all those.
const REPLAY_KEYS: &[&str] = &[
    "url_query",
    "url_host",
    "url_slash",
    "url_fragments",
    "key",
    "partitions",
    "result_partitions",
    "log_level",
    "log_format",
];

const CHAOS_AFTER: &str = "Examples:
  clickstream chaos kill taskmanager         # kill -9, and how long until results come again
  clickstream chaos pause kafka --for 5s     # as a long pause of the JVM, or of the machine
  clickstream chaos inject late --count 20   # and what became of each of them
  clickstream verify                         # and prove that every number is still right

It harms only the `up` that runs in the data directory, and of that only what it has started itself.";

/// Components that can be harmed, as `status` names them.
const COMPONENTS: [&str; 4] = ["kafka", "jobmanager", "taskmanager", "sql-gateway"];

fn chaos() -> Command {
    let component = || {
        Arg::new("component")
            .value_name("COMPONENT")
            .required(true)
            .value_parser(COMPONENTS)
            .help("Which, as `clickstream status` names it")
    };
    let keys = &["data_dir", "json"];
    Command::new("chaos")
        .about("Break a running `up` on purpose, and see how it heals: kill, pause, inject")
        .after_help(CHAOS_AFTER)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(
            subcommand(
                "kill",
                "Kill a component with kill -9, and tell how long it takes until everything is back",
                "Example:\n  clickstream chaos kill jobmanager\n\nExit codes: 0 everything is back, 1 something is not after three minutes, 2 nothing was harmed.",
                keys,
            )
            .arg(component()),
        )
        .subcommand(
            subcommand(
                "pause",
                "Have a component stand still for a while (SIGSTOP), and tell what came of it; it goes on also after Ctrl-C",
                "Example:\n  clickstream chaos pause kafka --for 5s\n\nOnly a kill -9 of this command itself would leave the component stopped: `kill -CONT PID` has it go on.\n\nExit codes: 0 results come again, 1 none after three minutes, 2 nothing was harmed.",
                keys,
            )
            .arg(component())
            .arg(Arg::new("for").long("for").value_name("TIME").default_value("5s").help("For how long")),
        )
        .subcommand(
            subcommand(
                "inject",
                "Write records that must not count among the others, and tell what became of them",
                "Examples:\n  clickstream chaos inject malformed\n  clickstream chaos inject duplicate --count 100 --json | jq .outcome.window\n\nThey are made of recent events, as the sample traffic makes them (--inject-late and so on), and say what they are in the\n`truth` header, which the pipeline never reads. Duplicates are new events, each with a copy: the event counts, the copy does not.\nWorks with Kafka and with the embedded engine.\n\nExit codes: 0 all became what they should, 1 that is not known of all, 2 nothing was written.",
                keys,
            )
            .arg(
                Arg::new("kind")
                    .value_name("KIND")
                    .required(true)
                    .value_parser(["late", "duplicate", "malformed", "future"])
                    .help("late: older than --max-disorder allows; duplicate: an id that counts already; malformed: no valid event; future: further ahead than --max-future allows"),
            )
            .arg(Arg::new("count").long("count").value_name("N").value_parser(value_parser!(u32).range(1..=1_000)).help("How many [default: 10]")),
        )
}

/// The whole command line.
pub fn command() -> Command {
    let up = subcommand(
        "up",
        "Start everything and watch the results; Ctrl-C stops it all, and the next `up` goes on where this one stopped",
        "Examples:\n  clickstream up\n  clickstream up --rate 5000\n  clickstream up --window 1m --slide 5s --inject-late 0.01\n  clickstream up --kafka localhost:9092 --no-generate\n  clickstream up --json | jq .",
        &[],
    )
    .arg(Arg::new("embedded").long("embedded").conflicts_with("engine").action(ArgAction::SetTrue).help("Same as --engine embedded").help_heading("General"));
    Command::new("clickstream")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Real-time clickstream analytics on Apache Kafka and Apache Flink, up with one command")
        .long_about(ABOUT)
        .after_help(AFTER)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .max_term_width(110)
        .subcommand(up)
        .subcommand(subcommand(
            "generate",
            "Send sample traffic into a Kafka that runs already, and nothing else",
            "Examples:\n  clickstream generate --kafka localhost:9092 --rate 200\n  clickstream generate --duration 30s --inject-duplicate 0.05\n\nWithout --kafka it looks for the Kafka of an `up` on --kafka-port.",
            &["rate", "seed", "site", "key", "inject_late", "inject_duplicate", "inject_malformed", "inject_future", "inject_bots", "inject_unusual", "inject_spikes", "kafka", "kafka_port", "partitions", "result_partitions", "duration", "json"],
        ))
        .subcommand(
            subcommand(
                "top",
                "Watch a running `up` full screen: pages, trending, sessions, journeys, anomalies, the pipeline",
                "Examples:\n  clickstream top\n  clickstream top --tab pipeline\n  clickstream top --once | head -20\n  ssh -L 8080:127.0.0.1:8080 HOST, and then clickstream top: another machine\n\nIt reads REST and the live stream, nothing else, and comes back after a break. `?` shows all keys. NO_COLOR is honoured.\nWhere standard output is no terminal: --once for a picture, `curl http://127.0.0.1:8080/api/v1/pages/top` for the numbers.",
                &["data_dir", "http_port"],
            )
            .arg(Arg::new("url").long("url").value_name("URL").help("Where results are served [default: by the `up` that runs in --data-dir, else http://127.0.0.1 at --http-port]"))
            .arg(Arg::new("in_site").long("site").value_name("SITE").help("The site [default: the busiest; `s` switches]"))
            .arg(Arg::new("tab").long("tab").value_name("TAB").value_parser(["pages", "trending", "sessions", "journeys", "anomalies", "pipeline"]).help("The tab that is open at first [default: pages]"))
            .arg(Arg::new("once").long("once").action(ArgAction::SetTrue).help("Print one picture as plain text, as wide as the terminal, or as COLUMNS and LINES say")),
        )
        .subcommand(
            subcommand("replay", REPLAY, REPLAY_AFTER, &[COUNTING, LOG_KEYS, REPLAY_KEYS].concat())
                .arg(Arg::new("files").value_name("FILE").required(true).num_args(1..).value_parser(value_parser!(PathBuf)).help("Access logs, also .gz and .zst; - is standard input. Several are merged by time"))
                .arg(Arg::new("format").long("format").value_name("FORMAT").value_parser(["auto", "common", "combined", "json"]).help("How lines are written [default: auto, line by line]"))
                .arg(Arg::new("in_site").long("site").value_name("SITE").help("The site of all lines [default: the host that a line names, else web]"))
                .arg(Arg::new("speed").long("speed").value_name("N").help("Seconds of the log in a second, as 60, or max [default: 1; with --keep-time max]"))
                .arg(Arg::new("keep_time").long("keep-time").action(ArgAction::SetTrue).help("Keep the log's own times, into a log that is empty; otherwise the first line is now"))
                .arg(Arg::new("reorder").long("reorder").value_name("TIME").help("Lines may be so much older than the newest before them; older ones are left out [default: 5s]"))
                .arg(Arg::new("salt").long("salt").value_name("TEXT").help("Key of the visitors' hashes [default: random, kept in the data directory]"))
                .arg(Arg::new("embedded").long("embedded").conflicts_with("engine").action(ArgAction::SetTrue).help("Count in this process, into files; same as --engine embedded")),
        )
        .subcommand(subcommand("status", "Show what runs: processes, their addresses and logs, and the job", "Example:\n  clickstream status --json", &["data_dir", "json"]))
        .subcommand(subcommand("doctor", "Check this machine: Java, Maven, memory, disk, ports; and say how to get what is missing", "", &["data_dir", "json", "kafka", "flink", "flink_gateway", "kafka_port", "flink_port", "gateway_port", "http_port", "collector", "collector_port"]))
        .subcommand(subcommand("config", "Show the configuration in effect, with the source of each value", "Example:\n  CLICKSTREAM_RATE=200 clickstream config", &[]))
        .subcommand(subcommand("down", "Stop a running `up`, as Ctrl-C does", "", &["data_dir"]))
        .subcommand(
            subcommand("purge", "Delete everything in the data directory, after asking", "", &["data_dir"])
                .arg(Arg::new("yes").long("yes").action(ArgAction::SetTrue).help("Do not ask")),
        )
        .subcommand(subcommand(
            "serve",
            "Serve dashboard, REST and live stream alone, of results in a Kafka that runs already",
            "Examples:\n  clickstream serve --kafka localhost:9092 --http-port 8180\n\nAny number may run beside `up` and beside each other, each on a port of its own: each reads the result topics and keeps\nthem under the data directory, so it goes on where it stopped. Without --kafka it reads the Kafka of the last `up`.",
            &[COUNTING, &["kafka", "kafka_port", "http_port", "history", "history_detail", "duration", "data_dir", "json", "log_level", "log_format"]].concat(),
        ))
        .subcommand(subcommand(
            "verify",
            "Recount the log and compare every result row and dead letter with it",
            "Examples:\n  clickstream verify\n  clickstream verify --kafka localhost:9092 --window 1m --slide 5s\n  clickstream verify --json | jq .verdict\n\nReads events and results while the pipeline runs, or of any Kafka that holds the topics. Windows, rules and the log\nare those of the last `up` in the data directory, unless options say otherwise; for windows and rules, environment and\nfile do not.\n\nExit codes: 0 proven, 1 refuted, 2 could not check.",
            &[COUNTING, LOG_KEYS, &["duration"]].concat(),
        ).arg(Arg::new("follow").long("follow").action(ArgAction::SetTrue).help("Go on proving while the pipeline runs; ends when refuted, or after --duration")))
        .subcommand(
            subcommand(
                "explain",
                "List the events that made one number, and those that nearly did",
                "Examples:\n  clickstream explain --page / --window-end 14:05:10\n  clickstream explain --product P1011 --window-end 14:05:10 --metric unique_users\n  clickstream explain --window-end 2026-11-25T14:05:10Z --json",
                &[COUNTING, LOG_KEYS].concat(),
            )
            .arg(Arg::new("page").long("page").value_name("URL").help("The page, as page_url says it"))
            .arg(Arg::new("product").long("product").value_name("ID").help("The product; without any of these it is the whole site"))
            .arg(Arg::new("user").long("user").value_name("ID").help("The user: sessions, anomalies, when it was labelled a bot"))
            .arg(Arg::new("session").long("session").value_name("ID").help("The session"))
            .group(clap::ArgGroup::new("subject").args(["page", "product", "user", "session"]))
            .arg(Arg::new("in_site").long("site").value_name("SITE").help("The site [default: the first of the sample traffic]"))
            .arg(Arg::new("window_end").long("window-end").value_name("TIME").required(true).help("End of the window in UTC: 14:05:10, or 2026-11-25T14:05:10Z"))
            .arg(Arg::new("metric").long("metric").value_name("NAME").help("Only this metric, as unique_users"))
            .arg(Arg::new("limit").long("limit").value_name("N").value_parser(value_parser!(u64)).help("Lines of a list; 0 for all [default: 20; on a terminal all, through $PAGER or less]")),
        )
        .subcommand(
            subcommand(
                "trace",
                "Follow one event: into the log, past the watermark, into every window it counts in",
                TRACE_AFTER,
                &[COUNTING, LOG_KEYS].concat(),
            )
            .arg(Arg::new("event_id").long("event-id").value_name("ID").help("The event, as event_id says it"))
            .arg(Arg::new("offset").long("offset").value_name("PARTITION:OFFSET").help("The record at this place, as `explain` and dead letters name it"))
            .group(clap::ArgGroup::new("which").args(["event_id", "offset"]))
            .arg(Arg::new("in_site").long("site").value_name("SITE").help("The site of the event [default: any]"))
            .arg(Arg::new("limit").long("limit").value_name("N").value_parser(value_parser!(u64)).help("Windows that are listed; 0 for all [default: 0]")),
        )
        .subcommand(chaos())
        .subcommand(
            subcommand(
                "bench",
                "Measure latency, throughput, CPU and memory, and write a report in Markdown",
                "Examples:\n  clickstream bench --rates 1000,5000 --out docs/bench/mine.md\n  clickstream bench engine --shape default\n  clickstream bench embedded --rates 1000,5000,1000000 --warmup 5s --measure 30s\n  clickstream bench verify --backlog 3600000 --density 1000\n  clickstream bench detection --seeds 20\n  clickstream bench read --measure 60s                  # beside an `up` that has run for some minutes\n\nRuns on ports of its own, in a directory of its own, which it removes. A rate takes --warmup and --measure, after that\nthe catch-up of a backlog is timed. `bench read` measures what runs already, at --http-port and in --kafka.",
                &["window", "slide", "partitions", "parallelism", "checkpoint_interval", "taskmanager_heap", "taskmanager_options", "unique_users", "session_gap", "http_port", "kafka", "kafka_port"],
            )
            .arg(Arg::new("what").value_name("WHAT").value_parser(["stack", "engine", "embedded", "verify", "detection", "read"]).default_value("stack").help("Kafka and Flink with the job; the embedded engine alone; `up --embedded` as a whole; a proof of --backlog events; how well anomalies are found; or how fast results of a running `up` or `serve` are shown"))
            .arg(Arg::new("shape").long("shape").value_parser(["default", "all"]).default_value("all").help("With engine: 1,000 pages and 100,000 users only, in less than a minute; or other numbers of pages, users and cores too"))
            .arg(Arg::new("rates").long("rates").value_name("LIST").default_value("1000,5000").help("Rates to measure, in events per second"))
            .arg(Arg::new("warmup").long("warmup").value_name("TIME").default_value("6m").help("Time until the window is full and the JVM is warm"))
            .arg(Arg::new("measure").long("measure").value_name("TIME").default_value("3m").help("Time that is measured"))
            .arg(Arg::new("backlog").long("backlog").value_name("N").default_value("1000000").help("Events in the backlog of the catch-up; 0 for none"))
            .arg(Arg::new("density").long("density").value_name("N").default_value("5000").help("Events per second of event time in the backlog"))
            .arg(Arg::new("seeds").long("seeds").value_name("N").value_parser(value_parser!(u64)).default_value("20").help("Runs of simulated traffic in which anomalies are looked for"))
            .arg(Arg::new("duration").long("duration").value_name("TIME").default_value("80m").help("Simulated time of each of them"))
            .arg(Arg::new("clean").long("clean").value_name("TIME").default_value("24h").help("Simulated time of traffic in which there is nothing to be found; 0s for none"))
            .arg(Arg::new("keep").long("keep").action(ArgAction::SetTrue).help("Leave the log of `bench verify` where it is, and say where"))
            .arg(Arg::new("requests").long("requests").value_name("N").value_parser(value_parser!(u32)).default_value("500").help("With read: requests of REST per second; 0 for none"))
            .arg(Arg::new("clients").long("clients").value_name("N").value_parser(value_parser!(u64).range(..=1000)).default_value("500").help("With read: clients of the live stream; 0 for none"))
            .arg(Arg::new("out").long("out").value_name("FILE").value_parser(value_parser!(PathBuf)).help("Where to write the report [default: standard output]")),
        )
        .subcommand(
            Command::new("completions").about("Print completions for a shell").arg(
                Arg::new("shell").required(true).value_parser(value_parser!(clap_complete::Shell)).help("The shell"),
            ),
        )
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_command_line_is_consistent() {
        super::command().debug_assert();
    }
}

//! The table of keys: everything else about the configuration derives from it.

/// How a key is written on the command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// `--key VALUE`, with this name for the value in the help.
    Value(&'static str),
    /// `--key` means true.
    Switch,
    /// `--no-key` means false.
    NegativeSwitch,
}

/// One key.
#[derive(Debug)]
pub struct Key {
    /// Its name in a file; with dashes, on the command line; in capitals, in the environment.
    pub name: &'static str,
    /// How it is written on the command line.
    pub form: Form,
    /// Its default as text; empty for none.
    pub default: &'static str,
    /// What it does, for the help.
    pub help: &'static str,
    /// The heading it stands under in the help.
    pub heading: &'static str,
}

impl Key {
    /// Its name on the command line, without dashes in front.
    pub fn flag(&self) -> String {
        let flag = self.name.replace('_', "-");
        if self.form == Form::NegativeSwitch { format!("no-{flag}") } else { flag }
    }

    /// Its name in the environment.
    pub fn variable(&self) -> String {
        format!("CLICKSTREAM_{}", self.name.to_uppercase())
    }
}

const TRAFFIC: &str = "Sample traffic";
const WINDOWS: &str = "Windows and event time";
const STACK: &str = "Kafka and Flink";
const COLLECTOR: &str = "Collector";
const URLS: &str = "Addresses of pages (collector and access logs)";
const GENERAL: &str = "General";

const fn key(
    name: &'static str,
    form: Form,
    default: &'static str,
    heading: &'static str,
    help: &'static str,
) -> Key {
    Key { name, form, default, help, heading }
}

/// All keys.
pub const KEYS: &[Key] = &[
    key(
        "engine",
        Form::Value("ENGINE"),
        "auto",
        GENERAL,
        "What computes the results: flink (Kafka and Flink), embedded (all in this process, no Java), or auto: flink where Java and Maven are there, else embedded",
    ),
    key(
        "rate",
        Form::Value("N"),
        "1000",
        TRAFFIC,
        "Events per second, 10 to 5000; up to 1000000 for load tests",
    ),
    key(
        "seed",
        Form::Value("N"),
        "1",
        TRAFFIC,
        "Seed of the visitors: the same seed at the same start gives the same events",
    ),
    key(
        "generate",
        Form::NegativeSwitch,
        "true",
        TRAFFIC,
        "Send no sample traffic; heartbeats go on, so that results keep coming",
    ),
    key(
        "site",
        Form::Value("NAMES"),
        "shop",
        TRAFFIC,
        "The sites visited, separated by commas; the console shows the first",
    ),
    key(
        "key",
        Form::Value("KEY"),
        "page",
        TRAFFIC,
        "What the partition of an event is chosen by: page, product, user or session",
    ),
    key("inject_late", Form::Value("SHARE"), "0", TRAFFIC, "Share of events that come too late, 0 to 1"),
    key("inject_duplicate", Form::Value("SHARE"), "0", TRAFFIC, "Share of events sent twice, 0 to 1"),
    key(
        "inject_malformed",
        Form::Value("SHARE"),
        "0",
        TRAFFIC,
        "Share of records that are no valid event, 0 to 1",
    ),
    key("inject_future", Form::Value("SHARE"), "0", TRAFFIC, "Share of events from the future, 0 to 1"),
    key("inject_bots", Form::Value("SHARE"), "0", TRAFFIC, "Share of visits that are bots, 0 to 1"),
    key(
        "inject_unusual",
        Form::Value("SHARE"),
        "0",
        TRAFFIC,
        "Share of visits that are users out of the ordinary, 0 to 1",
    ),
    key(
        "inject_spikes",
        Form::Switch,
        "false",
        TRAFFIC,
        "Let traffic of a page or of the whole site rise or fall, for half a minute in every two",
    ),
    key("window", Form::Value("TIME"), "5m", WINDOWS, "Length of the sliding window"),
    key("slide", Form::Value("TIME"), "10s", WINDOWS, "How often a window ends; must divide the window"),
    key(
        "max_disorder",
        Form::Value("TIME"),
        "100ms",
        WINDOWS,
        "How far events of one partition may be out of order; what is older is late and counts nowhere",
    ),
    key(
        "max_future",
        Form::Value("TIME"),
        "10s",
        WINDOWS,
        "How far a timestamp may be ahead of its arrival in Kafka",
    ),
    key(
        "dedup_horizon",
        Form::Value("TIME"),
        "2m",
        WINDOWS,
        "How long the id of an event is remembered, to count a second copy nowhere",
    ),
    key(
        "session_gap",
        Form::Value("TIME"),
        "30s",
        WINDOWS,
        "A session ends after so long without an event; 30m is usual, 30s lets you see sessions end",
    ),
    key(
        "unique_users",
        Form::Value("FORM"),
        "distance",
        WINDOWS,
        "How unique users are counted: distance (fast) or textbook (COUNT DISTINCT); the rows are the same",
    ),
    key(
        "url_query",
        Form::Value("NAMES"),
        "",
        URLS,
        "Parameters that tell one page from another, separated by commas; * for all but those of campaigns. The others are dropped",
    ),
    key("url_host", Form::Switch, "false", URLS, "Keep the host: shop.example/cart instead of /cart"),
    key("url_slash", Form::Switch, "false", URLS, "Keep a slash at the end: /cart/ and /cart are two pages"),
    key(
        "url_fragments",
        Form::NegativeSwitch,
        "true",
        URLS,
        "Drop fragments even where they are routes (#/cart); other fragments are always dropped",
    ),
    key("kafka", Form::Value("HOST:PORT"), "", STACK, "Use this Kafka, not one of our own"),
    key(
        "flink",
        Form::Value("URL"),
        "",
        STACK,
        "Use this Flink JobManager instead of starting one, as http://host:8081; needs --flink-gateway and a common file system",
    ),
    key("flink_gateway", Form::Value("URL"), "", STACK, "SQL Gateway of --flink, as http://host:8083"),
    key("kafka_port", Form::Value("PORT"), "9092", STACK, "Port for Kafka"),
    key("flink_port", Form::Value("PORT"), "8081", STACK, "Port for Flink's REST interface and web UI"),
    key("gateway_port", Form::Value("PORT"), "8083", STACK, "Port for Flink's SQL Gateway"),
    key(
        "http_port",
        Form::Value("PORT"),
        "8080",
        GENERAL,
        "Port of the dashboard, REST and live stream, on this machine only; 0 for any that is free",
    ),
    key(
        "history",
        Form::Value("TIME"),
        "7d",
        GENERAL,
        "How long the dashboard and REST keep results, in a store of their own",
    ),
    key(
        "history_detail",
        Form::Value("TIME"),
        "1h",
        GENERAL,
        "How long with all windows and rows; of what is older, windows side by side with their 50 greatest rows of each kind",
    ),
    key("collector", Form::NegativeSwitch, "true", COLLECTOR, "Take no events over HTTP"),
    key(
        "collector_port",
        Form::Value("PORT"),
        "8090",
        COLLECTOR,
        "Port that takes events of web sites, on this machine only; 0 for any that is free",
    ),
    key(
        "collector_time",
        Form::Value("CLOCK"),
        "arrival",
        COLLECTOR,
        "Which clock gives an event its time: arrival (ours), or client (the tracker's, corrected). With client, whatever waited in the browser longer than --max-disorder is late",
    ),
    key(
        "collector_keys",
        Form::Value("KEYS"),
        "",
        COLLECTOR,
        "Who may send for which site: site=key,site2=key2. A key is what a tracker names itself by: Segment's write key, Plausible's domain, Snowplow's appId. By default anybody, for any site",
    ),
    key(
        "collector_rate",
        Form::Value("N"),
        "50000",
        COLLECTOR,
        "Events per second that one address, and one site, may send; 0 for no limit",
    ),
    key("partitions", Form::Value("N"), "4", STACK, "Partitions of a new events topic"),
    key("result_partitions", Form::Value("N"), "4", STACK, "Partitions of each new result topic"),
    key(
        "parallelism",
        Form::Value("N"),
        "1",
        STACK,
        "Parallelism of the Flink job; at most the partitions of the events topic",
    ),
    key(
        "checkpoint_interval",
        Form::Value("TIME"),
        "20s",
        STACK,
        "Time between two checkpoints of the Flink job; taken when no window ends",
    ),
    key(
        "taskmanager_heap",
        Form::Value("MB"),
        "auto",
        STACK,
        "Heap for the state of the Flink job in MB; auto: by rate, window and this machine's memory",
    ),
    key(
        "taskmanager_options",
        Form::Value("OPTIONS"),
        "",
        STACK,
        "Further options of the TaskManager's JVM, as -XX:+UseParallelGC",
    ),
    key(
        "retention",
        Form::Value("TIME"),
        "24h",
        STACK,
        "How long events, results and dead letters are kept, in whole hours, two windows at least; where it is not given, as long as two windows if that is more. With --kafka it holds for topics that are created; those that are there keep theirs",
    ),
    key(
        "data_dir",
        Form::Value("DIR"),
        "",
        GENERAL,
        "Where everything is kept; by default clickstream/ in the user's data directory (XDG_DATA_HOME)",
    ),
    key("duration", Form::Value("TIME"), "", GENERAL, "Stop by itself after this time"),
    key(
        "view",
        Form::Value("VIEW"),
        "top",
        GENERAL,
        "What the console shows of a window: top, trending, sessions, journeys, funnel, anomalies, or rotate for one after the other",
    ),
    key("json", Form::Switch, "false", GENERAL, "One JSON object per line instead of tables"),
    key(
        "log_level",
        Form::Value("LEVEL"),
        "info",
        GENERAL,
        "Detail of clickstream's own log: error, warn, info, debug or trace",
    ),
    key("log_format", Form::Value("FORMAT"), "json", GENERAL, "Form of clickstream's own log: json or text"),
];

/// The key of that name in a file.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The candidate most like `name`, if one is like it at all.
pub fn nearest<'c>(name: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.85)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

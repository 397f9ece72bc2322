//! One file per command.

mod bench;
mod chaos;
mod config;
mod doctor;
mod down;
mod explain;
mod generate;
mod proving;
mod purge;
mod replay;
mod serve;
mod status;
mod top;
mod trace;
mod up;
mod up_embedded;
mod verify;
mod watching;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
pub use bench::usage;
use clap::ArgMatches;
use clickstream_event::Timestamp;
use clickstream_traffic::ProducerError;
pub use explain::text as explain_text;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::config::layers::Settings;
use crate::config::{Config, ConfigError, last_up, time_text};
use crate::console::steps::Steps;
use crate::console::{emit, reader_gone};

/// Runs the command that was given.
pub fn run(matches: &ArgMatches) -> Result<ExitCode> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(ExitCode::from(2)) };
    // the options of `chaos` are those of what it does
    let (action, matches) = match matches.subcommand() {
        Some((action, matches)) => (action, matches),
        None => ("", matches),
    };
    match name {
        "completions" => {
            if let Some(shell) = matches.get_one::<clap_complete::Shell>("shell") {
                let mut script = Vec::new();
                clap_complete::generate(*shell, &mut crate::cli::command(), "clickstream", &mut script);
                emit(&String::from_utf8_lossy(&script));
            }
            return Ok(ExitCode::SUCCESS);
        }
        "config" => return config::run(&settings(matches)?),
        _ => {}
    }
    let mut settings = settings(matches)?;
    let mut settings_since = None;
    if matches!(name, "verify" | "explain" | "trace" | "chaos" | "serve" | "replay") {
        settings_since = last_up::adopt(&mut settings);
    }
    if name == "replay" && matches.get_flag("embedded") {
        settings.replace("engine", "embedded".into(), "--embedded".into());
    }
    let config = Config { settings_since, ..Config::from_settings(&settings)? };
    match name {
        "status" => status::run(&config),
        "doctor" => doctor::run(&config),
        "down" => down::run(&config),
        "purge" => purge::run(&config, matches.get_flag("yes")),
        "verify" => {
            last_up::must_exist(&settings)?;
            verify::run(&config, matches.get_flag("follow"))
        }
        "explain" => {
            let options = explain::Options::read(matches, Timestamp::now())?;
            last_up::must_exist(&settings)?;
            explain::run(&config, options)
        }
        "trace" => {
            let options = trace::Options::read(matches)?;
            last_up::must_exist(&settings)?;
            trace::run(&config, &options)
        }
        "chaos" => block_on(chaos::run(&config, chaos::Action::read(action, matches)?)),
        "top" => block_on(top::run(&config, settings.is_given("http_port"), matches)),
        "replay" => block_on(replay::run(config, replay::Options::read(matches)?)),
        "generate" => block_on(generate::run(config)),
        "serve" => block_on(serve::run(config)),
        "bench" => block_on(bench::run(config, bench::Options::read(matches)?)),
        _ => block_on(up::run(config)),
    }
}

fn settings(matches: &ArgMatches) -> Result<Settings, ConfigError> {
    // names that are no text are not ours; a value that is none is for the check of its key
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.to_string_lossy().into_owned())));
    Settings::load(matches, variables)
}

fn block_on<T>(task: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(task);
    // a request to a broker that is gone may hang in a thread: do not wait for it
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    result
}

/// Waits for Ctrl-C, the signal `down` sends, that the terminal is closed, or that nobody reads any more what is printed.
async fn interrupted() {
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = signalled(SignalKind::terminate()) => {}
        () = hung_up() => {}
        () = reader_gone() => {}
    }
    let terminal = console::Term::stderr();
    if terminal.is_term() {
        // away with the ^C that the terminal shows
        let _ = terminal.clear_line();
    }
}

async fn signalled(kind: SignalKind) {
    match signal(kind) {
        Ok(mut stream) => {
            stream.recv().await;
        }
        Err(_) => std::future::pending().await,
    }
}

/// Waits until the terminal is closed; for ever, where whoever started us wants us to outlive it.
async fn hung_up() {
    match ignores_hang_up() {
        true => std::future::pending().await,
        false => signalled(SignalKind::hangup()).await,
    }
}

/// Whether we were started as by `nohup`, which a handler of ours would undo.
#[allow(unsafe_code)] // sigaction(2) has no safe wrapper in the standard library
fn ignores_hang_up() -> bool {
    // SAFETY: an all-zero sigaction is valid, it outlives the call, and without a new action the call changes nothing.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGHUP, std::ptr::null(), &raw mut action) == 0
            && action.sa_sigaction == libc::SIG_IGN
    }
}

/// Prints a text; on a terminal that is too small for it, through `$PAGER` or `less`.
fn page(text: &str) {
    use std::io::Write;
    let term = console::Term::stdout();
    if term.is_term() && text.lines().count() > usize::from(term.size().0) {
        let pager =
            std::env::var("PAGER").ok().filter(|pager| !pager.is_empty()).unwrap_or_else(|| "less -R".into());
        let mut words = pager.split_whitespace();
        let spawned = words.next().map(|program| {
            std::process::Command::new(program).args(words).stdin(std::process::Stdio::piped()).spawn()
        });
        if let Some(Ok(mut pager)) = spawned {
            if let Some(mut input) = pager.stdin.take() {
                // who leaves before the end has seen enough
                let _ = input.write_all(text.as_bytes());
            }
            let _ = pager.wait();
            return;
        }
    }
    emit(text);
}

/// Waits for the end of `--duration`; for ever, where there is none.
async fn over(duration: Option<Duration>) {
    match duration {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The sample traffic, if there is any, with how many records it sent or why it ended.
type Traffic = Option<JoinHandle<Result<u64, ProducerError>>>;

/// Waits until the sample traffic fails, and says why; for ever, where there is none or it ends well. What has ended is taken out.
async fn traffic_failed(traffic: &mut Traffic) -> anyhow::Error {
    if let Some(running) = traffic {
        let ended = running.await;
        *traffic = None;
        let why = match ended {
            Ok(Ok(_)) => return std::future::pending().await,
            Ok(Err(error)) => anyhow::Error::from(error),
            Err(error) => error.into(),
        };
        tracing::error!(why = crate::explain(&why), "the sample traffic ended");
        return why.context("the sample traffic ended by itself; the next `up` sends some again");
    }
    std::future::pending().await
}

/// Waits for a generator that was told to stop, if there is one; how it ended is for the log.
async fn end_generator(generator: Traffic) {
    let Some(generator) = generator else { return };
    match tokio::time::timeout(Duration::from_secs(4), generator).await {
        Ok(Ok(Err(error))) => tracing::warn!(%error, "the generator did not end well"),
        Ok(Err(error)) => tracing::warn!(%error, "the generator broke"),
        _ => {}
    }
}

/// What a person will see of an `up`, in a sentence.
fn what_comes(config: &Config) -> String {
    let traffic = if config.generate {
        format!("{} events/s of sample traffic", config.generator.rate)
    } else {
        "no sample traffic".into()
    };
    let windows = config.stack.job.windows;
    let first = if config.generate { "after one slide" } else { "when a window with events has ended" };
    format!(
        "{traffic}; windows of {} every {}; the first table {first}.",
        time_text(windows.size_ms()),
        time_text(windows.slide_ms())
    )
}

/// Where to reach us, for whoever reads JSON lines.
fn addresses(steps: &Steps, dashboard: &str, collector: Option<&str>) {
    if steps.is_json() {
        say!(
            "{}",
            serde_json::json!({ "type": "addresses", "dashboard": dashboard, "collector": collector })
        );
    }
}

/// How a command that is shown to be copied names the data directory, with a space before it; empty for the default.
fn data_dir_option(config: &Config) -> String {
    config.data_dir_given().map_or_else(String::new, |dir| {
        format!(" {}", crate::shell::option("--data-dir", &dir.to_string_lossy()))
    })
}

/// The time of the day of a moment, `HH:MM:SS.mmm`.
fn clock_ms(at: Timestamp) -> String {
    at.to_string().get(11..23).unwrap_or_default().to_owned()
}

/// A length of time for people: `850 ms`, `12.3 s`, `1m 15s`. One that is negative is of a clock that was set back.
fn length(ms: i64) -> String {
    let sign = if ms < 0 { "-" } else { "" };
    let ms = ms.unsigned_abs();
    // seconds say nothing beside hours
    let unit = if ms < 3_600_000 { 1_000 } else { 60_000 };
    let text = match ms {
        ..60_000 => clickstream_top::text::duration(ms as f64),
        _ => humantime::format_duration(Duration::from_millis(ms / unit * unit)).to_string(),
    };
    format!("{sign}{text}")
}

/// A table without lines around it, for lists of facts.
fn facts<const N: usize>(rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    rows.into_iter().for_each(|row| {
        table.add_row(row);
    });
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn traffic_that_fails_says_why() {
        let failing = async { Err(ProducerError::Closed("the disk is full".into())) };
        let mut traffic = Some(tokio::spawn(failing));
        let why = crate::explain(&traffic_failed(&mut traffic).await);
        assert!(why.contains("the sample traffic ended") && why.contains("the disk is full"), "{why}");
        // it can be asked and ended again
        for mut traffic in [traffic, Some(tokio::spawn(async { Ok(5) }))] {
            let asked = tokio::time::timeout(Duration::from_millis(50), traffic_failed(&mut traffic)).await;
            assert!(asked.is_err() && traffic.is_none());
            end_generator(traffic).await;
        }
    }

    #[test]
    fn lengths_of_time_for_people() {
        let texts = [0, 850, 12_345, 75_400, -1_500, 7_530_000].map(length);
        assert_eq!(texts, ["0 ms", "850 ms", "12.3 s", "1m 15s", "-1.5 s", "2h 5m"]);
    }
}

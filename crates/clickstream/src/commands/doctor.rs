//! `clickstream doctor`: what this machine has, what is missing, and how to get it.

use std::process::ExitCode;

use anyhow::Result;
use clickstream_stack::layout::{Layout, free_space};
use clickstream_stack::lock::Lock;
use clickstream_stack::ports::{self, Wanted};
use clickstream_stack::{StackConfig, java, memory, provision};
use console::style;
use serde_json::json;

use crate::config::{Config, Engine};

struct Check {
    name: &'static str,
    ok: bool,
    found: String,
    fix: String,
}

/// Prints every check; exit code 2 when something is missing.
pub fn run(config: &Config) -> Result<ExitCode> {
    let checks = checks(config);
    if config.json {
        let list: Vec<_> = checks
            .iter()
            .map(|c| json!({ "name": c.name, "ok": c.ok, "found": c.found, "fix": c.fix }))
            .collect();
        say!("{}", serde_json::to_string_pretty(&list)?);
    } else {
        for check in &checks {
            let mark = if check.ok { style("✓").green() } else { style("✗").red() };
            say!("{mark} {}: {}", check.name, check.found);
            if !check.ok {
                check.fix.lines().for_each(|line| say!("    {line}"));
            }
        }
    }
    let all = checks.iter().all(|check| check.ok);
    Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn checks(config: &Config) -> Vec<Check> {
    let stack = &config.stack;
    let layout = Layout::new(&stack.data_dir);
    // no more is asked for than what `up` would start
    let uses = |external: bool| !external && config.engine != Engine::Embedded;
    let (kafka, flink) = (uses(stack.external_kafka.is_some()), uses(stack.external_flink.is_some()));
    let mut checks = Vec::new();
    if kafka || flink {
        checks.extend(runtimes(stack));
    } else {
        let none = || "not needed: no Kafka and no Flink is started".into();
        checks.extend([good("Java", none()), good("Maven", none())]);
    }
    let machine = memory::machine_mib();
    let state = format!("; the Flink job gets {} MB for its state", stack.task_heap_mib);
    checks.push(Check {
        name: "Memory",
        ok: !flink || machine >= 3_500,
        found: format!("{machine} MB{}", if flink { &state } else { "" }),
        fix: "about 2 GB are needed at 1000 events/s; lower --rate, --window or --taskmanager-heap".into(),
    });
    let existing = stack.data_dir.ancestors().find(|dir| dir.exists());
    let free = existing.and_then(free_space);
    checks.push(Check {
        name: "Disk",
        ok: free.is_none_or(|bytes| bytes > 2 << 30),
        found: format!(
            "{} MB free for {}",
            free.map_or_else(|| "?".into(), |bytes| (bytes >> 20).to_string()),
            stack.data_dir.display()
        ),
        fix: "2 GB are needed: free some space, or choose another --data-dir".into(),
    });
    if Lock::holder(&layout).is_some() {
        checks.push(good("Ports", "in use by the running `up`".into()));
        return checks;
    }
    let collector = config.collector.as_ref().map_or(0, |collector| collector.port);
    for (used, port, purpose, flag) in [
        (kafka, stack.kafka_port, "Kafka", "kafka-port"),
        (flink, stack.flink_port, "Flink", "flink-port"),
        (flink, stack.gateway_port, "the SQL Gateway", "gateway-port"),
        (config.http_port != 0, config.http_port, "the dashboard", "http-port"),
        (collector != 0, collector, "the collector", "collector-port"),
    ] {
        if used {
            checks.push(match ports::check(&[Wanted { port, purpose, flag }]) {
                Ok(()) => good("Port", format!("{port} for {purpose} is free")),
                Err(error) => problem("Port", &error.to_string()),
            });
        }
    }
    checks
}

/// What is needed to run what `up` starts of Kafka and Flink, which is one of them at least.
fn runtimes(stack: &StackConfig) -> [Check; 3] {
    let missing = provision::missing(stack);
    let java = match java::find_java() {
        Ok(found) => good("Java", format!("{} ({})", found.version, found.program.display())),
        Err(error) => problem("Java", &error.to_string()),
    };
    let maven = match java::find_maven() {
        Ok(found) => good("Maven", found.display().to_string()),
        Err(_) if missing.is_empty() => {
            good("Maven", "not there, and not needed: what is started is fetched".into())
        }
        Err(error) => problem("Maven", &error.to_string()),
    };
    let names: Vec<&str> = missing.iter().map(|runtime| runtime.name).collect();
    let fetched = match names.is_empty() {
        true => "fetched".into(),
        false => {
            format!("{} not fetched yet; the first `up` does (about 100 MB each)", names.join(" and "))
        }
    };
    [java, maven, good("Kafka and Flink", fetched)]
}

fn good(name: &'static str, found: String) -> Check {
    Check { name, ok: true, found, fix: String::new() }
}

/// The first line of an error is what was found, the rest how to mend it.
fn problem(name: &'static str, error: &str) -> Check {
    let (found, fix) = error.split_once('\n').or_else(|| error.split_once(": ")).unwrap_or((error, ""));
    Check { name, ok: false, found: found.into(), fix: fix.into() }
}

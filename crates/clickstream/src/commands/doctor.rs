//! `clickstream doctor`: what this machine has, what is missing, and how to get it.

use std::process::ExitCode;

use anyhow::Result;
use clickstream_stack::layout::{Layout, free_space};
use clickstream_stack::lock::Lock;
use clickstream_stack::ports::{self, Wanted};
use clickstream_stack::{java, memory, provision};
use console::style;
use serde_json::json;

use crate::config::Config;

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
    let mut checks = Vec::new();
    checks.push(match java::find_java() {
        Ok(found) => Check {
            name: "Java",
            ok: true,
            found: format!("{} ({})", found.version, found.program.display()),
            fix: String::new(),
        },
        Err(error) => problem("Java", &error.to_string()),
    });
    let fetched = provision::is_complete(provision::KAFKA, &layout.runtime().join("kafka"))
        && provision::is_complete(provision::FLINK, &layout.runtime().join("flink"));
    checks.push(match java::find_maven() {
        Ok(found) => {
            Check { name: "Maven", ok: true, found: found.display().to_string(), fix: String::new() }
        }
        Err(_) if fetched => Check {
            name: "Maven",
            ok: true,
            found: "not there, and not needed: Kafka and Flink are fetched".into(),
            fix: String::new(),
        },
        Err(error) => problem("Maven", &error.to_string()),
    });
    checks.push(Check {
        name: "Kafka and Flink",
        ok: true,
        found: if fetched {
            "fetched".into()
        } else {
            "not fetched yet; the first `up` does (about 200 MB)".into()
        },
        fix: String::new(),
    });
    let machine = memory::machine_mib();
    checks.push(Check {
        name: "Memory",
        ok: machine >= 3_500,
        found: format!("{machine} MB; the Flink job gets {} MB for its state", stack.task_heap_mib),
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
        checks.push(Check {
            name: "Ports",
            ok: true,
            found: "in use by the running `up`".into(),
            fix: String::new(),
        });
        return checks;
    }
    let collector = config.collector.as_ref().map_or(0, |collector| collector.port);
    for (used, port, purpose, flag) in [
        (stack.external_kafka.is_none(), stack.kafka_port, "Kafka", "kafka-port"),
        (stack.external_flink.is_none(), stack.flink_port, "Flink", "flink-port"),
        (stack.external_flink.is_none(), stack.gateway_port, "the SQL Gateway", "gateway-port"),
        (config.http_port != 0, config.http_port, "the dashboard", "http-port"),
        (collector != 0, collector, "the collector", "collector-port"),
    ] {
        if used {
            checks.push(match ports::check(&[Wanted { port, purpose, flag }]) {
                Ok(()) => Check {
                    name: "Port",
                    ok: true,
                    found: format!("{port} for {purpose} is free"),
                    fix: String::new(),
                },
                Err(error) => problem("Port", &error.to_string()),
            });
        }
    }
    checks
}

/// The first line of an error is what was found, the rest how to mend it.
fn problem(name: &'static str, error: &str) -> Check {
    let (found, fix) = error.split_once('\n').or_else(|| error.split_once(": ")).unwrap_or((error, ""));
    Check { name, ok: false, found: found.into(), fix: fix.into() }
}

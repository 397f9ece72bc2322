//! The machine and its processes, as `/proc` shows them.

use std::fs;

/// CPU time and memory of one process.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// Its name, as `status` shows it.
    pub name: String,
    /// CPU time since it started, in seconds.
    pub cpu_s: f64,
    /// Resident memory in MiB.
    pub resident_mib: f64,
}

/// The usage of a process.
pub fn usage(name: &str, pid: u32) -> Option<Usage> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // the program's name may hold anything: the fields begin after its closing parenthesis
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let resident: f64 = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()?;
    // clock ticks are 10 ms on every Linux that runs Java
    Some(Usage { name: name.to_owned(), cpu_s: ticks / 100.0, resident_mib: resident / 1024.0 })
}

/// The most memory this process has held so far, in MiB.
pub fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0
}

/// The machine in one line.
pub fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown CPU", |line| line.trim_start_matches([' ', '\t', ':']));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let java = clickstream_stack::java::find_java()
        .map_or_else(|_| "no Java".into(), |java| format!("Java {}", java.version));
    format!(
        "{model}, {cores} cores, {} MB of memory, Linux {}, {java}; load generator and consumer on the same machine",
        clickstream_stack::memory::machine_mib(),
        kernel.trim()
    )
}

//! Prints a generated access log: `cargo run --release -p clickstream-replay --example access_log -- LINES PER_SECOND STYLE`.

use std::io::{BufWriter, Write};

use clickstream_event::Timestamp;
use clickstream_replay::workload::{self, Style};

fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize, default| words.get(n).and_then(|word| word.parse().ok()).unwrap_or(default);
    let style = match words.get(2).map(String::as_str) {
        Some("vhost") => Style::VirtualHost,
        Some("nginx") => Style::Nginx,
        Some("caddy") => Style::Caddy,
        _ => Style::Combined,
    };
    let start = Timestamp::parse("2026-11-01T00:00:00Z").unwrap_or_default().0;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut text = String::new();
    for n in 0..number(0, 1_000_000u64) {
        text.clear();
        workload::line(n, number(1, 1_000), start).write(style, &mut text);
        out.write_all(text.as_bytes())?;
    }
    out.flush()
}

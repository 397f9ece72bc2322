//! Generated access logs: for tests, and to measure with.

use std::fmt::Write;

use clickstream_event::Timestamp;

/// What a generated line says; [`GeneratedLine::write`] writes it.
#[derive(Clone, PartialEq, Debug)]
pub struct GeneratedLine {
    /// Milliseconds since the epoch; whole seconds in the text formats.
    pub time_ms: i64,
    /// The client.
    pub address: String,
    /// The method.
    pub method: &'static str,
    /// What was asked for.
    pub target: String,
    /// The answer's status.
    pub status: u16,
    /// Where the visitor came from.
    pub referrer: Option<String>,
    /// The browser.
    pub user_agent: String,
    /// The virtual host.
    pub host: &'static str,
}

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Combined, as nginx does it.
    Combined,
    /// Combined with the virtual host, as Apache does it.
    VirtualHost,
    /// A `log_format` of JSON in nginx.
    Nginx,
    /// Caddy's own.
    Caddy,
}

/// The `n`th line of a log with `per_second` lines, whose first is at `start_ms`. The same `n`, the same line.
pub fn line(n: u64, per_second: u64, start_ms: i64) -> GeneratedLine {
    let mut state = n.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(0x1234_5678_9ABC_DEF1);
    let mut next = |below: u64| {
        // splitmix64
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % below
    };
    let second = (n / per_second.max(1)) as i64;
    // visitors come and go: some hundreds at a time, each for a minute or two
    let visitor = second as u64 / 90 * 400 + next(600);
    let address = match visitor % 5 {
        0 => format!("2001:db8::{:x}:{:x}", visitor >> 16 & 0xffff, visitor & 0xffff),
        _ => format!("10.{}.{}.{}", visitor >> 16 & 255, visitor >> 8 & 255, visitor & 255),
    };
    let agent = AGENTS[(visitor % AGENTS.len() as u64) as usize];
    let target = match next(20) {
        0..3 => "/".to_owned(),
        3..10 => format!("/p/{}", PAGES[next(PAGES.len() as u64) as usize]),
        10..12 => format!("/search?q={}", next(1_000)),
        12 => format!("/c/{}/?utm_source=mail", next(12)),
        13..16 => format!("/assets/app.{:06x}.js", next(9) * 7_919),
        16 => format!("/img/{}.webp", next(500)),
        17 => "/favicon.ico".to_owned(),
        18 => "/cart".to_owned(),
        _ => format!("/wp-login.php?x=\"{}\"", next(9)),
    };
    let status = match next(100) {
        0..86 => 200,
        86..92 => 304,
        92..95 => 301,
        95..99 => 404,
        _ => 503,
    };
    GeneratedLine {
        time_ms: start_ms + second * 1_000,
        address,
        method: if next(30) == 0 { "POST" } else { "GET" },
        target,
        status,
        referrer: (next(3) == 0).then(|| "https://search.example/?q=\"shoes\"".to_owned()),
        user_agent: agent.to_owned(),
        host: "shop.example",
    }
}

const PAGES: [&str; 12] = [
    "alder-desk-lamp",
    "alder-notebook",
    "birch-chair",
    "birch-shelf",
    "cedar-box",
    "elm-table",
    "fir-bench",
    "larch-stool",
    "maple-bowl",
    "oak-board",
    "pine-frame",
    "yew-spoon",
];

const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (compatible; Examplebot/2.1; +http://bot.example/)",
];

impl GeneratedLine {
    /// Appends the line, with its end.
    pub fn write(&self, style: Style, out: &mut String) {
        let time = Timestamp(self.time_ms).to_string();
        let referrer = self.referrer.as_deref().unwrap_or("-");
        match style {
            Style::Combined | Style::VirtualHost => {
                const MONTHS: [&str; 12] =
                    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
                let month =
                    time[5..7].parse::<usize>().ok().and_then(|n| MONTHS.get(n - 1)).unwrap_or(&"Jan");
                let escape = |text: &str| match style {
                    Style::Combined => text.replace('\\', "\\x5C").replace('"', "\\x22"),
                    _ => text.replace('\\', "\\\\").replace('"', "\\\""),
                };
                if style == Style::VirtualHost {
                    let _ = write!(out, "{}:443 ", self.host);
                }
                let _ = writeln!(
                    out,
                    "{} - - [{}/{month}/{}:{} +0000] \"{} {} HTTP/1.1\" {} 5123 \"{}\" \"{}\"",
                    self.address,
                    &time[8..10],
                    &time[..4],
                    &time[11..19],
                    self.method,
                    escape(&self.target),
                    self.status,
                    escape(referrer),
                    escape(&self.user_agent),
                );
            }
            Style::Nginx => {
                let _ = writeln!(
                    out,
                    "{}",
                    serde_json::json!({
                        "time_iso8601": format!("{}+00:00", &time[..19]), "remote_addr": self.address,
                        "request": format!("{} {} HTTP/2.0", self.method, self.target), "status": self.status.to_string(),
                        "http_referer": self.referrer.as_deref().unwrap_or(""), "http_user_agent": self.user_agent, "host": self.host,
                    })
                );
            }
            Style::Caddy => {
                let _ = writeln!(
                    out,
                    "{}",
                    serde_json::json!({
                        "level": "info", "ts": self.time_ms as f64 / 1e3, "logger": "http.log.access", "msg": "handled request",
                        "request": { "remote_ip": self.address, "proto": "HTTP/2.0", "method": self.method, "host": self.host,
                                     "uri": self.target, "headers": { "User-Agent": [self.user_agent], "Referer": [referrer] } },
                        "duration": 0.002, "size": 5123, "status": self.status,
                    })
                );
            }
        }
    }
}

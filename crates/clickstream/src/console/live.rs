//! The live view: the newest window and a footer, redrawn in place on a terminal, appended where nobody watches.

use std::collections::VecDeque;

use clickstream_event::Timestamp;
use clickstream_event::rows::Anomaly;
use clickstream_top::text::thousands;
use console::{Term, style};
use serde_json::json;

use crate::console::sections::{View, anomaly_line};
use crate::console::window::WindowView;
use crate::console::{emit, redraws};
use crate::results::Window;

/// What the proof beside a running pipeline has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProofState {
    /// End of the newest window whose rows equal the recount.
    pub proven_to: Option<Timestamp>,
    /// Rows that equal it.
    pub rows: u64,
    /// Rows and dead letters that do not.
    pub problems: u64,
}

/// Figures of the footer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Footer {
    /// Events acknowledged by Kafka in the last second; `None` without sample traffic.
    pub events_per_second: Option<f64>,
    /// Window end to readable row, median and 95th percentile, in milliseconds.
    pub result_latency: Option<(u64, u64)>,
    /// Event to Kafka, or to the log in files, 99th percentile, in milliseconds.
    pub log_latency_p99: Option<f64>,
    /// Whether the log is in files.
    pub embedded: bool,
    /// The proof.
    pub proof: ProofState,
    /// Records Flink has still to read.
    pub lag: Option<i64>,
    /// Late records since the start.
    pub late: u64,
    /// Other dead letters since the start.
    pub bad: u64,
    /// Duplicates since the start, where known.
    pub duplicates: Option<u64>,
    /// What is wrong at the moment; empty when all is well.
    pub trouble: String,
}

impl Footer {
    /// The footer as one line of at most `width` columns, below a window or below none yet.
    pub fn draw(&self, width: usize, has_window: bool) -> String {
        let mut parts = Vec::new();
        if let Some(rate) = self.events_per_second {
            parts.push(format!("{} events/s", thousands(rate.round().max(0.0) as u64)));
        }
        match self.result_latency {
            Some((p50, p95)) => parts.push(format!("results after {p50} ms (p95 {p95})")),
            None if has_window => {}
            None => parts.push("waiting for the first window".into()),
        }
        if let Some(p99) = self.log_latency_p99 {
            parts.push(format!("{} p99 {p99:.0} ms", if self.embedded { "log" } else { "Kafka" }));
        }
        if let Some(lag) = self.lag {
            parts.push(format!("lag {}", thousands(lag.max(0) as u64)));
        }
        parts.push(format!("late {}", thousands(self.late)));
        parts.push(format!("bad {}", thousands(self.bad)));
        while parts.join(" · ").chars().count() > width && parts.len() > 1 {
            parts.remove(parts.len() - 3.min(parts.len()));
        }
        parts.join(" · ")
    }

    /// What the proof has found, as one line; nothing before it has found anything.
    pub fn proof_line(&self) -> Option<String> {
        match self.proof {
            ProofState { problems: problems @ 1.., .. } => Some(format!(
                "✗ {} rows or dead letters differ from the recount: `clickstream verify` shows them",
                thousands(problems)
            )),
            ProofState { proven_to: Some(to), rows, .. } => {
                Some(format!("✓ proven up to {}, {} rows equal the recount", to.clock(), thousands(rows)))
            }
            _ => None,
        }
    }
}

enum Mode {
    Terminal(Term),
    Plain,
    Json,
}

/// Shows windows and footer on standard output.
pub struct Live {
    mode: Mode,
    view: WindowView,
    current: Option<Window>,
    drawn_lines: usize,
    site: String,
    section: View,
    shown: usize,
    /// The newest first.
    anomalies: VecDeque<Anomaly>,
}

/// Anomalies that the console remembers.
const ANOMALIES: usize = 12;

impl Live {
    /// For standard output as it is, showing a view of the windows of `site`.
    pub fn new(json: bool, site: String, section: View) -> Self {
        let term = Term::stdout();
        let mode = match () {
            () if json => Mode::Json,
            () if redraws(&term) => Mode::Terminal(term),
            () => Mode::Plain,
        };
        Self {
            mode,
            view: WindowView::default(),
            current: None,
            drawn_lines: 0,
            site,
            section,
            shown: 0,
            anomalies: VecDeque::new(),
        }
    }

    /// Shows a new window.
    pub fn window(&mut self, window: Window, footer: &Footer) {
        match &self.mode {
            Mode::Json => {
                let line = json!({ "type": "window", "site_id": window.site.site_id, "window_start": window.site.window_start,
                    "window_end": window.site.window_end, "latency_ms": window.latency_ms, "site": window.site, "pages": window.top,
                    "trending": window.trending, "funnel": window.funnel, "bounce_rates": window.bounce_rates,
                    "provisional_bounce_rates": window.provisional, "transitions": window.transitions, "paths": window.paths });
                print_line(&line.to_string());
            }
            _ if window.site.site_id != self.site => {}
            Mode::Plain => {
                let proof = footer.proof_line().map_or(String::new(), |line| format!("\n{line}"));
                let section = self.section.of_window(self.shown);
                let text = self.view.draw(&window, section, &self.anomalies, 100, false);
                print_line(&format!("{text}{}{proof}\n", footer.draw(100, true)));
                self.shown += 1;
                self.view.remember(&window);
            }
            Mode::Terminal(_) => {
                if let Some(previous) = self.current.replace(window) {
                    self.view.remember(&previous);
                    self.shown += 1;
                }
                self.redraw(footer);
            }
        }
    }

    /// Takes when the log begins, so that windows which reach back further can be told.
    pub fn log_begins(&mut self, begins: Option<Timestamp>) {
        self.view.log_begins = begins;
    }

    /// Shows an anomaly.
    pub fn anomaly(&mut self, anomaly: Anomaly) {
        match &self.mode {
            Mode::Json => {
                let mut line = json!(anomaly);
                line["type"] = "anomaly".into();
                print_line(&line.to_string());
            }
            _ if anomaly.site_id != self.site => return,
            Mode::Plain => print_line(&anomaly_line(&anomaly, 100)),
            Mode::Terminal(_) => {}
        }
        // written again after a restart: the same one
        if !self.anomalies.contains(&anomaly) {
            self.anomalies.push_front(anomaly);
            self.anomalies.truncate(ANOMALIES);
        }
    }

    /// Shows new figures.
    pub fn footer(&mut self, footer: &Footer) {
        match self.mode {
            Mode::Terminal(_) => self.redraw(footer),
            Mode::Json => {
                let line = json!({ "type": "stats", "events_per_second": footer.events_per_second,
                    "result_latency_p50_ms": footer.result_latency.map(|l| l.0), "result_latency_p95_ms": footer.result_latency.map(|l| l.1),
                    "log_latency_p99_ms": footer.log_latency_p99, "lag": footer.lag, "late": footer.late, "bad": footer.bad,
                    "proven_to": footer.proof.proven_to, "proven_rows": footer.proof.rows, "differences": footer.proof.problems,
                    "trouble": footer.trouble });
                print_line(&line.to_string());
            }
            Mode::Plain => {}
        }
    }

    fn redraw(&mut self, footer: &Footer) {
        let Mode::Terminal(term) = &self.mode else { return };
        let (height, width) = term.size();
        let (height, width) = (usize::from(height), usize::from(width).clamp(40, 140));
        let mut text = String::new();
        if let Some(window) = &self.current {
            let section = self.section.of_window(self.shown);
            let colour = console::colors_enabled();
            text.push_str(&self.view.draw(window, section, &self.anomalies, width, colour));
            text.push('\n');
        }
        if footer.trouble.is_empty() {
            text.push_str(&style(footer.draw(width, self.current.is_some())).dim().to_string());
        } else {
            text.push_str(&style(format!("! {}", footer.trouble)).yellow().to_string());
            text.push('\n');
            text.push_str(&style(footer.draw(width, self.current.is_some())).dim().to_string());
        }
        if let Some(line) = footer.proof_line() {
            let line = if footer.proof.problems > 0 { style(line).red() } else { style(line).green() };
            text.push_str(&format!("\n{line}"));
        }
        text.push('\n');
        let lines: Vec<&str> = text.lines().take(height.saturating_sub(1)).collect();
        let _ = term.clear_last_lines(self.drawn_lines);
        self.drawn_lines = lines.len();
        let _ = term.write_str(&(lines.join("\n") + "\n"));
        let _ = term.flush();
    }
}

/// Prints a line; when the reader has gone away, there is nobody to tell.
fn print_line(text: &str) {
    emit(&format!("{text}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_footer_fits_and_says_what_is_known() {
        let footer = Footer {
            events_per_second: Some(998.6),
            result_latency: Some((210, 260)),
            log_latency_p99: Some(7.3),
            lag: Some(12),
            late: 1_234,
            bad: 5,
            ..Footer::default()
        };
        assert_eq!(
            footer.draw(120, true),
            "999 events/s · results after 210 ms (p95 260) · Kafka p99 7 ms · lag 12 · late 1 234 · bad 5"
        );
        assert!(footer.draw(60, true).chars().count() <= 60);
        assert_eq!(footer.proof_line(), None);
        let proof = ProofState { proven_to: Some(Timestamp(1_795_583_040_000)), rows: 48_210, problems: 0 };
        let proven = Footer { proof, ..footer.clone() };
        assert_eq!(proven.proof_line().unwrap(), "✓ proven up to 05:04:00, 48 210 rows equal the recount");
        let refuted = Footer { proof: ProofState { problems: 2, ..proof }, ..footer };
        assert!(refuted.proof_line().unwrap().starts_with("✗ 2 rows"));
        assert!(Footer::default().draw(80, false).contains("waiting for the first window"));
    }
}

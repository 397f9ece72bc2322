//! Steps of starting: a spinner or bar while one goes on, a tick when it is done; plain lines where nobody watches.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use clickstream_stack::observer::{Observer, Progress};
use console::style;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::console::{redraws, tell};

/// Shows [`Progress`].
pub struct Steps {
    mode: Mode,
    bars: Mutex<HashMap<String, ProgressBar>>,
}

enum Mode {
    /// Bars that move.
    Terminal(MultiProgress),
    /// One line per step that ended.
    Plain,
    /// One JSON object per event.
    Json,
}

impl Steps {
    /// For standard error of this process: a terminal, or not; or JSON on standard output.
    pub fn new(json: bool) -> Self {
        let mode = match () {
            () if json => Mode::Json,
            () if redraws(&console::Term::stderr()) => Mode::Terminal(MultiProgress::new()),
            () => Mode::Plain,
        };
        Self { mode, bars: Mutex::default() }
    }

    /// Whether steps are JSON lines.
    pub fn is_json(&self) -> bool {
        matches!(self.mode, Mode::Json)
    }

    /// Prints a line between the steps.
    pub fn line(&self, text: &str) {
        match &self.mode {
            Mode::Terminal(all) => {
                let _ = all.println(text);
            }
            Mode::Plain => tell(text),
            Mode::Json => {}
        }
    }

    fn json(kind: &str, step: &str, message: &str, took: Option<Duration>) {
        let took = took.map(|took| took.as_millis() as u64);
        say!("{}", serde_json::json!({ "type": kind, "step": step, "message": message, "took_ms": took }));
    }
}

fn seconds(took: Duration) -> String {
    format!("({:.1} s)", took.as_secs_f64())
}

impl Observer for Steps {
    fn on(&self, progress: Progress) {
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        match (&self.mode, progress) {
            (Mode::Terminal(all), Progress::Started(step)) => {
                let bar = all.add(ProgressBar::new_spinner());
                if let Ok(look) = ProgressStyle::with_template("{spinner:.cyan} {msg} {elapsed:.dim}") {
                    bar.set_style(look);
                }
                bar.set_message(step.clone());
                bar.enable_steady_tick(Duration::from_millis(100));
                bars.insert(step, bar);
            }
            (Mode::Terminal(_), Progress::Advanced { step, done, total }) => {
                if let Some(bar) = bars.get(&step) {
                    if total > 0 && bar.length() != Some(total) {
                        bar.set_length(total);
                        if let Ok(look) = ProgressStyle::with_template(
                            "{spinner:.cyan} {msg} {bar:24.cyan/dim} {pos}/{len}",
                        ) {
                            bar.set_style(look.progress_chars("━━─"));
                        }
                    }
                    bar.set_position(done.min(total));
                }
            }
            (Mode::Terminal(all), Progress::Done { step, message, took }) => {
                if let Some(bar) = bars.remove(&step) {
                    bar.finish_and_clear();
                }
                let _ =
                    all.println(format!("{} {message} {}", style("✓").green(), style(seconds(took)).dim()));
            }
            (Mode::Terminal(all), Progress::Notice(text)) => {
                let _ = all.println(format!("{} {text}", style("!").yellow()));
            }
            (Mode::Plain, Progress::Done { message, took, .. }) => {
                tell(&format!("✓ {message} {}", seconds(took)))
            }
            (Mode::Plain, Progress::Notice(text)) => tell(&format!("! {text}")),
            (Mode::Plain, Progress::Started(step)) if step.contains("Maven") => tell(&format!("… {step}")),
            (Mode::Plain, _) => {}
            (Mode::Json, Progress::Started(step)) => Self::json("step_started", &step, "", None),
            (Mode::Json, Progress::Done { step, message, took }) => {
                Self::json("step_done", &step, &message, Some(took))
            }
            (Mode::Json, Progress::Notice(text)) => Self::json("notice", "", &text, None),
            (Mode::Json, Progress::Advanced { .. }) => {}
        }
    }
}

//! Lines become events, at their time.

use std::time::{Duration, Instant};

use anyhow::Result;
use clickstream_event::Timestamp;
use clickstream_replay::{Replay, Retimer, Speed, View};
use clickstream_traffic::KeyStrategy;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use super::input::{Inputs, Next};
use super::target::Target;
use clickstream_top::text::thousands;

/// How views are sent.
pub struct Sending {
    /// Their pace.
    pub speed: Speed,
    /// Whether they keep the times of the log.
    pub keep_time: bool,
    /// What their partition is chosen by.
    pub key: KeyStrategy,
    /// Of a log of the past, how often partitions get a heartbeat, and how long after.
    pub beat: (i64, i64),
}

/// What became of it.
pub struct Outcome {
    /// How long it took.
    pub took: Duration,
    /// Whether it was stopped before the end.
    pub stopped: bool,
    /// Files that could not be read to their end.
    pub broken: Vec<String>,
    /// The last view's time, as it was sent.
    pub last: Option<Timestamp>,
    /// The site of the last view.
    pub site: String,
}

/// A pipe that is silent for so long gives what waits for older lines.
const SILENT: Duration = Duration::from_secs(2);

/// Sends all views, until the end or until it is stopped.
pub async fn run(
    mut inputs: Inputs,
    replay: &mut Replay,
    target: &Target,
    sending: Sending,
    stop: &CancellationToken,
) -> Result<Outcome> {
    let began = Instant::now();
    let bar = bar(inputs.size);
    let mut sender = Sender {
        retimer: Retimer::new(sending.speed),
        paced: None,
        next_beat: None,
        sending,
        target,
        value: Vec::with_capacity(512),
        last: None,
        site: String::new(),
    };
    let mut views = Vec::new();
    let (mut broken, mut stopped, mut n) = (Vec::new(), false, 0u64);
    loop {
        let next = tokio::select! {
            biased;
            () = stop.cancelled() => { stopped = true; break }
            next = tokio::time::timeout(SILENT, inputs.next(|line| replay.time_of(line))) => next,
        };
        match next {
            Ok(Next::Line(line)) => replay.line(line, &mut views),
            Ok(Next::Broken(why)) => broken.push(why),
            Ok(Next::End) => break,
            Err(_) => replay.finish(&mut views),
        }
        stopped = !sender.send_all(&mut views, stop).await?;
        n += 1;
        if n.is_multiple_of(4_096) || (!bar.is_hidden() && sender.sending.speed != Speed::Max) {
            show(&bar, &inputs, replay, began, sender.last);
            // everything may be there without waiting: let others have their turn
            tokio::task::yield_now().await;
        }
    }
    if !stopped {
        replay.finish(&mut views);
        stopped = !sender.send_all(&mut views, stop).await?;
    }
    target.flush().await?;
    bar.finish_and_clear();
    Ok(Outcome { took: began.elapsed(), stopped, broken, last: sender.last, site: sender.site })
}

struct Sender<'t> {
    sending: Sending,
    target: &'t Target,
    retimer: Retimer,
    /// The log's time and ours that belong together, where times are kept and the pace is not the fastest.
    paced: Option<(Timestamp, Instant)>,
    next_beat: Option<i64>,
    value: Vec<u8>,
    last: Option<Timestamp>,
    site: String,
}

impl Sender<'_> {
    /// Sends the views, and leaves none; whether it came to the end before it was stopped.
    async fn send_all(&mut self, views: &mut Vec<View>, stop: &CancellationToken) -> Result<bool> {
        for view in views.drain(..) {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(false),
                sent = self.send(&view) => sent?,
            }
        }
        Ok(true)
    }

    async fn send(&mut self, view: &View) -> Result<()> {
        let at = if self.sending.keep_time {
            self.pace(view.time).await;
            self.beat(view);
            view.time
        } else {
            let now = Timestamp::now();
            let at = self.retimer.at(view, now);
            // one that were sent before its time would lose it to its arrival
            if at > now {
                tokio::time::sleep(Duration::from_millis((at.0 - now.0) as u64)).await;
            }
            self.retimer.sent(view, at, Timestamp::now())
        };
        self.value.clear();
        view.encode(at, &mut self.value);
        match self.sending.key {
            KeyStrategy::Page | KeyStrategy::Product => self.target.send(&view.page, &self.value).await?,
            KeyStrategy::User => self.target.send(&view.user_id(), &self.value).await?,
            KeyStrategy::Session => self.target.send(&view.session_id(), &self.value).await?,
        }
        self.last = self.last.max(Some(at));
        if self.site != *view.site {
            self.site = view.site.to_string();
        }
        Ok(())
    }

    async fn pace(&mut self, time: Timestamp) {
        let Speed::Times(times) = self.sending.speed else { return };
        let (first, began) = *self.paced.get_or_insert((time, Instant::now()));
        let due = began + Duration::from_secs_f64((time.0 - first.0).max(0) as f64 / 1e3 / times);
        tokio::time::sleep_until(due.into()).await;
    }

    /// Heartbeats by the log's time, once a slide, so late that they close it.
    fn beat(&mut self, view: &View) {
        let (every, after) = self.sending.beat;
        let next_after = |time: i64| (time - after).div_euclid(every) * every + every + after;
        match self.next_beat {
            Some(next) if view.time.0 < next => {}
            Some(_) => {
                self.target.beat(&view.site, view.time);
                self.next_beat = Some(next_after(view.time.0));
            }
            None => self.next_beat = Some(next_after(view.time.0)),
        }
    }
}

fn bar(size: Option<u64>) -> ProgressBar {
    // draws nothing where standard error is no terminal
    let (bar, template) = match size {
        Some(size) => (
            ProgressBar::new(size),
            "{spinner:.cyan} {bar:24.cyan/dim} {percent:>3} %  {msg}  {elapsed:.dim}",
        ),
        None => (ProgressBar::new_spinner(), "{spinner:.cyan} {msg}  {elapsed:.dim}"),
    };
    if let Ok(look) = ProgressStyle::with_template(template) {
        bar.set_style(look.progress_chars("━━─"));
    }
    bar
}

fn show(bar: &ProgressBar, inputs: &Inputs, replay: &Replay, began: Instant, last: Option<Timestamp>) {
    if bar.is_hidden() {
        return;
    }
    let (lines, views) = replay.progress();
    let rate = lines as f64 / began.elapsed().as_secs_f64().max(0.001);
    bar.set_position(inputs.read());
    let at = last.map_or_else(String::new, |at| format!(" · {at}"));
    bar.set_message(format!(
        "{} · {} lines, {} views · {} lines/s{at}",
        HumanBytes(inputs.read()),
        thousands(lines),
        thousands(views),
        thousands(rate as u64)
    ));
}

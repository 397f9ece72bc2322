//! Reports made beside the loop that shows them: a log may take long to answer, and the loop must go on, or nobody could stop it.

use clickstream_event::Timestamp;
use clickstream_serve::PipelineStatus;
use tokio::task::JoinHandle;

use super::pipeline::Reporter;

/// A [`Reporter`] on a thread of its own, with one report at a time.
pub struct Reporting {
    /// Here while no report is under way.
    reporter: Option<Reporter>,
    under_way: Option<JoinHandle<(Reporter, PipelineStatus)>>,
}

impl Reporting {
    /// Nothing is under way yet.
    pub fn new(reporter: Reporter) -> Self {
        Self { reporter: Some(reporter), under_way: None }
    }

    /// Begins a report; not while one is under way, which a log that is away may hold up.
    pub fn begin(&mut self, report: impl FnOnce(&mut Reporter) -> PipelineStatus + Send + 'static) {
        let Some(mut reporter) = self.reporter.take() else { return };
        self.under_way = Some(tokio::task::spawn_blocking(move || {
            let status = report(&mut reporter);
            (reporter, status)
        }));
    }

    /// Waits for the report that is under way; for ever, where none is. Nothing is lost when this is dropped.
    pub async fn done(&mut self) -> PipelineStatus {
        let Some(under_way) = &mut self.under_way else { return std::future::pending().await };
        let ended = under_way.await;
        self.under_way = None;
        match ended {
            Ok((reporter, status)) => {
                self.reporter = Some(reporter);
                status
            }
            Err(error) => {
                tracing::error!(%error, "making a report broke: there will be no more of them");
                std::future::pending().await
            }
        }
    }

    /// As [`Reporter::log_begins`]; nothing, while a report is under way.
    pub fn log_begins(&self) -> Option<Timestamp> {
        self.reporter.as_ref().and_then(Reporter::log_begins)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::config::Config;
    use crate::config::layers::Settings;
    use crate::logs::embedded::EmbeddedLog;

    #[tokio::test]
    async fn a_log_that_is_away_holds_up_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let matches = crate::cli::command().try_get_matches_from(["clickstream", "up"]).unwrap();
        let settings = Settings::load(matches.subcommand().unwrap().1, std::iter::empty()).unwrap();
        let config = Config::from_settings(&settings).unwrap();
        let log = Box::new(EmbeddedLog::new(dir.path()));
        let mut reporting = Reporting::new(Reporter::new(&config, "embedded", log, None));
        let (answer, answered) = channel();
        reporting.begin(move |reporter| {
            answered.recv().unwrap();
            reporter.report(&Default::default(), &[], Default::default(), None)
        });
        // whoever waits beside it has its turn, and a second report does not pile up behind the first
        let turn = tokio::time::timeout(Duration::from_millis(20), reporting.done()).await;
        assert!(turn.is_err());
        reporting.begin(|_| panic!("one is under way"));
        answer.send(()).unwrap();
        assert_eq!(reporting.done().await.state, "unreachable", "there is no log at all");
        reporting.begin(|_| PipelineStatus { state: "running".into(), ..PipelineStatus::default() });
        assert_eq!(reporting.done().await.state, "running");
    }
}

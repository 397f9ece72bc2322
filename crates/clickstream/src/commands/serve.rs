//! `clickstream serve`: dashboard, REST and live stream alone, of a pipeline that others run.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clickstream_event::Timestamp;
use clickstream_stack::kafka::broker;
use clickstream_stack::layout::Layout;
use clickstream_stack::supervisor::{Component, State};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::console::steps::Steps;
use crate::logging;
use crate::logs::kafka::KafkaLog;
use crate::memory;
use crate::results;
use crate::run_state::RunState;
use crate::serving::pipeline::Reporter;
use crate::serving::reporting::Reporting;
use crate::serving::{self, Serving};

use super::watching::{Watching, every};
use super::{interrupted, over, proving};

/// A Kafka that takes longer to say what topics it has is as good as away.
const ANSWERS_WITHIN: Duration = Duration::from_millis(500);

/// Serves what stands in a Kafka until it is stopped.
pub async fn run(config: Config) -> Result<ExitCode> {
    let kafka = config.kafka_address();
    let steps = Steps::new(config.json);
    let layout = Layout::prepare(&config.stack.data_dir)?;
    let listener = serving::bind(config.http_port).await?;
    // each port has results of its own, so several can run beside each other and each goes on where it stopped
    let port = listener.local_addr()?.port();
    let name = format!("serve-{port}");
    logging::to_file(&layout.log_of(&name), &config.log_level, config.log_json);
    broker::wait_ready(&kafka, Duration::from_secs(5), || None).await?;
    let dir = layout.serve_on(port);
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut serving = Serving::start(&config, &dir.join(serving::store_of(&kafka).await?), listener)?;
    serving.follow_kafka(kafka.clone());
    steps.line(&format!(
        "Dashboard, REST and live stream of the results in {kafka}: {}\nResults are kept in {}; Ctrl-C stops.",
        serving.url(),
        dir.display()
    ));
    let shutdown = CancellationToken::new();
    tokio::select! {
        () = report(&config, &kafka, &serving, &shutdown, layout.log_of(&name)) => {}
        () = interrupted() => {}
        () = over(config.duration) => {}
    }
    shutdown.cancel();
    serving.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Says once a second how the pipeline is, as far as its topics show it.
async fn report(
    config: &Config,
    kafka: &str,
    serving: &Serving,
    shutdown: &CancellationToken,
    log_file: PathBuf,
) {
    let log = KafkaLog::new(kafka);
    let mut reporting = Reporting::new(Reporter::new(config, "flink", Box::new(log.clone()), None));
    let to_prove = log.clone();
    let proof = proving::start(config, Box::new(move || Box::new(to_prove.clone())), shutdown.clone());
    memory::trim_regularly();
    let (rows, mut arrivals) = mpsc::channel(4096);
    tokio::spawn({
        let (kafka, shutdown) = (kafka.to_owned(), shutdown.clone());
        async move { results::follow(&kafka, rows, shutdown).await }
    });
    let mut seen = Watching::new(proof, config.stack.job.session_gap_ms, Timestamp::now());
    let mut second = every(Duration::from_secs(1));
    loop {
        tokio::select! {
            Some(arrived) = arrivals.recv() => drop(seen.take(arrived)),
            _ = second.tick() => {
                // nobody looks at them here, but they would pile up
                seen.windows();
                seen.second();
                let ourselves = RunState::ourselves(log_file.clone(), serving.url());
                let (log, kafka) = (log.clone(), kafka.to_owned());
                let (mut footer, reasons) = (seen.footer.clone(), seen.reasons());
                reporting.begin(move |reporter| {
                    let answers = log.answers(ANSWERS_WITHIN);
                    if !answers {
                        footer.trouble = format!("Kafka at {kafka} does not answer");
                    }
                    // whoever runs the pipeline may run Flink too: nothing here depends on it
                    let component = Component {
                        name: "kafka".into(),
                        pid: None,
                        state: if answers { State::External } else { State::Failed },
                        restarts: 0,
                        address: kafka,
                        log: None,
                    };
                    let components = [component, ourselves];
                    match answers {
                        true => reporter.report(&footer, &components, reasons, None),
                        false => reporter.unreachable(&footer, &components),
                    }
                });
            }
            status = reporting.done() => serving.status(status),
        }
    }
}

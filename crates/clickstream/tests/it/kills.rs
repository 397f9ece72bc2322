//! Every process killed in turn, in mid-run; and still every row equals a recount.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clickstream_event::topic;

use crate::harness::{SPOILT, World, is_alive, try_read, until};
use crate::kafka::Writer;
use crate::recount::{SESSION_GAP, check};

fn newest_window(world: &World) -> Option<String> {
    let ends = try_read(&world.kafka(), topic::SITE_METRICS).ok()?.into_iter().filter_map(|record| {
        let row: serde_json::Value = serde_json::from_slice(&record.value?).ok()?;
        row["window_end"].as_str().map(str::to_owned)
    });
    ends.max()
}

/// Waits until a window is written that ended after now, and says how long that took.
fn wait_for_results(world: &World, what: &str, began: Instant) {
    let now = clickstream_event::Timestamp::now().to_string();
    until(what, || {
        // while Kafka is away there is nothing to be read
        let reachable = std::net::TcpStream::connect(world.kafka()).is_ok()
            && world.status()["components"]
                .as_array()?
                .iter()
                .any(|c| c["name"] == "kafka" && c["state"] == "ready");
        (reachable && newest_window(world)? > now).then_some(())
    });
    println!("results again {:.1} s after {what}", began.elapsed().as_secs_f64());
}

#[test]
fn rows_equal_a_recount_after_killing_everything() {
    let options = [
        "--window",
        "8s",
        "--slide",
        "2s",
        "--session-gap",
        SESSION_GAP,
        "--taskmanager-heap",
        "400",
        "--checkpoint-interval",
        "3s",
        "--rate",
        "300",
    ];
    let mut world = World::new(&options);
    world.up(&SPOILT);
    wait_for_results(&world, "the start", Instant::now());
    crate::trace::check(world.data_dir(), 4);
    crate::chaos::check_injections(world.data_dir());
    crate::chaos::pause(world.data_dir(), "taskmanager");
    let mut visitor = None;
    for component in ["taskmanager", "kafka", "jobmanager", "sql-gateway"] {
        if component == "jobmanager" {
            visitor = Some(Visitor::come(&world));
        }
        let job = world.status()["job"]["id"].clone();
        let killed = Instant::now();
        let told = crate::chaos::kill(world.data_dir(), component);
        let pid = told["pid"].as_i64().unwrap() as i32;
        until("it is started again and everything runs", || {
            let status = world.status();
            let again = world.pid(component).is_some_and(|again| again != pid);
            // a new JobManager knows nothing of the job: it must be submitted anew
            let resubmitted = component != "jobmanager" || status["job"]["id"] != job;
            (again && resubmitted && status["state"] == "running" && status["job"]["state"] == "RUNNING")
                .then_some(())
        });
        wait_for_results(&world, &format!("kill -9 of the {component}"), killed);
    }
    // the proof beside the pipeline has seen all of it, and holds nothing against it
    let proven = world.output().lines().rev().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        (line["type"] == "stats").then_some(line)
    });
    let proven = proven.unwrap();
    assert!(
        proven["differences"] == 0 && proven["proven_rows"].as_u64() > Some(100),
        "{proven}\n{}",
        world.log("clickstream")
    );
    let visitor = visitor.unwrap();
    until("a session is older than what a replay reads anyway", || {
        (visitor.since.elapsed() > Duration::from_secs(95)).then_some(())
    });
    visitor.leave();
    // ourselves: nothing may be left behind, and the next `up` goes on
    let children: Vec<i32> = world.pids();
    world.kill("clickstream");
    until("no process is left", || children.iter().all(|pid| !is_alive(*pid)).then_some(()));
    world.up(&["--no-generate"]);
    let expected = check(&world, 8_000, 2_000);
    assert!(expected.balance[1] > 5_000, "{:?}", expected.balance);
    // without a checkpoint the log is replayed from where its open sessions begin, and the same rows are written once more
    let last = newest_window(&world).unwrap();
    let before = written(&world, &last);
    world.down();
    let checkpoints = clickstream_stack::layout::Layout::prepare(world.data_dir()).unwrap().checkpoints();
    std::fs::remove_dir_all(checkpoints).unwrap();
    world.up(&["--no-generate"]);
    until("the last window is written again", || (written(&world, &last) > before).then_some(()));
    assert!(world.log("clickstream").contains("by replaying the log from"), "{}", world.log("clickstream"));
    check(&world, 8_000, 2_000);
    world.down();
}

/// How often rows of the site were written that name this time.
fn written(world: &World, time: &str) -> usize {
    let records = world.read(topic::SITE_METRICS).into_iter().filter_map(|record| record.value);
    records.filter(|row| String::from_utf8_lossy(row).contains(time)).count()
}

/// Somebody who stays on the site, in one session.
struct Visitor {
    since: Instant,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Visitor {
    fn come(world: &World) -> Self {
        let (writer, stop) = (Writer::new(&world.kafka()), Arc::new(AtomicBool::new(false)));
        let is_gone = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            for n in 0.. {
                let time = clickstream_event::Timestamp::now();
                let event = format!(
                    r#"{{"event_id":"stays-{n}","site_id":"shop","event_type":"page_view","user_id":"stays","session_id":"stays","page_url":"/stays/{}","timestamp":"{time}"}}"#,
                    n % 3
                );
                writer.write(&[(0, Some(event.into_bytes()))]);
                if is_gone.load(Ordering::Relaxed) {
                    return;
                }
                std::thread::sleep(Duration::from_secs(1));
            }
        });
        Self { since: Instant::now(), stop, thread }
    }

    fn leave(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
    }
}

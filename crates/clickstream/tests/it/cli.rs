//! What is wrong is said in a sentence, with exit code 2, before anything is started.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::embedded::Running;
use crate::harness::{binary, signal, text, until};

fn refused(arguments: &[&str], words: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let output =
        binary().args(arguments).env("CLICKSTREAM_DATA_DIR", dir.path().join("data")).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} should say {word:?}: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn bad_input_is_explained() {
    refused(&["up", "--rtae", "5"], &["--rtae", "--rate"]);
    refused(&["up", "--rate", "5"], &["rate is `5` (from --rate)", "from 10 to 1000000"]);
    refused(&["up", "--rate", "many"], &["rate is `many`"]);
    refused(&["up", "--window", "5m", "--slide", "7s"], &["must divide the window", "294 s and 301 s"]);
    refused(&["up", "--window", "soon"], &["window is `soon`", "10s, 5m"]);
    refused(&["up", "--parallelism", "8"], &["exceeds the 4 partitions"]);
    refused(&["up", "--kafka", "localhost"], &["host:port"]);
    refused(&["up", "--flink", "http://localhost:8081"], &["--flink-gateway"]);
    refused(&["up", "--kafka-port", "8081"], &["must differ"]);
    refused(&["up", "--inject-late", "0.6", "--inject-future", "0.6"], &["exceed 1"]);
    refused(&["up", "--engine", "spark"], &["one of auto, flink, embedded"]);
    refused(&["explain", "--window-end", "soon"], &["--window-end is `soon`", "14:05:10"]);
    refused(
        &["explain", "--window-end", "12:00:00", "--metric", "fame"],
        &["metric is `fame`", "unique_users"],
    );
    refused(&["verify", "--engine", "embedded"], &["could not check", "up --embedded"]);
    refused(&["up", "--config", "/does/not/exist.toml"], &["/does/not/exist.toml"]);
    refused(&["up", "--collector-port", "9092"], &["collector-port is `9092`", "has that port"]);
    refused(&["up", "--collector-keys", "shop"], &["collector-keys is `shop`", "shop=8fJ2kQ"]);
    refused(&["up", "--collector-keys", "a=k,b=k"], &["the key k opens two sites"]);
    refused(&["up", "--collector-time", "sun"], &["one of arrival, client"]);
    refused(&["trace", "--offset", "5"], &["--offset is `5`", "2:18432"]);
    refused(&["trace", "--engine", "embedded"], &["up --embedded"]);
    refused(&["chaos"], &["Examples:", "kill", "pause", "inject"]);
    refused(&["chaos", "kill", "zookeeper"], &["zookeeper", "taskmanager"]);
    refused(&["chaos", "kill", "kafka"], &["nothing runs in", "clickstream up"]);
    refused(&["chaos", "inject", "late"], &["nothing runs in", "clickstream up"]);
    refused(&["chaos", "pause", "kafka", "--for", "ever"], &["--for is `ever`", "5s"]);
    refused(&["chaos", "inject", "late", "--count", "0"], &["--count", "1"]);
    refused(&["generate", "--data-dir", "/tmp"], &["--data-dir"]);
    refused(&["nonsense"], &["nonsense"]);
}

#[test]
fn unknown_keys_are_refused_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("clickstream.toml");
    std::fs::write(&file, "slidee = \"1s\"").unwrap();
    refused(&["config", "--config", file.to_str().unwrap()], &["slidee", "did you mean `slide`"]);
    let output = binary().arg("config").env("CLICKSTREAM_WINDOWS", "1m").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("CLICKSTREAM_WINDOW`"), "{}", text(&output));
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(&["up", "--kafka-port", &port], &[&port, "--kafka-port", "stop that process"]);
    refused(
        &["up", "--collector-port", &port],
        &[&port, "the collector", "--collector-port", "stop that process"],
    );
}

#[test]
fn a_data_directory_that_cannot_be_used_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    refused(&["up", "--data-dir", file.to_str().unwrap()], &["it is a file"]);
    refused(&["up", "--data-dir", "/proc/clickstream"], &["/proc/clickstream", "--data-dir"]);
    let corrupt = dir.path().join("corrupt");
    std::fs::create_dir_all(corrupt.join("kafka/data")).unwrap();
    std::fs::write(corrupt.join("kafka/data/meta.properties"), "garbage").unwrap();
    let full = "/dev/full";
    refused(&["up", "--data-dir", full], &["it is a file"]);
}

#[test]
fn without_java_the_install_command_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    let output = binary()
        .args(["up", "--engine", "flink", "--data-dir"])
        .arg(dir.path())
        .env("PATH", dir.path())
        .env_remove("JAVA_HOME")
        .output()
        .unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("Java 17") && said.contains("Install both with"), "{said}");
    // a Java that is too old is no better
    let old = dir.path().join("java");
    std::fs::write(&old, "#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n").unwrap();
    std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = binary()
        .args(["up", "--engine", "flink", "--data-dir"])
        .arg(dir.path())
        .env("PATH", dir.path())
        .env_remove("JAVA_HOME")
        .output()
        .unwrap();
    assert!(text(&output).contains("is Java 11"), "{}", text(&output));
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn nothing_is_asked_for_that_is_not_started() {
    let dir = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = binary();
        command.args(arguments).arg("--data-dir").arg(dir.path());
        command.env("PATH", dir.path()).env_remove("JAVA_HOME").output().unwrap()
    };
    let checks = |options: &[&str]| {
        let output = run(&[&["doctor", "--json"], options].concat());
        let checks: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        ["Java", "Maven"].map(|name| checks.iter().find(|check| check["name"] == name).unwrap()["ok"] == true)
    };
    let kafka = ["--kafka", "127.0.0.1:1"];
    let flink = ["--flink", "http://127.0.0.1:1", "--flink-gateway", "http://127.0.0.1:1"];
    assert_eq!(checks(&[]), [false, false]);
    assert_eq!(checks(&flink), [false, false]);
    assert_eq!(checks(&[&kafka[..], &flink].concat()), [true, true]);
    // a Java, and of the two runtimes Flink
    let java = dir.path().join("java");
    std::fs::write(&java, "#!/bin/sh\necho 'openjdk version \"21.0.1\"' >&2\n").unwrap();
    std::fs::set_permissions(&java, std::fs::Permissions::from_mode(0o755)).unwrap();
    let lib = dir.path().join("runtime/flink/lib");
    std::fs::create_dir_all(&lib).unwrap();
    std::fs::write(lib.join("a.jar"), b"PK\x05\x06whole").unwrap();
    let pom = clickstream_stack::provision::FLINK.pom;
    let manifest = serde_json::json!({ "pom": pom, "files": [["a.jar", 9]] });
    std::fs::write(dir.path().join("runtime/flink/manifest.json"), manifest.to_string()).unwrap();
    assert_eq!(checks(&[]), [true, false]);
    assert_eq!(checks(&kafka), [true, true]);
    // `up` comes as far as its ports
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = text(&run(&[&["up", "--engine", "flink", "--flink-port", &port], &kafka[..]].concat()));
    assert!(!said.contains("Maven") && said.contains(&port), "{said}");
}

#[test]
fn kafka_that_is_not_there_is_reported() {
    let port = clickstream_stack::ports::free_port().to_string();
    let output = binary()
        .args(["generate", "--kafka", &format!("127.0.0.1:{port}"), "--duration", "1s"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("is a broker running there?"), "{}", text(&output));
}

#[test]
fn purge_asks_and_deletes_only_what_is_ours() {
    let dir = tempfile::tempdir().unwrap();
    let purge = |more: &[&str]| {
        binary()
            .args(["purge", "--data-dir"])
            .arg(dir.path())
            .args(more)
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap()
    };
    assert!(text(&purge(&[])).contains("nothing to delete"));
    std::fs::create_dir_all(dir.path().join("kafka/data")).unwrap();
    std::fs::write(dir.path().join("mine.txt"), "").unwrap();
    let output = purge(&[]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("--yes") && dir.path().join("kafka").exists());
    assert!(purge(&["--yes"]).status.success());
    assert!(!dir.path().join("kafka").exists() && dir.path().join("mine.txt").exists());
}

#[test]
fn nothing_runs_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    for command in ["status", "down"] {
        let output = binary().args([command, "--data-dir"]).arg(dir.path()).output().unwrap();
        assert!(output.status.success() && text(&output).contains("nothing runs"), "{}", text(&output));
    }
    let output = binary().args(["status", "--json", "--data-dir"]).arg(dir.path()).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["state"], "stopped");
}

#[test]
fn a_terminal_that_is_closed_stops_everything_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("logs/clickstream.log");
    let state = || std::fs::read_to_string(dir.path().join("run/state.json")).unwrap_or_default();
    let running = Running::up(dir.path(), &[]);
    until("it runs", || state().contains("running").then_some(()));
    running.end_by(libc::SIGHUP);
    assert!(state().contains("stopped"), "{}", state());
    assert!(!std::fs::read_to_string(log).unwrap().contains("panicked"));

    // unless it was meant to stay
    let mut process = Command::new("nohup");
    process.arg(binary().get_program()).args(["up", "--embedded", "--http-port", "0", "--no-collector"]);
    process.args(["--duration", "4s", "--data-dir"]).arg(dir.path()).stdin(Stdio::null());
    let mut staying = process.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    until("it runs", || state().contains("running").then_some(()));
    signal(staying.id() as i32, libc::SIGHUP);
    std::thread::sleep(Duration::from_millis(500));
    assert!(state().contains("running"), "{}", state());
    assert!(staying.wait().unwrap().success());
}

#[test]
fn config_shows_sources_and_piped_output_is_plain() {
    let output = binary().args(["config", "--rate", "250"]).env("CLICKSTREAM_SLIDE", "5s").output().unwrap();
    let said = text(&output);
    assert!(output.status.success() && !said.contains('\u{1b}'), "{said}");
    let line = |key: &str| said.lines().find(|l| l.trim_start().starts_with(key)).unwrap().to_owned();
    assert!(line("rate").contains("250") && line("rate").contains("--rate"));
    assert!(line("slide").contains("CLICKSTREAM_SLIDE"));
    let output = binary().args(["config", "--json"]).output().unwrap();
    let all: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(all["window"]["value"], "5m");
    let help = text(&binary().args(["up", "--help"]).output().unwrap());
    assert!(
        help.contains("Examples:") && help.contains("--max-disorder") && !help.contains('\u{1b}'),
        "{help}"
    );
}

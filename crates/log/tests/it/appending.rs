//! Topics, commits, rolling, retention, and what is refused.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use clickstream_log::{Log, LogError, Options, Reader, Record, Topic, bounds, commit_together};

use crate::harness::{TOPIC, append, drain, offsets, open, options, segments};

#[test]
fn records_come_back_as_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), Options::default()).unwrap();
    let mut topic = log.topic(TOPIC, 3).unwrap();
    let full = Record { arrival_ms: -1, key: Some(b"k"), truth: Some(b"t"), value: Some(b"v") };
    let empty = Record { arrival_ms: i64::MAX, key: Some(b""), truth: Some(b""), value: Some(b"") };
    let absent = Record { arrival_ms: i64::MIN, ..Record::default() };
    for (offset, record) in [full, empty, absent].iter().enumerate() {
        assert_eq!(topic.append(1, record).unwrap(), offset as u64);
    }
    assert_eq!(topic.high(1), Some(0), "nothing is acknowledged before the commit");
    assert_eq!(topic.commit().unwrap(), [0, 3, 0]);

    let mut reader = Reader::open(dir.path(), TOPIC, 1, 0).unwrap();
    for (offset, record) in [full, empty, absent].iter().enumerate() {
        let read = reader.next().unwrap().unwrap();
        let fields = (read.arrival_ms, read.key, read.truth, read.value);
        assert_eq!(fields, (record.arrival_ms, record.key, record.truth, record.value));
        assert_eq!(read.offset, offset as u64);
    }
    assert!(reader.next().unwrap().is_none());
    assert_eq!(bounds(dir.path(), TOPIC, 1).unwrap(), 0..3);
}

#[test]
fn offsets_go_on_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let (_log, mut topic) = open(dir.path(), 200).unwrap();
        assert_eq!(topic.high(0), Some(round * 2));
        append(&mut topic, 0, b"committed");
        append(&mut topic, 0, b"committed");
        topic.commit().unwrap();
        append(&mut topic, 0, b"forgotten: never committed");
    }
    assert_eq!(offsets(dir.path(), 0).unwrap(), (0..10).collect::<Vec<_>>());
    assert!(segments(dir.path()).len() > 1);
}

#[test]
fn a_log_and_a_topic_have_one_writer() {
    let dir = tempfile::tempdir().unwrap();
    let (log, topic) = open(dir.path(), 1000).unwrap();
    assert!(matches!(Log::open(dir.path(), options(1000)), Err(LogError::Locked { .. })));
    assert!(matches!(log.topic(TOPIC, 1), Err(LogError::TopicOpen { .. })));
    drop(log);
    assert!(matches!(Log::open(dir.path(), options(1000)), Err(LogError::Locked { .. })), "a topic holds it");
    drop(topic);
    let (log, topic) = open(dir.path(), 1000).unwrap();
    drop(topic);
    assert!(log.topic(TOPIC, 1).is_ok());
}

#[test]
fn partitions_are_fixed() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), options(1000)).unwrap();
    drop(log.topic(TOPIC, 4).unwrap());
    let error = log.topic(TOPIC, 8).unwrap_err().to_string();
    assert!(error.contains("has 4 partitions on disk, not 8"), "{error}");
    let mut topic = log.topic(TOPIC, 4).unwrap();
    assert!(matches!(topic.append(4, &Record::default()), Err(LogError::NoPartition { .. })));
    assert!(matches!(topic.reader(4, 0), Err(LogError::NoPartition { .. })));
    assert!(matches!(log.topic("x", 0), Err(LogError::PartitionCount { .. })));
    for name in ["", ".hidden", "a/b", "~x", "ü"] {
        assert!(matches!(log.topic(name, 1), Err(LogError::TopicName { .. })), "{name}");
    }
}

#[test]
fn a_topic_half_created_is_created_anew() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), options(1000)).unwrap();
    fs::create_dir_all(dir.path().join("~x").join("0")).unwrap();
    assert_eq!(log.topic("x", 3).unwrap().partitions(), 3);
    assert!(!dir.path().join("~x").exists());
}

#[test]
fn topics_commit_together_and_tell() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), Options::default()).unwrap();
    let (mut a, mut b) = (log.topic("a", 1).unwrap(), log.topic("b", 2).unwrap());
    let (commits, calls) = (log.commits(), Arc::new(AtomicU32::new(0)));
    let counter = calls.clone();
    commits.on_commit(move || {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    append(&mut a, 0, b"a");
    b.append(1, &Record::default()).unwrap();
    let seen = commits.count();
    assert_eq!(commits.wait(seen, Duration::from_millis(1)), seen);
    let waiter = std::thread::spawn(move || commits.wait(seen, Duration::from_secs(60)));
    commit_together(&mut [&mut a, &mut b]).unwrap();
    assert_eq!(waiter.join().unwrap(), seen + 1);
    assert_eq!((a.ends(), b.ends()), (&[1][..], &[0, 1][..]));
    commit_together(&mut [&mut a, &mut b]).unwrap();
    assert_eq!(calls.load(Ordering::Relaxed), 1, "a commit of nothing tells nothing");
}

#[test]
fn retention_deletes_whole_old_segments() {
    let dir = tempfile::tempdir().unwrap();
    let (log, mut topic) = open(dir.path(), 1).unwrap();
    for n in 0..10 {
        append(&mut topic, n, b"one frame, one segment");
        topic.commit().unwrap();
    }
    // an early arrival behind a late one stays: segments go oldest first
    append(&mut topic, 3, b"x");
    topic.commit().unwrap();
    assert_eq!(topic.retain(5).unwrap(), 5);
    assert_eq!((topic.low(0), topic.high(0)), (Some(5), Some(11)));
    assert_eq!(offsets(dir.path(), 5).unwrap(), (5..11).collect::<Vec<_>>());
    assert!(matches!(offsets(dir.path(), 4), Err(LogError::BelowLow { low: 5, .. })));
    assert!(matches!(offsets(dir.path(), 12), Err(LogError::AboveHigh { high: 11, .. })));
    assert_eq!(offsets(dir.path(), 11).unwrap(), [0; 0]);
    assert_eq!(bounds(dir.path(), TOPIC, 0).unwrap(), 5..11);

    // after reopening the arrivals are read from the files
    drop((log, topic));
    let (_log, mut topic) = open(dir.path(), 1).unwrap();
    assert_eq!(topic.retain(8).unwrap(), 3);
    assert_eq!(topic.retain(i64::MAX).unwrap(), 2, "the newest stays");
    assert_eq!((topic.low(0), topic.high(0)), (Some(10), Some(11)));
    append(&mut topic, 0, b"x");
    assert_eq!(topic.commit().unwrap(), [12]);
}

#[test]
fn a_failed_write_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::open(dir.path(), options(1)).unwrap();
    let mut topic = log.topic(TOPIC, 2).unwrap();
    let both = |topic: &mut Topic| [0, 1].map(|p| topic.append(p, &Record::default()).unwrap());
    both(&mut topic);
    topic.commit().unwrap();
    both(&mut topic);
    // rolling fails in the second partition: a directory has the name of the next segment
    let obstacle = dir.path().join(TOPIC).join("1").join(format!("{:020}.log", 1));
    fs::create_dir(&obstacle).unwrap();
    for _ in 0..2 {
        assert!(matches!(topic.commit(), Err(LogError::Io { .. })));
        assert_eq!(topic.ends(), [1, 1]);
    }
    // the first was written and is not acknowledged
    let mut ours = topic.reader(0, 1).unwrap();
    assert_eq!(offsets(dir.path(), 0).unwrap(), [0, 1]);
    assert!(ours.next().unwrap().is_none());
    assert_eq!(both(&mut topic), [2, 2]);
    fs::remove_dir(&obstacle).unwrap();
    assert_eq!(topic.commit().unwrap(), [3, 3]);
    assert_eq!(drain(&mut ours).unwrap().len(), 2);
    let mut second = topic.reader(1, 0).unwrap();
    assert_eq!(drain(&mut second).unwrap().len(), 3);
}

/// Acts as the process whose files may not grow any more, when the test below starts it.
#[test]
fn child_with_a_full_disk() {
    let Some(dir) = std::env::var_os("CLICKSTREAM_LOG_FULL_DISK") else { return };
    let dir = std::path::PathBuf::from(dir);
    let (_log, mut topic) = open(&dir, 1_000_000).unwrap();
    append(&mut topic, 0, &[b'a'; 3_000]);
    topic.commit().unwrap();
    let length = fs::metadata(&segments(&dir)[0]).unwrap().len();
    append(&mut topic, 0, &[b'b'; 30_000]);
    for _ in 0..2 {
        assert!(matches!(topic.commit(), Err(LogError::Io { action: "append to", .. })));
        assert_eq!(fs::metadata(&segments(&dir)[0]).unwrap().len(), length, "no part of the frame stays");
    }
    assert_eq!(topic.ends(), [1]);
    println!("nothing half-written");
}

#[test]
fn a_full_disk_leaves_no_half_frame() {
    let dir = tempfile::tempdir().unwrap();
    // a limit on the size of files (in units of 512 or 1024 bytes) fails in the middle of a write, as a full disk does
    let child = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "appending::child_with_a_full_disk", "--nocapture"])
        .env("CLICKSTREAM_LOG_FULL_DISK", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(child.status.success() && said.contains("nothing half-written"), "{said}{child:?}");
    assert_eq!(open(dir.path(), 1_000_000).unwrap().1.ends(), [1]);
}

//! How many records a second the log takes and gives, on one core.
//!
//! `cargo run --release -p clickstream-log --example throughput -- [records] [bytes] [records per commit] [sync]`

use std::error::Error;
use std::time::Instant;

use clickstream_log::{Log, Options, Reader, Record};

fn main() -> Result<(), Box<dyn Error>> {
    let mut numbers = std::env::args().skip(1);
    let mut number = |default: u64| numbers.next().map_or(Ok(default), |text| text.parse::<u64>());
    let (records, bytes, frame, sync) = (number(5_000_000)?, number(300)?, number(2_000)?, number(0)? != 0);
    let dir = tempfile::tempdir_in(std::env::var_os("DIR").unwrap_or_else(|| ".".into()))?;
    let value = vec![b'x'; bytes as usize];

    let begun = Instant::now();
    let log = Log::open(dir.path(), Options { sync, ..Options::default() })?;
    let mut topic = log.topic("events", 1)?;
    for n in 0..records {
        let key = n.to_le_bytes();
        let (key, value) = (Some(key.as_slice()), Some(value.as_slice()));
        topic.append(0, &Record { arrival_ms: (n / 1_000) as i64, key, truth: None, value })?;
        if (n + 1) % frame == 0 {
            topic.commit()?;
        }
    }
    topic.commit()?;
    report("appended", records, begun);
    drop(topic);

    let begun = Instant::now();
    let topic = log.topic("events", 1)?;
    println!("opened again in {:.1} ms", begun.elapsed().as_secs_f64() * 1e3);

    let begun = Instant::now();
    let mut reader = topic.reader(0, 0)?;
    let mut sum = 0;
    while let Some(record) = reader.next()? {
        sum += record.value.map_or(0, <[u8]>::len) as u64;
    }
    assert_eq!(sum, records * bytes);
    report("read", records, begun);

    let begun = Instant::now();
    let mut reader = Reader::open(dir.path(), "events", 0, records / 2)?;
    let opened = begun.elapsed();
    let found = reader.seek_arrival((records / 3_000) as i64)?;
    let (opened, sought) = (opened.as_secs_f64() * 1e3, (begun.elapsed() - opened).as_secs_f64() * 1e3);
    println!("opened in the middle in {opened:.2} ms; sought an arrival in {sought:.2} ms, offset {found}");
    Ok(())
}

fn report(what: &str, records: u64, begun: Instant) {
    let seconds = begun.elapsed().as_secs_f64();
    println!("{what} {records} records in {seconds:.2} s: {:.2} million/s", records as f64 / seconds / 1e6);
}

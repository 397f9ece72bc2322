//! t
use std::time::Duration;
struct Instant(u64);
impl Instant {
    fn cpu() -> u64 {
        std::fs::read_to_string("/proc/thread-self/schedstat")
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap()
    }
    fn now() -> Self {
        Instant(Self::cpu())
    }
    fn elapsed(&self) -> Duration {
        Duration::from_nanos(Self::cpu() - self.0)
    }
}
use clickstream_engine::workload::*;
use clickstream_engine::*;
use clickstream_event::*;
fn main() {
    let windows = Windows::new(300_000, 10_000).unwrap();
    let n: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(8_000_000);
    let mode = std::env::args().nth(2).unwrap_or("p".into());
    let begin = Timestamp(1_795_583_040_000);
    let mut load = Workload::new(workload::Shape::default(), begin, 1);
    let mut e = Engine::new(Config::new(windows), 1);
    let pr = e.preparer();
    let mut prep = Duration::ZERO;
    let mut push = Duration::ZERO;
    let mut dec = Duration::ZERO;
    let mut rows = 0;
    for _ in 0..n / 8192 {
        let chunk = load.chunk(8192);
        let mut buf = Vec::new();
        let mut ends = vec![];
        let recs: Vec<Record> = if mode == "j" {
            for r in &chunk {
                if let Record::Event(ev, ts) = r {
                    ev.encode(&mut buf);
                    ends.push((buf.len(), *ts));
                }
            }
            let t = Instant::now();
            let mut s = 0;
            let mut v = Vec::with_capacity(8192);
            for (end, ts) in &ends {
                v.push(decode(&buf[s..*end], *ts, Rules::default()).unwrap());
                s = *end;
            }
            dec += t.elapsed();
            v
        } else {
            chunk
        };
        let t = Instant::now();
        let ps: Vec<Prepared> = recs.into_iter().map(|r| pr.prepare(r)).collect();
        prep += t.elapsed();
        let t = Instant::now();
        for c in ps.chunks(32) {
            e.warm(c);
            for p in c {
                e.push_prepared(0, p.event_time, p);
            }
        }
        for w in e.closed() {
            rows += w.pages.len();
        }
        push += t.elapsed();
    }
    let per = |d: Duration| d.as_nanos() as f64 / n as f64;
    println!("decode {:.1} prepare {:.1} push {:.1} ns/event rows {rows}", per(dec), per(prep), per(push));
}

use std::time::Instant;
use clickstream_engine::*; use clickstream_engine::workload::*; use clickstream_event::*;
fn main(){
  let windows=Windows::new(300_000,10_000).unwrap();
  let n: u64 = std::env::args().nth(1).and_then(|a|a.parse().ok()).unwrap_or(8_000_000);
  let begin=Timestamp(1_795_583_040_000);
  let mut load=Workload::new(workload::Shape::default(),begin,1);
  let t=Instant::now();
  for _ in 0..n { std::hint::black_box(load.next_event()); }
  let gen_only=t.elapsed();
  let mut load=Workload::new(workload::Shape::default(),begin,1);
  let mut e=Engine::new(Config::new(windows),1);
  let t=Instant::now(); let mut fire=vec![]; let mut rows=0;
  for _ in 0..n { let r=load.next_event(); let ts=r.event_time(); e.push_record(0,ts,&r);
    if e.has_closed(){ let f=Instant::now(); for w in e.closed(){rows+=w.pages.len();} fire.push(f.elapsed()); } }
  let all=t.elapsed();
  let net=all-gen_only;
  println!("gen {:?} all {:?} net {:?} = {:.1} ns/event {:.2} M/s rows {rows}", gen_only, all, net, net.as_nanos() as f64/n as f64, n as f64/net.as_secs_f64()/1e6);
  // json
  let mut load=Workload::new(workload::Shape::default(),begin,1);
  let mut buf=Vec::new(); let mut ends=vec![]; let m=2_000_000.min(n);
  for _ in 0..m { if let Record::Event(ev,ts)=load.next_event(){ ev.encode(&mut buf); ends.push((buf.len(),ts)); } }
  println!("bytes/event {}", buf.len()/m as usize);
  let t=Instant::now(); let mut s=0; let mut ok=0;
  for (end,ts) in &ends { if decode(&buf[s..*end],*ts,Rules::default()).is_ok(){ok+=1}; s=*end; }
  println!("decode {:.1} ns {ok}", t.elapsed().as_nanos() as f64/m as f64);
  let mut e=Engine::new(Config::new(windows),1);
  let t=Instant::now(); let mut s=0;
  for (end,ts) in &ends { e.push(0,*ts,Some(&buf[s..*end])); s=*end; e.closed(); }
  println!("json {:.1} ns", t.elapsed().as_nanos() as f64/m as f64);
}

//! Counting on several cores: a shard of the users on each, merged exactly when a window ends.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use clickstream_engine::engine::Shards;
use clickstream_engine::shard::{Counted, Shard, Totals};

/// Events that travel together.
const BATCH: usize = 1_024;
/// Batches a shard may be behind.
const BEHIND: usize = 8;

/// Where counting is done.
pub type Counting = Box<dyn Shards + Send>;

/// As many shards as cores that have nothing else to do: one core takes events, one makes them or writes the log.
pub fn for_this_machine(slices: u32) -> Counting {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match cores.saturating_sub(2) {
        0 | 1 => Box::new(vec![Shard::new(slices)]),
        spare => Box::new(ThreadedShards::new(slices, spare.min(8))),
    }
}

enum Message {
    Count(Vec<Counted>, u32),
    EndSlice(u32),
}

/// Shards that count in threads of their own.
pub struct ThreadedShards {
    shards: Vec<SyncSender<Message>>,
    batches: Vec<Vec<Counted>>,
    totals: Receiver<Totals>,
    threads: Vec<JoinHandle<()>>,
}

impl ThreadedShards {
    /// `n` shards over windows of `slices` slices.
    pub fn new(slices: u32, n: usize) -> Self {
        let (answer, totals) = channel();
        let (shards, threads) = (0..n.max(1)).map(|_| spawn(slices, answer.clone())).unzip();
        Self { shards, batches: vec![Vec::with_capacity(BATCH); n.max(1)], totals, threads }
    }

    fn send(&mut self, shard: usize, slice: u32) {
        let batch = std::mem::replace(&mut self.batches[shard], Vec::with_capacity(BATCH));
        // a shard ends only after this does
        let _ = self.shards[shard].send(Message::Count(batch, slice));
    }
}

fn spawn(slices: u32, answer: Sender<Totals>) -> (SyncSender<Message>, JoinHandle<()>) {
    let (sender, messages) = sync_channel(BEHIND);
    let thread = std::thread::spawn(move || {
        let mut shard = Shard::new(slices);
        for message in messages {
            match message {
                Message::Count(events, slice) => shard.count(&events, slice),
                Message::EndSlice(slice) => {
                    if answer.send(shard.end_slice(slice)).is_err() {
                        return;
                    }
                }
            }
        }
    });
    (sender, thread)
}

impl Shards for ThreadedShards {
    fn count(&mut self, events: &[Counted], slice: u32) {
        let n = self.shards.len();
        for event in events {
            let shard = event.shard(n);
            self.batches[shard].push(*event);
            if self.batches[shard].len() >= BATCH {
                self.send(shard, slice);
            }
        }
    }

    fn end_slice(&mut self, slice: u32) -> Totals {
        for shard in 0..self.shards.len() {
            self.send(shard, slice);
            let _ = self.shards[shard].send(Message::EndSlice(slice));
        }
        let mut all = Totals::default();
        self.totals.iter().take(self.shards.len()).for_each(|totals| all.append(totals));
        all
    }
}

impl Drop for ThreadedShards {
    fn drop(&mut self) {
        self.shards.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickstream_engine::workload::{Shape, Workload};
    use clickstream_engine::{Config, Engine, Window};
    use clickstream_event::{Timestamp, Windows};

    #[test]
    fn any_number_of_shards_gives_the_same_rows() {
        let config = Config::new(Windows::new(6_000, 2_000).unwrap());
        let run = |shards: Counting| -> Vec<Window> {
            let mut load =
                Workload::new(Shape { users: 500, rate: 1_000, ..Shape::default() }, Timestamp(0), 3);
            let mut engine = Engine::with_shards(config, 1, shards);
            let mut windows = Vec::new();
            for record in load.chunk(20_000) {
                engine.push_record(0, record.event_time(), &record);
                windows.extend(engine.closed());
            }
            windows
                .iter_mut()
                .for_each(|window: &mut Window| window.pages.sort_by(|a, b| a.page_url.cmp(&b.page_url)));
            windows
        };
        let one = run(Box::new(vec![Shard::new(3)]));
        assert!(one.len() > 5);
        for n in [1, 3] {
            assert!(run(Box::new(ThreadedShards::new(3, n))) == one, "{n} threads");
        }
    }
}

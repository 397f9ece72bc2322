//! How much memory each JVM gets, and with which options it runs.
//!
//! The JobManager and the SQL Gateway do little each second: the C1 compiler and the serial collector keep them
//! small. Kafka works on every event and every row, for which the optimising compiler pays, but keeps little: the serial collector, too.
//! The TaskManager does the work: both compilers, and G1, whose pauses stay short with gigabytes of state.

/// Memory of the TaskManager, in MiB, part by part as Flink wants it when started without its shell scripts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TaskManagerMemory {
    /// Heap for state and operators.
    pub task_heap: u64,
    /// Heap of Flink itself.
    pub framework_heap: u64,
    /// Native memory of Flink itself.
    pub framework_off_heap: u64,
    /// Managed memory: buffers of the window operators.
    pub managed: u64,
    /// Network buffers.
    pub network: u64,
    /// Class metadata.
    pub metaspace: u64,
    /// Threads, code and whatever else the JVM takes.
    pub overhead: u64,
}

impl TaskManagerMemory {
    /// The whole heap, as for `-Xmx`.
    pub fn heap(&self) -> u64 {
        self.task_heap + self.framework_heap
    }
    /// Direct memory, as for `-XX:MaxDirectMemorySize`.
    pub fn direct(&self) -> u64 {
        self.framework_off_heap + self.network
    }
    /// Everything.
    pub fn total(&self) -> u64 {
        self.heap() + self.framework_off_heap + self.managed + self.network + self.metaspace + self.overhead
    }
}

/// Smallest and largest task heap that the automatic choice gives, in MiB.
const TASK_HEAP: std::ops::RangeInclusive<u64> = 448..=6144;

/// State of the job per event per second, in KiB: what stays in memory of one event, times how long it stays.
const KIB_PER_RATE: u64 = 1100;

/// The task heap in MiB for `rate` events per second in windows of `window_s`, on a machine with `machine_mib`: what the
/// state needs and as much again (a collector with little room left stops everything for seconds), within bounds, and
/// never more than a third of the machine.
pub fn task_heap(rate: u64, window_s: u64, machine_mib: u64) -> u64 {
    // the state of five minutes was measured; other windows hold theirs in proportion
    let state = rate.saturating_mul(KIB_PER_RATE) / 1024 * (window_s + 120) / 420;
    (20 + state).clamp(*TASK_HEAP.start(), *TASK_HEAP.end()).min((machine_mib / 3).max(*TASK_HEAP.start()))
}

/// The TaskManager's memory for a task heap and a number of task slots.
pub fn task_manager(task_heap: u64, slots: u64) -> TaskManagerMemory {
    TaskManagerMemory {
        task_heap,
        framework_heap: 64,
        framework_off_heap: 64,
        // every window operator of a slot takes its share and refuses to start with less than about 2 MiB of it
        managed: 144 * slots.max(1),
        network: 48,
        metaspace: 192,
        overhead: 160,
    }
}

/// The machine's memory in MiB; 8 GiB where the system does not tell.
pub fn machine_mib() -> u64 {
    let total = || -> Option<u64> {
        let info = std::fs::read_to_string("/proc/meminfo").ok()?;
        let line = info.lines().find(|line| line.starts_with("MemTotal:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
    };
    total().unwrap_or(8192)
}

/// Options of every JVM: what its compilers and classes took from the C library and need no more goes back to the system (the
/// library keeps it otherwise, hundreds of MiB after a start). Older JVMs do not know the option.
pub fn trimmed() -> [String; 2] {
    ["-XX:+IgnoreUnrecognizedVMOptions".into(), "-XX:TrimNativeHeapInterval=30000".into()]
}

/// Options of a JVM that has little to do, with a heap of at most `heap` MiB.
pub fn idle_jvm(heap: u64) -> Vec<String> {
    let mut options = small_jvm(heap);
    options.push("-XX:TieredStopAtLevel=1".into());
    options
}

/// Options of a JVM with a heap of at most `heap` MiB, in which little stays.
pub fn small_jvm(heap: u64) -> Vec<String> {
    [
        format!("-Xmx{heap}m"),
        "-Xms48m".into(),
        "-XX:+UseSerialGC".into(),
        // give memory back that start-up needed
        "-XX:MinHeapFreeRatio=15".into(),
        "-XX:MaxHeapFreeRatio=30".into(),
        "-XX:+ExitOnOutOfMemoryError".into(),
        "-Xshare:auto".into(),
    ]
    .into_iter()
    .chain(trimmed())
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_with_the_load_within_the_machine() {
        assert!(task_heap(1000, 300, 24_000) < 1300);
        assert!(task_heap(5000, 300, 24_000) > 2000);
        assert_eq!(task_heap(10, 300, 24_000), *TASK_HEAP.start());
        assert!(task_heap(5000, 300, 4_000) <= 4_000 / 3);
        let memory = task_manager(700, 1);
        assert_eq!(memory.total(), 700 + 64 + 64 + 144 + 48 + 192 + 160);
    }
}

//! The three Flink processes: JobManager, TaskManager, SQL Gateway.

use std::fs;
use std::path::Path;

use crate::class_archive::{self, ClassArchive};
use crate::error::{Result, StackError};
use crate::java::Java;
use crate::layout::Layout;
use crate::memory::{self, TaskManagerMemory};
use crate::ports::free_port;
use crate::supervisor::Spec;

/// What the cluster needs to know.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Port of the JobManager's REST interface and web UI.
    pub rest_port: u16,
    /// Port of the SQL Gateway.
    pub gateway_port: u16,
    /// Task slots, as many as the job is parallel: each takes its share of managed memory.
    pub slots: u64,
    /// The TaskManager's memory.
    pub memory: TaskManagerMemory,
    /// Further options of the TaskManager's JVM.
    pub task_manager_options: Vec<String>,
}

/// When a window ends, the TaskManager has work for every core, for half a second. Whoever has little to do and is waited for, the broker, the
/// producer, the server of the dashboard, should not queue behind some fifty tasks.
const TASK_MANAGER_NICE: i32 = 10;

/// Packages that Flink opens to itself in its own shell scripts.
const OPENS: [&str; 13] = [
    "java.base/java.lang",
    "java.base/java.net",
    "java.base/java.io",
    "java.base/java.nio",
    "java.base/sun.nio.ch",
    "java.base/java.lang.reflect",
    "java.base/java.text",
    "java.base/java.time",
    "java.base/java.util",
    "java.base/java.util.concurrent",
    "java.base/java.util.concurrent.atomic",
    "java.base/java.util.concurrent.locks",
    "java.base/sun.net.util",
];

impl Cluster {
    /// Address of the JobManager's REST interface.
    pub fn rest_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.rest_port)
    }

    /// Address of the SQL Gateway.
    pub fn gateway_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.gateway_port)
    }

    /// Writes the configuration and says how to start JobManager, TaskManager and SQL Gateway, in this order.
    pub fn prepare(&self, layout: &Layout, lib: &Path, java: &Java, log4j: &Path) -> Result<[Spec; 3]> {
        let dir = layout.flink();
        let conf = dir.join("conf");
        let scratch = dir.join("tmp");
        // scratch of a run that was killed is of no use to this one
        let _ = fs::remove_dir_all(&scratch);
        for dir in [&conf, &scratch, &layout.checkpoints()] {
            fs::create_dir_all(dir).map_err(StackError::io(format!("cannot create {}", dir.display())))?;
        }
        let file = conf.join("config.yaml");
        fs::write(&file, self.config(layout, free_port()))
            .map_err(StackError::io(format!("cannot write {}", file.display())))?;
        let jvm = |options: Vec<String>, main: &str, arguments: Vec<String>| {
            let mut command = vec![java.program.display().to_string()];
            command.extend(options);
            command.push("--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED".into());
            command.extend(OPENS.iter().map(|package| format!("--add-opens={package}=ALL-UNNAMED")));
            command.push(format!("-Dlog4j.configurationFile={}", log4j.display()));
            command.push(format!("-Djava.io.tmpdir={}", scratch.display()));
            command.extend([
                "-cp".into(),
                class_archive::class_path(lib),
                main.into(),
                "--configDir".into(),
                conf.display().to_string(),
            ]);
            command.extend(arguments);
            command
        };
        let spec = |name: &'static str, address: String, mut command: Vec<String>| {
            let archive = ClassArchive::new(lib, name, java);
            command.splice(1..1, archive.options());
            Spec {
                name,
                address,
                command,
                environment: vec![
                    ("FLINK_CONF_DIR".into(), conf.display().to_string()),
                    ("MALLOC_ARENA_MAX".into(), "2".into()),
                ],
                log: layout.log_of(name),
                archive: Some(archive),
                nice: 0,
            }
        };
        let heap = self.memory.heap();
        let mut task_manager_options = vec![
            format!("-Xmx{heap}m"),
            format!("-Xms{}m", heap.min(256)),
            format!("-XX:MaxDirectMemorySize={}m", self.memory.direct()),
            format!("-XX:MaxMetaspaceSize={}m", self.memory.metaspace),
            "-XX:+ExitOnOutOfMemoryError".into(),
            "-Xshare:auto".into(),
            // generated code has methods longer than what is compiled by default, and some of them see every event
            "-XX:-DontCompileHugeMethods".into(),
            // much of what the optimising compiler does at a start is for code that soon rests again, such as the compiler of
            // generated classes: it waits for code that is called a few times as often as it would by default
            "-XX:Tier4InvocationThreshold=20000".into(),
            "-XX:Tier4MinInvocationThreshold=3000".into(),
            "-XX:Tier4CompileThreshold=50000".into(),
            "-XX:Tier4BackEdgeThreshold=150000".into(),
        ];
        task_manager_options.extend(memory::trimmed());
        let collector_chosen = self
            .task_manager_options
            .iter()
            .any(|option| option.starts_with("-XX:+Use") && option.ends_with("GC"));
        if !collector_chosen {
            // nearly all that is new either dies at once or stays for minutes: a large young generation copies it once,
            // and large regions leave fewer references between regions to keep account of
            task_manager_options.extend(
                [
                    "-XX:+UseG1GC",
                    "-XX:MaxGCPauseMillis=200",
                    "-XX:+UnlockExperimentalVMOptions",
                    "-XX:G1NewSizePercent=20",
                    "-XX:G1HeapRegionSize=8m",
                ]
                .map(str::to_owned),
            );
        }
        task_manager_options.extend(self.task_manager_options.iter().cloned());
        Ok([
            spec(
                "jobmanager",
                self.rest_url(),
                jvm(
                    memory::idle_jvm(256),
                    "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
                    vec![],
                ),
            ),
            Spec {
                nice: TASK_MANAGER_NICE,
                ..spec(
                    "taskmanager",
                    String::new(),
                    jvm(
                        task_manager_options,
                        "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
                        self.dynamic_properties(),
                    ),
                )
            },
            spec(
                "sql-gateway",
                self.gateway_url(),
                jvm(memory::idle_jvm(320), "org.apache.flink.table.gateway.SqlGateway", vec![]),
            ),
        ])
    }

    fn config(&self, layout: &Layout, rpc_port: u16) -> String {
        let Self { rest_port, gateway_port, slots, .. } = self;
        let checkpoints = layout.checkpoints();
        let (checkpoints, scratch) =
            (checkpoints.display(), layout.flink().join("tmp").display().to_string());
        format!(
            "# Written by clickstream at every start; changes are lost.\n\
             jobmanager.rpc.address: 127.0.0.1\n\
             jobmanager.rpc.port: {rpc_port}\n\
             jobmanager.bind-host: 127.0.0.1\n\
             jobmanager.memory.process.size: 700m\n\
             taskmanager.host: 127.0.0.1\n\
             taskmanager.bind-host: 127.0.0.1\n\
             taskmanager.numberOfTaskSlots: {slots}\n\
             rest.address: 127.0.0.1\n\
             rest.bind-address: 127.0.0.1\n\
             rest.port: {rest_port}\n\
             # a page in a browser may reach this port: it must not read answers, nor hand in programs\n\
             web.access-control-allow-origin: http://127.0.0.1:{rest_port}\n\
             web.submit.enable: false\n\
             sql-gateway.endpoint.rest.address: 127.0.0.1\n\
             sql-gateway.endpoint.rest.bind-address: 127.0.0.1\n\
             sql-gateway.endpoint.rest.port: {gateway_port}\n\
             io.tmp.dirs: {scratch}\n\
             # a TaskManager that was killed is noticed by two messages that fail; one that only stands still, as in a long\n\
             # garbage collection, is waited for. It cannot tell a killed JobManager from one that stands still, and has\n\
             # less patience: see its own options\n\
             heartbeat.interval: 1000\n\
             heartbeat.timeout: 30000\n\
             metrics.fetcher.update-interval: 2000\n\
             cluster.registration.initial-timeout: 50\n\
             cluster.registration.error-delay: 500\n\
             execution.checkpointing.dir: file://{checkpoints}\n\
             execution.checkpointing.externalized-checkpoint-retention: RETAIN_ON_CANCELLATION\n\
             execution.checkpointing.num-retained: 2\n\
             # whatever broke the job, try again until it works; the console says what is going on\n\
             restart-strategy.type: exponential-delay\n\
             restart-strategy.exponential-delay.initial-backoff: 500 ms\n\
             restart-strategy.exponential-delay.max-backoff: 5 s\n"
        )
    }

    /// What the TaskManager is told beside the file: its patience with the JobManager, and the whole split of its memory, of which every
    /// part must be given where Flink's shell scripts do not run.
    fn dynamic_properties(&self) -> Vec<String> {
        let memory = &self.memory;
        [
            // a JobManager that was killed is back by then, and waits for it
            ("heartbeat.timeout", "15000".into()),
            ("taskmanager.cpu.cores", format!("{}.0", self.slots)),
            ("taskmanager.memory.task.heap.size", format!("{}m", memory.task_heap)),
            ("taskmanager.memory.task.off-heap.size", "0m".into()),
            ("taskmanager.memory.managed.size", format!("{}m", memory.managed)),
            ("taskmanager.memory.framework.heap.size", format!("{}m", memory.framework_heap)),
            ("taskmanager.memory.framework.off-heap.size", format!("{}m", memory.framework_off_heap)),
            ("taskmanager.memory.network.min", format!("{}m", memory.network)),
            ("taskmanager.memory.network.max", format!("{}m", memory.network)),
            ("taskmanager.memory.jvm-metaspace.size", format!("{}m", memory.metaspace)),
            ("taskmanager.memory.jvm-overhead.min", format!("{}m", memory.overhead)),
            ("taskmanager.memory.jvm-overhead.max", format!("{}m", memory.overhead)),
        ]
        .into_iter()
        .flat_map(|(key, value)| ["-D".to_owned(), format!("{key}={value}")])
        .collect()
    }
}

//! Lets the threads of a JVM that only help stand back behind those that results wait for.
//!
//! When a window ends, many tasks have something to do at once, on as many cores as a laptop has. A snapshot that is written just then
//! is felt; the same a second later is not. On Linux each thread has a nice value of its own, and raising it needs no rights.

#[cfg(target_os = "linux")]
use rustix::process::{Pid, setpriority_process};

/// Beginnings of the names of such threads, as the kernel has them (15 characters), and their nice values: those that write snapshots, and
/// the optimising compiler.
///
/// What runs when a window ends runs seldom, so for minutes after a start its methods become worth compiling just then, and one can
/// take the compiler two seconds. Until it is done, the code of the quick compiler serves. Collectors are not among them: one that
/// stands back too far in the end stops everything.
const THREADS: [(&str, i32); 2] = [("AsyncOperations", 15), ("C2 CompilerThre", 15)];

fn nice_of(name: &str) -> Option<i32> {
    THREADS.iter().find(|(start, _)| name.starts_with(start)).map(|(_, nice)| *nice)
}

/// Raises the nice values of such threads of a process. What cannot be changed stays as it is.
#[cfg(target_os = "linux")]
pub fn stand_back(process: u32) {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else { return };
    for thread in threads.flatten() {
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let id = thread.file_name().to_str().and_then(|id| id.parse().ok()).and_then(Pid::from_raw);
        if let (Some(id), Some(nice)) = (id, nice_of(&name)) {
            let _ = setpriority_process(Some(id), nice);
        }
    }
}

/// Elsewhere threads have no nice values.
#[cfg(not(target_os = "linux"))]
pub fn stand_back(_: u32) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    #[test]
    fn only_threads_that_help_stand_back() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("AsyncOperations-thread-1".into())
            .spawn(move || {
                tell.send(rustix::thread::gettid()).unwrap();
                let _ = ended.recv();
            })
            .unwrap();
        let helper = told.recv().unwrap();
        let own = rustix::thread::gettid();
        let before = getpriority_process(Some(own)).unwrap();
        stand_back(std::process::id());
        assert_eq!(getpriority_process(Some(helper)).unwrap(), 15);
        assert_eq!(getpriority_process(Some(own)).unwrap(), before);
        drop(end);
        thread.join().unwrap();
    }
}

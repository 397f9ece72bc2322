//! Lets the threads of a JVM that only help (compilers, concurrent collection, the writing of snapshots) stand back behind
//! those that results wait for.
//!
//! When a window ends, many tasks have something to do at once, on as many cores as a laptop has. A compiler that takes half of
//! them then is felt; the same a second later is not. On Linux each thread has a nice value of its own, and raising it needs no rights.

#[cfg(target_os = "linux")]
use rustix::process::{Pid, setpriority_process};

/// Beginnings of the names of such threads, as the kernel has them (15 characters), and their nice values. A collector that
/// stood back too far would in the end stop everything, and so would a compiler: code that waits for it is interpreted, and takes
/// the time that the compiler lacks. The fast compiler is left alone for that reason.
const THREADS: [(&str, i32); 4] =
    [("C2 Compiler", 10), ("AsyncOperations", 5), ("G1 Conc", 3), ("G1 Refine", 3)];

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
            .name("C2 CompilerThread0".into())
            .spawn(move || {
                tell.send(rustix::thread::gettid()).unwrap();
                let _ = ended.recv();
            })
            .unwrap();
        let helper = told.recv().unwrap();
        let own = rustix::thread::gettid();
        let before = getpriority_process(Some(own)).unwrap();
        stand_back(std::process::id());
        assert_eq!(getpriority_process(Some(helper)).unwrap(), 10);
        assert_eq!(getpriority_process(Some(own)).unwrap(), before);
        drop(end);
        thread.join().unwrap();
    }
}

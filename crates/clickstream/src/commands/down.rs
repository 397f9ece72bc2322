//! `clickstream down`: stops a running `up`.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clickstream_stack::layout::Layout;
use clickstream_stack::lock::Lock;

use crate::config::Config;

/// Asks the running `up` to stop, and waits until it has.
#[allow(unsafe_code)] // kill(2) has no safe wrapper in the standard library
pub fn run(config: &Config) -> Result<ExitCode> {
    let layout = Layout::new(&config.stack.data_dir);
    let Some(pid) = Lock::holder(&layout) else {
        say!("nothing runs in {}", config.stack.data_dir.display());
        return Ok(ExitCode::SUCCESS);
    };
    // SAFETY: a plain system call. The id is that of a running `up`: the process has the lock file open.
    if unsafe { libc::kill(pid, libc::SIGTERM) } != 0 {
        bail!(
            "process {pid} could not be stopped: {}; it may belong to another user",
            std::io::Error::last_os_error()
        );
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while Lock::holder(&layout).is_some() {
        if Instant::now() > deadline {
            bail!(
                "process {pid} did not stop within 30 s; `kill -9 {pid}` ends it and everything it started"
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    say!("stopped");
    Ok(ExitCode::SUCCESS)
}

//! One `up` per data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::{Result, StackError};
use crate::layout::Layout;

/// Who only looks holds the lock for less than this.
const LOOK: Duration = Duration::from_millis(500);

/// Holds the data directory until dropped, or until the process ends in whatever way.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or says who holds it.
    pub fn acquire(layout: &Layout) -> Result<Self> {
        let path = layout.lock_file();
        let io = || StackError::io(format!("cannot open {}", path.display()));
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io())?;
        let patience = Instant::now() + LOOK;
        while file.try_lock().is_err() {
            let holder = holder_in(&mut file);
            if holder.parse().is_ok_and(|pid| holds(pid, &path)) || Instant::now() > patience {
                return Err(StackError::Locked { path: layout.root().to_owned(), holder });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(io())?;
        write!(file, "{}", std::process::id()).map_err(io())?;
        Ok(Self { _file: file })
    }

    /// The process that holds the lock now, if any does. Others may look at the same time.
    pub fn holder(layout: &Layout) -> Option<i32> {
        let path = layout.lock_file();
        let mut file = OpenOptions::new().read(true).write(true).open(&path).ok()?;
        match file.try_lock_shared() {
            Ok(()) => None,
            Err(_) => holder_in(&mut file).parse().ok().filter(|pid| holds(*pid, &path)),
        }
    }
}

/// Whether a process has the file open. The id in it may be that of an `up` that was killed, which another process has by now. Where
/// the system does not tell, the id is believed.
fn holds(pid: i32, path: &Path) -> bool {
    if !Path::new("/proc/self/fd").exists() {
        return true;
    }
    match std::fs::read_dir(format!("/proc/{pid}/fd")) {
        Ok(mut files) => {
            let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
            files.any(|file| {
                file.is_ok_and(|file| std::fs::read_link(file.path()).is_ok_and(|link| link == path))
            })
        }
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

fn holder_in(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.seek(SeekFrom::Start(0));
    let _ = file.read_to_string(&mut text);
    if text.trim().is_empty() { "(unknown)".into() } else { text.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_learns_who_was_first() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(dir.path()).unwrap();
        assert_eq!(Lock::holder(&layout), None);
        let lock = Lock::acquire(&layout).unwrap();
        let error = Lock::acquire(&layout).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        assert_eq!(Lock::holder(&layout), Some(std::process::id() as i32));
        drop(lock);
        assert!(Lock::acquire(&layout).is_ok());
    }

    #[test]
    fn a_process_that_has_the_id_of_one_that_was_killed_holds_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::prepare(dir.path()).unwrap();
        let mut other = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        std::fs::write(layout.lock_file(), other.id().to_string()).unwrap();
        // one looks, and so do others meanwhile
        let looking = File::open(layout.lock_file()).unwrap();
        looking.lock_shared().unwrap();
        assert_eq!(Lock::holder(&layout), None);
        drop(looking);
        // somebody has just taken it, and has not written who
        let taken = OpenOptions::new().write(true).open(layout.lock_file()).unwrap();
        taken.lock().unwrap();
        assert_eq!(Lock::holder(&layout), None);
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

//! One `up` per data directory.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};

use crate::error::{Result, StackError};
use crate::layout::Layout;

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
        if file.try_lock().is_err() {
            return Err(StackError::Locked { path: layout.root().to_owned(), holder: holder_in(&mut file) });
        }
        file.set_len(0).and_then(|()| file.seek(SeekFrom::Start(0))).map_err(io())?;
        write!(file, "{}", std::process::id()).map_err(io())?;
        Ok(Self { _file: file })
    }

    /// The process that holds the lock now, if any does.
    pub fn holder(layout: &Layout) -> Option<i32> {
        let mut file = OpenOptions::new().read(true).write(true).open(layout.lock_file()).ok()?;
        match file.try_lock() {
            Ok(()) => None,
            Err(_) => holder_in(&mut file).parse().ok(),
        }
    }
}

fn holder_in(file: &mut File) -> String {
    let mut text = String::new();
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
}

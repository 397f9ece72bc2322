//! Archives of the classes a JVM loads, so that its next start maps them instead of reading them out of jars.
//!
//! A JVM without an archive lists the classes it loads. Once the job has run for a while, other JVMs make the archives of the
//! lists, one after the other and behind everything else: a stop need not wait for it. An archive gets its name only once it is
//! whole, so one that was interrupted is made anew in the next run. The name tells for which `java` it is, and the archives lie
//! with the runtimes they were made of. One that does not fit all the same is ignored by the JVM.
//!
//! <https://docs.oracle.com/en/java/javase/17/vm/class-data-sharing.html>

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

use crate::java::Java;
use crate::supervisor::dies_with_us;

/// The archive of one component.
#[derive(Clone, Debug)]
pub struct ClassArchive {
    archive: PathBuf,
    java: PathBuf,
    class_path: String,
}

/// When archives are made, after the job has begun to run: its classes are loaded by then, and it is no longer compiled.
const AFTER: Duration = Duration::from_secs(60);
/// Heap of a JVM that makes an archive, in MiB.
const HEAP: u32 = 384;
/// How far it stands back behind everything else.
const NICE: i32 = 19;

impl ClassArchive {
    /// The archive of the component `name` beside the jars in `lib`.
    pub fn new(lib: &Path, name: &str, java: &Java) -> Self {
        let built = fs::metadata(&java.program)
            .and_then(|file| file.modified())
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |age| age.as_secs());
        Self {
            archive: lib.with_file_name(format!("{name}-java{}-{built:x}.jsa", java.version)),
            java: java.program.clone(),
            class_path: class_path(lib),
        }
    }

    /// Options that make the JVM use the archive, or list its classes.
    pub fn options(&self) -> Vec<String> {
        let archive = if self.archive.exists() {
            format!("-XX:SharedArchiveFile={}", self.archive.display())
        } else {
            format!("-XX:DumpLoadedClassList={}", self.list().display())
        };
        // a class that cannot be archived is no reason for a warning in the log
        vec![archive, "-Xlog:cds*=error".into()]
    }

    fn list(&self) -> PathBuf {
        self.archive.with_extension("classes")
    }

    /// Makes the archive of the list, unless it is there or `stop` ends it: whether it is there now.
    fn make(&self, stop: &Receiver<()>) -> io::Result<bool> {
        if self.archive.exists() {
            return Ok(true);
        }
        // the JVM is still writing the list: its last line may be half a name
        let listed = fs::read(self.list())?;
        let whole = listed.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let (list, unfinished) =
            (self.archive.with_extension("classes.whole"), self.archive.with_extension("jsa.unfinished"));
        fs::write(&list, &listed[..whole])?;
        let mut command = Command::new(&self.java);
        command.args([
            "-Xshare:dump".into(),
            format!("-Xmx{HEAP}m"),
            "-Xlog:cds*=error".into(),
            format!("-XX:SharedClassListFile={}", list.display()),
            format!("-XX:SharedArchiveFile={}", unfinished.display()),
            "-cp".into(),
            self.class_path.clone(),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        dies_with_us(&mut command, NICE);
        let mut child = command.spawn()?;
        let made = loop {
            if let Some(status) = child.try_wait()? {
                break status.success();
            }
            if stop.recv_timeout(Duration::from_millis(100)) != Err(RecvTimeoutError::Timeout) {
                child.kill()?;
                child.wait()?;
                break false;
            }
        };
        let _ = fs::remove_file(&list);
        if made {
            fs::rename(&unfinished, &self.archive)?;
            let _ = fs::remove_file(self.list());
        } else {
            let _ = fs::remove_file(&unfinished);
        }
        Ok(made)
    }
}

/// All jars of a directory, in an order that is the same in every run: a JVM only uses an archive of the same class path.
pub fn class_path(lib: &Path) -> String {
    let mut jars: Vec<String> = fs::read_dir(lib)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jar"))
        .map(|path| path.display().to_string())
        .collect();
    jars.sort_unstable();
    jars.join(":")
}

/// Makes archives in the background until it is dropped.
pub struct Archivist {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Archivist {
    /// Of these archives, in this order, once the job has run for a while.
    pub fn start(archives: Vec<ClassArchive>) -> Self {
        let (stop, stopped) = channel();
        let work = move || {
            if archives.iter().all(|archive| archive.archive.exists())
                || stopped.recv_timeout(AFTER) != Err(RecvTimeoutError::Timeout)
            {
                return;
            }
            for archive in archives {
                match archive.make(&stopped) {
                    Ok(true) => {}
                    Ok(false) => return,
                    Err(error) => {
                        tracing::debug!(%error, archive = %archive.archive.display(), "no archive of classes")
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("class archives".into()).spawn(work).ok();
        Self { stop: Some(stop), thread }
    }
}

impl Drop for Archivist {
    fn drop(&mut self) {
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_finished_archive_is_used() {
        let dir = tempfile::tempdir().unwrap();
        let lib = dir.path().join("lib");
        let java = Java { program: dir.path().join("java"), version: 17 };
        let archive = ClassArchive::new(&lib, "kafka", &java);
        assert!(archive.options()[0].starts_with("-XX:DumpLoadedClassList="));
        fs::write(archive.archive.with_extension("jsa.unfinished"), "").unwrap();
        assert!(archive.options()[0].starts_with("-XX:DumpLoadedClassList="));
        fs::write(&archive.archive, "").unwrap();
        assert!(archive.options()[0].starts_with("-XX:SharedArchiveFile="));
    }

    #[test]
    fn an_archive_is_made_of_whole_lines_and_given_up_when_stopped() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("java");
        // stands in for a JVM: writes the list it was given where the archive shall be, or never ends
        let script = "#!/bin/sh\nfor a in \"$@\"; do case $a in\n-XX:SharedClassListFile=*) list=${a#*=};;\n\
                      -XX:SharedArchiveFile=*) out=${a#*=};; esac; done\n\
                      grep -q endless \"$list\" && exec sleep 600\ncp \"$list\" \"$out\"\n";
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let java = Java { program, version: 17 };
        let lib = dir.path().join("lib");
        let (stop, stopped) = channel();

        let archive = ClassArchive::new(&lib, "kafka", &java);
        assert!(archive.make(&stopped).is_err(), "there is no list yet");
        fs::write(archive.list(), "java/lang/Object\njava/lang/Str").unwrap();
        assert!(archive.make(&stopped).unwrap());
        assert_eq!(fs::read_to_string(&archive.archive).unwrap(), "java/lang/Object\n");
        assert!(!archive.list().exists());

        let endless = ClassArchive::new(&lib, "flink", &java);
        fs::write(endless.list(), "endless\n").unwrap();
        drop(stop);
        assert!(!endless.make(&stopped).unwrap());
        assert!(!endless.archive.exists());
    }
}

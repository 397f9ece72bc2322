//! Finds Java and Maven, and knows how to install them on this system.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Result, StackError};

/// The oldest Java that Kafka 4 and Flink 2 run on.
pub const MIN_JAVA: u32 = 17;

/// A usable Java.
#[derive(Clone, Debug)]
pub struct Java {
    /// The `java` program.
    pub program: PathBuf,
    /// Its feature release, as 17 or 21.
    pub version: u32,
}

/// Finds Java ≥ [`MIN_JAVA`] in `JAVA_HOME`, then in `PATH`.
pub fn find_java() -> Result<Java> {
    let home = env::var_os("JAVA_HOME").map(|home| PathBuf::from(home).join("bin/java"));
    let mut too_old = None;
    for program in home.into_iter().filter(|p| p.exists()).chain(on_path("java")) {
        match java_version(&program) {
            Some(version) if version >= MIN_JAVA => return Ok(Java { program, version }),
            Some(version) => too_old = too_old.or(Some((program, version))),
            None => {}
        }
    }
    let what = match too_old {
        Some((program, version)) => {
            format!("Java {MIN_JAVA} or newer is needed, but {} is Java {version}", program.display())
        }
        None => format!(
            "Java {MIN_JAVA} or newer is needed to run Kafka and Flink, and there is no `java` in JAVA_HOME or PATH"
        ),
    };
    Err(StackError::MissingPrerequisite { what, install: install_hint() })
}

/// Finds `mvn` in `PATH`.
pub fn find_maven() -> Result<PathBuf> {
    on_path("mvn").next().ok_or_else(|| StackError::MissingPrerequisite {
        what: "Maven is needed to fetch Kafka and Flink the first time, and there is no `mvn` in PATH".into(),
        install: install_hint(),
    })
}

/// How to install Java and Maven here.
pub fn install_hint() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let command = install_command(&release, cfg!(target_os = "macos"));
    format!("Install both with:\n  {command}")
}

/// The install command for the system that `os_release` (the text of `/etc/os-release`) describes.
pub fn install_command(os_release: &str, macos: bool) -> &'static str {
    if macos {
        return "brew install openjdk@21 maven";
    }
    let ids: String = os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .collect::<Vec<_>>()
        .join(" ");
    match () {
        () if ids.contains("fedora") || ids.contains("rhel") => {
            "sudo dnf install java-21-openjdk-headless maven"
        }
        () if ids.contains("arch") => "sudo pacman -S --needed jre21-openjdk-headless maven",
        () if ids.contains("suse") => "sudo zypper install java-21-openjdk-headless maven",
        () if ids.contains("debian") || ids.contains("ubuntu") => {
            "sudo apt-get install default-jre-headless maven"
        }
        () => "(your package manager) a Java runtime, version 17 or newer, and Apache Maven",
    }
}

fn on_path(name: &str) -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let candidates: Vec<PathBuf> =
        env::split_paths(&path).map(|dir| dir.join(name)).filter(|p| p.is_file()).collect();
    candidates.into_iter()
}

fn java_version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("-version").output().ok()?;
    parse_version(&String::from_utf8_lossy(&output.stderr))
}

/// The feature release in the output of `java -version`: `"17.0.15"` is 17, `"1.8.0_392"` is 8.
fn parse_version(output: &str) -> Option<u32> {
    let quoted = output.split('"').nth(1)?;
    let mut parts = quoted.split(['.', '-', '+', '_']);
    match parts.next()?.parse().ok()? {
        1 => parts.next()?.parse().ok(),
        version => Some(version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_versions_of_all_ages() {
        assert_eq!(parse_version("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(parse_version("java version \"1.8.0_392\""), Some(8));
        assert_eq!(parse_version("openjdk version \"25-ea\" 2025-09-16"), Some(25));
        assert_eq!(parse_version("command not found"), None);
    }

    #[test]
    fn knows_the_install_command_of_each_system() {
        for (release, macos, expected) in [
            ("ID=debian", false, "apt-get"),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"", false, "apt-get"),
            ("ID=fedora", false, "dnf"),
            ("ID=manjaro\nID_LIKE=arch", false, "pacman"),
            ("", true, "brew"),
        ] {
            assert!(install_command(release, macos).contains(expected), "{release}");
        }
    }
}

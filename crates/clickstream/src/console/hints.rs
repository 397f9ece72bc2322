//! Commands for another terminal, as they can be copied: the program as it was called, and the options that find what runs here.

use std::path::Path;

use crate::config::Config;
use crate::shell;

/// Where the dashboard is by default.
const HTTP_PORT: u16 = 8080;

/// This program, as it was called.
fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "clickstream".to_owned())
}

/// A command of this program about the data directory in use.
pub fn about(config: &Config, command: &str) -> String {
    of(&program(), config.data_dir_given(), command)
}

/// What there is to try beside a running `up`, whose dashboard is at `url`.
pub fn beside_up(config: &Config, url: &str) -> String {
    // it asks the dashboard, and finds it by itself where it is by default
    let top = if config.http_port == HTTP_PORT {
        about(config, "top")
    } else {
        format!("{} {}", of(&program(), None, "top"), shell::option("--url", url))
    };
    let others = ["verify", "status", "down"].map(|command| about(config, command));
    format!("Try in another terminal:\n  {top}\n  {}", others.join("\n  "))
}

fn of(program: &str, data_dir: Option<&Path>, command: &str) -> String {
    let command = shell::line([program, command]);
    match data_dir {
        Some(dir) => format!("{command} {}", shell::option("--data-dir", &dir.to_string_lossy())),
        None => command,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_program_and_the_directory() {
        assert_eq!(of("clickstream", None, "verify"), "clickstream verify");
        assert_eq!(
            of("target/release/clickstream", Some(Path::new("/tmp/my data")), "down"),
            "target/release/clickstream down --data-dir '/tmp/my data'"
        );
    }
}

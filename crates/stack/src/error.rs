//! What can go wrong with the stack: each error says what happened, why, and what to do next.

use std::path::PathBuf;

/// Why the stack could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A program the stack needs is not there, or too old.
    #[error("{what}\n{install}")]
    MissingPrerequisite {
        /// What is missing.
        what: String,
        /// How to install it on this system.
        install: String,
    },
    /// Another process listens on a port.
    #[error(
        "port {port} for {purpose} is taken{by}: stop that process, or choose another port with --{flag}"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// What it is for.
        purpose: &'static str,
        /// ` by …`, where the system tells.
        by: String,
        /// The option that changes it.
        flag: &'static str,
    },
    /// The data directory cannot be used.
    #[error("the data directory {} cannot be used: {why}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why, and the way out.
        why: String,
    },
    /// Another `up` works in the data directory.
    #[error("{} is in use by process {holder}: stop it with `clickstream down --data-dir {}`, or give this one its own --data-dir", path.display(), path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The process that holds it.
        holder: String,
    },
    /// Maven could not fetch a runtime.
    #[error(
        "Maven could not provide {runtime}: {why}\nThe first start needs a connection to a Maven repository; later ones do not. Try again, or run\n  {command}\nto see all of Maven's output"
    )]
    Provision {
        /// `Kafka` or `Flink`.
        runtime: &'static str,
        /// Maven's last words.
        why: String,
        /// The command to repeat by hand.
        command: String,
    },
    /// A process did not start, or did not stay.
    #[error("{component} does not run: {why}\nIts log: {}", log.display())]
    Component {
        /// Its name as `status` shows it.
        component: String,
        /// What happened, with the last lines of its log.
        why: String,
        /// The log file.
        log: PathBuf,
    },
    /// A server did not answer in time.
    #[error("{what} at {address} is not reachable: {why}")]
    NotReachable {
        /// What was tried.
        what: &'static str,
        /// Where.
        address: String,
        /// Why, and what to do.
        why: String,
    },
    /// A topic exists in a form the pipeline cannot work with.
    #[error("topic {topic} {why}")]
    Topic {
        /// Its name.
        topic: String,
        /// What is wrong, and the way out.
        why: String,
    },
    /// Flink refused a statement.
    #[error("Flink refused a statement: {reason}\nThe statement was: {statement}")]
    Sql {
        /// The innermost cause Flink names.
        reason: String,
        /// The beginning of the statement.
        statement: String,
    },
    /// A template of the job is broken; a bug of ours.
    #[error("the SQL template {file} could not be filled in: {why}")]
    Template {
        /// The file.
        file: String,
        /// The template engine's message.
        why: String,
    },
    /// Anything else the operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

impl StackError {
    /// Wraps an I/O error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Whether the user has to install or change something before trying again (exit code 2).
    pub fn is_setup(&self) -> bool {
        matches!(
            self,
            Self::MissingPrerequisite { .. }
                | Self::PortTaken { .. }
                | Self::DataDir { .. }
                | Self::Locked { .. }
                | Self::Topic { .. }
        )
    }
}

/// The result of everything here.
pub type Result<T, E = StackError> = std::result::Result<T, E>;

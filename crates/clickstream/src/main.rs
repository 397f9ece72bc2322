//! `clickstream`: the command line, and the wiring of all parts.
//!
//! | module | does |
//! |---|---|
//! | [`cli`], [`config`] | options, files, environment; typed and checked |
//! | [`commands`] | one file per command |
//! | [`results`] | reads the result topics and puts windows together |
//! | [`embedded`] | log, engine and results in this process |
//! | [`logs`] | reads a whole log: events and results |
//! | [`proof`] | recounts a log and compares every row; explains a number |
//! | [`console`] | draws steps, tables and the live view |
//! | [`run_state`] | what runs, written by `up` for `status` and `down` |
//! | [`collecting`] | events of web sites, on their way into the log |
//! | [`serving`] | store, REST, live stream and dashboard beside the pipeline |
//! | [`logging`] | our own log, in a file |
//! | [`memory`] | how the C library keeps memory |

/// `println!` for readers that may go away, as `head` does.
macro_rules! say {
    ($($text:tt)*) => { $crate::console::emit(&format!("{}\n", format_args!($($text)*))) };
}

mod cli;
mod collecting;
mod commands;
mod config;
mod console;
mod embedded;
mod logging;
mod logs;
mod memory;
mod proof;
mod results;
mod run_state;
mod serving;
mod shell;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use clickstream_stack::StackError;

fn main() -> ExitCode {
    memory::share_arenas();
    let matches = cli::command().get_matches();
    match commands::run(&matches) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("clickstream: {}", explain(&error));
            let setup = error.downcast_ref::<StackError>().is_some_and(StackError::is_setup)
                || error.is::<config::ConfigError>();
            ExitCode::from(if setup { 2 } else { 1 })
        }
    }
}

/// An error with all its causes, once each.
fn explain(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

//! `clickstream bench`: placeholder until measured.

use std::process::ExitCode;
use anyhow::Result;
use clap::ArgMatches;
use crate::config::Config;

pub struct Options;
impl Options {
    pub fn read(_: &ArgMatches) -> Result<Self> { Ok(Self) }
}
pub async fn run(_: Config, _: Options) -> Result<ExitCode> { anyhow::bail!("not yet") }

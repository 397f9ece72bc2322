//! `clickstream trace`: one event on its way through the pipeline.

mod draw;
mod windows;

use std::process::ExitCode;

use anyhow::Result;
use clap::ArgMatches;
use clickstream_event::Timestamp;

use crate::config::{Config, ConfigError};
use crate::proof::trace::find::Which;
use crate::proof::trace::{Place, trace};

use super::{data_dir_option, page};

/// What is asked on the command line.
#[derive(Clone, Debug)]
pub struct Options {
    which: Which,
    site: Option<String>,
    limit: usize,
}

impl Options {
    /// Reads the options.
    pub fn read(matches: &ArgMatches) -> Result<Self, ConfigError> {
        let text = |name: &str| matches.get_one::<String>(name).cloned();
        let which = match (text("event_id"), text("offset")) {
            (Some(id), _) => Which::Id(id),
            (None, Some(offset)) => Which::Place(read_place(&offset).ok_or_else(|| {
                ConfigError(format!(
                    "--offset is `{offset}`: PARTITION:OFFSET is needed, as 2:18432; `clickstream explain` lists events like that"
                ))
            })?),
            (None, None) => Which::Recent,
        };
        let limit = match matches.get_one::<u64>("limit").copied().unwrap_or(0) {
            0 => usize::MAX,
            limit => limit as usize,
        };
        Ok(Self { which, site: text("in_site"), limit })
    }
}

fn read_place(text: &str) -> Option<Place> {
    let (partition, offset) = text.split_once(':')?;
    let place = Place { partition: partition.trim().parse().ok()?, offset: offset.trim().parse().ok()? };
    (place.partition >= 0 && place.offset >= 0).then_some(place)
}

/// Tells the story of an event.
pub fn run(config: &Config, options: &Options) -> Result<ExitCode> {
    match answer(config, options) {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            eprintln!("clickstream: {}", crate::explain(&error));
            Ok(ExitCode::from(2))
        }
    }
}

fn answer(config: &Config, options: &Options) -> Result<()> {
    let log = crate::logs::open(config)?;
    let asked = (&options.which, options.site.as_deref());
    let story = trace(log.as_ref(), config.engine_config(), asked, Timestamp::now)?;
    if config.json {
        page(&(serde_json::to_string(&story)? + "\n"));
    } else {
        let on = data_dir_option(config);
        page(&draw::draw(&story, config.engine_config(), options.limit, &on));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_as_explain_lists_them() {
        let place = |partition, offset| Some(Place { partition, offset });
        assert_eq!(read_place("2:18432"), place(2, 18_432));
        assert_eq!(read_place("0: 0"), place(0, 0));
        for wrong in ["2", "2:", ":5", "2:-1", "-1:3", "a:b", "1:2:3", ""] {
            assert_eq!(read_place(wrong), None, "{wrong}");
        }
    }
}

//! What became of injected records, for people.

use clickstream_top::text::{fit, thousands};
use console::style;

use clickstream_event::{Record, Rules, Timestamp, decode, topic};

use super::outcome::{Fate, Outcome};
use super::{Injected, Kind};
use crate::commands::{clock_ms, data_dir_option, facts, length};

/// Lines of the list.
const LISTED: usize = 20;

impl Injected<'_> {
    /// The site of the first event among the records.
    pub fn site(&self) -> Option<String> {
        self.records.iter().find_map(|record| {
            match decode(&record.value, Timestamp(i64::MAX / 4), Rules::default()) {
                Ok(Record::Event(event, _)) => Some(event.site_id.into_owned()),
                _ => None,
            }
        })
    }
}

/// What was done.
pub fn written(injected: &Injected<'_>) -> String {
    let n = injected.records.len() as u64;
    let what = match injected.kind {
        Kind::Duplicate => format!("{} and as many copies of them", counted(n / 2, "event")),
        Kind::Future => format!("{} with a timestamp in the future", counted(n, "record")),
        kind => counted(n, &format!("{} record", kind.name())),
    };
    format!("{} wrote {what} into {} ({})", style("✓").green(), topic::EVENTS, injected.log.place())
}

fn counted(n: u64, what: &str) -> String {
    format!("{} {what}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// What came of it.
pub fn outcome(injected: &Injected<'_>, found: &Outcome) -> String {
    match injected.kind {
        Kind::Duplicate => copies(injected, found),
        _ => letters(injected, found),
    }
}

fn letters(injected: &Injected<'_>, found: &Outcome) -> String {
    let header = ["  record", "arrived", "reason", "what was wrong", "dead letter"].map(String::from);
    let line = |fate: &Fate| {
        [
            format!("  {}", fate.place),
            clock_ms(fate.arrival),
            fate.verdict.clone(),
            fit(fate.detail.as_deref().unwrap_or_default(), 100),
            fate.letter_after_ms.map_or_else(|| "none yet".to_owned(), |ms| format!("after {}", length(ms))),
        ]
    };
    let mut text = listed(header, found.records.iter().map(line).collect());
    let with_letter = found.records.iter().filter(|fate| fate.letter_after_ms.is_some()).count();
    let total = injected.records.len();
    if found.complete {
        text.push_str(&format!(
            "{} all {total} stand in {} with their bytes, and no number counts them\n",
            style("✓").green(),
            topic::DEAD_LETTERS
        ));
    } else {
        text.push_str(&format!(
            "{} only {with_letter} of {total} have a dead letter: `clickstream status` says whether the job runs\n",
            style("✗").red()
        ));
    }
    text + &one_of_them(injected, found.records.first())
}

fn copies(injected: &Injected<'_>, found: &Outcome) -> String {
    let header = ["  copy", "arrived", "counts as", "of"].map(String::from);
    let copies: Vec<&Fate> = found.records.iter().filter(|fate| fate.verdict != "counted").collect();
    let line = |fate: &&Fate| {
        [
            format!("  {}", fate.place),
            clock_ms(fate.arrival),
            if fate.copy_of.is_some() { "a duplicate".to_owned() } else { fate.verdict.clone() },
            fate.copy_of.map_or_else(String::new, |place| place.to_string()),
        ]
    };
    let mut text = listed(header, copies.iter().map(line).collect());
    let duplicates = copies.iter().filter(|fate| fate.copy_of.is_some()).count();
    let events = injected.records.len() / 2;
    if duplicates < events {
        text.push_str(&format!(
            "{} {} of {events} events have a copy that is a duplicate; the others were late, for this machine was busy: try again\n",
            style("!").yellow(),
            duplicates
        ));
    }
    match &found.window {
        Some(window) if window.equals_recount => text.push_str(&format!(
            "{} each event counts once: the window that ended at {} has {} events of {} in its topic, as the recount says, which leaves the copies out\n",
            style("✓").green(),
            window.window_end.clock(),
            thousands(window.event_count),
            clickstream_top::text::safe(&window.site_id)
        )),
        Some(window) => text.push_str(&format!(
            "{} the window that ended at {} is not what the recount says: `clickstream verify` shows more\n",
            style("✗").red(),
            window.window_end.clock()
        )),
        None => text.push_str("  no window that holds them has been written yet: `clickstream verify` proves that each counts once\n"),
    }
    text + &one_of_them(injected, copies.first().copied())
}

/// The first lines of a list.
fn listed<const N: usize>(header: [String; N], lines: Vec<[String; N]>) -> String {
    let more = lines.len().saturating_sub(LISTED);
    let mut text = format!("\n{}", facts(std::iter::once(header).chain(lines.into_iter().take(LISTED))));
    if more > 0 {
        text.push_str(&format!("  … {} more: --json has all\n", thousands(more as u64)));
    }
    text + "\n"
}

fn one_of_them(injected: &Injected<'_>, fate: Option<&Fate>) -> String {
    fate.map_or_else(String::new, |fate| {
        format!(
            "  the whole story of one: clickstream trace{} --offset {}\n",
            data_dir_option(injected.config),
            fate.place
        )
    })
}

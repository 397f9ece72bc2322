//! The query of a request, read strictly: what is not known is refused, since a misspelt parameter would silently answer
//! something else.

use clickstream_event::Timestamp;
use jiff::tz::TimeZone;

use super::problem::Problem;
use super::zone;

/// Rows of an answer if nothing is said.
pub const LIMIT: u32 = 50;
/// Rows of an answer at most.
pub const MAX_LIMIT: u32 = 1_000;
/// Rows that can be left out at most.
pub const MAX_OFFSET: u32 = 1_000_000;

/// The parameters of a request.
#[derive(Clone, Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
    /// Time zone of the answer and of times without an offset.
    pub zone: Option<TimeZone>,
}

impl Query {
    /// Reads the query. `known` are the parameters of this resource; `site_id`, `tz` and `format` need to be among them too.
    pub fn parse(text: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut query = Self::default();
        for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                return Err(Problem::bad_request(format!(
                    "there is no parameter {}; known here: {}",
                    shown(&name),
                    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
                )));
            }
            if query.pairs.iter().any(|(other, _)| *other == name) {
                return Err(Problem::bad_request(format!("{name} is given twice")));
            }
            query.pairs.push((name.into_owned(), value.into_owned()));
        }
        if let Some(name) = query.text("tz") {
            query.zone = Some(zone::named(name).ok_or_else(|| {
                Problem::bad_request(format!(
                    "{} is no time zone; say its name in the IANA database, as Europe/Berlin",
                    shown(name)
                ))
            })?);
        }
        Ok(query)
    }

    /// The value of a parameter.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// A whole number.
    pub fn number(&self, name: &str, default: u32, (min, max): (u32, u32)) -> Result<u32, Problem> {
        let Some(text) = self.text(name) else { return Ok(default) };
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| {
            Problem::bad_request(format!(
                "{name} is {}, but has to be a whole number from {min} to {max}",
                shown(text)
            ))
        })
    }

    /// How many rows, and how many to leave out before.
    pub fn part(&self) -> Result<(u32, u32), Problem> {
        Ok((self.number("limit", LIMIT, (1, MAX_LIMIT))?, self.number("offset", 0, (0, MAX_OFFSET))?))
    }

    /// A point in time, in milliseconds.
    pub fn time(&self, name: &str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        zone::instant(text, self.zone.as_ref()).map(|at| Some(at.0)).ok_or_else(|| {
            Problem::bad_request(format!(
                "{name} is {}, but has to be a time in RFC 3339, as 2026-11-25T11:20:00Z; without an offset it is taken in \
                 the time zone tz, else in UTC",
                shown(text)
            ))
        })
    }

    /// First and last instant asked for, `default` where one is missing.
    pub fn range(&self, default: (i64, i64)) -> Result<(i64, i64), Problem> {
        let (from, to) = (self.time("from")?.unwrap_or(default.0), self.time("to")?.unwrap_or(default.1));
        if from > to {
            let (from, to) = (Timestamp(from), Timestamp(to));
            return Err(Problem::bad_request(format!("the range is empty: from {from} is after to {to}")));
        }
        Ok((from, to))
    }

    /// The query again with another `offset`. `pinned` are values that were not asked for but chosen, as the newest window: the rows
    /// that follow have to be of the same list, also when there is a newer one.
    pub fn at_offset(&self, offset: u32, pinned: &[(&str, String)]) -> String {
        let mut text = form_urlencoded::Serializer::new(String::new());
        for (name, value) in self.pairs.iter().filter(|(name, _)| name != "offset") {
            text.append_pair(name, value);
        }
        for (name, value) in pinned.iter().filter(|(name, _)| self.text(name).is_none()) {
            text.append_pair(name, value);
        }
        text.append_pair("offset", &offset.to_string());
        text.finish()
    }
}

/// A value of the request in a message: quoted, and not longer than a line.
pub fn shown(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(Query::parse(Some("limt=3"), &["limit"]).is_err());
        assert!(Query::parse(Some("limit=3&limit=4"), &["limit"]).is_err());
        let query = Query::parse(Some("limit=1001"), &["limit"]).unwrap();
        assert!(query.part().is_err());
        let query = Query::parse(Some("limit=7&offset=14"), &["limit", "offset"]).unwrap();
        assert_eq!(query.part().unwrap(), (7, 14));
        assert_eq!(query.at_offset(21, &[]), "limit=7&offset=21");
        let pinned = [("limit", "8".to_owned()), ("site_id", "a b".to_owned())];
        assert_eq!(query.at_offset(21, &pinned), "limit=7&site_id=a+b&offset=21");
        assert!(Query::parse(Some("tz=Nowhere/Here"), &["tz"]).is_err());
    }
}

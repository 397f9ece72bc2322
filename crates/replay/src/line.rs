//! One line of an access log, as fields.

use std::borrow::Cow;
use std::str::FromStr;

use crate::{clf, json};

/// What was said of one request.
#[derive(Clone, PartialEq, Debug)]
pub struct Line<'l> {
    /// When, in milliseconds since the epoch.
    pub time_ms: i64,
    /// Whether the log knows more of it than the second.
    pub precise: bool,
    /// The client's address, or its name.
    pub address: Cow<'l, str>,
    /// The method; empty where the request could not be read.
    pub method: Cow<'l, str>,
    /// What was asked for, as it stands in the request.
    pub target: Cow<'l, str>,
    /// The answer's status; 0 where there is none.
    pub status: u16,
    /// The page the visitor came from.
    pub referrer: Option<Cow<'l, str>>,
    /// The browser.
    pub user_agent: Option<Cow<'l, str>>,
    /// The host that was asked.
    pub host: Option<Cow<'l, str>>,
}

/// How lines are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Found out line by line.
    #[default]
    Auto,
    /// Common or combined, with or without the virtual host in front.
    Text,
    /// A JSON object per line: nginx, Caddy, Apache.
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "common" | "combined" | "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("{text:?} is no format; there are auto, common, combined and json")),
        }
    }
}

/// Reads a line; `None` if it is none of the format.
pub fn read(line: &str, format: Format) -> Option<Line<'_>> {
    let line = line.trim_start_matches('\u{feff}').trim();
    match format {
        Format::Text => clf::read(line),
        Format::Json => json::read(line),
        Format::Auto if line.starts_with('{') => json::read(line),
        Format::Auto => clf::read(line),
    }
}

/// A field that may be there: servers write `-` for nothing.
pub(crate) fn some(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    (!text.is_empty() && text != "-").then_some(text)
}

/// Method and target of a request line, as `GET /shoes HTTP/1.1`; both empty where it is none.
pub(crate) fn request(line: Cow<'_, str>) -> (Cow<'_, str>, Cow<'_, str>) {
    let parts = |line: &str| {
        let (method, rest) = line.split_once(' ')?;
        // a target may hold spaces if a client did not encode them; the protocol is what stands last
        let target = match rest.rsplit_once(' ') {
            Some((target, protocol)) if protocol.starts_with("HTTP/") => target,
            _ => rest,
        };
        let known = !method.is_empty() && method.bytes().all(|b| b.is_ascii_uppercase() || b == b'-');
        (known && !target.is_empty())
            .then_some((method.len(), line.len() - rest.len()..line.len() - rest.len() + target.len()))
    };
    let Some((method, target)) = parts(&line) else { return (Cow::Borrowed(""), Cow::Borrowed("")) };
    match line {
        Cow::Borrowed(line) => (Cow::Borrowed(&line[..method]), Cow::Borrowed(&line[target])),
        Cow::Owned(line) => (Cow::Owned(line[..method].to_owned()), Cow::Owned(line[target].to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn request_lines_are_taken_apart() {
        let of = |line: &'static str| {
            let (method, target) = request(line.into());
            (method.into_owned(), target.into_owned())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(of("GET /a HTTP/1.1"), pair("GET", "/a"));
        assert_eq!(of("GET /a b c HTTP/2.0"), pair("GET", "/a b c"));
        assert_eq!(of("GET /a"), pair("GET", "/a"));
        for none in ["", "-", "GET", "GET ", "\u{16}\u{3}\u{1} x", "get /a HTTP/1.1"] {
            assert_eq!(of(none), pair("", ""), "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(line in any::<String>()) {
            for format in [Format::Auto, Format::Text, Format::Json] {
                let _ = read(&line, format);
            }
        }

        /// Nearly right lines go deeper than any text.
        #[test]
        fn broken_lines_do_not_panic(
            line in prop::sample::select(&[
                r#"shop.example:443 2001:db8::1 - ada [26/Nov/2026:10:00:00 +0000] "GET /a\"b\x22 HTTP/1.1" 200 5 "-" "Mozilla/5.0 \\ x""#,
                r#"{"ts":1795687200.25,"request":{"method":"GET","host":"a","uri":"/x","headers":{"User-Agent":["m"]},"remote_ip":"::1"},"status":200}"#,
                r#"{"time_iso8601":"2026-11-26T10:00:00+01:00","request":"GET /\x22 HTTP/1.1","status":"200"}"#,
            ][..]),
            at in 0usize..150, with in "[\"\\\\x0 \\[\\]{}:,é-]{0,3}", cut in 0usize..4,
        ) {
            let at = (0..=at.min(line.len())).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            let end = (at + cut).min(line.len());
            if line.is_char_boundary(end) {
                let _ = read(&format!("{}{with}{}", &line[..at], &line[end..]), Format::Auto);
                let _ = read(&line[..at], Format::Auto);
            }
        }
    }
}

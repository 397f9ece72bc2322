//! Common Log Format and its kin, as Apache and nginx write them:
//!
//! ```text
//! 192.0.2.1 - ada [26/Nov/2026:10:00:00 +0000] "GET /shoes HTTP/1.1" 200 512
//! … "https://search.example/" "Mozilla/5.0"                        combined: referrer and browser behind it
//! shop.example:443 192.0.2.1 - - …                                 the virtual host in front
//! ```
//!
//! Written here because the crates for it read only exact lines of one format, without escapes and virtual hosts.

use std::borrow::Cow;
use std::net::IpAddr;

use memchr::memchr_iter;

use crate::clock;
use crate::escape::quoted;
use crate::line::{Line, request, some};

/// Reads a line.
pub fn read(line: &str) -> Option<Line<'_>> {
    let (prefix, time_ms, rest) = time(line)?;
    let (host, address) = client(prefix)?;
    let (asked, rest) = quoted(rest.trim_start().strip_prefix('"')?)?;
    let (method, target) = request(asked);
    let mut words = rest.trim_start();
    let mut word = || {
        let (word, rest) = words.split_once(' ').unwrap_or((words, ""));
        // a quote begins the next field: what stands before it is missing
        if word.starts_with('"') {
            return None;
        }
        words = rest.trim_start();
        Some(word)
    };
    let status = word().and_then(status).unwrap_or(0);
    let _size = word();
    let (referrer, rest) = text(words);
    let (user_agent, _) = text(rest);
    Some(Line {
        time_ms,
        precise: false,
        address: Cow::Borrowed(address),
        method,
        target,
        status,
        referrer,
        user_agent,
        host: host.map(Cow::Borrowed),
    })
}

/// What stands before the time, the time, and what stands behind it. Names of users may hold brackets.
fn time(line: &str) -> Option<(&str, i64, &str)> {
    memchr_iter(b'[', line.as_bytes()).take(8).find_map(|at| {
        let rest = &line[at + 1..];
        // the time ends where its bracket does
        let time = rest.get(..26).filter(|_| rest.as_bytes().get(26) == Some(&b']'))?;
        Some((&line[..at], clock::common(time)?, &rest[27..]))
    })
}

/// Virtual host and client.
fn client(prefix: &str) -> Option<(Option<&str>, &str)> {
    let mut words = prefix.split_ascii_whitespace();
    let first = words.next()?;
    let second = words.next();
    let further = words.count();
    match second {
        // with names instead of addresses, four words tell as well; but a name of a user may have two
        Some(second) if further >= 2 && is_address(second) && !is_address(first) => {
            Some((some(first.into()).map(|_| first), second))
        }
        _ => Some((None, first)),
    }
}

fn is_address(word: &str) -> bool {
    // nearly all words are told by their first letter
    word.bytes().next().is_some_and(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'['))
        && word.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// Three digits.
pub fn status(text: &str) -> Option<u16> {
    (text.len() == 3).then(|| text.parse().ok()).flatten()
}

/// A quoted field that may be missing.
fn text(rest: &str) -> (Option<Cow<'_, str>>, &str) {
    let rest = rest.trim_start();
    match rest.strip_prefix('"').and_then(quoted) {
        Some((field, rest)) => (some(field), rest),
        None => (None, rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "[26/Nov/2026:10:00:00 +0000]";

    fn of(line: &str) -> Line<'_> {
        read(line).unwrap_or_else(|| panic!("{line}"))
    }

    #[test]
    fn common_and_combined() {
        let line = format!(r#"192.0.2.1 - ada {TIME} "GET /shoes HTTP/1.1" 200 512"#);
        let read = of(&line);
        assert_eq!(
            (&*read.address, &*read.method, &*read.target, read.status),
            ("192.0.2.1", "GET", "/shoes", 200)
        );
        assert_eq!((read.referrer, read.user_agent, read.host), (None, None, None));
        let line = format!(
            r#"::1 - - {TIME} "GET / HTTP/2.0" 304 - "https://a.example/?q=\"x\"" "Mozilla/5.0 (X11)" "-" 0.001"#
        );
        let read = of(&line);
        assert_eq!(read.referrer.as_deref(), Some("https://a.example/?q=\"x\""));
        assert_eq!(read.user_agent.as_deref(), Some("Mozilla/5.0 (X11)"));
    }

    #[test]
    fn the_virtual_host_in_front() {
        for (prefix, host, address) in [
            ("shop.example:443 192.0.2.1 - -", Some("shop.example:443"), "192.0.2.1"),
            ("shop.example 2001:db8::1 - ada", Some("shop.example"), "2001:db8::1"),
            ("192.0.2.1 - ada lovelace", None, "192.0.2.1"),
            ("client.example - -", None, "client.example"),
            ("192.0.2.1", None, "192.0.2.1"),
            ("- 192.0.2.1 - -", None, "192.0.2.1"),
            ("192.0.2.1 - [odd]", None, "192.0.2.1"),
        ] {
            let line = format!(r#"{prefix} {TIME} "GET / HTTP/1.1" 200 1"#);
            let read = of(&line);
            assert_eq!((read.host.as_deref(), &*read.address), (host, address), "{prefix}");
        }
    }

    #[test]
    fn fields_that_are_missing() {
        let line = format!(r#"192.0.2.1 - - {TIME} "-" 408 -"#);
        assert_eq!((of(&line).method, of(&line).status), ("".into(), 408));
        let line = format!(r#"192.0.2.1 - - {TIME} "GET / HTTP/1.1""#);
        assert_eq!(of(&line).status, 0);
        let line = format!(r#"192.0.2.1 - - {TIME} "GET / HTTP/1.1" 200 "r" "a""#);
        assert_eq!((of(&line).referrer, of(&line).user_agent), (Some("r".into()), Some("a".into())));
        let line = format!(r#"192.0.2.1 - - {TIME} "GET / HTTP/1.1" 200 1 "-" "never ends"#);
        assert_eq!(of(&line).user_agent, None);
        for line in [
            "",
            "hello",
            "192.0.2.1 - - [26/Nov/2026:10:00:00 +0000]",
            &format!("{TIME} \"GET / HTTP/1.1\" 200 1"),
            "a [b] \"c\"",
        ] {
            assert!(read(line).is_none(), "{line}");
        }
    }
}

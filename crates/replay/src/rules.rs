//! Which lines are page views: what a person asked for, got, and looked at.

use clickstream_event::detection::BOT_WORDS;

use crate::line::Line;

/// Why a line is no page view.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Skip {
    /// It is of none of the formats.
    Unreadable,
    /// It, or the address of its page, is too long.
    TooLong,
    /// Its request is none, as what a scanner sends.
    BadRequest,
    /// Nothing was looked at: `POST`, `HEAD`, ….
    Method,
    /// The browser was sent elsewhere.
    Redirect,
    /// There was nothing to look at: 4xx, 5xx.
    Error,
    /// A part of a page: styles, scripts, images, ….
    Asset,
    /// It is older than lines before it, by more than the time lines are waited for.
    OutOfOrder,
    /// It is of the future, and times are kept.
    Future,
    /// One host too many: hosts are what clients say.
    Host,
}

impl Skip {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Unreadable,
        Self::TooLong,
        Self::BadRequest,
        Self::Method,
        Self::Redirect,
        Self::Error,
        Self::Asset,
        Self::OutOfOrder,
        Self::Future,
        Self::Host,
    ];

    /// Its name for machines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::TooLong => "too_long",
            Self::BadRequest => "bad_request",
            Self::Method => "method",
            Self::Redirect => "redirect",
            Self::Error => "error",
            Self::Asset => "asset",
            Self::OutOfOrder => "out_of_order",
            Self::Future => "future",
            Self::Host => "host",
        }
    }

    /// The same for people.
    pub fn about(self) -> &'static str {
        match self {
            Self::Unreadable => "in no known format",
            Self::TooLong => "too long",
            Self::BadRequest => "no HTTP request",
            Self::Method => "not GET",
            Self::Redirect => "redirects",
            Self::Error => "errors (4xx, 5xx)",
            Self::Asset => "assets (styles, scripts, images, …)",
            Self::OutOfOrder => "older than what was sent (--reorder)",
            Self::Future => "ahead of the clock (--max-future)",
            Self::Host => "of one host too many",
        }
    }
}

/// Longest page that is taken, in bytes: with everything else an event must stay below 64 KiB.
pub const MAX_PAGE: usize = 8_000;
/// Endings of what is no page.
const ASSETS: [&str; 40] = [
    "7z",
    "aac",
    "apk",
    "atom",
    "avi",
    "avif",
    "bmp",
    "cur",
    "css",
    "dmg",
    "eot",
    "exe",
    "flac",
    "gif",
    "gz",
    "ico",
    "jpeg",
    "jpg",
    "js",
    "json",
    "m4a",
    "map",
    "mjs",
    "mov",
    "mp3",
    "mp4",
    "ogg",
    "otf",
    "png",
    "rss",
    "svg",
    "ttf",
    "wasm",
    "wav",
    "webm",
    "webmanifest",
    "webp",
    "woff",
    "woff2",
    "zip",
];
/// Files that only programs ask for.
const FOR_PROGRAMS: [&str; 4] = ["/robots.txt", "/sitemap.xml", "/ads.txt", "/humans.txt"];

/// Says why a line is no page view, if it is none.
pub fn judge(line: &Line<'_>) -> Result<(), Skip> {
    if line.method.is_empty() || line.target.is_empty() {
        return Err(Skip::BadRequest);
    }
    if line.method != "GET" {
        return Err(Skip::Method);
    }
    match line.status {
        200..300 | 304 => {}
        100..200 => return Err(Skip::Method),
        300..400 => return Err(Skip::Redirect),
        _ => return Err(Skip::Error),
    }
    if is_asset(&line.target) {
        return Err(Skip::Asset);
    }
    Ok(())
}

/// Whether a target is a part of a page rather than one, by its ending.
pub fn is_asset(target: &str) -> bool {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    if FOR_PROGRAMS.iter().any(|file| path.eq_ignore_ascii_case(file)) {
        return true;
    }
    // a name that is all ending, as .env, is none of them
    let Some((stem, ending)) = name.rsplit_once('.') else { return false };
    if stem.is_empty() || ending.len() > 11 {
        return false;
    }
    let mut lower = [0; 11];
    let lower = &mut lower[..ending.len()];
    lower.copy_from_slice(ending.as_bytes());
    lower.make_ascii_lowercase();
    ASSETS.iter().any(|asset| asset.as_bytes() == lower)
}

/// Whether a user agent says that it is a program: by the same words as the pipeline.
pub fn declares_bot(user_agent: &str) -> bool {
    let lower = user_agent.to_ascii_lowercase();
    BOT_WORDS.iter().any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{Format, read};

    #[test]
    fn views_and_the_rest() {
        for (request, status, expected) in [
            ("GET / HTTP/1.1", 200, Ok(())),
            ("GET /shoes HTTP/1.1", 304, Ok(())),
            ("GET /part HTTP/1.1", 206, Ok(())),
            ("GET /v1.2/notes HTTP/1.1", 200, Ok(())),
            ("GET /index.html?a=b.css HTTP/1.1", 200, Ok(())),
            ("GET /index.php HTTP/1.1", 200, Ok(())),
            ("HEAD / HTTP/1.1", 200, Err(Skip::Method)),
            ("POST /cart HTTP/1.1", 200, Err(Skip::Method)),
            ("GET /old HTTP/1.1", 301, Err(Skip::Redirect)),
            ("GET /none HTTP/1.1", 404, Err(Skip::Error)),
            ("GET / HTTP/1.1", 500, Err(Skip::Error)),
            ("GET / HTTP/1.1", 499, Err(Skip::Error)),
            ("GET /a.CSS?v=1 HTTP/1.1", 200, Err(Skip::Asset)),
            ("GET /favicon.ico HTTP/1.1", 304, Err(Skip::Asset)),
            ("GET /robots.txt HTTP/1.1", 200, Err(Skip::Asset)),
            ("GET /f/x.woff2#y HTTP/1.1", 200, Err(Skip::Asset)),
            (r"\x16\x03\x01", 400, Err(Skip::BadRequest)),
            ("-", 408, Err(Skip::BadRequest)),
        ] {
            let line = format!(r#"192.0.2.1 - - [26/Nov/2026:10:00:00 +0000] "{request}" {status} 1"#);
            let line = read(&line, Format::Auto).unwrap();
            assert_eq!(judge(&line), expected, "{request} {status}");
        }
        assert!(!is_asset("/.env"));
        assert!(!is_asset("/a.css/"));
        assert!(!is_asset("/größe.größe"));
    }

    #[test]
    fn names_differ() {
        let names: std::collections::BTreeSet<_> = Skip::ALL.iter().map(|skip| skip.name()).collect();
        assert_eq!(names.len(), Skip::ALL.len());
        assert!(
            declares_bot("Mozilla/5.0 (compatible; GoogleBot/2.1)")
                && !declares_bot("Mozilla/5.0 (X11) Firefox/140")
        );
    }
}

//! The start page: what this is, and how to send something here.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{Html, IntoResponse, Response};

use crate::desk::Desk;

/// The snippet as it is served: every visitor's browser loads it.
static SNIPPET: LazyLock<String> = LazyLock::new(|| packed(include_str!("../web/c.js")));

/// A script without comments, indentation, spaces beside signs, and line ends behind `;`, `{` and `,`, where they mean nothing. It has
/// no comment behind code, no regular expression, and texts only within `'`.
fn packed(script: &str) -> String {
    let mut packed = String::with_capacity(script.len());
    let lines = script.lines().map(str::trim).filter(|line| !line.starts_with("//"));
    for line in lines {
        let is_sign = |c: Option<char>| c.is_none_or(|c| c.is_ascii_punctuation() && !"_$'".contains(c));
        let mut chars = line.chars().peekable();
        let (mut before, mut quoted) = (None, false);
        while let Some(c) = chars.next() {
            quoted ^= c == '\'';
            if c != ' ' || quoted || !(is_sign(before) || is_sign(chars.peek().copied())) {
                packed.push(c);
                before = Some(c);
            }
        }
        if !packed.ends_with([';', '{', ',']) {
            packed.push('\n');
        }
    }
    packed
}

/// `GET /c.js`.
pub async fn snippet() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/javascript; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
    ];
    (headers, SNIPPET.as_str()).into_response()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// `GET /` of the collector at `address`, as `127.0.0.1:8090`. No byte of it comes from the request.
pub fn start(desk: &Desk, address: &str) -> Response {
    let site = escape(desk.sites.first());
    let base = format!("http://{}", escape(address));
    let rule = escape(&desk.urls.describe());
    let key = if desk.sites.need_key() {
        "Keys are needed here: what a tracker names itself by (write key, domain, application) must be one of <code>--collector-keys</code>; the snippet takes it as <code>data-key</code>."
    } else {
        "No keys are set (<code>--collector-keys</code>): whoever reaches this port may send for any site."
    };
    let page = format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>clickstream collector</title>
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}}pre,code{{overflow-wrap:anywhere}}pre{{white-space:pre-wrap;padding:.7rem;border:1px solid #8886;border-radius:.4rem}}td{{padding:.2rem 1rem .2rem 0;vertical-align:top}}</style>
<h1>clickstream collector</h1>
<p>This port takes events of web sites. Nothing can be read here; the dashboard is on another port.</p>
<h2>A page of yours</h2>
<pre>&lt;script defer src="{base}/c.js" data-site="{site}"&gt;&lt;/script&gt;</pre>
<p>It sends page views, also those of single-page applications, and clicks on elements with <code>data-cs="name"</code>.
<code>cs("add_to_cart", {{product_id: "P1"}})</code> sends more. On another machine, put the address of your proxy in place of <code>{base}</code>.</p>
<h2>A terminal</h2>
<pre>curl {base}/v1/events -d '{{"event_type":"page_view","page_url":"/hello"}}'</pre>
<h2>Trackers that you use already</h2>
<table>
<tr><td>Segment<td><code>{base}/v1</code> as API host; the write key is the site
<tr><td>Plausible<td><code>{base}/api/event</code> as endpoint; the domain is the site
<tr><td>Snowplow<td><code>{base}</code> as collector; the appId is the site
</table>
<p>{key}</p>
<h2>Pages</h2>
<p>Addresses are made alike before they are written: {rule}.</p>
"#
    );
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy), (header::CACHE_CONTROL, "no-store")], Html(page))
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_packed_and_its_texts_are_not() {
        let script = "// why\n  const a = 'x + \\u0020 y', b = typeof c;\n\tif (a) {\n d()\n }\n\treturn a ? -b : 2 ** b;\n";
        assert_eq!(packed(script), "const a='x + \\u0020 y',b=typeof c;if(a){d()\n}\nreturn a?-b:2**b;");
        assert!(SNIPPET.len() <= 1_536, "{} bytes", SNIPPET.len());
    }
}

//! Records on the edge of the rule for valid events: each form in which Flink and the decoder once differed, or could.

use clickstream_event::Timestamp;

/// A record in which one member is something else.
#[derive(Clone, Copy, Debug)]
pub enum Odd {
    /// A click whose named member is this JSON. In it TIME is the second, without fraction and Z.
    Click(&'static str, &'static str),
    /// A purchase with this `value`, on a site of its own.
    Amount(&'static str),
    /// A click with a further member: some text, repeated, some text, repeated, some text.
    More(&'static str, (&'static str, usize), &'static str, (&'static str, usize), &'static str),
    /// A canonical click, and bytes after it.
    Tail(&'static [u8]),
    /// A canonical click, with bytes in its page.
    Page(&'static [u8]),
    /// So many bytes that are no UTF-8.
    Bytes(usize),
    /// A click filled up to so many bytes with one character.
    Long(usize, char),
    /// A heartbeat with a further member.
    Heartbeat(&'static str),
}

use Odd::{Amount, Bytes, Click, Heartbeat, Long, More, Page, Tail};

const fn nested(levels: usize) -> Odd {
    More("\"more\":", ("[", levels), "", ("]", levels), "")
}
const fn digits(before: &'static str, digits: usize, after: &'static str) -> Odd {
    More(before, ("1", digits), after, ("", 0), "")
}

/// What Flink and the decoder once read differently, or have a limit for.
pub const FORMS: &[Odd] = &[
    // numbers in the place of text: not as a double would be written
    Click("page_url", "1e3"),
    Click("page_url", "1.50"),
    Click("page_url", "-0.0"),
    Click("page_url", "0.0000001"),
    Click("page_url", "1e400"),
    Click("page_url", "0.1234567890123456789"),
    Click("product_id", "12.50E+1"),
    Click("user_id", "1e-400"),
    Click("session_id", "0e5"),
    Click("page_url", "1e2147483647"),
    Click("page_url", "1e2147483648"),
    Click("page_url", "1.5e-2147483647"),
    Click("page_url", "false"),
    // half a surrogate pair
    Click("page_url", r#""/\udc00x""#),
    Click("page_url", r#""/\ud800\ud83d\ude00""#),
    Click("product_id", r#""\uD800""#),
    Click("event_type", r#""click\ud800""#),
    More(r#""\ud800":1"#, ("", 0), "", ("", 0), ""),
    More(r#""page\u005furl":"/\udfff""#, ("", 0), "", ("", 0), ""),
    // amounts
    Amount("1.5e2"),
    Amount("1e12"),
    Amount("9.9e12"),
    Amount("1e13"),
    Amount("9999999999999.99995"),
    Amount("99999999999999.99999"),
    Amount("10000000000000"),
    Amount("0e20"),
    Amount("1e-7"),
    Amount("9.07584930509e-12"),
    Amount("1e-13"),
    Amount("1e-400"),
    Amount("900000000000.0001"),
    Amount("-0.00005"),
    Amount("0.00004999999999999999999999999999999999999"),
    Amount(r#""0.00005""#),
    Amount(r#""5\n""#),
    Amount(r#""5\u2028""#),
    Amount(r#""5\u0085""#),
    Amount(r#""1_000""#),
    Amount(r#""12.5E+3""#),
    Amount(r#""1.5E+3""#),
    Amount(r#""1E3""#),
    Amount(r#"" 5""#),
    Amount(r#""٣""#),
    Amount(r#""0000000000005""#),
    Amount(r#""00000000000005""#),
    Amount(r#""\ud800""#),
    // times
    Click("timestamp", r#""TIME12Z""#),
    Click("timestamp", r#""TIME.12Z""#),
    Click("timestamp", r#""TIME.000Z\n""#),
    Click("timestamp", r#""TIME.0000\u0001Z""#),
    Click("timestamp", r#""3200-02-29T00:00:00Z""#),
    Click("timestamp", r#""3100-02-29T00:00:00Z""#),
    Click("timestamp", r#""9600-02-29T00:00:00Z""#),
    // the limits of the reader, in members that nobody asks for
    nested(998),
    nested(999),
    nested(30_000),
    digits("\"more\":", 1_000, ""),
    digits("\"more\":[-", 1_001, "]"),
    digits("\"more\":0.", 1_000, ""),
    digits("\"more\":0.", 1_001, ""),
    digits("\"more\":1.", 999, ""),
    digits("\"more\":1.", 1_000, ""),
    digits("\"more\":{\"a\":\"\\\"\",\"b\":", 998, "e-12}"),
    digits("\"more\":{\"a\":\"\\\"\",\"b\":", 999, "e-12}"),
    digits("\"page_url\":", 1_000, ".0e-1"),
    More("\"more\":1e", ("9", 12), "", ("", 0), ""),
    More("\"more\":1e", ("0", 998), "1", ("", 0), ""),
    More("\"more\":1e", ("0", 999), "1", ("", 0), ""),
    More("\"", ("k", 50_000), "\":1", ("", 0), ""),
    More("\"", ("k", 50_001), "\":1", ("", 0), ""),
    More("\"", ("é", 30_000), "\":1", ("", 0), ""),
    More("\"more\":{\"", ("k", 50_001), "\" : 1}", ("", 0), ""),
    More("\"more\":{\"a\":\"", ("k", 50_001), "\"}", ("", 0), ""),
    // what follows a record, and bytes
    Tail(b"\n"),
    Tail(b"\r\n"),
    Tail("\u{85}".as_bytes()),
    Tail("\u{2028}".as_bytes()),
    Tail(b"\x0c"),
    Tail(b","),
    Tail(b"}"),
    Tail(b"],["),
    Tail(b",\"a\":{}"),
    Page(b"/\xed\xa0\x80"),
    Page(b"/\xc0\x80"),
    Page(b"/\xf5\x80\x80\x80"),
    Page(b"/\xf0\x9f\x98"),
    Page("/😀".as_bytes()),
    Page("/ｚ".as_bytes()),
    Page(b"/a'b[c]^&-"),
    Bytes(30_000),
    Bytes(70_000),
    // around the longest value, and around the length from which its bytes are counted
    Long(16_384, 'x'),
    Long(16_385, 'x'),
    Long(65_536, 'x'),
    Long(65_537, 'x'),
    Long(65_536, 'é'),
    Long(65_537, 'é'),
    Long(65_536, '😀'),
    Long(65_537, '😀'),
    // heartbeats
    Heartbeat(r#""value":"a\nb""#),
    Heartbeat(r#""product_id":"\u0001""#),
    Heartbeat(r#""page_url":{"a":[1e999]}"#),
    Heartbeat(r#""user_id":"\ud800""#),
];

/// The record of a form; `n` keeps its id apart.
pub fn record(form: Odd, n: usize, now: i64) -> Vec<u8> {
    let mut click = members(n, now);
    let text = Timestamp(now).to_string();
    let put = |click: &mut Vec<(String, String)>, name: &str, json: &str| {
        let json = json.replace("TIME", &text[..19]);
        match click.iter_mut().find(|(member, _)| member == name) {
            Some((_, value)) => *value = json,
            None => click.push((name.to_owned(), json)),
        }
    };
    match form {
        Click(name, json) => put(&mut click, name, json),
        Amount(json) => {
            // on a site of its own, so that a sum shows it alone and digit for digit
            put(&mut click, "site_id", &format!("\"m{n}\""));
            put(&mut click, "event_type", "\"purchase\"");
            put(&mut click, "value", json);
        }
        More(a, (b, times), c, (d, again), e) => {
            let plain = joined(&click, "");
            let more = format!("{a}{}{c}{}{e}", b.repeat(times), d.repeat(again));
            return format!("{},{more}}}", &plain[..plain.len() - 1]).into_bytes();
        }
        Tail(bytes) => return [joined(&click, "").as_bytes(), bytes].concat(),
        Page(bytes) => {
            let plain = joined(&click, "");
            let (before, after) = plain.split_once("/odd").unwrap();
            return [before.as_bytes(), bytes, after.as_bytes()].concat();
        }
        Bytes(length) => return vec![0xff; length],
        Long(length, filler) => {
            let plain = joined(&click, "");
            let room = length - plain.len() - ",\"referrer\":\"\"".len();
            let (times, rest) = (room / filler.len_utf8(), room % filler.len_utf8());
            let text = String::from(filler).repeat(times) + &"x".repeat(rest);
            return format!("{},\"referrer\":\"{text}\"}}", &plain[..plain.len() - 1]).into_bytes();
        }
        Heartbeat(more) => {
            return format!(r#"{{"event_type":"heartbeat","site_id":"a","timestamp":"{text}",{more}}}"#)
                .into_bytes();
        }
    }
    joined(&click, "").into_bytes()
}

/// A canonical click, member by member.
pub(crate) fn members(n: usize, now: i64) -> Vec<(String, String)> {
    let quoted = |text: &str| format!("\"{text}\"");
    [
        ("timestamp", quoted(&Timestamp(now).to_string())),
        ("event_id", quoted(&format!("x{n}"))),
        ("site_id", quoted("a")),
        ("event_type", quoted("click")),
        ("user_id", quoted("u1")),
        ("session_id", quoted("s1")),
        ("page_url", quoted("/odd")),
    ]
    .map(|(name, json)| (name.to_owned(), json))
    .to_vec()
}

pub(crate) fn joined(members: &[(String, String)], space: &str) -> String {
    let all: Vec<String> =
        members.iter().map(|(name, json)| format!("{space}\"{name}\"{space}:{space}{json}")).collect();
    format!("{{{}{space}}}", all.join(","))
}

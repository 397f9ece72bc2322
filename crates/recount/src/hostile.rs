//! Forms of records that are no events, or hardly ones.

use clickstream_event::Timestamp;

use crate::odd;

/// Number of hostile forms.
pub fn hostile_forms() -> usize {
    FORMS.len() + TIMES.len() + odd::FORMS.len()
}

/// A record that is no event, or hardly one. `n` keeps its id apart from all others of the log.
pub fn hostile(which: usize, n: usize, now: i64) -> Vec<u8> {
    let text = Timestamp(now).to_string();
    let (date, clock) = (&text[..10], &text[11..19]);
    let which = which % hostile_forms();
    if let Some(which) = which.checked_sub(FORMS.len() + TIMES.len()) {
        return odd::record(odd::FORMS[which], n, now);
    }
    let (form, time) = match which.checked_sub(FORMS.len()) {
        None => (FORMS[which].to_owned(), text.clone()),
        Some(which) => (
            EVENT.to_owned(),
            TIMES[which].replace("DATE", date).replace("CLOCK", clock).replace("HOUR", &clock[..5]),
        ),
    };
    match form.as_str() {
        "deep" => deep(60, &text, n),
        "huge" => {
            let value = EVENT.replace("TIME", &text).replace("ID", &format!("x{n}"));
            value.replace("\"/x\"", &format!("\"/{}\"", "x".repeat(40_000))).into_bytes()
        }
        "too long" => {
            let value = EVENT.replace("TIME", &text).replace("ID", &format!("x{n}"));
            value.replace("\"/x\"", &format!("\"/{}\"", "x".repeat(66_000))).into_bytes()
        }
        "not utf-8" => {
            let mut value = EVENT.replace("TIME", &text).replace("ID", &format!("x{n}")).into_bytes();
            let at = value.len() - 3;
            value[at] = 0xff;
            value
        }
        "empty" => Vec::new(),
        form => form.replace("TIME", &time).replace("ID", &format!("x{n}")).into_bytes(),
    }
}

fn deep(levels: usize, time: &str, n: usize) -> Vec<u8> {
    let nested = format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let event = EVENT.replace("TIME", time).replace("ID", &format!("x{n}"));
    format!("{},\"nested\":{nested}}}", &event[..event.len() - 1]).into_bytes()
}

const EVENT: &str = r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#;

/// Forms of a timestamp, legal and illegal.
const TIMES: &[&str] = &[
    "DATETCLOCKZ",
    "DATETCLOCK.1Z",
    "DATETCLOCK.12Z",
    "DATETCLOCK.123456789Z",
    "DATETCLOCK.1234567890Z",
    "DATETCLOCK.Z",
    "DATETCLOCK+00:00",
    "DATETCLOCK-00:00",
    "DATETCLOCK.000+01:00",
    "DATEtCLOCKz",
    "DATE CLOCKZ",
    "DATE CLOCK",
    "DATETCLOCK",
    "DATETHOURZ",
    "DATET24:00:00Z",
    "DATET23:59:60Z",
    "DATET25:00:00Z",
    "DATETHOUR:61Z",
    "DATE",
    "CLOCK",
    "",
    " DATETCLOCKZ",
    "DATETCLOCKZ ",
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-00-10T00:00:00Z",
    "2024-02-29T10:00:00Z",
    "2023-02-29T10:00:00Z",
    "1969-12-31T23:59:59Z",
    "1970-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "10000-01-01T00:00:00Z",
    "+2026-01-01T00:00:00Z",
    "-2026-01-01T00:00:00Z",
    "2026-1-1T00:00:00Z",
    "2026-W01-1T00:00:00Z",
    "1795583043021",
    "now",
    "DATETCLOCK.٣Z",
    "DATETCLOCK,5Z",
];

/// Forms of a record. TIME is a good timestamp, ID an id of its own.
const FORMS: &[&str] = &[
    "deep",
    "huge",
    "too long",
    "not utf-8",
    "empty",
    "{",
    "}",
    "[]",
    "[1]",
    "null",
    "true",
    "17",
    "\"text\"",
    "{}",
    "{} {}",
    "{}x",
    "{\"a\":1,}",
    "{,}",
    "{\"a\"}",
    "{'a':1}",
    "{a:1}",
    "{\"a\":01}",
    "{\"a\":+1}",
    "{\"a\":.5}",
    "{\"a\":1.}",
    "{\"a\":NaN}",
    "{\"a\":Infinity}",
    "{\"a\":0x1F}",
    "{\"a\":\"\\x41\"}",
    "{\"a\":tru}",
    "\u{feff}{}",
    "// comment\n{}",
    "{}/* comment */",
    "\u{0}{}",
    "{\"a\":1}\u{0}",
    // members in another order, with spaces, with escapes
    r#" { "timestamp" : "TIME" , "page_url" : "/x" , "session_id" : "s2" , "user_id" : "u2" , "event_type" : "page_view" , "site_id" : "b" , "event_id" : "ID" } "#,
    r#"{"event_id":"ID","site_id":"a","event_type":"page\u005fview","user_id":"u\u0031","session_id":"s1","page_url":"\/x","timestamp":"TIME"}"#,
    r#"{"event\u005fid":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"caf\u00e9","session_id":"\ud83d\ude00","page_url":"/caf\u00e9/\ud83d\ude00","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/a\"b\\c","timestamp":"TIME"}"#,
    // lone surrogates, control characters
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"\ud800","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/\udc00x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x\ud800\u0041","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","referrer":"\ud800"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u\u0000","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s\u0001","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/a\nb","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","referrer":"a\nb"}"#,
    "{\"event_id\":\"ID\",\"site_id\":\"a\",\"event_type\":\"click\",\"user_id\":\"u1\",\"session_id\":\"s1\",\"page_url\":\"/a\tb\",\"timestamp\":\"TIME\"}",
    "{\"event_id\":\"ID\",\"site_id\":\"a\",\"event_type\":\"click\",\"user_id\":\"u1\",\"session_id\":\"s1\",\"page_url\":\"/\u{7f}\u{2028}\u{fffd}\",\"timestamp\":\"TIME\"}",
    // numbers, booleans, null, objects in the place of text
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":42,"session_id":1e3,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":-0,"session_id":0.1,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":12345678901234567890,"session_id":1e400,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":1.0,"session_id":100000000000000000000000000000,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":1E-7,"session_id":123456789.5,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":true,"session_id":false,"page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":null,"session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":{"id":1},"session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":["u1"],"session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":" ","session_id":" s1 ","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":1795583043021}"#,
    // repeated keys, other spellings
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","user_id":"u2","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","page_url":null}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","User_Id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"PAGE_VIEW","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click ","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":null,"user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME"}"#,
    r#"{"event_type":"heartbeat","timestamp":"TIME"}"#,
    r#"{"event_type":"heartbeat","site_id":"a","timestamp":"TIME","value":"much"}"#,
    // amounts
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":"12.345678"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":"1,5"}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":""}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":-3.00005}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":1e15}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":99999999999999.9999}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":1.5e2}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":1e-3}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":null}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":true}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","value":7}"#,
    // products
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","product_id":""}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","product_id":7}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","product_id":{"a":1}}"#,
    r#"{"event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","timestamp":"TIME","product_id":"a\u0002"}"#,
    // the canonical form, nearly
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","product_id":"sku1","value":5.25,"currency":"EUR"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"purchase","user_id":"u1","session_id":"s1","page_url":"/x","product_id":"sku1","value":05.25,"currency":"EUR"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","page_url":"/y"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x"} "#,
    r#"{"timestamp":"TIME","event_id":"","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"click","user_id":"u1","session_id":"s1","page_url":"/x","value":"x"}"#,
    r#"{"timestamp":"TIME","event_id":"ID","site_id":"a","event_type":"wink","user_id":"u1","session_id":"s1","page_url":"/x"}"#,
];

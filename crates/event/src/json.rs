//! JSON as Flink's reader takes it, where that is not as JSON itself or `serde_json` would have it.
//!
//! Flink reads a record with Jackson, whose limits are part of the rule for valid events: they hold for the whole record,
//! members that nobody asks for included, and SQL could not lift them. A record beyond them is no JSON.

use std::borrow::Cow;

use serde::de::{Deserializer, Error, Visitor};

/// How deep objects and arrays may be nested, the record's own object included.
pub const MAX_DEPTH: usize = 999;
/// Digits of a number, of its fraction and its exponent together.
pub const MAX_DIGITS: usize = 1_000;
/// Length of a key in UTF-16 units.
pub const MAX_KEY: usize = 50_000;
/// The largest exponent, and the most digits behind the point once it is applied.
const MAX_SCALE: i64 = i32::MAX as i64;

/// A JSON value as the text `JSON_VALUE` gives for it: empty for null, objects and arrays.
pub fn text_of(json: &str) -> Cow<'_, str> {
    match json.as_bytes().first() {
        Some(b'"') if !json.contains('\\') => Cow::Borrowed(&json[1..json.len() - 1]),
        Some(b'"') => Cow::Owned(serde_json::from_str(json).unwrap_or_else(|_| unpaired(json))),
        Some(b'{' | b'[' | b'n') | None => Cow::Borrowed(""),
        Some(b't' | b'f') => Cow::Borrowed(json),
        Some(_) => number_text(json),
    }
}

/// A JSON text whose escapes are no Unicode: half a surrogate pair becomes `?`, as where Java encodes it.
fn unpaired(json: &str) -> String {
    struct Bytes;
    impl Visitor<'_> for Bytes {
        type Value = Vec<u8>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text")
        }
        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
            Ok(bytes.to_vec())
        }
    }
    // serde_json gives such a half as the three bytes it would have if it were a character
    let mut bytes = serde_json::Deserializer::from_str(json).deserialize_bytes(Bytes).unwrap_or_default();
    let mut at = 0;
    while at + 2 < bytes.len() {
        if bytes[at] == 0xed && bytes[at + 1] >= 0xa0 {
            bytes.splice(at..at + 3, [b'?']);
        }
        at += 1;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The parts of a number: its sign, digits before and behind the point, exponent.
fn parts(number: &str) -> (bool, &str, &str, Option<&str>) {
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |number| (true, number));
    let (mantissa, exponent) = number.split_once(['e', 'E']).map_or((number, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    (negative, whole, fraction, exponent)
}

/// A JSON number as text, digit for digit. An integer stands as it is; one with fraction or exponent is written as
/// `BigDecimal.toString` does: `1.50`, but `1E+3` for `1e3` and `1E-7` for what has more than six zeros behind the point.
pub fn number_text(json: &str) -> Cow<'_, str> {
    let (negative, whole, fraction, exponent) = parts(json);
    if fraction.is_empty() && exponent.is_none() {
        return Cow::Borrowed(if json == "-0" { "0" } else { json });
    }
    let scale = fraction.len() as i64 - exponent.and_then(|e| e.parse().ok()).unwrap_or(0);
    let all = format!("{whole}{fraction}");
    let digits = Some(all.trim_start_matches('0')).filter(|digits| !digits.is_empty()).unwrap_or("0");
    let sign = if negative && digits != "0" { "-" } else { "" };
    let adjusted = digits.len() as i64 - 1 - scale;
    Cow::Owned(if scale >= 0 && adjusted >= -6 {
        let scale = scale as usize;
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        format!("{sign}{whole}{}{fraction}", if scale > 0 { "." } else { "" })
    } else {
        let (first, rest) = digits.split_at(1);
        format!("{sign}{first}{}{rest}E{adjusted:+}", if rest.is_empty() { "" } else { "." })
    })
}

/// Whether a member of a record is one that Jackson reads. `value` is valid JSON.
pub fn is_within_limits(key: &str, value: &str) -> bool {
    is_readable_key(key)
        && match value.as_bytes().first() {
            Some(b'{' | b'[') => is_readable(value),
            Some(b'-' | b'0'..=b'9') => is_readable_number(value),
            _ => true,
        }
}

fn is_readable_key(key: &str) -> bool {
    key.len() <= MAX_KEY || key.encode_utf16().count() <= MAX_KEY
}

fn is_readable_number(number: &str) -> bool {
    if number.len() <= 10 {
        return true;
    }
    let (_, whole, fraction, exponent) = parts(number);
    let digits = exponent.unwrap_or_default().trim_start_matches(['-', '+']);
    // Jackson does not count the zero before a fraction, or an exponent, alone
    let whole = if whole == "0" && (fraction.is_empty() || digits.is_empty()) { 0 } else { whole.len() };
    if whole + fraction.len() + digits.len() > MAX_DIGITS {
        return false;
    }
    let exponent = match exponent {
        None => 0,
        Some(exponent) => match digits.trim_start_matches('0') {
            "" => 0,
            digits => {
                digits.parse().map_or(i64::MAX, |e: i64| if exponent.starts_with('-') { -e } else { e })
            }
        },
    };
    exponent.checked_abs().is_some_and(|size| size <= MAX_SCALE)
        && fraction.len() as i64 - exponent <= MAX_SCALE
}

/// The same for a whole object or array that is a member of a record.
fn is_readable(json: &str) -> bool {
    let bytes = json.as_bytes();
    let (mut at, mut depth) = (0, 1);
    while at < bytes.len() {
        let from = at;
        at += 1;
        match bytes[from] {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b'"' => {
                while bytes[at] != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
                // only one that long can be a key too long
                let is_key = || json[at..].trim_start().starts_with(':');
                if at - from > MAX_KEY && is_key() && !is_readable_key(&text_of(&json[from..at])) {
                    return false;
                }
            }
            b'-' | b'0'..=b'9' => {
                let ends = |b: &u8| !matches!(b, b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-');
                at = bytes[from..].iter().position(ends).map_or(bytes.len(), |length| from + length);
                if !is_readable_number(&json[from..at]) {
                    return false;
                }
            }
            _ => {}
        }
        if depth > MAX_DEPTH {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_java_does() {
        for (json, text) in [
            ("42", "42"),
            ("-0", "0"),
            ("100000000000000000000000000000", "100000000000000000000000000000"),
            ("1.50", "1.50"),
            ("-0.00", "0.00"),
            ("123456789.5", "123456789.5"),
            ("1e3", "1E+3"),
            ("1E+05", "1E+5"),
            ("1e400", "1E+400"),
            ("-1e0", "-1"),
            ("12.5e3", "1.25E+4"),
            ("12.50e1", "125.0"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1E-7"),
            ("100e-9", "1.00E-7"),
            ("123e-7", "0.0000123"),
            ("123e-9", "1.23E-7"),
            ("0e5", "0E+5"),
            ("0.00e3", "0E+1"),
            ("0.0e-5", "0.000000"),
            ("0.0e-6", "0E-7"),
            ("15e2147483647", "1.5E+2147483648"),
            ("1e00000000000000000005", "1E+5"),
        ] {
            assert_eq!(number_text(json), text, "{json}");
        }
    }

    #[test]
    fn limits_hold_at_any_depth() {
        let ones = |n: usize| "1".repeat(n);
        for (json, readable) in [
            (ones(1_000), true),
            (ones(1_001), false),
            (format!("-{}", ones(1_000)), true),
            (format!("1.{}", ones(999)), true),
            (format!("1.{}", ones(1_000)), false),
            (format!("0.{}", ones(1_000)), true),
            (format!("0.{}", ones(1_001)), false),
            (format!("0.0e{}", "0".repeat(998)), true),
            (format!("0.0e{}", "0".repeat(999)), false),
            (format!("0e{}", "0".repeat(1_000)), true),
            (format!("{}e+12", ones(998)), true),
            (format!("{}e+12", ones(999)), false),
            ("1e2147483647".into(), true),
            ("1e2147483648".into(), false),
            ("1e-2147483647".into(), true),
            ("1.5e-2147483647".into(), false),
            ("0e99999999999999999999".into(), false),
            ("1e000000000000000000000000001".into(), true),
        ] {
            assert_eq!(is_within_limits("a", &json), readable, "{json}");
            assert_eq!(
                is_within_limits("a", &format!(r#"{{"\"1":[true,{json} ],"b":"9"}}"#)),
                readable,
                "{json}"
            );
        }
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(is_within_limits("a", &nested(998)) && !is_within_limits("a", &nested(999)));
        let key = |length: usize| format!(r#"{{"{}" : 1}}"#, "é".repeat(length));
        assert!(is_within_limits("a", &key(50_000)) && !is_within_limits("a", &key(50_001)));
        assert!(!is_within_limits(&"k".repeat(50_001), "1"));
        assert!(is_within_limits("a", &format!("[\"{}\"]", "x".repeat(60_000))), "a text may be long");
    }

    #[test]
    fn half_a_pair_is_a_question_mark() {
        for (json, text) in [
            (r#""\ud800""#, "?"),
            (r#""/\udc00x""#, "/?x"),
            (r#""é\ud800\u0041""#, "é?A"),
            (r#""\ud800\ud83d\ude00""#, "?😀"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud7ff\ud800\ue000""#, "\u{d7ff}?\u{e000}"),
        ] {
            assert_eq!(text_of(json), text, "{json}");
        }
    }
}

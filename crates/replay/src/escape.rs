//! Escapes in quoted fields.
//!
//! Apache writes `\"`, `\\`, `\n`, `\t`, … and `\xHH` for what cannot be printed; nginx writes `\xHH` for quotes, backslashes and
//! everything below 32 and above 126.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// A quoted field at the beginning of `text` (behind its first quote), and what follows its last quote.
pub fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut escaped = false;
    loop {
        at += memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            let field = &text[..at];
            let field = if escaped { Cow::Owned(unescape(field)) } else { Cow::Borrowed(field) };
            return Some((field, &text[at + 1..]));
        }
        escaped = true;
        at += 2;
    }
}

/// The text without its escapes; bytes that are no UTF-8 become `�`.
pub fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some(at) = memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        let used = match rest.get(at + 1) {
            Some(b'x') => match hex(rest.get(at + 2..at + 4)) {
                Some(byte) => {
                    out.push(byte);
                    4
                }
                None => {
                    out.push(b'\\');
                    1
                }
            },
            Some(byte) => {
                out.push(match byte {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'v' => 11,
                    other => *other,
                });
                2
            }
            None => {
                out.push(b'\\');
                1
            }
        };
        rest = &rest[at + used..];
    }
    out.extend_from_slice(rest);
    match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    }
}

/// JSON with `\xHH` in its texts, as servers write it that escape for another purpose, as right JSON.
pub fn mend_json(line: &str) -> Option<String> {
    if !line.contains("\\x") {
        return None;
    }
    let mut out = String::with_capacity(line.len() + 16);
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let next = rest[at + 1..].chars().next();
        let used = match next {
            Some('x') => match hex(rest.as_bytes().get(at + 2..at + 4)) {
                Some(byte) => {
                    out.push_str(&format!("\\u{:04x}", byte));
                    4
                }
                None => return None,
            },
            Some(other) => {
                out.push('\\');
                out.push(other);
                1 + other.len_utf8()
            }
            None => return None,
        };
        rest = &rest[at + used..];
    }
    out.push_str(rest);
    Some(out)
}

fn hex(digits: Option<&[u8]>) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    match digits? {
        [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_of_both_servers() {
        assert_eq!(quoted(r#"a\"b" c"#), Some(("a\"b".into(), " c")));
        assert_eq!(quoted(r#"plain" "x""#), Some(("plain".into(), " \"x\"")));
        assert_eq!(quoted(r#"gr\xc3\xb6\xC3\x9Fe\t\\" "#), Some(("größe\t\\".into(), " ")));
        assert_eq!(quoted(r#"\xff\xZZ\x" "#), Some(("\u{fffd}\\xZZ\\x".into(), " ")));
        assert_eq!(quoted("never ends"), None);
        assert_eq!(quoted("ends with a backslash\\"), None);
    }

    #[test]
    fn json_is_mended() {
        assert_eq!(mend_json(r#"{"a":"x\x22\"y\\x"}"#).as_deref(), Some(r#"{"a":"x\u0022\"y\\x"}"#));
        assert_eq!(mend_json(r#"{"a":1}"#), None);
        assert_eq!(mend_json(r#"{"a":"\xZ"}"#), None);
    }

    proptest! {
        /// What nginx escapes is read back.
        #[test]
        fn any_text_comes_back(text in any::<String>()) {
            let escaped: String = text.bytes().map(|b| match b {
                b'"' | b'\\' | 0..=31 | 127.. => format!("\\x{b:02X}"),
                _ => (b as char).to_string(),
            }).collect();
            let line = format!("{escaped}\" rest");
            prop_assert_eq!(quoted(&line), Some((Cow::Owned(text), " rest")));
        }
    }
}

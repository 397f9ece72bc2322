//! Texts of strangers made harmless, and numbers for people.

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns a text takes.
pub fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// A text that no terminal obeys: without control characters, and without those that are invisible or turn the direction of writing
/// for what stands beside them.
pub fn safe(text: &str) -> String {
    text.chars()
        .filter_map(|c| match c {
            c if c.is_control() => Some('�'),
            // marks, embeddings, overrides and isolates of direction
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                Some('�')
            }
            // no width of their own: joiners, soft hyphens, fillers, tags, variation selectors
            c if UnicodeWidthChar::width(c) == Some(0) || c == '\u{ad}' => None,
            c => Some(c),
        })
        .collect()
}

/// The text in at most so many columns, harmless; what is cut ends with `…`.
pub fn fit(text: &str, columns: usize) -> String {
    let text = safe(text);
    if width(&text) <= columns {
        return text;
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = UnicodeWidthChar::width(c).unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// A path in at most so many columns: its end tells more than its middle.
pub fn fit_path(text: &str, columns: usize) -> String {
    let whole = safe(text);
    if width(&whole) <= columns || columns < 12 {
        return fit(text, columns);
    }
    let head = columns / 3;
    let begin = fit(&whole, head + 1);
    let mut tail = Vec::new();
    let mut used = width(&begin);
    for c in whole.chars().rev() {
        let wide = UnicodeWidthChar::width(c).unwrap_or(0);
        if used + wide > columns {
            break;
        }
        used += wide;
        tail.push(c);
    }
    tail.reverse();
    format!("{begin}{}", tail.into_iter().collect::<String>())
}

/// `12345` as `12 345`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// By how much something has grown, `growth` being a ratio to `before`; of nothing there is no percentage.
pub fn grown(before: u64, growth: f64) -> String {
    if before == 0 { "new".into() } else { format!("{:+.0} %", growth * 100.0) }
}

/// A share in percent; `–` where there is none.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.1} %", share * 100.0))
}

/// A number with three significant digits, or all those of a greater whole one; what is nearly nothing is not said to be nothing.
pub fn significant(n: f64) -> String {
    let places = match n.abs() {
        size if n.fract() == 0.0 || size >= 99.95 => 0,
        size if size < 0.001 => return if n < 0.0 { ">-0.001" } else { "<0.001" }.into(),
        size if size < 0.0995 => 4,
        size if size < 0.9995 => 3,
        size if size < 9.995 => 2,
        _ => 1,
    };
    let text = format!("{n:.places$}");
    if places == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// As many of the items as fit beside each other; of the rest is said how many they are: `late 12 · not_json 3 · +2 more`.
pub fn whole_items(items: &[String], columns: usize) -> String {
    const BETWEEN: &str = " · ";
    for shown in (0..=items.len()).rev() {
        let left = items.len() - shown;
        let mut parts = items[..shown].to_vec();
        if left > 0 {
            parts.push(if shown == 0 { format!("{left} kinds") } else { format!("+{left} more") });
        }
        let text = parts.join(BETWEEN);
        if width(&text) <= columns {
            return text;
        }
    }
    String::new()
}

/// Milliseconds as `850 ms`, `12.3 s`, `4:05` or `2:10:00`.
pub fn duration(ms: f64) -> String {
    let s = ms / 1e3;
    match () {
        () if ms < 1e3 => format!("{ms:.0} ms"),
        () if s < 60.0 => format!("{s:.1} s"),
        () if s < 3_600.0 => format!("{}:{:02}", s as u64 / 60, s as u64 % 60),
        () => format!("{}:{:02}:{:02}", s as u64 / 3_600, s as u64 / 60 % 60, s as u64 % 60),
    }
}

/// Bytes as `12 MB`.
pub fn bytes(n: f64) -> String {
    match () {
        () if n < 1e6 => format!("{:.0} kB", n / 1e3),
        () if n < 1e9 => format!("{:.0} MB", n / 1e6),
        () => format!("{:.1} GB", n / 1e9),
    }
}

/// A number of a row; 0 where it is none.
pub fn number(row: &Value, field: &str) -> f64 {
    ratio(row, field).unwrap_or(0.0)
}

/// A number of a row that may be missing. Money may be a text.
pub fn ratio(row: &Value, field: &str) -> Option<f64> {
    let value = row.get(field)?;
    value.as_f64().or_else(|| value.as_str()?.parse().ok()).filter(|n| n.is_finite())
}

/// A text of a row, as it stands there.
pub fn word<'r>(row: &'r Value, field: &str) -> &'r str {
    row.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// `HH:MM:SS` of a time of a row.
pub fn clock(time: &str) -> String {
    match time.get(11..19) {
        Some(clock) if clock.bytes().all(|b| b.is_ascii_digit() || b == b':') => clock.to_owned(),
        _ => "–".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn growth_from_nothing_is_new() {
        assert_eq!((grown(0, 5_021.0), grown(10, 3.0)), ("new".to_owned(), "+300 %".to_owned()));
    }

    #[test]
    fn three_digits_tell_something_from_nothing() {
        let shown =
            [0.0, 0.00002, 0.0123, 0.0996, 0.1, 0.4567, 9.25, 9.996, 96.5, 412.0, 412.4, 98_765.4, -0.5]
                .map(significant);
        let expected = [
            "0", "<0.001", "0.0123", "0.1", "0.1", "0.457", "9.25", "10", "96.5", "412", "412", "98765",
            "-0.5",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn an_item_is_shown_whole_or_counted() {
        let items = ["late 12", "not_json 3", "unknown_event_type 358"].map(str::to_owned);
        assert_eq!(whole_items(&items, 80), "late 12 · not_json 3 · unknown_event_type 358");
        assert_eq!(whole_items(&items, 44), "late 12 · not_json 3 · +1 more");
        assert_eq!(whole_items(&items, 18), "late 12 · +2 more");
        assert_eq!((whole_items(&items, 10), whole_items(&items, 3)), ("3 kinds".into(), String::new()));
    }

    #[test]
    fn hostile_texts() {
        assert_eq!(safe("\x1b[31mred\x07\r\n"), "�[31mred���");
        assert_eq!(safe("a\u{202e}gpj.exe"), "a�gpj.exe");
        assert_eq!(safe("a\u{200b}b\u{301}"), "ab");
        assert_eq!(fit("漢字かな", 5), "漢字…");
        assert_eq!(fit("שלום", 10), "שלום");
        assert_eq!(fit("abc", 0), "");
        assert_eq!(fit_path("/category/shoes/red-running-shoes", 20), "/categ…running-shoes");
    }

    #[test]
    fn for_people() {
        assert_eq!(thousands(1_234_567), "1 234 567");
        assert_eq!(percent(Some(0.1234)), "12.3 %");
        assert_eq!(
            ["850", "12300", "245000", "7800000"].map(|ms| duration(ms.parse().unwrap())),
            ["850 ms", "12.3 s", "4:05", "2:10:00"]
        );
        assert_eq!(bytes(12e6), "12 MB");
        assert_eq!(clock("2026-11-26T10:11:12.000Z"), "10:11:12");
        assert_eq!(clock("2026-11-26Tעברית"), "–");
        let row = serde_json::json!({ "revenue": "12.50", "n": 3, "odd": [] });
        assert_eq!((number(&row, "revenue"), number(&row, "n"), ratio(&row, "odd")), (12.5, 3.0, None));
    }

    proptest! {
        #[test]
        fn never_wider_than_asked_and_never_obeyed(text in any::<String>(), columns in 0usize..40) {
            for fitted in [fit(&text, columns), fit_path(&text, columns)] {
                prop_assert!(width(&fitted) <= columns, "{fitted:?}");
                prop_assert!(!fitted.chars().any(char::is_control));
            }
        }
    }
}

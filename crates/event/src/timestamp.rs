//! Points in time: milliseconds since the Unix epoch, as text in RFC 3339 with `Z` and three digits of fraction.

use std::cell::Cell;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{Date, Month};

const DAY_MS: i64 = 86_400_000;
/// The Julian day of 1970-01-01.
const EPOCH_DAY: i32 = 2_440_588;

/// A point in time in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The machine's clock, read by the caller's side of the world: pure code takes a `Timestamp` as an argument.
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self(since.as_millis() as i64)
    }

    /// Reads `YYYY-MM-DDTHH:MM:SS[.f…]Z` with up to nine digits of fraction; what is finer than a millisecond is cut.
    ///
    /// The year is 1970 to 9999, there is no leap second, and no other offset than `Z`. `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_any_year(text).filter(|at| at.0 >= 0)
    }

    /// As [`Timestamp::parse`], but of any year from 0000 on: a window that holds the first moments of 1970 begins before them.
    pub fn parse_any_year(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() < 20 || !text.is_ascii() || bytes[bytes.len() - 1] != b'Z' {
            return None;
        }
        let number = |from: usize, to: usize| -> Option<u32> {
            bytes[from..to]
                .iter()
                .try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
        };
        if (bytes[4], bytes[7], bytes[10], bytes[13], bytes[16]) != (b'-', b'-', b'T', b':', b':') {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let fraction = &bytes[19..bytes.len() - 1];
        let millis = match fraction {
            [] => 0,
            [b'.', digits @ ..]
                if (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit) =>
            {
                (0..3).fold(0u32, |n, i| n * 10 + digits.get(i).map_or(0, |b| u32::from(b - b'0')))
            }
            _ => return None,
        };
        let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
        let date = Date::from_calendar_date(year as i32, month, day as u8).ok()?;
        if hour >= 24 || minute >= 60 || second >= 60 {
            return None;
        }
        let of_day = i64::from((hour * 60 + minute) * 60 + second) * 1000 + i64::from(millis);
        Some(Self(i64::from(date.to_julian_day() - EPOCH_DAY) * DAY_MS + of_day))
    }

    /// The RFC 3339 text.
    pub fn text(self) -> [u8; 24] {
        // thousands of rows in a row say the same two or three times
        TEXTS.with(|texts| {
            let place = &texts[(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64 as i64) as u64 >> 61) as usize];
            let (known, text) = place.get();
            if known == self {
                return text;
            }
            let text = self.to_text();
            place.set((self, text));
            text
        })
    }

    fn to_text(self) -> [u8; 24] {
        let millis = self.0.rem_euclid(1000) as u32;
        let days = i32::try_from(self.0.div_euclid(DAY_MS)).unwrap_or(i32::MAX);
        let date = Date::from_julian_day(days.saturating_add(EPOCH_DAY));
        // what has no date of four digits becomes the first of all days
        let second = if date.is_ok() { self.0.rem_euclid(DAY_MS) / 1000 } else { 0 } as u32;
        let (year, month, day) = date.map_or((1970, Month::January, 1), Date::to_calendar_date);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut digits = |from: usize, to: usize, mut n: u32| {
            for slot in text[from..to].iter_mut().rev() {
                *slot = b'0' + (n % 10) as u8;
                n /= 10;
            }
        };
        digits(0, 4, year.unsigned_abs());
        digits(5, 7, u32::from(u8::from(month)));
        digits(8, 10, u32::from(day));
        digits(11, 13, second / 3600);
        digits(14, 16, second / 60 % 60);
        digits(17, 19, second % 60);
        digits(20, 23, millis);
        text
    }

    /// Appends the RFC 3339 text (24 bytes) to `out`.
    pub fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.text());
    }

    /// `HH:MM:SS` of the day in UTC, for people.
    pub fn clock(self) -> String {
        let text = self.to_string();
        text.get(11..19).unwrap_or_default().to_owned()
    }
}

thread_local! {
    /// Texts that were asked for lately.
    static TEXTS: [Cell<(Timestamp, [u8; 24])>; 8] =
        const { [const { Cell::new((Timestamp(0), *b"1970-01-01T00:00:00.000Z")) }; 8] };
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // digits and signs are always UTF-8
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // a visitor, as a `Cow` would be copied
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl de::Visitor<'_> for Text {
    type Value = Timestamp;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an RFC 3339 time in UTC")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Timestamp, E> {
        Timestamp::parse_any_year(text)
            .ok_or_else(|| E::custom(format!("{text:?} is no RFC 3339 time in UTC")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    #[test]
    fn reads_only_the_documented_form() {
        for (text, expected) in [
            ("1970-01-01T00:00:00.000Z", Some(0)),
            ("2026-11-25T05:04:03.021Z", Some(1_795_583_043_021)),
            ("2026-11-25T05:04:03Z", Some(1_795_583_043_000)),
            ("2026-11-25T05:04:03.5Z", Some(1_795_583_043_500)),
            ("2026-11-25T05:04:03.123456789Z", Some(1_795_583_043_123)),
            ("2024-02-29T00:00:00.000Z", Some(1_709_164_800_000)),
            ("2026-02-29T00:00:00.000Z", None),
            ("2026-11-25T24:00:00.000Z", None),
            ("2026-11-25T05:04:60.000Z", None),
            ("2026-11-25 05:04:03.021Z", None),
            ("2026-11-25T05:04:03.021+00:00", None),
            ("2026-11-25T05:04:03.Z", None),
            ("1969-12-31T23:59:59.999Z", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(Timestamp::parse(text), expected.map(Timestamp), "{text}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_time_crate(ms in 0i64..253_402_300_799_999) {
            let text = Timestamp(ms).to_string();
            let reference = OffsetDateTime::parse(&text, &Rfc3339).unwrap();
            prop_assert_eq!(reference.unix_timestamp_nanos() / 1_000_000, i128::from(ms));
            prop_assert_eq!(Timestamp::parse(&text), Some(Timestamp(ms)));
            prop_assert_eq!(text.len(), 24);
        }

        #[test]
        fn never_panics(text in "\\PC{0,40}") {
            let _ = Timestamp::parse(&text);
        }
    }
}

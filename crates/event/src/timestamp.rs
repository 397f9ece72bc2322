//! Points in time: milliseconds since the Unix epoch, as text in RFC 3339 with `Z` and three digits of fraction.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

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
        let time = Time::from_hms_milli(hour as u8, minute as u8, second as u8, millis as u16).ok()?;
        let at = PrimitiveDateTime::new(date, time).assume_utc();
        Some(Self(at.unix_timestamp() * 1000 + i64::from(millis)))
    }

    /// Appends the RFC 3339 text (24 bytes) to `out`.
    pub fn write_to(self, out: &mut Vec<u8>) {
        let seconds = self.0.div_euclid(1000);
        let millis = self.0.rem_euclid(1000) as u32;
        let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let mut digits = |mut n: u32, width: usize, end: u8| {
            let start = out.len();
            out.resize(start + width, b'0');
            for slot in out[start..].iter_mut().rev() {
                *slot = b'0' + (n % 10) as u8;
                n /= 10;
            }
            out.push(end);
        };
        digits(at.year().unsigned_abs(), 4, b'-');
        digits(u32::from(u8::from(at.month())), 2, b'-');
        digits(u32::from(at.day()), 2, b'T');
        digits(u32::from(at.hour()), 2, b':');
        digits(u32::from(at.minute()), 2, b':');
        digits(u32::from(at.second()), 2, b'.');
        digits(millis, 3, b'Z');
    }

    /// `HH:MM:SS` of the day in UTC, for people.
    pub fn clock(self) -> String {
        let text = self.to_string();
        text.get(11..19).unwrap_or_default().to_owned()
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(24);
        self.write_to(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Timestamp::parse_any_year(&text)
            .ok_or_else(|| de::Error::custom(format!("{text:?} is no RFC 3339 time in UTC")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
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

//! Times as servers write them.

use time::{Date, Month, PrimitiveDateTime, Time};

/// Times of events end here, in milliseconds since the epoch: 9999-12-31, a day before the last one that can be written, since views
/// of a session are moved apart.
const LAST_MS: i64 = 253_402_214_400_000;

/// `26/Nov/2026:10:00:00 +0100`, in milliseconds since the epoch.
pub fn common(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 26 || !text.is_ascii() {
        return None;
    }
    if (bytes[2], bytes[6], bytes[11], bytes[14], bytes[17], bytes[20])
        != (b'/', b'/', b':', b':', b':', b' ')
    {
        return None;
    }
    let month = match &bytes[3..6] {
        b"Jan" => 1,
        b"Feb" => 2,
        b"Mar" => 3,
        b"Apr" => 4,
        b"May" => 5,
        b"Jun" => 6,
        b"Jul" => 7,
        b"Aug" => 8,
        b"Sep" => 9,
        b"Oct" => 10,
        b"Nov" => 11,
        b"Dec" => 12,
        _ => return None,
    };
    let date = (number(&bytes[7..11])?, month, number(&bytes[..2])?);
    let clock = (number(&bytes[12..14])?, number(&bytes[15..17])?, number(&bytes[18..20])?);
    possible(instant(date, clock)? - offset(&bytes[21..])?)
}

/// `2026-11-26T10:00:00.250+01:00`, in milliseconds since the epoch, and whether it has a fraction.
pub fn iso(text: &str) -> Option<(i64, bool)> {
    let bytes = text.as_bytes();
    if bytes.len() < 20 || !text.is_ascii() || !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    if (bytes[4], bytes[7], bytes[13], bytes[16]) != (b'-', b'-', b':', b':') {
        return None;
    }
    let date = (number(&bytes[..4])?, number(&bytes[5..7])?, number(&bytes[8..10])?);
    let clock = (number(&bytes[11..13])?, number(&bytes[14..16])?, number(&bytes[17..19])?);
    let mut rest = &bytes[19..];
    let mut millis = 0;
    let precise = matches!(rest.first(), Some(b'.' | b','));
    if precise {
        let digits = rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        millis = (0..3).fold(0, |n, i| n * 10 + if i < digits { i64::from(rest[1 + i] - b'0') } else { 0 });
        rest = &rest[1 + digits..];
    }
    let offset = match rest {
        [b'Z' | b'z'] => 0,
        rest => offset(rest)?,
    };
    Some((possible(instant(date, clock)? + millis - offset)?, precise))
}

/// A number of seconds, milli-, micro- or nanoseconds since the epoch, told apart by their size.
pub fn unix(number: f64) -> Option<(i64, bool)> {
    let ms = match number {
        n if !(0.0..1e20).contains(&n) => return None,
        n if n < 1e11 => n * 1e3,
        n if n < 1e14 => n,
        n if n < 1e17 => n / 1e3,
        n => n / 1e6,
    };
    (ms < 2.5e14).then_some((ms.round() as i64, number.fract() != 0.0 || number >= 1e11))
}

/// A time that an event can have: offsets lead out of the years of the calendar.
fn possible(ms: i64) -> Option<i64> {
    (0..LAST_MS).contains(&ms).then_some(ms)
}

fn number(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |n, b| b.is_ascii_digit().then(|| n * 10 + u32::from(b - b'0')))
}

fn instant(date: (u32, u32, u32), clock: (u32, u32, u32)) -> Option<i64> {
    let month = Month::try_from(u8::try_from(date.1).ok()?).ok()?;
    let day = Date::from_calendar_date(date.0 as i32, month, date.2 as u8).ok()?;
    // a leap second is the second before
    let time = Time::from_hms(clock.0 as u8, clock.1 as u8, clock.2.min(59) as u8).ok()?;
    let ms = PrimitiveDateTime::new(day, time).assume_utc().unix_timestamp() * 1_000;
    (ms >= 0 && clock.2 <= 60).then_some(ms)
}

/// `+0100`, `-01:00` or `+01` in milliseconds.
fn offset(text: &[u8]) -> Option<i64> {
    let (hours, minutes) = match text.get(1..)? {
        [a, b] => ([*a, *b], [b'0', b'0']),
        [a, b, c, d] | [a, b, b':', c, d] => ([*a, *b], [*c, *d]),
        _ => return None,
    };
    let minutes = i64::from(number(&hours)?) * 60 + i64::from(number(&minutes)?);
    match text[0] {
        b'+' => Some(minutes * 60_000),
        b'-' => Some(minutes * -60_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickstream_event::Timestamp;
    use proptest::prelude::*;

    fn at(text: &str) -> i64 {
        Timestamp::parse(text).unwrap().0
    }

    #[test]
    fn times_of_the_servers() {
        let noon = at("2026-11-26T12:00:00Z");
        assert_eq!(common("26/Nov/2026:12:00:00 +0000"), Some(noon));
        assert_eq!(common("26/Nov/2026:13:30:00 +0130"), Some(noon));
        assert_eq!(common("26/Nov/2026:04:00:00 -0800"), Some(noon));
        assert_eq!(iso("2026-11-26T13:00:00+01:00"), Some((noon, false)));
        assert_eq!(iso("2026-11-26T12:00:00.2567Z"), Some((noon + 256, true)));
        assert_eq!(iso("2026-11-26 12:00:00.5-0000"), Some((noon + 500, true)));
        assert_eq!(unix(noon as f64 / 1e3), Some((noon, false)));
        assert_eq!(unix(noon as f64 / 1e3 + 0.25), Some((noon + 250, true)));
        assert_eq!(unix(noon as f64), Some((noon, true)));
        assert_eq!(unix(noon as f64 * 1e6), Some((noon, true)));
    }

    #[test]
    fn what_is_no_time() {
        for text in [
            "",
            "-",
            "26/Foo/2026:12:00:00 +0000",
            "32/Nov/2026:12:00:00 +0000",
            "26/Nov/2026:24:00:00 +0000",
            "26/Nov/2026 12:00:00 +0000 ",
            "26/Nov/1969:12:00:00 +0000",
            "26/Nov/2026:12:00:00 x0000",
            "01/Jan/1970:00:00:00 +0001",
            "31/Dec/9999:23:59:60 -2359",
        ] {
            assert_eq!(common(text), None, "{text:?}");
        }
        for text in
            ["2026-11-26T12:00:00", "2026-11-26T12:00:00.", "2026-13-26T12:00:00Z", "2026-11-26T12:00:00+1"]
        {
            assert_eq!(iso(text), None, "{text:?}");
        }
        assert_eq!(unix(-1.0), None);
        assert_eq!(unix(f64::NAN), None);
        assert_eq!(unix(f64::INFINITY), None);
    }

    proptest! {
        #[test]
        fn any_time_in_any_zone(second in 0i64..4_000_000_000, zone in -840i64..840) {
            let local = Timestamp((second + zone * 60).max(0) * 1_000).to_string();
            prop_assume!(second + zone * 60 >= 0);
            let sign = if zone < 0 { '-' } else { '+' };
            let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let month = months[local[5..7].parse::<usize>().unwrap() - 1];
            let zone = format!("{sign}{:02}{:02}", zone.abs() / 60, zone.abs() % 60);
            let text = format!("{}/{month}/{}:{} {zone}", &local[8..10], &local[..4], &local[11..19]);
            prop_assert_eq!(common(&text), Some(second * 1_000));
            prop_assert_eq!(iso(&format!("{}{zone}", &local[..19])), Some((second * 1_000, false)));
        }

        #[test]
        fn nothing_makes_it_panic(text in "[0-9/:TZ+. A-Za-zé-]{0,32}", number: f64) {
            let _ = (common(&text), iso(&text), unix(number));
        }
    }
}

//! Time zones: times of requests and of answers. Inside, all times are UTC.

use clickstream_event::Timestamp;
use jiff::tz::TimeZone;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::kind::{Kind, Type};

/// The zone of that name in the IANA database.
pub fn named(name: &str) -> Option<TimeZone> {
    TimeZone::get(name).ok()
}

/// Reads a time in RFC 3339; one without an offset is of the zone, else of UTC.
pub fn instant(text: &str, zone: Option<&TimeZone>) -> Option<Timestamp> {
    // a plus that was not percent-encoded arrives as a space
    let text = match text.rfind(' ') {
        Some(place) if place >= 16 => format!("{}+{}", &text[..place], &text[place + 1..]),
        _ => text.to_owned(),
    };
    if text.len() > 40 {
        return None;
    }
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(at.as_millisecond()));
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zone = zone.cloned().unwrap_or(TimeZone::UTC);
    civil.to_zoned(zone).ok().map(|at| Timestamp(at.timestamp().as_millisecond()))
}

/// Writes a time in the zone, else in UTC.
pub fn written(at: Timestamp, zone: Option<&TimeZone>) -> String {
    let local = zone.and_then(|zone| Some((jiff::Timestamp::from_millisecond(at.0).ok()?, zone)));
    match local {
        Some((at, zone)) => at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string(),
        None => at.to_string(),
    }
}

/// The fields of a row in its own order, each as the text it stands there as.
pub fn fields(row: &str) -> Vec<(String, Box<RawValue>)> {
    struct Fields;

    impl<'de> Visitor<'de> for Fields {
        type Value = Vec<(String, Box<RawValue>)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut fields = Vec::new();
            while let Some(field) = map.next_entry()? {
                fields.push(field);
            }
            Ok(fields)
        }
    }

    serde_json::Deserializer::from_str(row).deserialize_map(Fields).unwrap_or_default()
}

/// The row with its times in the zone; everything else stays as it stands.
pub fn row_in(kind: &Kind, row: &str, zone: &TimeZone) -> String {
    let mut out = String::with_capacity(row.len() + 40);
    for (name, value) in fields(row) {
        out.push(if out.is_empty() { '{' } else { ',' });
        out.push_str(&serde_json::Value::from(name.as_str()).to_string());
        out.push(':');
        let is_time = kind.fields.iter().any(|field| field.name == name && field.is == Type::Time);
        let at = is_time.then(|| serde_json::from_str::<Timestamp>(value.get()).ok()).flatten();
        match at {
            Some(at) => out.push_str(&format!("\"{}\"", written(at, Some(zone)))),
            None => out.push_str(value.get()),
        }
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_offsets_and_local_times() {
        let berlin = named("Europe/Berlin").unwrap();
        let noon = Timestamp::parse("2026-11-25T12:00:00.000Z");
        for text in [
            "2026-11-25T12:00:00Z",
            "2026-11-25T13:00:00+01:00",
            "2026-11-25T13:00:00 01:00",
            "2026-11-25T13:00:00",
        ] {
            assert_eq!(instant(text, Some(&berlin)), noon, "{text}");
        }
        assert_eq!(instant("2026-11-25T12:00", None), noon);
        for text in ["", "yesterday", "2026-13-01T00:00:00Z", "'; DROP TABLE result"] {
            assert_eq!(instant(text, None), None, "{text}");
        }
    }

    #[test]
    fn only_times_change() {
        let row = r#"{"site_id":"shop","window_end":"2026-11-25T12:00:00.000Z","page_url":"2026-11-25T12:00:00.000Z","revenue":12.5000}"#;
        let kind = Kind::named("site-metrics").unwrap();
        assert_eq!(
            row_in(kind, row, &named("Asia/Kolkata").unwrap()),
            r#"{"site_id":"shop","window_end":"2026-11-25T17:30:00.000+05:30","page_url":"2026-11-25T12:00:00.000Z","revenue":12.5000}"#
        );
    }
}

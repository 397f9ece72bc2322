//! Keys of rows: fingerprints to find them by, and whether a record's key names the row in its value.

use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use clickstream_event::result_row::{KeyPart, key_fields};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_128;

/// Fingerprint of a row's topic and the values of its key fields.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RowKey(u128);

/// Fields of a key with their values.
pub type Parts<'r> = [Option<(&'static str, KeyPart<'r>)>; 4];

impl RowKey {
    /// Of a row with these key fields.
    pub fn of(topic: &str, parts: &Parts<'_>) -> Self {
        let mut text = Vec::with_capacity(256);
        text.extend_from_slice(topic.as_bytes());
        for (_, part) in parts.iter().flatten() {
            text.push(0);
            match part {
                KeyPart::Text(name) => text.extend_from_slice(name.as_bytes()),
                KeyPart::Time(at) => at.write_to(&mut text),
                KeyPart::Number(_) => text.extend_from_slice(part.text().as_bytes()),
            }
        }
        Self(xxh3_128(&text))
    }

    /// Half of it.
    pub fn low(self) -> u64 {
        self.0 as u64
    }
}

/// The key of the row that a record's key names: it must hold the key fields of the topic, and nothing else.
pub fn named_by(topic: &str, key: &[u8]) -> Option<RowKey> {
    let key: serde_json::Map<String, Value> = serde_json::from_slice(key).ok()?;
    let fields = key_fields(topic);
    if key.len() != fields.len() {
        return None;
    }
    let text = |field: &&str| match key.get(*field)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let texts = fields.iter().map(text).collect::<Option<Vec<String>>>()?;
    let part = |place: usize| Some((*fields.get(place)?, KeyPart::from(texts.get(place)?)));
    Some(RowKey::of(topic, &std::array::from_fn(part)))
}

/// Whether a record's key plainly names the row with these key fields. If not, [`named_by`] knows, which takes longer.
pub fn plainly_names(key: &[u8], parts: &Parts<'_>) -> bool {
    let mut deserializer = serde_json::Deserializer::from_slice(key);
    let names = deserializer.deserialize_map(Object(parts));
    names.is_ok_and(|names| names) && deserializer.end().is_ok()
}

/// Reads an object that must have exactly these fields and values.
struct Object<'p>(&'p Parts<'p>);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key of a row")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut seen = 0u8;
        while let Some(place) = map.next_key_seed(Field(self.0))? {
            let Some((_, part)) = self.0[place] else { return Err(A::Error::custom("no such field")) };
            if seen & (1 << place) != 0 || !map.next_value_seed(Equals(part))? {
                return Err(A::Error::custom("another row"));
            }
            seen |= 1 << place;
        }
        Ok(seen.count_ones() as usize == self.0.iter().flatten().count())
    }
}

/// Which of the fields a name is.
struct Field<'p>(&'p Parts<'p>);

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Field<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key field")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<usize, E> {
        let place = self.0.iter().position(|part| part.is_some_and(|(field, _)| field == name));
        place.ok_or_else(|| E::custom("no such field"))
    }
}

/// Whether a value is this one.
struct Equals<'p>(KeyPart<'p>);

impl<'de> DeserializeSeed<'de> for Equals<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for Equals<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<bool, E> {
        Ok(match self.0 {
            KeyPart::Text(name) => name == text,
            KeyPart::Time(at) => at.text() == *text.as_bytes(),
            KeyPart::Number(_) => false,
        })
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<bool, E> {
        Ok(self.0 == KeyPart::Number(number))
    }
}

/// A hasher for keys that are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hashed(u64);

/// Makes [`Hashed`].
pub type ByHash = BuildHasherDefault<Hashed>;

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0.rotate_left(8) ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = number as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickstream_event::{Timestamp, topic};

    #[test]
    fn a_plain_key_names_what_any_key_does() {
        let at = Timestamp(1_000);
        let name = "/a\"\u{e9}";
        let parts = [
            Some(("site_id", KeyPart::Text("shop"))),
            Some(("window_end", KeyPart::Time(at))),
            Some(("page_url", KeyPart::Text(name))),
            None,
        ];
        let names = |key: &str| {
            let plainly = plainly_names(key.as_bytes(), &parts);
            let named = named_by(topic::PAGE_METRICS, key.as_bytes())
                == Some(RowKey::of(topic::PAGE_METRICS, &parts));
            assert!(named || !plainly, "{key}");
            (plainly, named)
        };
        let good = r#"{"site_id":"shop","window_end":"1970-01-01T00:00:01.000Z","page_url":"/a\"\u00e9"}"#;
        assert_eq!(names(good), (true, true));
        for (from, to, expected) in [
            ("\"shop\"", "\"shoq\"", (false, false)),
            ("01.000Z", "02.000Z", (false, false)),
            ("\"site_id\":\"shop\",", "", (false, false)),
            ("\"site_id\"", "\"site\"", (false, false)),
            ("{", "{\"rank\":1,", (false, false)),
            ("\"shop\"", "7", (false, false)),
            ("\"shop\"", "null", (false, false)),
            ("\"shop\"", "[{}]", (false, false)),
            ("}", "}x", (false, false)),
            // the last of two counts
            ("{", "{\"site_id\":\"shop\",", (false, true)),
        ] {
            assert_eq!(names(&good.replacen(from, to, 1)), expected, "{to}");
        }
        let turned = r#" {"page_url" : "/a\"é", "window_end":"1970-01-01T00:00:01.000Z","site_id":"shop"} "#;
        assert_eq!(names(turned), (true, true));
    }

    #[test]
    fn numbers_in_keys_are_whole() {
        let parts =
            [Some(("rank", KeyPart::Number(1))), Some(("site_id", KeyPart::Text("shop"))), None, None];
        assert!(plainly_names(br#"{"site_id":"shop","rank":1}"#, &parts));
        for other in [r#"{"site_id":"shop","rank":2}"#, r#"{"site_id":"shop","rank":"1"}"#, "[]", "1", ""] {
            assert!(!plainly_names(other.as_bytes(), &parts), "{other}");
        }
    }
}

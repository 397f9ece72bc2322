//! What a row says, reduced to what is compared: a fingerprint of all that must be equal, and the numbers that may differ by 1e-9.

use serde::ser::{self, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, Serializer};
use xxhash_rust::xxh3::xxh3_64;

/// Ratios and scores in a row, at most.
const FLOATS: usize = 4;

/// Numbers with fractions may differ by so much, relative to numbers above one.
const TOLERANCE: f64 = 1e-9;

/// All that a row says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Content {
    exact: u64,
    floats: [f64; FLOATS],
    count: u8,
}

impl Content {
    /// Of a row.
    pub fn of(row: &impl Serialize) -> Self {
        let mut digest = Digest { bytes: Vec::with_capacity(512), content: Self::default(), decimal: false };
        // the only error is a type that rows do not have, and it is part of the fingerprint
        if row.serialize(&mut digest).is_err() {
            digest.bytes.extend_from_slice(b"unreadable");
        }
        Self { exact: xxh3_64(&digest.bytes), ..digest.content }
    }

    /// Whether two rows say the same.
    pub fn equals(&self, other: &Self) -> bool {
        self.exact == other.exact
            && self.count == other.count
            && self
                .floats
                .iter()
                .zip(&other.floats)
                .all(|(a, b)| (a - b).abs() <= TOLERANCE * a.abs().max(1.0))
    }

    /// A fingerprint of it to the last bit, for rows that are written again by the same engine.
    pub fn bits(&self) -> u64 {
        let mut bytes = [0; 8 * (FLOATS + 1)];
        let words = self.floats.iter().map(|float| float.to_bits()).chain([self.exact]);
        bytes.chunks_exact_mut(8).zip(words).for_each(|(at, word)| at.copy_from_slice(&word.to_le_bytes()));
        xxh3_64(&bytes)
    }
}

/// A serializer to the bytes of a fingerprint, and numbers with fractions.
struct Digest {
    bytes: Vec<u8>,
    content: Content,
    /// The next text is a decimal number: its trailing zeros say nothing.
    decimal: bool,
}

impl Digest {
    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.bytes.push(tag);
        self.bytes.extend_from_slice(bytes);
        self.bytes.push(0xff);
    }
}

/// A value of a kind that rows do not have.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NoRow(String);

impl ser::Error for NoRow {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// The name by which `serde_json` hands over a number digit by digit.
const RAW: &str = "$serde_json::private::RawValue";

fn no<T>(what: &str) -> Result<T, NoRow> {
    Err(NoRow(format!("rows hold no {what}")))
}

impl Serializer for &mut Digest {
    type Ok = ();
    type Error = NoRow;
    type SerializeSeq = Self;
    type SerializeTuple = Impossible<(), NoRow>;
    type SerializeTupleStruct = Impossible<(), NoRow>;
    type SerializeTupleVariant = Impossible<(), NoRow>;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Impossible<(), NoRow>;

    fn serialize_bool(self, value: bool) -> Result<(), NoRow> {
        self.tagged(b'b', &[u8::from(value)]);
        Ok(())
    }
    fn serialize_i8(self, value: i8) -> Result<(), NoRow> {
        self.serialize_i64(value.into())
    }
    fn serialize_i16(self, value: i16) -> Result<(), NoRow> {
        self.serialize_i64(value.into())
    }
    fn serialize_i32(self, value: i32) -> Result<(), NoRow> {
        self.serialize_i64(value.into())
    }
    fn serialize_i64(self, value: i64) -> Result<(), NoRow> {
        self.tagged(b'n', &value.to_le_bytes());
        Ok(())
    }
    fn serialize_u8(self, value: u8) -> Result<(), NoRow> {
        self.serialize_u64(value.into())
    }
    fn serialize_u16(self, value: u16) -> Result<(), NoRow> {
        self.serialize_u64(value.into())
    }
    fn serialize_u32(self, value: u32) -> Result<(), NoRow> {
        self.serialize_u64(value.into())
    }
    fn serialize_u64(self, value: u64) -> Result<(), NoRow> {
        self.tagged(b'n', &value.to_le_bytes());
        Ok(())
    }
    fn serialize_f32(self, value: f32) -> Result<(), NoRow> {
        self.serialize_f64(value.into())
    }
    fn serialize_f64(self, value: f64) -> Result<(), NoRow> {
        self.tagged(b'f', &[]);
        match self.content.floats.get_mut(usize::from(self.content.count)) {
            Some(place) => *place = value,
            None => return no("more than four fractions"),
        }
        self.content.count += 1;
        Ok(())
    }
    fn serialize_char(self, _: char) -> Result<(), NoRow> {
        no("characters")
    }
    fn serialize_str(self, value: &str) -> Result<(), NoRow> {
        let value = if std::mem::take(&mut self.decimal) && value.contains('.') {
            value.trim_end_matches('0').trim_end_matches('.')
        } else {
            value
        };
        self.tagged(b's', value.as_bytes());
        Ok(())
    }
    fn serialize_bytes(self, _: &[u8]) -> Result<(), NoRow> {
        no("bytes")
    }
    fn serialize_none(self) -> Result<(), NoRow> {
        self.tagged(b'0', &[]);
        Ok(())
    }
    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result<(), NoRow> {
        value.serialize(self)
    }
    fn serialize_unit(self) -> Result<(), NoRow> {
        no("units")
    }
    fn serialize_unit_struct(self, _: &'static str) -> Result<(), NoRow> {
        no("units")
    }
    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<(), NoRow> {
        no("variants")
    }
    fn serialize_newtype_struct<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), NoRow> {
        value.serialize(self)
    }
    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), NoRow> {
        no("variants")
    }
    fn serialize_seq(self, length: Option<usize>) -> Result<Self, NoRow> {
        self.tagged(b'[', &length.unwrap_or(0).to_le_bytes());
        Ok(self)
    }
    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, NoRow> {
        no("tuples")
    }
    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, NoRow> {
        no("tuples")
    }
    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, NoRow> {
        no("variants")
    }
    fn serialize_map(self, _: Option<usize>) -> Result<Self, NoRow> {
        Ok(self)
    }
    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Self, NoRow> {
        self.decimal = name == RAW;
        Ok(self)
    }
    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, NoRow> {
        no("variants")
    }
}

// the fields of a type come in one order, so their names say nothing
impl SerializeMap for &mut Digest {
    type Ok = ();
    type Error = NoRow;
    fn serialize_key<T: ?Sized + Serialize>(&mut self, _: &T) -> Result<(), NoRow> {
        Ok(())
    }
    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), NoRow> {
        value.serialize(&mut **self)
    }
    fn end(self) -> Result<(), NoRow> {
        Ok(())
    }
}

impl SerializeStruct for &mut Digest {
    type Ok = ();
    type Error = NoRow;
    fn serialize_field<T: ?Sized + Serialize>(&mut self, _: &'static str, value: &T) -> Result<(), NoRow> {
        value.serialize(&mut **self)
    }
    fn end(self) -> Result<(), NoRow> {
        Ok(())
    }
}

impl SerializeSeq for &mut Digest {
    type Ok = ();
    type Error = NoRow;
    fn serialize_element<T: ?Sized + Serialize>(&mut self, value: &T) -> Result<(), NoRow> {
        value.serialize(&mut **self)
    }
    fn end(self) -> Result<(), NoRow> {
        Ok(())
    }
}

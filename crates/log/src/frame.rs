//! The bytes of a frame: a header, then records.
//!
//! ```text
//! magic 4 │ header crc 4 │ body length 4 │ records 4 │ base offset 8 │ max arrival 8 │ max before 8 │ body crc 4 │ body
//! record: arrival 8 │ key length 4 │ truth length 4 │ value length 4 │ key │ truth │ value
//! ```
//!
//! Little endian; a length of 2³²−1 means absent. The header's checksum covers what follows it in the header, the body's
//! checksum included, so the two together cover the frame; a checksum of its own lets a reader trust a header and skip
//! the body.

/// A record to append.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Record<'a> {
    /// When it arrived, in milliseconds since the epoch.
    pub arrival_ms: i64,
    /// What decides its partition.
    pub key: Option<&'a [u8]>,
    /// A header: what generated traffic says about the record.
    pub truth: Option<&'a [u8]>,
    /// The record itself.
    pub value: Option<&'a [u8]>,
}

/// A record that was read; it borrows from the [`crate::Reader`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordRef<'a> {
    /// Its place in the partition.
    pub offset: u64,
    /// When it arrived, in milliseconds since the epoch.
    pub arrival_ms: i64,
    /// What decided its partition.
    pub key: Option<&'a [u8]>,
    /// The header.
    pub truth: Option<&'a [u8]>,
    /// The record itself.
    pub value: Option<&'a [u8]>,
}

/// Bytes of a frame before its records.
pub const HEADER_BYTES: usize = 44;
/// Most bytes a frame has.
pub const MAX_FRAME_BYTES: usize = 1 << 30;

/// How a frame begins. 0xFF is in no UTF-8 text, so a value that is text never looks like a frame.
pub(crate) const MAGIC: [u8; 4] = [0xFF, b'C', b'L', 1];
/// Bytes of a record before its fields.
const RECORD_HEAD: usize = 20;
const ABSENT: u32 = u32::MAX;

/// What a frame says about itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Bytes of all records.
    pub body: u32,
    /// Number of records, at least one.
    pub records: u32,
    /// Offset of the first record.
    pub base: u64,
    /// The latest arrival in this frame.
    pub max_arrival: i64,
    /// The latest arrival in all frames of the partition before this one; [`i64::MIN`] in the first.
    pub max_before: i64,
    /// Checksum of the body.
    pub body_crc: u32,
}

impl Header {
    /// Reads a header; `None` if it is too short, its checksum is wrong, or no frame can be like this.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.get(..HEADER_BYTES)?.strip_prefix(&MAGIC)?;
        let (crc, fields) = take_u32(rest)?;
        if crc32fast::hash(fields) != crc {
            return None;
        }
        let (body, rest) = take_u32(fields)?;
        let (records, rest) = take_u32(rest)?;
        let (base, rest) = take_u64(rest)?;
        let (max_arrival, rest) = take_u64(rest)?;
        let (max_before, rest) = take_u64(rest)?;
        let (body_crc, _) = take_u32(rest)?;
        let possible = records > 0
            && u64::from(records) * RECORD_HEAD as u64 <= u64::from(body)
            && body as usize <= MAX_FRAME_BYTES
            && base.checked_add(u64::from(records)).is_some();
        let (max_arrival, max_before) = (max_arrival as i64, max_before as i64);
        possible.then_some(Self { body, records, base, max_arrival, max_before, body_crc })
    }

    fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&self.body.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.records.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.base.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.max_arrival.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.max_before.to_le_bytes());
        bytes[40..44].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32fast::hash(&bytes[8..]);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Bytes of the whole frame.
    pub fn size(&self) -> usize {
        HEADER_BYTES + self.body as usize
    }

    /// Offset after the last record.
    pub fn end(&self) -> u64 {
        self.base + u64::from(self.records)
    }

    /// The latest arrival in the partition up to the end of this frame.
    pub fn max_so_far(&self) -> i64 {
        self.max_before.max(self.max_arrival)
    }
}

/// A frame being filled. Its memory is kept from frame to frame.
#[derive(Debug)]
pub(crate) struct FrameBuffer {
    bytes: Vec<u8>,
    records: u32,
    max_arrival: i64,
}

impl FrameBuffer {
    /// A frame without records.
    pub fn new() -> Self {
        Self { bytes: vec![0; HEADER_BYTES], records: 0, max_arrival: i64::MIN }
    }

    /// Records so far.
    pub fn records(&self) -> u32 {
        self.records
    }

    /// The latest arrival so far.
    pub fn max_arrival(&self) -> i64 {
        self.max_arrival
    }

    /// Bytes so far, with the header.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a record; `false`, and nothing added, if there is no room for it.
    pub fn push(&mut self, record: &Record<'_>) -> bool {
        let length = |field: Option<&[u8]>| field.map_or(0, <[u8]>::len);
        let fields = [record.key, record.truth, record.value];
        let size = fields.into_iter().map(length).fold(RECORD_HEAD, usize::saturating_add);
        if self.bytes.len().saturating_add(size) > MAX_FRAME_BYTES {
            return false;
        }
        self.bytes.reserve(size);
        let mut head = [0; RECORD_HEAD];
        head[..8].copy_from_slice(&record.arrival_ms.to_le_bytes());
        for (slot, field) in head[8..].chunks_exact_mut(4).zip(fields) {
            slot.copy_from_slice(&field.map_or(ABSENT, |f| f.len() as u32).to_le_bytes());
        }
        self.bytes.extend_from_slice(&head);
        for field in fields.into_iter().flatten() {
            self.bytes.extend_from_slice(field);
        }
        self.records += 1;
        self.max_arrival = self.max_arrival.max(record.arrival_ms);
        true
    }

    /// The frame as it goes to the file.
    pub fn seal(&mut self, base: u64, max_before: i64) -> &[u8] {
        let body = &self.bytes[HEADER_BYTES..];
        let header = Header {
            body: body.len() as u32,
            records: self.records,
            base,
            max_arrival: self.max_arrival,
            max_before,
            body_crc: crc32fast::hash(body),
        };
        self.bytes[..HEADER_BYTES].copy_from_slice(&header.encode());
        &self.bytes
    }

    /// Begins the next frame.
    pub fn clear(&mut self) {
        self.bytes.truncate(HEADER_BYTES);
        self.records = 0;
        self.max_arrival = i64::MIN;
    }
}

/// The record `bytes` begin with, and how many bytes it takes.
pub(crate) fn decode_record(bytes: &[u8]) -> Option<(Record<'_>, usize)> {
    let (head, rest) = bytes.split_at_checked(RECORD_HEAD)?;
    let (arrival, head) = take_u64(head)?;
    let (key, head) = take_u32(head)?;
    let (truth, head) = take_u32(head)?;
    let (value, _) = take_u32(head)?;
    let (key, rest) = take_field(rest, key)?;
    let (truth, rest) = take_field(rest, truth)?;
    let (value, rest) = take_field(rest, value)?;
    Some((Record { arrival_ms: arrival as i64, key, truth, value }, bytes.len() - rest.len()))
}

fn take_field(bytes: &[u8], length: u32) -> Option<(Option<&[u8]>, &[u8])> {
    if length == ABSENT {
        return Some((None, bytes));
    }
    bytes.split_at_checked(length as usize).map(|(field, rest)| (Some(field), rest))
}

fn take_u32(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk().map(|(n, rest)| (u32::from_le_bytes(*n), rest))
}

fn take_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    bytes.split_first_chunk().map(|(n, rest)| (u64::from_le_bytes(*n), rest))
}

//! A frame of the live stream: one server-sent event, made once and shared by all clients.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use clickstream_event::Timestamp;
use flate2::{Compress, Compression, FlushCompress};
use serde_json::json;

use crate::store::{FrameMark, Listing, Store, StoreError};

/// Rows that a frame holds at most: the first of its window, or the newest; `total` says how many there are.
pub const FRAME_ROWS: u32 = 100;
/// What a stream of packed texts begins with: the head of a gzip file.
pub const PACKED_HEAD: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A server-sent event.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Its number, if it can be asked for again.
    pub seq: Option<i64>,
    /// Name of the event: the kind of rows, or `pipeline`.
    pub name: &'static str,
    /// The site it is about; nothing: all.
    pub site: String,
    /// The text as it goes over the wire.
    pub text: Bytes,
    packed: OnceLock<Bytes>,
}

impl Frame {
    /// The text as it goes over the wire compressed; made once, for all clients.
    pub fn packed(&self) -> Bytes {
        self.packed.get_or_init(|| pack(&self.text)).clone()
    }

    /// Reads the rows of a mark and makes a frame of them.
    pub fn of_mark(store: &Store, mark: &FrameMark) -> Result<Arc<Self>, StoreError> {
        let listing = store.frame_rows(mark, FRAME_ROWS)?;
        Ok(Arc::new(Self {
            seq: Some(mark.seq),
            name: mark.kind.name,
            site: mark.site.clone(),
            packed: OnceLock::new(),
            text: text(
                mark.kind.name,
                Some(&format!("{}-{}", store.epoch(), mark.seq)),
                &data(mark, &listing),
            ),
        }))
    }

    /// A frame without a number: it cannot be asked for again.
    pub fn passing(name: &'static str, data: &str) -> Arc<Self> {
        Arc::new(Self {
            seq: None,
            name,
            site: String::new(),
            text: text(name, None, data),
            packed: OnceLock::new(),
        })
    }
}

fn data(mark: &FrameMark, listing: &Listing) -> String {
    let mut head = json!({ "kind": mark.kind.name });
    if mark.kind.name != "dead-letters" {
        head["site_id"] = json!(mark.site);
    }
    if mark.kind.windowed {
        head["window_end"] = json!(Timestamp(mark.high));
    }
    head["total"] = json!(listing.total);
    let mut data = head.to_string();
    data.pop();
    data.push_str(",\"rows\":[");
    data.push_str(&listing.rows.join(","));
    data.push_str("]}");
    data
}

/// The text of an event. Line ends in JSON are white space between its parts; in an event they would end the data.
pub fn text(name: &str, id: Option<&str>, data: &str) -> Bytes {
    let data = if data.contains(['\n', '\r']) { data.replace(['\n', '\r'], " ") } else { data.to_owned() };
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("event: {name}\n{id}data: {data}\n\n"))
}

/// Compresses a text by itself, ending on a byte. After [`PACKED_HEAD`] any packed texts can follow each other: together they are a gzip
/// stream that has not ended yet. So a text is compressed once, however many clients there are.
pub fn pack(text: &[u8]) -> Bytes {
    let mut deflate = Compress::new(Compression::fast(), false);
    let mut out = Vec::with_capacity(text.len() / 3 + 128);
    loop {
        let rest = text.get(deflate.total_in() as usize..).unwrap_or_default();
        let done = deflate.compress_vec(rest, &mut out, FlushCompress::Full);
        if done.is_err() || (deflate.total_in() as usize == text.len() && out.len() < out.capacity()) {
            return Bytes::from(out);
        }
        out.reserve(4_096);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn packed_texts_follow_each_other() {
        let long: String = (0..20_000).map(|n| format!("{n},")).collect();
        let texts = ["event: a\n\n", "", &long, &long, ": heartbeat\n\n"];
        let mut stream = PACKED_HEAD.to_vec();
        texts.iter().for_each(|text| stream.extend_from_slice(&pack(text.as_bytes())));
        let expected = texts.concat();
        let mut read = vec![0; expected.len()];
        flate2::read::GzDecoder::new(&stream[..]).read_exact(&mut read).unwrap();
        assert_eq!(read, expected.as_bytes());
        assert!(stream.len() < expected.len() / 2);
    }

    #[test]
    fn no_row_can_end_an_event() {
        let text = text("sessions", Some("a-1"), "{\n\"x\":\r\n\"\\n\\nevent: y\"}");
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert_eq!(text.matches('\n').count(), 4, "{text:?}");
        assert!(text.starts_with("event: sessions\nid: a-1\ndata: {"));
    }
}

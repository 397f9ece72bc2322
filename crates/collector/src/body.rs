//! Reading the body of a request within limits: of bytes, also after unpacking, of time, and of room for all requests together.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;

use crate::desk::{CUT, TOO_LONG, beginning};
use crate::limits::{Held, Room};

/// A body arrives within this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of a body that is too long so much is read on, so that the client reads the answer instead of a reset.
const DRAIN: usize = 8 << 20;

/// Why there is no body.
#[derive(Debug)]
pub enum BodyError {
    /// Longer than allowed; its beginning.
    TooLong(Vec<u8>),
    /// Packed in a way that cannot be unpacked; its beginning.
    Packed(Vec<u8>, String),
    /// It did not arrive in time, or the connection broke.
    Broken,
    /// No room at the moment.
    NoRoom,
}

/// Reads a body of at most `limit` bytes; `held` gets the room it takes.
pub async fn read(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
    room: &Room,
    held: &mut Held,
) -> Result<Bytes, BodyError> {
    let reading = tokio::time::timeout(PATIENCE, collect(body, limit, room, held)).await;
    let bytes = reading.unwrap_or(Err(BodyError::Broken))?;
    let encoding = headers.get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap_or("?").trim());
    match encoding.map(str::to_ascii_lowercase).as_deref() {
        None | Some("" | "identity") => Ok(bytes),
        Some("gzip" | "x-gzip") => {
            let unpacked = unpack(&bytes, limit)?;
            room.take(unpacked.len(), held).ok_or(BodyError::NoRoom)?;
            Ok(unpacked.into())
        }
        Some(other) => Err(BodyError::Packed(
            beginning(&bytes, CUT).to_vec(),
            format!("the content encoding {other:?} is not read; use gzip, or none"),
        )),
    }
}

async fn collect(body: Body, limit: usize, room: &Room, held: &mut Held) -> Result<Bytes, BodyError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    let mut drained = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| BodyError::Broken)?;
        if bytes.len() > limit {
            drained += chunk.len();
            if drained > DRAIN {
                break;
            }
            continue;
        }
        room.take(chunk.len(), held).ok_or(BodyError::NoRoom)?;
        bytes.extend_from_slice(&chunk);
    }
    if bytes.len() > limit {
        Err(BodyError::TooLong(beginning(&bytes, TOO_LONG).to_vec()))
    } else {
        Ok(bytes.into())
    }
}

/// Unpacks no more than is allowed, however much there is: a few bytes can unpack to gigabytes.
fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(packed).take(limit as u64 + 1).read_to_end(&mut unpacked);
    match read {
        Err(error) => {
            Err(BodyError::Packed(beginning(packed, CUT).to_vec(), format!("the body is no gzip: {error}")))
        }
        Ok(_) if unpacked.len() > limit => Err(BodyError::TooLong(beginning(&unpacked, TOO_LONG).to_vec())),
        Ok(_) => Ok(unpacked),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::best());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_bomb_is_unpacked_no_further_than_allowed() {
        assert_eq!(unpack(&pack(b"[]"), 10).unwrap(), b"[]");
        let bomb = pack(&vec![b' '; 50 << 20]);
        assert!(bomb.len() < 100_000);
        assert!(matches!(unpack(&bomb, 1 << 20), Err(BodyError::TooLong(start)) if start.len() == TOO_LONG));
        assert!(matches!(unpack(b"no gzip", 10), Err(BodyError::Packed(..))));
    }

    #[tokio::test]
    async fn the_room_is_shared() {
        let room = Room::default();
        let mut held = Held::default();
        let read = |body: Vec<u8>| Body::from(body);
        let headers = HeaderMap::new();
        assert_eq!(
            super::read(&headers, read(vec![b'x'; 10]), 10, &room, &mut held).await.unwrap().len(),
            10
        );
        assert!(matches!(
            super::read(&headers, read(vec![b'x'; 11]), 10, &room, &mut held).await,
            Err(BodyError::TooLong(_))
        ));
        let mut all = Held::default();
        while room.take(1 << 20, &mut all).is_some() {}
        while room.take(1, &mut all).is_some() {}
        assert!(matches!(
            super::read(&headers, read(vec![b'x'; 10]), 10, &room, &mut held).await,
            Err(BodyError::NoRoom)
        ));
    }

    #[test]
    fn a_beginning_ends_between_characters() {
        let text = "ä".repeat(CUT);
        assert_eq!(beginning(format!("x{text}").as_bytes(), CUT).len(), CUT - 1);
        assert_eq!(beginning(&[0xff; CUT + 1], CUT).len(), CUT);
        assert_eq!(beginning("xä".as_bytes(), CUT), "xä".as_bytes());
    }
}

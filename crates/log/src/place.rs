//! Where one has got to in a partition, and how far it goes.

use std::ops::Range;
use std::path::Path;

use crate::Result;
use crate::error::io_error;
use crate::frame::Header;
use crate::reader::partition_dir;
use crate::segment::{self, Segment};
use crate::window::Window;

/// A frame that was seen. Whoever looks at the partition again goes on from there instead of from the beginning of a segment, which
/// costs more the longer the segment is.
///
/// It is only a help. Where its frame is not there any more, because the writer repaired the file or somebody made the log anew, it is
/// passed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// First offset of the frame's segment.
    pub(crate) segment: u64,
    /// Byte of the segment that the frame begins at.
    pub(crate) at: u64,
    pub(crate) header: Header,
}

impl Place {
    /// Itself, if this is its segment and its frame is still there.
    pub(crate) fn if_there(self, segment: &Segment) -> Result<Option<Self>> {
        if segment.base != self.segment {
            return Ok(None);
        }
        // the header has the body's checksum: where it is the same, so is the frame
        let header = segment::header_at(&segment.file, self.at, segment.length);
        let header = header.map_err(io_error("read", &segment.path))?;
        Ok((header == Some(self.header)).then_some(self))
    }

    /// The byte, and the offset, behind its frame.
    fn behind(self) -> (u64, u64) {
        (self.at + self.header.size() as u64, self.header.end())
    }
}

/// The first offset of a partition, and the one after its last record; for a process that does not write.
///
/// Reads the headers of the newest segment, and its last frame whole.
pub fn bounds(dir: impl AsRef<Path>, topic: &str, partition: u32) -> Result<Range<u64>> {
    bounds_since(dir, topic, partition, &mut None)
}

/// The same as [`bounds`], for who asks again and again: reads only what was written since, and leaves in `seen` the last whole frame.
pub fn bounds_since(
    dir: impl AsRef<Path>,
    topic: &str,
    partition: u32,
    seen: &mut Option<Place>,
) -> Result<Range<u64>> {
    let dir = partition_dir(dir.as_ref(), topic, partition);
    let segment = Segment::find(&dir, u64::MAX)?;
    let Segment { base, path, file, .. } = &segment;
    let mut whole = match *seen {
        Some(place) => place.if_there(&segment)?,
        None => None,
    };
    let (at, next) = whole.map_or((0, *base), Place::behind);
    let mut window = Window::default();
    let mut last: Option<Place> = None;
    segment::headers(&mut window, file, at, next, |at, header| {
        // another frame follows, so it is no torn end
        whole = last.replace(Place { segment: *base, at, header }).or(whole);
    })
    .map_err(io_error("read", path))?;
    if let Some(place) = last {
        let look = segment::look(&mut window, file, place.at, place.header.base);
        if look.map_err(io_error("read", path))?.header().is_some() {
            whole = last;
        }
    }
    *seen = whole;
    let end = whole.map_or(*base, |place| place.header.end());
    let low = segment::list(&dir)?.first().copied().unwrap_or(*base);
    Ok(low.min(end)..end)
}

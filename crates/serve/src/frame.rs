//! A frame of the live stream: one server-sent event, made once and shared by all clients.

use std::sync::Arc;

use axum::body::Bytes;
use clickstream_event::Timestamp;
use serde_json::json;

use crate::store::{FrameMark, Listing, Store, StoreError};

/// Rows that a frame holds at most: the first of its window.
pub const FRAME_ROWS: u32 = 100;

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
}

impl Frame {
    /// Reads the rows of a mark and makes a frame of them.
    pub fn of_mark(store: &Store, mark: &FrameMark) -> Result<Arc<Self>, StoreError> {
        let listing = store.frame_rows(mark, FRAME_ROWS)?;
        Ok(Arc::new(Self {
            seq: Some(mark.seq),
            name: mark.kind.name,
            site: mark.site.clone(),
            text: text(
                mark.kind.name,
                Some(&format!("{}-{}", store.epoch(), mark.seq)),
                &data(mark, &listing),
            ),
        }))
    }

    /// A frame without a number: it cannot be asked for again.
    pub fn passing(name: &'static str, data: &str) -> Arc<Self> {
        Arc::new(Self { seq: None, name, site: String::new(), text: text(name, None, data) })
    }
}

fn data(mark: &FrameMark, listing: &Listing) -> String {
    let mut head = json!({ "kind": mark.kind.name });
    if mark.kind.name != "dead-letters" {
        head["site_id"] = json!(mark.site);
    }
    if mark.kind.windowed {
        head["window_end"] = json!(Timestamp(mark.high));
        head["total"] = json!(listing.total);
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_can_end_an_event() {
        let text = text("sessions", Some("a-1"), "{\n\"x\":\r\n\"\\n\\nevent: y\"}");
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert_eq!(text.matches('\n').count(), 4, "{text:?}");
        assert!(text.starts_with("event: sessions\nid: a-1\ndata: {"));
    }
}

//! Answers: JSON or CSV, with an entity tag.

use std::io::Write;
use std::sync::{Arc, OnceLock};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use clickstream_event::Timestamp;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::problem::Problem;
use super::query::Query;
use super::zone;
use crate::kind::Kind;

/// The form an answer is wanted in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// JSON.
    Json,
    /// CSV (RFC 4180).
    Csv,
}

impl Form {
    /// As the parameter `format` says, else the header `Accept`, else JSON.
    pub fn wanted(query: &Query, headers: &HeaderMap) -> Result<Self, Problem> {
        match query.text("format") {
            Some("json") => return Ok(Self::Json),
            Some("csv") => return Ok(Self::Csv),
            Some(_) => return Err(Problem::bad_request("format has to be json or csv")),
            None => {}
        }
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let place = |name: &str| accept.split(',').position(|part| part.trim().starts_with(name));
        Ok(match (place("text/csv"), place("application/json")) {
            (Some(_), None) => Self::Csv,
            (Some(csv), Some(json)) if csv < json => Self::Csv,
            _ => Self::Json,
        })
    }
}

/// Shorter bodies are sent as they are, in bytes.
const WORTH_PACKING: usize = 1_024;

/// Whether the client takes gzip without conditions.
pub fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| matches!(coding.trim(), "gzip" | "*"))
}

/// A list of rows to be sent.
pub struct Rows<'a> {
    /// Their kind.
    pub kind: &'static Kind,
    /// What is said beside them.
    pub head: Map<String, Value>,
    /// The rows, as they stand in their topic.
    pub rows: Vec<String>,
    /// Path and query of what follows.
    pub next: Option<String>,
    /// The request.
    pub query: &'a Query,
}

impl Rows<'_> {
    /// The answer, whoever asks for it in that form.
    pub fn made(mut self, form: Form) -> Made {
        if let Some(zone) = &self.query.zone {
            for row in &mut self.rows {
                *row = zone::row_in(self.kind, row, zone);
            }
        }
        let mut made = match form {
            Form::Csv => {
                Made::new(csv(self.kind, &self.rows).into_bytes(), "text/csv; charset=utf-8; header=present")
            }
            Form::Json => {
                self.head.insert("kind".into(), self.kind.name.into());
                self.head.insert("next".into(), self.next.clone().into());
                let mut body = Value::from(self.head).to_string();
                body.pop();
                body.push_str(",\"rows\":[");
                body.push_str(&self.rows.join(","));
                body.push_str("]}");
                Made::new(body.into_bytes(), "application/json")
            }
        };
        if form == Form::Csv {
            made.more(
                header::CONTENT_DISPOSITION,
                &format!("attachment; filename=\"{}.csv\"", self.kind.name),
            );
        }
        if let Some(next) = self.next {
            made.more(header::LINK, &format!("<{next}>; rel=\"next\""));
        }
        made
    }
}

/// An answer that can be given again.
#[derive(Clone)]
pub struct Made {
    body: Bytes,
    /// The same as gzip; made when first asked for, then for all who ask.
    packed: Arc<OnceLock<Option<Bytes>>>,
    content_type: &'static str,
    tag: String,
    more: Vec<(HeaderName, HeaderValue)>,
}

impl Made {
    /// An answer with its tag. The tag is weak: the body may be compressed on its way.
    pub fn new(body: Vec<u8>, content_type: &'static str) -> Self {
        Self {
            tag: format!("W/\"{:016x}\"", xxh3_64(&body)),
            body: body.into(),
            packed: Arc::default(),
            content_type,
            more: Vec::new(),
        }
    }

    /// The body as gzip, if that is worth it.
    fn packed(&self) -> Option<Bytes> {
        let pack = || {
            let mut encoder = GzEncoder::new(Vec::with_capacity(self.body.len() / 4), Compression::fast());
            encoder.write_all(&self.body).and_then(|()| encoder.finish()).ok().map(Bytes::from)
        };
        self.packed.get_or_init(|| (self.body.len() >= WORTH_PACKING).then(pack).flatten()).clone()
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.body.len()
    }

    fn more(&mut self, name: HeaderName, value: &str) {
        self.more.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
    }

    /// The response: the body, or 304 if the client has it.
    pub fn response(&self, headers: &HeaderMap) -> Response {
        let plain = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
        let known = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|known| known.trim() == "*" || plain(known) == plain(&self.tag));
        let packed = if known || !takes_gzip(headers) { None } else { self.packed() };
        let is_packed = packed.is_some();
        let body = packed.unwrap_or_else(|| self.body.clone());
        let mut response = Response::new(if known { Body::empty() } else { Body::from(body) });
        let out = response.headers_mut();
        if !known {
            out.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        }
        if is_packed {
            out.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        out.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        out.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
        out.extend(HeaderValue::from_str(&self.tag).ok().map(|tag| (header::ETAG, tag)));
        out.extend(self.more.iter().cloned());
        if known {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
        }
        response
    }
}

/// A JSON answer that is no list of rows.
pub fn json_answer(value: &Value, headers: &HeaderMap) -> Response {
    Made::new(value.to_string().into_bytes(), "application/json").response(headers)
}

/// Rows as CSV: a line of names, then a line per row.
fn csv(kind: &Kind, rows: &[String]) -> String {
    let mut out: String = kind.fields.iter().map(|field| field.name).collect::<Vec<_>>().join(",");
    out.push_str("\r\n");
    for row in rows {
        let fields = zone::fields(row);
        for (place, field) in kind.fields.iter().enumerate() {
            if place > 0 {
                out.push(',');
            }
            if let Some((_, value)) = fields.iter().find(|(name, _)| name == field.name) {
                out.push_str(&cell(value.get()));
            }
        }
        out.push_str("\r\n");
    }
    out
}

/// A value as a cell. A text that a spreadsheet would take for a formula gets an apostrophe before it, since pages and users are
/// named by whoever visits the site.
fn cell(json: &str) -> String {
    let text = match serde_json::from_str(json) {
        Ok(Value::String(text)) if text.starts_with(['=', '+', '-', '@', '\t', '\r']) => format!("'{text}"),
        Ok(Value::String(text)) => text,
        Ok(Value::Null) | Err(_) => String::new(),
        // numbers digit for digit, lists as JSON
        Ok(_) => json.to_owned(),
    };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// A time for `head`.
pub fn time(at: i64, query: &Query) -> Value {
    json!(zone::written(Timestamp(at), query.zone.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        for (json, expected) in [
            (r#""/a""#, "/a"),
            (r#""a,\"b\"\n""#, "\"a,\"\"b\"\"\n\""),
            (r#""=HYPERLINK(1)""#, "'=HYPERLINK(1)"),
            ("12.5000", "12.5000"),
            ("-3", "-3"),
            ("null", ""),
            (r#"["/","/a"]"#, r#""[""/"",""/a""]""#),
        ] {
            assert_eq!(cell(json), expected);
        }
    }

    #[test]
    fn the_form_is_negotiated() {
        let wanted = |text: &str, accept: &'static str| {
            let query = Query::parse(Some(text), &["format"]).unwrap();
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            Form::wanted(&query, &headers).ok()
        };
        assert_eq!(wanted("", "text/csv"), Some(Form::Csv));
        assert_eq!(wanted("", "application/json, text/csv"), Some(Form::Json));
        assert_eq!(wanted("", "text/html,*/*"), Some(Form::Json));
        assert_eq!(wanted("format=csv", "application/json"), Some(Form::Csv));
        assert_eq!(wanted("format=xml", "*/*"), None);
    }
}

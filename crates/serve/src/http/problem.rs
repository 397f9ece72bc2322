//! Errors as problem details (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use clickstream_web::problem;
use serde_json::{Map, Value};

use crate::store::StoreError;

/// Why a request was not answered.
#[derive(Clone, Debug)]
pub struct Problem {
    status: StatusCode,
    detail: String,
    /// When to ask again, in seconds.
    again_s: Option<u32>,
    more: Map<String, Value>,
}

impl Problem {
    /// A problem with a status and what exactly is wrong.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), again_s: None, more: Map::new() }
    }

    /// 400.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// Says when to ask again (`Retry-After`).
    pub fn again_in(mut self, seconds: u32) -> Self {
        self.again_s = Some(seconds);
        self
    }

    /// Adds a member for programs.
    pub fn with(mut self, name: &str, value: Value) -> Self {
        self.more.insert(name.to_owned(), value);
        self
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::warn!(%error, "a question was not answered");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "the store of results does not answer at the moment")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = problem::response(self.status, &self.detail, self.more);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.again_s {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}

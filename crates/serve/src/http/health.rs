//! Whether the server lives, and whether it shows fresh results.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use clickstream_event::Timestamp;
use serde_json::json;

use super::answer::json_answer;
use super::problem::Problem;
use super::{App, answered};

/// A pipeline that said nothing for so long is not well, in milliseconds.
const SILENT_MS: i64 = 15_000;

/// `/health/live`: the process answers.
pub async fn live() -> Response {
    json_answer(&json!({ "status": "live" }), &HeaderMap::new())
}

/// `/health/ready`: the store answers, and the pipeline runs.
pub async fn ready(state: State<Arc<App>>) -> Result<Response, Problem> {
    answered(state, |app| {
        app.store.last_frame()?;
        let not_ready = |why: String| Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, why));
        match app.feed.last_status() {
            None => not_ready("the pipeline has not reported yet".into()),
            Some(status) if Timestamp::now().0 - status.at.0 > SILENT_MS => {
                not_ready(format!("the pipeline has not reported since {}", status.at))
            }
            Some(status) if !matches!(status.state.as_str(), "running" | "degraded") => {
                not_ready(format!("the pipeline is {}", status.state))
            }
            Some(status) => {
                Ok(json_answer(&json!({ "status": "ready", "pipeline": status.state }), &HeaderMap::new()))
            }
        }
    })
    .await
}

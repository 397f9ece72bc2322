//! What clients are told, each in the way it understands.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::body::BodyError;
use crate::desk::{Outcome, Refusal};
use crate::draft::Fault;

/// Places of bad messages that an answer lists, at most.
const MAX_LISTED: usize = 100;

/// A problem, with further members.
pub fn problem(status: StatusCode, detail: impl Into<String>, more: Value) -> Response {
    let more = if let Value::Object(more) = more { more } else { Map::new() };
    clickstream_web::problem::response(status, &detail.into(), more)
}

/// What is said instead of an outcome. Overload is a 429: it is the only answer that all trackers take for "come again later".
pub fn refusal(refusal: &Refusal) -> Response {
    match refusal {
        Refusal::UnknownKey => problem(
            StatusCode::UNAUTHORIZED,
            "no key, or none that is known; --collector-keys lists them as site=key. Nothing was written",
            Value::Null,
        ),
        Refusal::OtherSite => problem(
            StatusCode::FORBIDDEN,
            "the key belongs to another site than site_id says. Nothing was written",
            Value::Null,
        ),
        Refusal::TooFast(wait) => {
            later(*wait, "too many events of this address or key; nothing was written. Send them again later")
        }
        Refusal::Overload => later(
            Duration::from_secs(1),
            "the log has not acknowledged the events in time. Send them again with the same ids: none will count twice",
        ),
        Refusal::Closed => {
            let mut response = problem(
                StatusCode::SERVICE_UNAVAILABLE,
                "the log takes no events at the moment. Send them again with the same ids: none will count twice",
                Value::Null,
            );
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            response
        }
    }
}

fn later(wait: Duration, detail: &str) -> Response {
    let mut response = problem(StatusCode::TOO_MANY_REQUESTS, detail, Value::Null);
    let seconds = wait.as_secs_f64().ceil().max(1.0) as u64;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// What a body that cannot be read is worth as a dead letter, and its fault; or the answer, where there is no letter.
pub fn unreadable(error: BodyError, limit: usize) -> Result<(Vec<u8>, Fault), Box<Response>> {
    match error {
        BodyError::TooLong(start) => Ok((
            start,
            Fault {
                reason: "too_long",
                field: String::new(),
                detail: format!("the body is longer than {} KB; send fewer events at once", limit / 1024),
            },
        )),
        BodyError::Packed(start, why) => Ok((start, Fault::not_json(why))),
        // not 408: trackers take that for a reason to throw the events away
        BodyError::Broken => Err(Box::new(later(
            Duration::from_secs(1),
            "the body did not arrive in time; nothing was written. Send it again",
        ))),
        BodyError::NoRoom => Err(Box::new(no_room())),
    }
}

/// What is said where there is no room for the request.
pub fn no_room() -> Response {
    later(
        Duration::from_secs(1),
        "too many events wait to be written; nothing of this was. Send it again later",
    )
}

fn listed(bad: &[(usize, Fault)]) -> Value {
    bad.iter()
        .take(MAX_LISTED)
        .map(|(index, fault)| json!({ "index": index, "field": fault.field, "reason": fault.reason, "detail": fault.detail }))
        .collect()
}

fn figures(outcome: &Outcome) -> Value {
    json!({
        "accepted": outcome.accepted,
        "repeated": outcome.repeated,
        "not_counted": outcome.not_counted.len(),
        "rejected": outcome.bad.len(),
        "errors": listed(&outcome.bad),
    })
}

/// Bad messages as a problem; the good ones beside them are written.
fn bad(outcome: &Outcome) -> Response {
    let detail = match outcome.bad.as_slice() {
        [(_, fault)] => format!("{}. It is in the dead letters", fault.detail),
        faults => format!("{} messages are no events; they are in the dead letters", faults.len()),
    };
    problem(StatusCode::BAD_REQUEST, detail, figures(outcome))
}

/// Our own format: any bad message makes it a 400, which lists them.
pub fn own(outcome: &Outcome) -> Response {
    if outcome.bad.is_empty() { Json(figures(outcome)).into_response() } else { bad(outcome) }
}

/// Segment: a 400 would make its clients throw away the whole batch as failed, so it is one only if nothing was good.
pub fn segment(outcome: &Outcome) -> Response {
    if is_all_bad(outcome) {
        return bad(outcome);
    }
    let mut body = figures(outcome);
    body["success"] = Value::Bool(true);
    if !outcome.not_counted.is_empty() {
        body["note"] = Value::from(format!("counted nowhere: {}", outcome.not_counted.join(", ")));
    }
    Json(body).into_response()
}

/// Plausible: 202 and a word.
pub fn plausible(outcome: &Outcome) -> Response {
    match (outcome.bad.is_empty(), outcome.not_counted.as_slice()) {
        (false, _) => bad(outcome),
        (true, []) => (StatusCode::ACCEPTED, "ok").into_response(),
        (true, [what, ..]) => {
            (StatusCode::ACCEPTED, format!("ok, and counted nowhere: {what}")).into_response()
        }
    }
}

/// Snowplow: as with Segment, a 400 would throw away what was good beside what was bad.
pub fn snowplow(outcome: &Outcome) -> Response {
    if is_all_bad(outcome) { bad(outcome) } else { "ok".into_response() }
}

/// A picture of one transparent dot, for `GET /i`.
pub fn dot(outcome: &Outcome) -> Response {
    const GIF: &[u8] = b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\x04\x01\0\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02\x01D\0;";
    if is_all_bad(outcome) {
        bad(outcome)
    } else {
        ([(header::CONTENT_TYPE, "image/gif")], GIF).into_response()
    }
}

fn is_all_bad(outcome: &Outcome) -> bool {
    !outcome.bad.is_empty() && outcome.accepted + outcome.repeated + outcome.not_counted.len() == 0
}

//! Sites, windows, the pipeline, and why a number is what it is.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use clickstream_event::Timestamp;
use serde_json::{Value, json};

use super::answer::{json_answer, time};
use super::lists::site;
use super::problem::Problem;
use super::query::Query;
use super::{App, ExplainQuery, answered, broken};
use crate::kind::KINDS;

/// `/api/v1/sites`.
pub async fn sites(
    state: State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &["limit", "offset"])?;
    let (limit, offset) = query.part()?;
    answered(state, move |app| {
        let sites = app.store.sites();
        let some: Vec<&String> = sites.iter().skip(offset as usize).take(limit as usize).collect();
        let value = json!({
            "default": app.store.default_site(), "total": sites.len(), "limit": limit, "offset": offset, "sites": some,
        });
        Ok(json_answer(&value, &headers))
    })
    .await
}

/// Parameters of `/api/v1/windows`.
pub const WINDOWS_PARAMETERS: [&str; 6] = ["site_id", "from", "to", "limit", "offset", "tz"];

/// `/api/v1/windows`.
pub async fn windows(
    state: State<Arc<App>>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &WINDOWS_PARAMETERS)?;
    let (limit, offset) = query.part()?;
    let range = query.range((i64::MIN, i64::MAX))?;
    answered(state, move |app| {
        let site = site(&app.store, &query)?;
        let (total, windows) = match &site {
            Some(site) => app.store.windows(site, range, limit, offset)?,
            None => (0, Vec::new()),
        };
        let more = u64::from(offset) + (windows.len() as u64) < total;
        let windows: Vec<Value> = windows
            .iter()
            .map(|window| json!({ "window_end": time(window.at, &query), "rows": window.rows, "whole": window.whole }))
            .collect();
        let next = more.then(|| format!("{}?{}", uri.path(), query.at_offset(offset.saturating_add(limit), &[])));
        let value = json!({
            "site_id": site, "total": total, "limit": limit, "offset": offset, "next": next, "windows": windows,
        });
        Ok(json_answer(&value, &headers))
    })
    .await
}

/// `/api/v1/pipeline`: what the pipeline reported last, and what came through here.
pub async fn pipeline(
    state: State<Arc<App>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    Query::parse(query.as_deref(), &[])?;
    answered(state, move |app| Ok(json_answer(&overview(app)?, &headers))).await
}

fn overview(app: &App) -> Result<Value, Problem> {
    let counts = app.feed.counts();
    let topics: Vec<Value> = KINDS
        .iter()
        .map(|kind| json!({ "topic": kind.topic, "kind": kind.name, "rows": counts.rows.get(kind.name).copied().unwrap_or(0) }))
        .collect();
    Ok(json!({
        "now": Timestamp::now(),
        "status": app.feed.last_status().map(|status| json!(*status)),
        "topics": topics,
        "stream_clients": counts.clients,
        "store": {
            "bytes": app.store.bytes(),
            "newest_window_end": app.store.newest().map(Timestamp),
            "failed_writes": counts.failed_writes,
            "unfit_records": counts.unfit,
        },
        "explain": app.options.explain.is_some(),
        "explain_options": app.options.explain_options,
    }))
}

/// Parameters of `/api/v1/explain`.
pub const EXPLAIN_PARAMETERS: [&str; 7] =
    ["site_id", "page_url", "product_id", "user_id", "session_id", "window_end", "metric"];

/// `/api/v1/explain`.
pub async fn explain(State(app): State<Arc<App>>, RawQuery(query): RawQuery) -> Result<Response, Problem> {
    let query = Query::parse(query.as_deref(), &EXPLAIN_PARAMETERS)?;
    let Some(explain) = &app.options.explain else {
        return Err(Problem::not_found("numbers cannot be explained here"));
    };
    let text = |name: &str| query.text(name).map(str::to_owned);
    let wanted = ExplainQuery {
        // as everywhere here; the command line has a default of its own
        site_id: text("site_id").or_else(|| app.store.default_site()),
        page: text("page_url"),
        product: text("product_id"),
        user: text("user_id"),
        session: text("session_id"),
        window_end: Timestamp(
            query
                .time("window_end")?
                .ok_or_else(|| Problem::bad_request("window_end says which window; it is missing"))?,
        ),
        metric: text("metric"),
    };
    let subjects = [&wanted.page, &wanted.product, &wanted.user, &wanted.session];
    if subjects.into_iter().flatten().count() > 1 {
        return Err(Problem::bad_request("page_url, product_id, user_id and session_id exclude each other"));
    }
    let turn = app.explaining.take().await?;
    // the turn ends with the work, not with the patience of who asked
    let explaining = explain(wanted);
    let explained = tokio::spawn(async move {
        let _turn = turn;
        explaining.await
    });
    let value = match explained.await {
        Ok(value) => value.map_err(|why| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, why))?,
        Err(_) => return Err(broken()),
    };
    Ok(json_answer(&json!({ "text": value }), &HeaderMap::new()))
}

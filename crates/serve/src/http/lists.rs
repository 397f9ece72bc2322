//! Lists of rows.

use std::sync::Arc;

use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, RawQuery, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use clickstream_event::{Reason, Timestamp};
use serde_json::{Map, Value, json};

use super::answer::{Form, Rows, time};
use super::problem::Problem;
use super::query::Query;
use super::routes::{ANOMALY_KINDS, Route, Shape};
use super::{App, blocking};
use crate::head;
use crate::kind::Kind;
use crate::store::{EventQuery, Store, WindowQuery};

/// Time that a series shows at least if nothing is said, in milliseconds before its last window.
const SERIES_MS: i64 = 3_600_000;
/// So many windows side by side it shows at least: of windows of an hour an hour would be a single point.
const SERIES_WINDOWS: i64 = 24;
/// Windows of a series if nothing is said, and at most.
pub const SERIES_LIMIT: (u32, u32) = (1_000, 5_000);

/// Answers a request for a list.
pub async fn list(
    route: &'static Route,
    State(app): State<Arc<App>>,
    path: Result<RawPathParams, RawPathParamsRejection>,
    uri: Uri,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let path =
        path.map_err(|_| Problem::bad_request("the page in the path is not UTF-8 when percent-decoded"))?;
    let page = path.iter().next().map(|(_, page)| page.to_owned());
    let query = Query::parse(query.as_deref(), &route.parameters())?;
    let kind = route.kind().ok_or_else(|| Problem::not_found("there is no such list"))?;
    let form = Form::wanted(&query, &headers)?;
    let question = format!("{form:?} {uri}");
    // the site shown by default follows from the newest site rows
    let version = app.store.version(kind) + app.store.newest_version();
    if let Some(made) = app.cache.get(&question, version) {
        return Ok(made.response(&headers));
    }
    let made = blocking(move || {
        let path = uri.path();
        let rows = match route.shape {
            Shape::Window => window(&app.store, kind, &query, path),
            Shape::Series => series(&app.store, kind, &query, None),
            Shape::PageSeries => series(&app.store, kind, &query, page.as_deref()),
            Shape::Events => events(&app.store, kind, &query, path),
            Shape::Letters => letters(&app.store, kind, &query, path),
        }?;
        let made = rows.made(form);
        app.cache.put(question, version, &made);
        Ok(made)
    })
    .await?;
    Ok(made.response(&headers))
}

/// The site asked for; `None` while there is none at all.
pub fn site(store: &Store, query: &Query) -> Result<Option<String>, Problem> {
    let Some(name) = query.text("site_id") else { return Ok(store.default_site()) };
    if store.has_site(name) {
        return Ok(Some(name.to_owned()));
    }
    let some: Vec<String> = store.sites().into_iter().take(20).collect();
    Err(Problem::not_found("there are no results of this site").with("sites", json!(some)))
}

fn window<'a>(store: &Store, kind: &'static Kind, query: &'a Query, path: &str) -> Result<Rows<'a>, Problem> {
    let (limit, offset) = query.part()?;
    let site = site(store, query)?;
    let wanted = query.time("window_end")?;
    let mut head = begin(&site, limit, Some(offset));
    head.insert("window_end".into(), Value::Null);
    head.insert("total".into(), json!(0));
    let empty = |head| Ok(Rows { kind, head, rows: Vec::new(), next: None, query });
    let Some(site) = site else { return empty(head) };
    let at = match wanted {
        None => store.newest_window(kind, &site)?,
        Some(at) => {
            if let Err(beside) = store.find_window(kind, &site, at)? {
                let beside: Vec<Value> = beside.into_iter().flatten().map(|at| time(at, query)).collect();
                return Err(Problem::not_found(format!("no window that ends at {} is kept", Timestamp(at)))
                    .with("nearest", json!(beside)));
            }
            Some(at)
        }
    };
    let Some(at) = at else { return empty(head) };
    let page = query.text("page_url");
    let listing = store.window(&WindowQuery { kind, site: &site, at, page, limit, offset })?;
    head.insert("window_end".into(), time(at, query));
    head.insert("total".into(), json!(listing.total));
    let next = listing.more.then(|| {
        let pinned = [("site_id", site), ("window_end", Timestamp(at).to_string())];
        next(path, query, offset, limit, &pinned)
    });
    Ok(Rows { kind, head, rows: listing.rows, next, query })
}

fn series<'a>(
    store: &Store,
    kind: &'static Kind,
    query: &'a Query,
    key: Option<&str>,
) -> Result<Rows<'a>, Problem> {
    let limit = query.number("limit", SERIES_LIMIT.0, (1, SERIES_LIMIT.1))?;
    let site = site(store, query)?;
    let newest = match &site {
        Some(site) => store.newest_window(kind, site)?,
        None => None,
    };
    // who asks only for what came after some instant may be told that there is nothing yet
    let begin_at = query.time("from")?.unwrap_or(i64::MIN);
    let to = query.time("to")?.unwrap_or_else(|| newest.unwrap_or(0).max(begin_at));
    let reach = match (&site, query.text("from")) {
        (Some(site), None) => store.window_ms(site)?.saturating_mul(SERIES_WINDOWS).max(SERIES_MS),
        _ => SERIES_MS,
    };
    let (from, to) = query.range((to.saturating_sub(reach), to))?;
    let mut head = begin(&site, limit, None);
    if let Some(key) = key {
        head.insert("page_url".into(), key.into());
    }
    head.insert("from".into(), time(from, query));
    head.insert("to".into(), time(to, query));
    let listing = match &site {
        Some(site) => store.series(kind, site, key.unwrap_or_default(), (from, to), limit as usize)?,
        None => Default::default(),
    };
    // of a page: windows of the site in that time, whether the page is in them or not
    head.insert("windows".into(), json!(listing.total.unwrap_or(0)));
    let thinned = match &site {
        Some(site) => store.thinned_up_to(kind, site, (from, to))?,
        None => None,
    };
    head.insert("thinned_up_to".into(), thinned.map_or(Value::Null, |at| time(at, query)));
    Ok(Rows { kind, head, rows: listing.rows, next: None, query })
}

fn events<'a>(store: &Store, kind: &'static Kind, query: &'a Query, path: &str) -> Result<Rows<'a>, Problem> {
    let (limit, offset) = query.part()?;
    let site = site(store, query)?;
    let (from, to) = query.range((i64::MIN, i64::MAX))?;
    one_of(query, "bounced", &["true", "false"])?;
    one_of(query, "kind", &ANOMALY_KINDS)?;
    let equal = ["user_id", "session_id", "bounced", "kind", "subject"]
        .into_iter()
        .filter_map(|field| query.text(field).map(|text| (field, text.to_owned())))
        .collect();
    let listing = match &site {
        Some(site) => {
            let page = query.text("page_url");
            store.events(&EventQuery { kind, site, from, to, page, equal, limit, offset })?
        }
        None => Default::default(),
    };
    let next = listing.more.then(|| {
        // rows that come meanwhile are newer than the first one
        let newest = listing.rows.first().and_then(|row| head::file(kind.topic, row.as_bytes()).ok());
        let mut pinned: Vec<(&str, String)> = site.iter().map(|site| ("site_id", site.clone())).collect();
        pinned.extend(newest.map(|row| ("to", Timestamp(row.at + 1).to_string())));
        next(path, query, offset, limit, &pinned)
    });
    Ok(Rows { kind, head: begin(&site, limit, Some(offset)), rows: listing.rows, next, query })
}

/// Refuses a value that no row can have: an empty list would look as if there were none yet.
fn one_of(query: &Query, name: &str, known: &[&str]) -> Result<(), Problem> {
    match query.text(name) {
        Some(text) if !known.contains(&text) => {
            Err(Problem::bad_request(format!("{name} has to be one of {}", known.join(", "))))
        }
        _ => Ok(()),
    }
}

fn letters<'a>(
    store: &Store,
    kind: &'static Kind,
    query: &'a Query,
    path: &str,
) -> Result<Rows<'a>, Problem> {
    let (limit, offset) = query.part()?;
    one_of(query, "reason", &Reason::ALL.map(Reason::name))?;
    let listing = store.letters(query.text("reason"), limit, offset)?;
    let mut head = begin(&None, limit, Some(offset));
    head.remove("site_id");
    let counts: Map<String, Value> =
        store.letter_counts()?.into_iter().map(|(reason, letters)| (reason, json!(letters))).collect();
    head.insert("counts".into(), counts.into());
    let next = listing.more.then(|| next(path, query, offset, limit, &[]));
    Ok(Rows { kind, head, rows: listing.rows, next, query })
}

fn begin(site: &Option<String>, limit: u32, offset: Option<u32>) -> Map<String, Value> {
    let mut head = Map::new();
    head.insert("site_id".into(), json!(site));
    head.insert("limit".into(), json!(limit));
    if let Some(offset) = offset {
        head.insert("offset".into(), json!(offset));
    }
    head
}

fn next(path: &str, query: &Query, offset: u32, limit: u32, pinned: &[(&str, String)]) -> String {
    format!("{path}?{}", query.at_offset(offset.saturating_add(limit), pinned))
}

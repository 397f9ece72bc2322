//! The OpenAPI 3.1 description, made from the same tables as the routes and the rows.

use axum::http::HeaderMap;
use axum::response::Response;
use clickstream_event::Reason;
use serde_json::{Map, Value, json};

use super::answer::json_answer;
use super::lists::SERIES_LIMIT;
use super::overview::{EXPLAIN_PARAMETERS, WINDOWS_PARAMETERS};
use super::query::{LIMIT, MAX_LIMIT, MAX_OFFSET};
use super::routes::{ANOMALY_KINDS, ROUTES, Route, Shape};
use super::stream;
use crate::kind::{KINDS, Kind, Type};
use axum::extract::State;
use std::sync::Arc;

/// `/openapi.json`.
pub async fn openapi(State(app): State<Arc<super::App>>, headers: HeaderMap) -> Response {
    json_answer(&document(app.options.explain.is_some()), &headers)
}

/// The description. `explain`: whether numbers are explained.
pub fn document(explain: bool) -> Value {
    let mut paths = Map::new();
    for route in &ROUTES {
        paths.insert(route.path.into(), list(route));
    }
    let mut other = |path: &str,
                     about: &str,
                     known: &[&str],
                     content: &str,
                     schema: Value,
                     statuses: &[u16]| {
        let mut responses = Map::new();
        responses.insert(
            "200".into(),
            json!({ "description": about, "content": { content: { "schema": schema } } }),
        );
        for status in statuses {
            responses.insert(status.to_string(), problem_ref());
        }
        let mut parameters: Vec<Value> = known.iter().map(|name| parameter(name)).collect();
        for parameter in &mut parameters {
            if path.ends_with("/explain") && parameter["name"] == "window_end" {
                parameter["required"] = json!(true);
                parameter["description"] = json!("end of the window (RFC 3339)");
            }
        }
        paths.insert(
            path.into(),
            json!({ "get": { "summary": about, "operationId": operation(path), "parameters": parameters, "responses": responses } }),
        );
    };
    let object = json!({ "type": "object" });
    other(
        "/api/v1/sites",
        "The sites that have results",
        &["limit", "offset"],
        "application/json",
        json!({
            "type": "object", "required": ["default", "total", "sites"],
            "properties": { "default": { "type": ["string", "null"] }, "total": { "type": "integer" },
                            "sites": { "type": "array", "items": { "type": "string" } } },
        }),
        &[400],
    );
    other(
        "/api/v1/windows",
        "The windows that are kept, newest first",
        &WINDOWS_PARAMETERS,
        "application/json",
        json!({
            "type": "object", "required": ["site_id", "total", "windows"],
            "properties": { "windows": { "type": "array", "items": {
                "type": "object", "required": ["window_end", "rows", "whole"],
                "properties": {
                    "window_end": { "type": "string", "format": "date-time" },
                    "rows": { "type": "integer", "description": "rows written, over all kinds" },
                    "whole": { "type": "boolean", "description": "all rows are kept; else those with the greatest numbers" } } } } },
        }),
        &[400, 404],
    );
    other("/api/v1/pipeline", "What the pipeline is doing", &[], "application/json", object.clone(), &[400]);
    other(
        "/api/v1/stream",
        "Server-sent events: `hello` first, then an event per window and kind of rows, named like the kind, with {kind, \
         site_id, window_end, total, rows}: at most 100 rows, the first of the window, and how many it has. Sessions, anomalies and \
         dead letters have no window_end; of them the newest 100 rows are sent, and total is how many there are from the first to \
         the last instant of those that came. `pipeline` about once a second; `dropped` with {frames} if the client was too slow",
        &stream::PARAMETERS,
        "text/event-stream",
        json!({ "type": "string" }),
        &[400, 503],
    );
    if explain {
        other(
            "/api/v1/explain",
            "The events behind a number, as text",
            &EXPLAIN_PARAMETERS,
            "application/json",
            json!({
                "type": "object", "required": ["text"], "properties": { "text": { "type": "string" } },
            }),
            &[400, 422, 503],
        );
    }
    other("/health/live", "Whether the server answers", &[], "application/json", object.clone(), &[]);
    other("/health/ready", "Whether results are fresh", &[], "application/json", object, &[503]);
    other(
        "/metrics",
        "Figures for Prometheus",
        &[],
        "application/openmetrics-text",
        json!({ "type": "string" }),
        &[],
    );
    let schemas: Map<String, Value> = KINDS.iter().map(|kind| (schema_name(kind), row(kind))).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "clickstream",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Results of clickstream. Every row is shown as it stands in its Kafka topic; docs/metrics.md says \
                            what each number means. Everything is read with GET.",
            "license": { "name": "MIT", "identifier": "MIT" },
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": { "Problem": { "description": "what is wrong (RFC 9457)", "content": { "application/problem+json": { "schema": {
                "type": "object", "required": ["type", "title", "status", "detail"],
                "properties": { "type": { "type": "string" }, "title": { "type": "string" },
                                "status": { "type": "integer" }, "detail": { "type": "string" } } } } } } },
        },
    })
}

fn list(route: &Route) -> Value {
    let Some(kind) = route.kind() else { return json!({}) };
    let mut parameters: Vec<Value> = route.parameters().iter().map(|name| parameter(name)).collect();
    if matches!(route.shape, Shape::Series | Shape::PageSeries) {
        let limit =
            json!({ "type": "integer", "minimum": 1, "maximum": SERIES_LIMIT.1, "default": SERIES_LIMIT.0 });
        parameters.iter_mut().filter(|parameter| parameter["name"] == "limit").for_each(|parameter| {
            parameter["schema"] = limit.clone();
            parameter["description"] = json!("windows at most; of more every second, third … is shown");
        });
    }
    if route.shape == Shape::PageSeries {
        parameters.insert(
            0,
            json!({
                "name": "page", "in": "path", "required": true, "schema": { "type": "string" },
                "description": "the page, percent-encoded, also its slashes", "example": "/p/alder-notebook",
            }),
        );
    }
    let mut properties = json!({
        "kind": { "const": kind.name },
        "next": { "type": ["string", "null"], "description": "path and query of the rows that follow" },
        "rows": { "type": "array", "items": { "$ref": format!("#/components/schemas/{}", schema_name(kind)) } },
    });
    let extra: &[(&str, Value)] = match route.shape {
        Shape::Window => &[
            ("window_end", json!({ "type": ["string", "null"], "format": "date-time" })),
            ("total", json!({ "type": "integer" })),
        ],
        Shape::Series | Shape::PageSeries => &[
            ("from", json!({ "type": "string", "format": "date-time" })),
            ("to", json!({ "type": "string", "format": "date-time" })),
            (
                "windows",
                json!({ "type": "integer", "description": "windows in that time; with more than limit, every second, third … is shown" }),
            ),
            (
                "thinned_up_to",
                json!({ "type": ["string", "null"], "format": "date-time",
                        "description": "last window of that time of which only the rows with the greatest numbers are kept: a page without a \
                                        row in it or before may have had one" }),
            ),
        ],
        Shape::Events => &[],
        Shape::Letters => {
            &[("counts", json!({ "type": "object", "additionalProperties": { "type": "integer" } }))]
        }
    };
    for (name, schema) in extra {
        properties[*name] = schema.clone();
    }
    if route.shape != Shape::Letters {
        properties["site_id"] = json!({ "type": ["string", "null"] });
    }
    let required: Vec<&String> = properties.as_object().into_iter().flat_map(|map| map.keys()).collect();
    let schema = json!({ "type": "object", "required": required, "properties": properties });
    json!({ "get": {
        "summary": route.about,
        "operationId": operation(route.path),
        "parameters": parameters,
        "responses": {
            "200": {
                "description": format!("each row: {}", kind.about),
                "headers": { "ETag": { "schema": { "type": "string" } } },
                "content": { "application/json": { "schema": schema }, "text/csv": { "schema": { "type": "string" } } },
            },
            "304": { "description": "as the client has it" },
            "400": problem_ref(), "404": problem_ref(), "503": problem_ref(),
        },
    } })
}

fn problem_ref() -> Value {
    json!({ "$ref": "#/components/responses/Problem" })
}

fn operation(path: &str) -> String {
    let words = path.trim_start_matches("/api/v1/").trim_matches('/');
    words
        .chars()
        .filter(|c| *c != '{' && *c != '}')
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

fn schema_name(kind: &Kind) -> String {
    kind.name.split('-').map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..])).collect()
}

fn row(kind: &Kind) -> Value {
    let mut properties = Map::new();
    for field in kind.fields {
        let letter = kind.name == "dead-letters" && matches!(field.name, "detail" | "raw");
        let schema = match field.is {
            Type::Text if letter => json!({ "type": ["string", "null"] }),
            Type::Text => json!({ "type": "string" }),
            Type::Time => json!({ "type": "string", "format": "date-time" }),
            Type::Count => json!({ "type": "integer" }),
            Type::Number => json!({ "type": "number" }),
            Type::Ratio => {
                json!({ "type": ["number", "null"], "description": "null where its denominator is 0" })
            }
            Type::Flag => json!({ "type": "boolean" }),
            Type::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        };
        properties.insert(field.name.into(), schema);
    }
    let required: Vec<&str> = kind.fields.iter().map(|field| field.name).collect();
    json!({ "type": "object", "description": kind.about, "required": required, "properties": properties })
}

fn parameter(name: &str) -> Value {
    let text = || json!({ "type": "string" });
    let (schema, about, required) = match name {
        "site_id" => (text(), "the site; default: the one with most events in the newest window", false),
        "window_end" => (text(), "end of the window (RFC 3339); default: the newest", false),
        "from" => (
            text(),
            "first instant (RFC 3339); of a series: default one hour or 24 windows before the last, whichever is longer",
            false,
        ),
        "to" => (
            text(),
            "instant after the last (RFC 3339); of windows and of a series: end of the last window; default: the newest",
            false,
        ),
        "limit" => (
            json!({ "type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": LIMIT }),
            "rows at most",
            false,
        ),
        "offset" => (
            json!({ "type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0 }),
            "rows to leave out before",
            false,
        ),
        "tz" => (
            text(),
            "time zone of the answer's times, and of the request's without an offset, as Europe/Berlin; default: UTC",
            false,
        ),
        "format" => (
            json!({ "type": "string", "enum": ["json", "csv"] }),
            "form of the answer; default: as the header Accept says",
            false,
        ),
        "page_url" => (text(), "only rows of this page", false),
        "bounced" => (json!({ "type": "boolean" }), "only sessions that bounced, or did not", false),
        "kinds" => (text(), "names of events wanted, separated by commas; default: all", false),
        "last_event_id" => (text(), "as the header Last-Event-ID: go on after this event", false),
        "metric" => (text(), "the number, as unique_users", false),
        "kind" => (json!({ "type": "string", "enum": ANOMALY_KINDS }), "only anomalies of this kind", false),
        "reason" => (
            json!({ "type": "string", "enum": Reason::ALL.map(Reason::name) }),
            "only records that were left out for this",
            false,
        ),
        _ => (text(), "only rows with this value", false),
    };
    json!({ "name": name, "in": "query", "required": required, "schema": schema, "description": about })
}

//! The dashboard's files. They are part of the program; a debug build reads them from the source folder at every request.

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use rust_embed::RustEmbed;

use super::answer::Made;
use super::problem::Problem;

#[derive(RustEmbed)]
#[folder = "web/"]
struct Web;

/// `/`.
pub async fn index(headers: HeaderMap) -> Result<Response, Problem> {
    asset("index.html", &headers)
}

/// `/web/…`.
pub async fn file(
    path: Result<Path<String>, axum::extract::rejection::PathRejection>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let Ok(Path(file)) = path else {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "the path is not UTF-8"));
    };
    asset(&file, &headers)
}

fn asset(file: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let known = Web::iter().any(|name| name == file);
    let found = known.then(|| Web::get(file)).flatten();
    let found = found.ok_or_else(|| Problem::not_found("the dashboard has no such file"))?;
    Ok(Made::new(found.data.into_owned(), content_type(file)).response(headers))
}

fn content_type(file: &str) -> &'static str {
    match file.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_modules_are_loaded_at_once() {
        let page = Web::get("index.html").unwrap().data;
        let page = String::from_utf8_lossy(&page);
        assert!(page.contains("<script src=\"/web/early.js\"></script>"));
        for file in Web::iter()
            .filter(|file| file.ends_with(".js") && !["app.js", "early.js"].contains(&file.as_ref()))
        {
            let link = format!("<link rel=\"modulepreload\" href=\"/web/{file}\">");
            assert!(page.contains(&link), "without {link} it is asked for only when another module names it");
        }
    }

    #[test]
    fn the_limits_of_anomalies_are_told_as_they_are() {
        use clickstream_event::detection::*;
        let text = Web::get("why.js").unwrap().data;
        let text = String::from_utf8_lossy(&text);
        for said in [
            format!(
                "at least {SPIKE_EVENTS} events, at least {SPIKE_RATIO} times as many as usual, and at least {SPIKE_Z} deviations more"
            ),
            format!(
                "at most {:.0} % of the usual events, and at least {DROP_Z} deviations fewer",
                DROP_RATIO * 100.0
            ),
            format!(
                "the {BASELINE_SLIDES} slides before, or of as many as there are, from {BASELINE_MIN_SLIDES} on"
            ),
        ] {
            assert!(text.contains(&said), "why.js does not say: {said}");
        }
        assert!(text.contains("twice the mean's square root") && EXCESS_VARIANCE.sqrt() == 2.0);
    }
}

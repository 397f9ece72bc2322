//! What is answered over HTTP.
//!
//! | module | holds |
//! |---|---|
//! | `routes` | which lists there are |
//! | `lists` | lists of rows |
//! | `overview` | sites, windows, the pipeline, explanations |
//! | `stream` | the live stream |
//! | `health`, `metrics` | for operators |
//! | `openapi` | the description of all of it |
//! | `assets` | the dashboard |
//! | `guard` | who is answered, and headers that keep a browser safe |
//! | `query`, `zone`, `answer`, `cache`, `turns`, `problem` | what requests and answers have in common |

mod answer;
mod assets;
mod cache;
mod guard;
mod health;
mod lists;
mod metrics;
mod openapi;
mod overview;
mod problem;
mod query;
mod routes;
mod stream;
mod turns;
mod zone;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;

use crate::feed::Feed;
use crate::store::Store;
use problem::Problem;

/// What is to be explained; see `clickstream explain`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExplainQuery {
    /// The site, if one was named.
    pub site_id: Option<String>,
    /// The page, product, user or session whose number it is. At most one of them is there; none: the site.
    pub page: Option<String>,
    /// See `page`.
    pub product: Option<String>,
    /// See `page`.
    pub user: Option<String>,
    /// See `page`.
    pub session: Option<String>,
    /// End of the window.
    pub window_end: clickstream_event::Timestamp,
    /// The number, as `unique_users`.
    pub metric: Option<String>,
}

/// Explains a number in text: `Err` with a message for people if it cannot.
pub type Explain = Arc<dyn Fn(ExplainQuery) -> BoxFuture<'static, Result<String, String>> + Send + Sync>;

/// What can be set.
#[derive(Clone, Default)]
pub struct Options {
    /// Explains numbers; without it `/api/v1/explain` is not there.
    pub explain: Option<Explain>,
    /// What `clickstream explain` has to be told on a command line to look into the same log, as `--data-dir` and its value.
    pub explain_options: Vec<String>,
    /// Host names under which the server is reached, besides `localhost` and addresses. Only if it listens on loopback are others
    /// refused: a page from elsewhere could otherwise read results by a name that points here.
    pub hosts: Vec<String>,
}

/// What all handlers share.
pub(crate) struct App {
    pub store: Store,
    pub feed: Feed,
    pub options: Options,
    pub requests: metrics::Requests,
    pub cache: cache::Cache,
    pub explaining: turns::Turns,
    /// Whether only names of this machine are answered.
    pub loopback: bool,
    pub shutdown: CancellationToken,
}

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for route in &routes::ROUTES {
        router = router.route(
            route.path,
            get(move |state, path, uri, query, headers| lists::list(route, state, path, uri, query, headers)),
        );
    }
    router = router
        .route("/api/v1/sites", get(overview::sites))
        .route("/api/v1/windows", get(overview::windows))
        .route("/api/v1/pipeline", get(overview::pipeline))
        .route("/api/v1/stream", get(stream::stream))
        .route("/openapi.json", get(openapi::openapi))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .route("/", get(assets::index))
        .route("/web/{*file}", get(assets::file));
    if app.options.explain.is_some() {
        router = router.route("/api/v1/explain", get(overview::explain));
    }
    router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(from_fn_with_state(app.clone(), metrics::count))
        .layer(from_fn_with_state(app.clone(), guard::hosts))
        .layer(from_fn(guard::headers))
        .with_state(app)
}

async fn not_found(uri: Uri) -> Problem {
    Problem::not_found(format!(
        "there is nothing at {}; /openapi.json lists what there is",
        query::shown(uri.path())
    ))
}

async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not answered; everything here is read with GET"),
    )
}

/// Questions asked of the store at once; more would only wait for each other.
static ASKING: Semaphore = Semaphore::const_new(8);

/// Asks the store on a thread that may wait for the disk.
async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let turn = ASKING.acquire().await;
    // who hangs up does not end the question: it keeps its turn until it is answered
    let asking = move || {
        let _turn = turn;
        ask()
    };
    tokio::task::spawn_blocking(asking).await.unwrap_or_else(|_| Err(broken()))
}

fn broken() -> Problem {
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "the answer could not be made; this is a fault of the server",
    )
}

/// Runs a handler's question about the store.
async fn answered(
    State(app): State<Arc<App>>,
    ask: impl FnOnce(&App) -> Result<Response, Problem> + Send + 'static,
) -> Result<Response, Problem> {
    blocking(move || ask(&app)).await
}

#[cfg(test)]
mod tests;

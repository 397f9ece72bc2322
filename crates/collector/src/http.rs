//! Which paths there are, and what each does with a request.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use clickstream_web::connections::Peer;
use serde_json::Value;

use crate::answer;
use crate::body;
use crate::cors;
use crate::desk::{Desk, Outcome, Refusal, Sender};
use crate::draft::{Fault, Item};
use crate::limits::{Held, MAX_MESSAGES, Room};
use crate::page;
use crate::protocol::{own, plausible, segment, snowplow};

/// A body of our own format or of Snowplow's is no longer.
const MAX_BODY: usize = 1 << 20;
/// One event of Plausible's is no longer: what no record could hold.
const MAX_EVENT: usize = 64 * 1024;
/// A browser's name is cut to so many characters.
const MAX_USER_AGENT: usize = 1_024;

/// What all handlers share.
pub(crate) struct App {
    pub desk: Arc<Desk>,
    pub room: Room,
    /// Where we listen, for the start page.
    pub address: String,
}

type Shared = State<Arc<App>>;

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/", get(async |State(app): Shared| page::start(&app.desk, &app.address)))
        .route("/c.js", get(page::snippet))
        .route("/health", get(async || "ok"))
        .route("/v1/events", post(take_own))
        .route("/api/event", post(take_plausible))
        .route("/com.snowplowanalytics.snowplow/tp2", post(take_snowplow))
        .route("/i", get(take_dot));
    for (long, short) in segment::CALLS {
        let take = move |app: Shared, request: Request| take_segment(app, long, request);
        let names = if long == short { vec![long] } else { vec![long, short] };
        for name in names {
            router = router.route(&format!("/v1/{name}"), post(take)).route(&format!("/{name}"), post(take));
        }
    }
    router
        .method_not_allowed_fallback(method_not_allowed)
        .fallback(not_found)
        .layer(from_fn(headers))
        .layer(from_fn(cors::cors))
        .with_state(app)
}

async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(HeaderName::from_static("referrer-policy"), HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

async fn not_found(_: Uri) -> Response {
    answer::problem(StatusCode::NOT_FOUND, "there is nothing here; / says what there is", Value::Null)
}

async fn method_not_allowed(method: Method) -> Response {
    answer::problem(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("{method} is not answered here; events come with POST"),
        Value::Null,
    )
}

async fn take_own(State(app): Shared, request: Request) -> Response {
    // a beacon has no headers of ours
    let query = form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes());
    let named = query.into_owned().find_map(|(name, key)| (name == "key" && !key.is_empty()).then_some(key));
    let key = credentials(request.headers()).or(named);
    let read = move |body: &[u8], key: Option<&str>| own::read(body, key);
    take(&app, request, MAX_BODY, key, read, answer::own).await
}

async fn take_segment(State(app): Shared, call: &'static str, request: Request) -> Response {
    let key = credentials(request.headers());
    let read = move |body: &[u8], key: Option<&str>| segment::read(call, body, key);
    take(&app, request, segment::MAX_BODY, key, read, answer::segment).await
}

async fn take_plausible(State(app): Shared, request: Request) -> Response {
    take(&app, request, MAX_EVENT, None, |body, _| plausible::read(body), answer::plausible).await
}

async fn take_snowplow(State(app): Shared, request: Request) -> Response {
    take(&app, request, MAX_BODY, None, |body, _| snowplow::read(body), answer::snowplow).await
}

async fn take_dot(State(app): Shared, RawQuery(query): RawQuery, request: Request) -> Response {
    let sender = sender(&request);
    let query = query.unwrap_or_default();
    let mut held = Held::default();
    if app.room.take(query.len(), &mut held).is_none() {
        app.desk.counters.overloaded();
        return answer::no_room();
    }
    let items = snowplow::read_query(&query);
    conclude(items_of(&app, items, sender, held).await, answer::dot)
}

/// Reads the body, the messages in it, and has them written.
async fn take(
    app: &Arc<App>,
    request: Request,
    limit: usize,
    key: Option<String>,
    read: impl FnOnce(&[u8], Option<&str>) -> Vec<Item> + Send,
    answer: fn(&Outcome) -> Response,
) -> Response {
    let sender = sender(&request);
    let (parts, body): (_, Body) = request.into_parts();
    let mut held = Held::default();
    let bytes: Bytes = match body::read(&parts.headers, body, limit, &app.room, &mut held).await {
        Ok(bytes) => bytes,
        Err(error) => {
            if matches!(error, body::BodyError::NoRoom) {
                app.desk.counters.overloaded();
            }
            return match answer::unreadable(error, limit) {
                Err(response) => *response,
                Ok((raw, fault)) => conclude(app.desk.refuse(raw, key, fault, &sender, held).await, answer),
            };
        }
    };
    app.desk.counters.bytes(bytes.len());
    let items = read(&bytes, key.as_deref());
    if items.len() > MAX_MESSAGES {
        let fault = Fault {
            reason: "too_long",
            field: String::new(),
            detail: format!("the body holds more than {MAX_MESSAGES} messages; send fewer at once"),
        };
        let raw = crate::desk::beginning(&bytes, crate::desk::CUT).to_vec();
        return conclude(app.desk.refuse(raw, key, fault, &sender, held).await, answer);
    }
    drop(bytes);
    conclude(items_of(app, items, sender, held).await, answer)
}

/// In a task of its own: a browser that leaves the page closes the connection, and its events shall be written all the same.
async fn items_of(app: &Arc<App>, items: Vec<Item>, sender: Sender, held: Held) -> Result<Outcome, Refusal> {
    let desk = Arc::clone(&app.desk);
    let taken = tokio::spawn(async move { desk.take(items, &sender, held).await }).await;
    taken.unwrap_or(Err(Refusal::Closed))
}

fn conclude(outcome: Result<Outcome, Refusal>, answer: fn(&Outcome) -> Response) -> Response {
    match outcome {
        Ok(outcome) => answer(&outcome),
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// The write key of an `Authorization`: the user name of `Basic`, or a bearer's token.
fn credentials(headers: &HeaderMap) -> Option<String> {
    let (scheme, rest) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let key = match scheme.to_ascii_lowercase().as_str() {
        "basic" => {
            let pair = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
            pair.split_once(':').map_or(pair.clone(), |(name, _)| name.to_owned())
        }
        "bearer" => rest.trim().to_owned(),
        _ => return None,
    };
    Some(key).filter(|key| !key.is_empty())
}

fn sender(request: &Request) -> Sender {
    let peer = request.extensions().get::<Peer>().map_or(Ipv4Addr::LOCALHOST.into(), |peer| peer.0.ip());
    let agent =
        request.headers().get(header::USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes()));
    Sender {
        address: client(peer, request.headers()),
        user_agent: agent
            .map(|agent| agent.chars().filter(|c| !c.is_control()).take(MAX_USER_AGENT).collect()),
    }
}

/// Behind a proxy on this machine, the client is whom the proxy names: the last of `X-Forwarded-For`, which it wrote itself.
fn client(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !peer.to_canonical().is_loopback() {
        return peer;
    }
    let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
    let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    last.unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::{BoxFuture, Intake, IntakeError, Record};

    /// A log that takes records only while room is held for them.
    struct WhileHeld(Room);

    impl Intake for WhileHeld {
        fn append(&self, _: Vec<Record>) -> BoxFuture<'static, Result<(), IntakeError>> {
            let all_is_free = self.0.take(64 << 20, &mut Held::default()).is_some();
            Box::pin(async move { if all_is_free { Err(IntakeError::Full) } else { Ok(()) } })
        }
    }

    #[tokio::test]
    async fn an_event_in_a_query_takes_room_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let room = Room::default();
        let intake = Arc::new(WhileHeld(room.clone()));
        let collector = crate::Collector::open(crate::Options::new("shop"), intake, dir.path()).unwrap();
        let app =
            Arc::new(App { desk: Arc::clone(&collector.desk), room: room.clone(), address: String::new() });
        let get = || {
            let query = RawQuery(Some("e=pv&url=https%3A%2F%2Fa.example%2Fx".into()));
            take_dot(State(Arc::clone(&app)), query, Request::default())
        };
        assert_eq!(get().await.status(), StatusCode::OK, "it holds room until it is written");
        let mut all = Held::default();
        assert!(room.take(64 << 20, &mut all).is_some(), "and gives it back");
        let answer = get().await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        let counts = collector.counts();
        assert_eq!((counts.accepted, counts.overloaded), (1, 1));
        drop(all);
        assert_eq!(get().await.status(), StatusCode::OK);
    }

    #[test]
    fn the_client_behind_a_proxy() {
        let mut headers = HeaderMap::new();
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert_eq!(client(local, &headers), local);
        headers.insert("x-forwarded-for", HeaderValue::from_static("198.51.100.1, 192.0.2.7"));
        assert_eq!(client(local, &headers).to_string(), "192.0.2.7");
        let elsewhere: IpAddr = "203.0.113.5".parse().unwrap();
        assert_eq!(client(elsewhere, &headers), elsewhere, "who is no proxy of ours may say anything");
        headers.insert("x-forwarded-for", HeaderValue::from_static("<script>"));
        assert_eq!(client(local, &headers), local);
    }

    #[test]
    fn keys_of_an_authorization() {
        let of = |text: &'static str| {
            credentials(&HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(text))]))
        };
        assert_eq!(of("Basic a2V5Og==").as_deref(), Some("key"));
        assert_eq!(of("bearer key").as_deref(), Some("key"));
        for text in ["Basic", "Basic ???", "Basic Og==", "Digest x"] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}

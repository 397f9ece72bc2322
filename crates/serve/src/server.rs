//! The server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use clickstream_web::connections;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::http::{App, Options, router};
use crate::store::Store;

/// Open requests have this long to end when the server stops.
const GRACE: Duration = Duration::from_secs(2);

/// Serves results on `listener` until `shutdown` is cancelled: REST below `/api/v1`, the live stream, `/metrics`, `/health`, and the
/// dashboard at `/`.
pub async fn serve(
    listener: TcpListener,
    store: Store,
    feed: Feed,
    options: Options,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let loopback = listener.local_addr()?.ip().is_loopback();
    // streams end by themselves when the server stops, so that nothing waits for them
    let streams = shutdown.child_token();
    let app = App {
        store,
        feed,
        options,
        requests: Default::default(),
        cache: Default::default(),
        explaining: Default::default(),
        loopback,
        shutdown: streams,
    };
    connections::serve(listener, router(Arc::new(app)), GRACE, shutdown).await
}

//! The server: takes connections, with limits on how many there are and how long a request may take to arrive.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::feed::Feed;
use crate::http::{App, Options, router};
use crate::store::Store;

/// Connections at once; more wait until one ends.
const MAX_CONNECTIONS: usize = 2_048;
/// The head of a request arrives within this time, or the connection is closed.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// The head of a request is no longer; also what is written to a client that does not read.
const BUFFER: usize = 128 * 1024;
/// Open requests have this long to end when the server stops.
const GRACE: Duration = Duration::from_secs(2);
/// Pause when the system has no more file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(50);

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
        loopback,
        shutdown: streams,
    };
    let service = TowerToHyperService::new(router(Arc::new(app)));
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_buf_size(BUFFER);
    loop {
        let permit = tokio::select! {
            () = shutdown.cancelled() => break,
            Ok(permit) = connections.clone().acquire_owned() => permit,
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(OUT_OF_FILES).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service.clone()));
        tokio::spawn(async move {
            // what goes wrong with one connection is that client's affair
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
    Ok(())
}

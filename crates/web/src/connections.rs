//! Takes connections, with limits on how many there are and how long a request may take to arrive.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// Connections at once; more wait until one ends.
const MAX_CONNECTIONS: usize = 2_048;
/// The head of a request arrives within this time, or the connection is closed. So does the next request on it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(20);
/// The head of a request is no longer: an event in a query fits. Also what is written to a client that does not read.
const BUFFER: usize = 128 * 1024;
/// Pause when the system has no more file descriptors.
const OUT_OF_FILES: Duration = Duration::from_millis(50);

/// Where a request came from: an extension of every one.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// Answers on `listener` until `shutdown` is cancelled; then open requests have `grace` to end.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    grace: Duration,
    shutdown: CancellationToken,
) -> io::Result<()> {
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
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(OUT_OF_FILES).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        let service = service_fn(move |mut request: hyper::Request<Incoming>| {
            request.extensions_mut().insert(Peer(peer));
            router.clone().oneshot(request)
        });
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // what goes wrong with one connection is that client's affair; its address is nobody's
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(grace, graceful.shutdown()).await;
    Ok(())
}

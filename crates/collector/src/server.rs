//! The server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use clickstream_web::connections;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Collector;
use crate::http::{App, router};

/// Open requests have this long to end when the server stops.
const GRACE: Duration = Duration::from_secs(3);

/// Takes events on `listener` until `shutdown` is cancelled.
pub async fn serve(
    listener: TcpListener,
    collector: &Collector,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?.to_string();
    let app = App { desk: Arc::clone(&collector.desk), room: Default::default(), address };
    connections::serve(listener, router(Arc::new(app)), GRACE, shutdown).await
}

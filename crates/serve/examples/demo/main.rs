//! Serves invented rows, new every two seconds, to look at the dashboard without a pipeline.
//!
//! `cargo run -p clickstream-serve --example demo [-- PORT [SECONDS]]`

mod invented;

use std::time::Duration;

use clickstream_event::Timestamp;
use clickstream_serve::{Feed, Options, Retention, Store, serve};
use invented::Shop;
use tokio_util::sync::CancellationToken;

const SLIDE_MS: i64 = 2_000;
const HISTORY: i64 = 300;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let argument = |place| std::env::args().nth(place).and_then(|text| text.parse::<u64>().ok());
    let port = argument(1).unwrap_or(8080) as u16;
    let ends = tokio::time::Instant::now() + Duration::from_secs(argument(2).unwrap_or(3_600));
    let file = std::env::temp_dir().join(format!("clickstream-demo-{port}.db"));
    let _ = std::fs::remove_file(&file);
    let store = Store::open(&file, Retention::default())?;
    let feed = Feed::start(store.clone())?;
    let shutdown = CancellationToken::new();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    let explain: clickstream_serve::Explain = std::sync::Arc::new(|query| {
        Box::pin(async move {
            Ok(format!(
                "the window that ended at {}\nof {:?}\n\n(invented rows have no events behind them)",
                query.window_end, query.page
            ))
        })
    });
    let options = Options { explain: Some(explain), ..Options::default() };
    let server = tokio::spawn(serve(listener, store, feed.clone(), options, shutdown.clone()));

    let mut shop = Shop::new(60_000, SLIDE_MS);
    let now = Timestamp::now().0 / SLIDE_MS * SLIDE_MS;
    for slide in (0..HISTORY).rev() {
        send(&feed, shop.slide(Timestamp(now - slide * SLIDE_MS))).await?;
    }
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    let mut next = now + SLIDE_MS;
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => break,
            () = tokio::time::sleep_until(ends) => break,
            _ = tick.tick() => {}
        }
        let clock = Timestamp::now();
        if clock.0 >= next + 120 {
            send(&feed, shop.slide(Timestamp(next))).await?;
            next += SLIDE_MS;
        }
        feed.status(shop.status(clock));
    }
    feed.stop().await;
    shutdown.cancel();
    server.await??;
    Ok(())
}

async fn send(feed: &Feed, rows: Vec<(&'static str, Vec<u8>)>) -> Result<(), clickstream_serve::Stopped> {
    for (topic, json) in rows {
        feed.row(topic, None, &json).await?;
    }
    Ok(())
}

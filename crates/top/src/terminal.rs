//! The loop: keys and updates in, pictures out. Whatever ends it, the terminal is left as it was found.

use std::io::{self, IsTerminal};
use std::time::Duration;

use clickstream_event::Timestamp;
use crossterm::event::{Event, EventStream};
use futures_util::StreamExt;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use thiserror::Error;
use tokio::sync::mpsc;

use crate::client::Client;
use crate::keys;
use crate::state::{Effect, State, Tab};
use crate::update::Update;
use crate::view;

/// What to show.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where results are served, as `http://127.0.0.1:8080`.
    pub url: String,
    /// The site; without, the busiest.
    pub site: Option<String>,
    /// The tab that is open at first.
    pub tab: Tab,
}

/// Why nothing is shown.
#[derive(Debug, Error)]
pub enum TopError {
    /// Standard output is no terminal.
    #[error(
        "standard output is no terminal, and `top` fills one. `clickstream top --once` prints one picture as text; \
         `curl {url}/api/v1/pages/top` gives the same numbers as JSON, and `clickstream up --json` all windows as they come"
    )]
    NoTerminal {
        /// Where results are served.
        url: String,
    },
    /// The URL is none.
    #[error(
        "{url} is no URL that can be followed: http://HOST:PORT is needed, as http://127.0.0.1:8080. Of a machine that is reached by \
         ssh: `ssh -L 8080:127.0.0.1:8080 HOST`, then without --url"
    )]
    Url {
        /// What was given.
        url: String,
    },
    /// Nobody answers.
    #[error(
        "no results at {url}: {why}. Is `clickstream up` running? Another address is given with --url or --http-port"
    )]
    Unreachable {
        /// Where they were looked for.
        url: String,
        /// What happened.
        why: String,
    },
    /// The terminal does not do what it is told.
    #[error("the terminal cannot be used: {0}")]
    Terminal(#[from] io::Error),
}

impl TopError {
    /// Whether something has to be changed before it is tried again.
    pub fn is_setup(&self) -> bool {
        !matches!(self, Self::Terminal(_))
    }
}

fn client(url: &str) -> Result<Client, TopError> {
    let error = || TopError::Url { url: url.to_owned() };
    if !url.starts_with("http://") || url.len() < 8 {
        return Err(error());
    }
    Client::new(url).map_err(|_| error())
}

/// One picture as plain text.
pub async fn once(options: Options, columns: u16, lines: u16) -> Result<String, TopError> {
    let client = client(&options.url)?;
    let (sender, mut updates) = mpsc::channel(1_024);
    let mut state = State::new(options.url.clone(), options.site.clone(), false);
    state.tab = options.tab;
    let asking = async {
        let asked = client.everything(options.site.as_deref(), &sender).await;
        drop(sender);
        asked
    };
    let taking = async {
        while let Some(update) = updates.recv().await {
            state.apply(update);
        }
    };
    let (asked, ()) = tokio::join!(asking, taking);
    asked.map_err(|why| TopError::Unreachable { url: options.url.clone(), why })?;
    state.apply(Update::Connected);
    state.now = Timestamp::now();
    let mut terminal = Terminal::new(TestBackend::new(columns, lines))
        .map_err(|error| io::Error::other(error.to_string()))?;
    terminal.draw(|frame| view::draw(&state, frame)).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(plain(terminal.backend().buffer()))
}

/// A picture as lines of text.
pub fn plain(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // a wide letter takes the next place too
            x += crate::text::width(symbol).max(1) as u16;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Shows results until the user leaves, or a signal ends it.
pub async fn run(options: Options) -> Result<(), TopError> {
    let client = client(&options.url)?;
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(TopError::NoTerminal { url: options.url });
    }
    // it also restores the terminal when something panics
    let mut terminal = ratatui::try_init()?;
    let outcome = show(client, &options, &mut terminal).await;
    ratatui::try_restore()?;
    outcome.map_err(TopError::from)
}

async fn show(client: Client, options: &Options, terminal: &mut ratatui::DefaultTerminal) -> io::Result<()> {
    let (sender, mut updates) = mpsc::channel(1_024);
    let (requests, asked) = mpsc::channel(16);
    let following = tokio::spawn(client.follow(options.site.clone(), sender, asked));
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut state = State::new(options.url.clone(), options.site.clone(), colour);
    state.tab = options.tab;
    let mut events = EventStream::new();
    let mut tick = tokio::time::interval(Duration::from_millis(250));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let stop = stopped();
    tokio::pin!(stop);
    loop {
        state.now = Timestamp::now();
        terminal.draw(|frame| view::draw(&state, frame))?;
        let effect = tokio::select! {
            () = &mut stop => Effect::Quit,
            event = events.next() => match event {
                Some(Ok(Event::Key(key))) => {
                    let action = keys::action(&state, key);
                    state.act(action)
                }
                Some(Ok(_)) => Effect::Draw,
                Some(Err(error)) => return Err(error),
                None => Effect::Quit,
            },
            Some(update) = updates.recv() => take(&mut state, update, &mut updates),
            _ = tick.tick() => Effect::Draw,
        };
        match effect {
            Effect::Draw => {}
            // a request that finds no room is made again with the next window
            Effect::Ask(request) => {
                let _ = requests.try_send(request);
            }
            Effect::Quit => break,
        }
    }
    following.abort();
    Ok(())
}

/// Takes all that has come, so that one picture shows it.
fn take(state: &mut State, first: Update, updates: &mut mpsc::Receiver<Update>) -> Effect {
    let mut asked = state.apply(first);
    while let Ok(update) = updates.try_recv() {
        asked = state.apply(update).or(asked);
    }
    asked.map_or(Effect::Draw, Effect::Ask)
}

/// Waits for a signal that ends us; Ctrl-C comes as a key, but may be sent as one too.
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}

//! Standard output, whose reader may go away: as `head` does, with what it wanted.

use std::io::{ErrorKind, Write};
use std::sync::LazyLock;

use console::Term;
use tokio_util::sync::CancellationToken;

static READER_GONE: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);

/// Prints a text at once; where nobody reads any more, there is nobody to tell.
pub fn emit(text: &str) {
    let mut out = std::io::stdout().lock();
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if printed.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe) {
        READER_GONE.cancel();
    }
}

/// Prints a line on standard error. A terminal that was closed is no reason to break off: there is still something to be stopped.
pub fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Whether text on this terminal can be written over: not in a file, nor in what calls itself `dumb`, as the shells of editors do.
pub fn redraws(term: &Term) -> bool {
    term.is_term() && std::env::var_os("TERM").is_none_or(|name| name != "dumb")
}

/// Waits until a text could not be printed because its reader had gone.
pub async fn reader_gone() {
    READER_GONE.cancelled().await;
}

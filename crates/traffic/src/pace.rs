//! Keeps to the clock: sends what is due, and after a stall goes on from now instead of firing the backlog.

use clickstream_event::Timestamp;

/// A delay that ordinary scheduling causes; what is later was a stall. In milliseconds.
pub const STALL_MS: i64 = 500;

/// What to do with an item that is due at some time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Decision {
    /// Send it now.
    Send,
    /// Wait this many milliseconds.
    Wait(i64),
    /// So much time was lost that making up for it would be a burst: go on from now.
    Skip,
}

/// Decides about an item that is due at `due`, at time `now`.
pub fn decide(due: Timestamp, now: Timestamp) -> Decision {
    match due.0 - now.0 {
        early if early > 0 => Decision::Wait(early),
        late if late < -STALL_MS => Decision::Skip,
        _ => Decision::Send,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_sends_or_skips() {
        let now = Timestamp(10_000);
        assert_eq!(decide(Timestamp(10_007), now), Decision::Wait(7));
        assert_eq!(decide(Timestamp(10_000), now), Decision::Send);
        assert_eq!(decide(Timestamp(9_600), now), Decision::Send);
        assert_eq!(decide(Timestamp(9_000), now), Decision::Skip);
    }
}

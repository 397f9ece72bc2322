//! How the C library keeps memory that was given back: less of it than by default.
//!
//! A window's rows pass through many threads within a second, and then there are none for ten. Left alone, the allocator keeps for each
//! thread what its busiest second needed: after eight minutes of 1,000 events/s that was half of `up`.

use std::time::Duration;

/// How often memory goes back to the system.
const EVERY: Duration = Duration::from_secs(30);

/// Lets all threads share two arenas of the allocator; by default each gets one of its own, up to eight per core.
///
/// Call it before the first thread is started. Other C libraries than glibc have no such arenas.
#[allow(unsafe_code)] // mallopt(3) has no safe wrapper
pub fn share_arenas() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: mallopt sets a number inside the allocator; no other thread runs yet. A refusal leaves the default.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 2);
    }
}

/// From now on what was given back goes back to the system twice a minute: for programs that run for long.
pub fn trim_regularly() {
    let trimming = std::thread::Builder::new().name("trim".into());
    // without it memory is larger, and that is all
    let _ = trimming.spawn(|| {
        loop {
            std::thread::sleep(EVERY);
            trim();
        }
    });
}

#[allow(unsafe_code)] // malloc_trim(3) has no safe wrapper
fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: malloc_trim may be called by any thread at any time; it takes the allocator's own locks.
    unsafe {
        libc::malloc_trim(0);
    }
}

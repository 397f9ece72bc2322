//! Memory that librdkafka asks for is zeroed, as it reads some that it never wrote.
//!
//! While a broker comes back after a crash, an answer of it may name the leader of some partitions and say of others that they
//! have none. Of the latter librdkafka makes room in a list and does not fill it; what lies there by chance is taken for the
//! number of a partition, and the process dies of a segmentation fault
//! (<https://github.com/confluentinc/librdkafka/issues/5280>, in 2.12.1 `rd_kafka_handle_Fetch_metadata_update`). Zeroed, such
//! an entry speaks of a leader 0 at epoch 0: older than anything known, so it is passed over.
//!
//! Until that is mended there, `malloc` of this process is ours where the C library is glibc, and gives small pieces from
//! `calloc`; both are of the same heap. A process without Kafka's clients keeps the ordinary one.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)] // a symbol takes the place of the C library's, with the same contract
mod glibc {
    use std::ffi::c_void;
    use std::sync::atomic::{AtomicBool, Ordering};

    pub static ON: AtomicBool = AtomicBool::new(false);

    /// Such lists are small; buffers of messages are not, and are filled by whoever asks for them.
    const SMALL: usize = 64 * 1024;

    unsafe extern "C" {
        fn __libc_malloc(size: usize) -> *mut c_void;
    }

    /// Memory for C and for Rust, zeroed where it is small.
    #[unsafe(no_mangle)]
    pub extern "C" fn malloc(size: usize) -> *mut c_void {
        // SAFETY: both take any size and return memory that `free` and `realloc` of the C library take back.
        unsafe {
            if size <= SMALL && ON.load(Ordering::Relaxed) {
                libc::calloc(1, size)
            } else {
                __libc_malloc(size)
            }
        }
    }
}

/// From now on memory is zeroed.
pub fn switch_on() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::ON.store(true, std::sync::atomic::Ordering::Relaxed);
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Fills memory, gives it back, asks for as much again, and says what lies in it.
    #[allow(unsafe_code)]
    fn found_in_used_memory(size: usize) -> u8 {
        // SAFETY: within the size that was asked for.
        unsafe {
            for _ in 0..20 {
                let dirty = libc::malloc(size).cast::<u8>();
                dirty.write_bytes(0xAB, size);
                libc::free(dirty.cast());
            }
            let again = libc::malloc(size).cast::<u8>();
            // beyond what the heap's own lists write into free memory
            let found = again.add(size / 2).read();
            libc::free(again.cast());
            found
        }
    }

    #[test]
    fn used_memory_is_zeroed_once_there_is_a_client() {
        let sizes = [64, 1_000, 20_000];
        if !glibc::ON.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(sizes.iter().any(|size| found_in_used_memory(*size) == 0xAB), "the test sees nothing");
        }
        crate::client("127.0.0.1:1");
        for size in sizes {
            assert_eq!(found_in_used_memory(size), 0, "{size} bytes");
        }
    }
}

//! `cargo +nightly fuzz run access_log`

#![no_main]

#[path = "../properties/access_log.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));

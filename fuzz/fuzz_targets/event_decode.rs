//! `cargo +nightly fuzz run event_decode`

#![no_main]

#[path = "../properties/event_decode.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));

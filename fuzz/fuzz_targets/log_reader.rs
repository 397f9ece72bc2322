//! `cargo +nightly fuzz run log_reader`

#![no_main]

#[path = "../properties/log_reader.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| property::check(bytes));

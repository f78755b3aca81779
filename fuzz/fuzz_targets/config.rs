#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| oneloop_fuzz::config::run(input));

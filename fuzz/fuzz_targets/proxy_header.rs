#![no_main]
libfuzzer_sys::fuzz_target!(|input: &[u8]| oneloop_fuzz::proxy_header::run(input));

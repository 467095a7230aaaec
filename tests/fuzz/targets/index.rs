//! See `s3pipe::fuzzing::index`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| s3pipe::fuzzing::index(data));

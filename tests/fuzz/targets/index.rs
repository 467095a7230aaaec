//! See `s3pipe::parts::fuzzing::index`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| s3pipe::parts::fuzzing::index(data));

//! See `s3pipe::testing::fuzzing::manifest`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| s3pipe::testing::fuzzing::manifest(data));

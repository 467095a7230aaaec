//! s3pipe: pipes a stream of any length into S3 and back.
//!
//! The library behind the program of that name, split so that its parts can be
//! tested and fuzzed one by one. Data flows stdin → `chunk` → `upload` → `s3`
//! → `http` and back through `download`; arrows never point upwards.

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod cli;
pub mod commands;
pub mod credentials;
pub mod error;
pub mod net;
#[allow(unsafe_code)]
pub mod os;
pub mod pipe;
pub mod progress;
pub mod protection;
pub mod s3;
pub mod sign;
pub mod stream;
#[cfg(any(test, fuzzing))]
pub mod testing;
pub mod text;
pub mod workers;

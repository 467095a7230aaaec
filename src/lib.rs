//! s3pipe: pipes a stream of any length into S3 and back.
//!
//! The whole program is here, so that its parts can be tested, measured and fuzzed
//! one by one. src/README says what the rooms are and what may call what.

#![deny(unsafe_code)]
#![warn(missing_docs)]

mod cli;
mod commands;
mod credentials;
mod error;
mod net;
#[allow(unsafe_code)]
mod os;
mod pipe;
mod progress;
mod protection;
mod s3;
mod sign;
mod stream;
#[cfg(any(test, fuzzing))]
#[cfg_attr(fuzzing, allow(dead_code))]
mod testing;
mod text;
mod workers;

use std::process::exit;

use cli::{Command, Parsed};
use commands::{session, streams};
use error::{Exit, Result, one_line};
use workers::{process, worker};

/// What tests, the bench and the fuzzer use of the program's parts.
#[doc(hidden)]
pub mod parts {
    pub use crate::stream::index_writer::IndexWriter;
    pub use crate::stream::manifest::{BlockRef, INDEX_BLOCKS};
    #[cfg(fuzzing)]
    pub use crate::testing::fuzzing;
    pub use crate::text::time::Utc;
}

/// The program: from its arguments to its exit status. A failure is one line on
/// stderr.
pub fn main() -> ! {
    // They would hold keys.
    os::forbid_cores();
    // A fault of ours is one line and a status, too.
    std::panic::set_hook(Box::new(|fault| {
        let fault = one_line(&fault.to_string());
        os::to_stderr(&format!("s3pipe: internal error: {fault}\n"));
        exit(Exit::Internal.code());
    }));
    match os::arguments().and_then(|args| run(&args)) {
        Ok(()) => exit(0),
        Err(e) => {
            os::to_stderr(&format!("s3pipe: {e}\n"));
            exit(e.exit().code());
        }
    }
}

fn run(args: &[String]) -> Result<()> {
    if let Some(command) = process::command_of(args)
        && Command::parse(command).is_some()
    {
        return worker::run(command);
    }
    let options = match cli::parse(args)? {
        Parsed::Show(text) => return streams::print(&text),
        Parsed::Run(options) => options,
    };
    os::catch_signals();
    let mut session = session::open(&options)?;
    let result = commands::carry_out(&mut session, &options);
    session.progress.clear();
    result
}

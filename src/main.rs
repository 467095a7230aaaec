//! s3pipe: pipe a stream of any length into S3 and back.

use std::process::exit;

use s3pipe::cli::{self, Parsed};
use s3pipe::commands;
use s3pipe::commands::session;
use s3pipe::commands::streams;
use s3pipe::error::{self, Result};
use s3pipe::os;
use s3pipe::workers::worker;

fn main() {
    // They would hold keys.
    os::forbid_cores();
    // A fault of ours is one line and a status, too.
    std::panic::set_hook(Box::new(|fault| {
        let fault = error::one_line(&fault.to_string());
        os::to_stderr(&format!("s3pipe: internal error: {fault}\n"));
        exit(error::Exit::Internal.code());
    }));
    let args = os::arguments();
    match args.and_then(|args| cli::parse(&args)).and_then(run) {
        Ok(()) => exit(0),
        Err(e) => {
            os::to_stderr(&format!("s3pipe: {e}\n"));
            exit(e.exit().code());
        }
    }
}

fn run(parsed: Parsed) -> Result<()> {
    let options = match parsed {
        Parsed::Show(text) => return streams::print(&text),
        Parsed::Work(command) => return worker::run(command),
        Parsed::Run(options) => options,
    };
    os::catch_signals();
    let mut session = session::open(&options)?;
    let result = commands::carry_out(&mut session, &options);
    session.progress.clear();
    result
}

//! s3pipe: pipe a stream of any length into S3 and back.

use std::process::exit;

use s3pipe::cli::{self, Command, Parsed};
use s3pipe::commands::{self, session, streams};
use s3pipe::error::{self, Result};
use s3pipe::os;
use s3pipe::workers::{process, worker};

fn main() {
    // They would hold keys.
    os::forbid_cores();
    // A fault of ours is one line and a status, too.
    std::panic::set_hook(Box::new(|fault| {
        let fault = error::one_line(&fault.to_string());
        os::to_stderr(&format!("s3pipe: internal error: {fault}\n"));
        exit(error::Exit::Internal.code());
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

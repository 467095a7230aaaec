//! s3pipe: pipe a stream of any length into S3 and back.

use std::process::exit;

use s3pipe::cli::{self, Command, Options, Parsed};
use s3pipe::config::{self, Session};
use s3pipe::error::Result;
use s3pipe::{admin, clean, download, sys, upload, verify};

fn main() {
    let args = sys::arguments();
    match args.and_then(|args| cli::parse(&args)).and_then(run) {
        Ok(()) => exit(0),
        Err(e) => {
            sys::to_stderr(&format!("s3pipe: {e}\n"));
            exit(e.exit().code());
        }
    }
}

fn run(parsed: Parsed) -> Result<()> {
    let options = match parsed {
        Parsed::Show(text) => return admin::print(&text),
        Parsed::Run(options) => options,
    };
    sys::catch_signals();
    let mut session = config::open(&options)?;
    let result = carry_out(&mut session, &options);
    session.progress.clear();
    result
}

fn carry_out(session: &mut Session, options: &Options) -> Result<()> {
    let name = session.name.as_ref();
    let (client, keys) = (&mut session.client, &session.keys);
    match (options.command, name) {
        (Command::Upload, Some(name)) => {
            let wanted = upload::Options::new(options, session.index_blocks);
            upload::upload(client, keys, name, &wanted)
        }
        (Command::Download, Some(name)) => {
            download::download(client, keys, name, &download::Options::new(options))
        }
        (Command::Verify, Some(name)) => verify::verify(client, keys, name, options.quick),
        (Command::Info, Some(name)) => admin::print(&admin::info(client, keys, name, options.raw)?),
        (Command::Delete, Some(name)) => admin::delete(client, keys, name, options.force),
        (Command::List, _) if options.incomplete => admin::print(&clean::incomplete(client, keys)?),
        (Command::Clean, _) => admin::print(&clean::clean(
            client,
            keys,
            options.older_than,
            options.dry_run,
        )?),
        (Command::List, _) => {
            let (text, result) = admin::list(client, keys, options.long);
            admin::print(&text).and(result)
        }
        (Command::CreateBucket, _) => client.create_bucket(),
        (Command::DeleteBucket, _) => client.delete_bucket(),
        (_, None) => Err(config::missing("--stream")),
    }
}

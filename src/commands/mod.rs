//! From a command word to the function that carries it out.

pub mod clean;
pub mod download;
pub mod fetch;
pub mod send;
pub mod session;
pub mod streams;
pub mod upload;
pub mod verify;

use crate::cli::{Command, Options};
use crate::commands::session::Session;
use crate::error::Result;

/// Do what the command line asks for.
pub fn carry_out(session: &mut Session, options: &Options) -> Result<()> {
    match options.command {
        Command::Upload => upload::upload(session, options),
        Command::Download => download::download(session, options),
        Command::List if options.incomplete => clean::incomplete(session),
        Command::List => streams::list(session, options),
        Command::Info => streams::info(session, options),
        Command::Verify => verify::verify(session, options),
        Command::Delete => streams::delete(session, options),
        Command::Clean => clean::clean(session, options),
        Command::CreateBucket => session.store.client.create_bucket(),
        Command::DeleteBucket => session.store.client.delete_bucket(),
    }
}

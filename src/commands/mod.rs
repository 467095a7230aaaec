//! From a command word to the module that carries it out.

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
    let name = session.name.as_ref();
    let (client, keys) = (&mut session.client, &session.keys);
    let (age, ring) = (&session.age, &session.ring);
    match (options.command, name) {
        (Command::Upload, Some(name)) => {
            let wanted = upload::Options::new(options, session.index_blocks, age);
            upload::upload(client, keys, name, &wanted, &session.brief, ring)
        }
        (Command::Download, Some(name)) => {
            let wanted = download::Options::new(options, age);
            download::download(client, keys, name, &wanted, &session.brief, ring)
        }
        (Command::Verify, Some(name)) => {
            verify::verify(client, keys, name, options.quick, &session.brief, ring)
        }
        (Command::Info, Some(name)) => {
            streams::print(&streams::info(client, keys, name, options.raw, ring)?)
        }
        (Command::Delete, Some(name)) => streams::delete(client, keys, name, options.force),
        (Command::List, _) if options.incomplete => {
            streams::print(&clean::incomplete(client, keys)?)
        }
        (Command::Clean, _) => streams::print(&clean::clean(
            client,
            keys,
            options.older_than,
            options.dry_run,
        )?),
        (Command::List, _) => {
            let (text, result) = streams::list(client, keys, options.long, ring);
            streams::print(&text).and(result)
        }
        (Command::CreateBucket, _) => client.create_bucket(),
        (Command::DeleteBucket, _) => client.delete_bucket(),
        (_, None) => Err(session::missing("--stream")),
    }
}

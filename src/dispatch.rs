//! From a command word to the module that carries it out.

use crate::admin;
use crate::clean;
use crate::cli::{Command, Options};
use crate::config::{self, Session};
use crate::download;
use crate::error::Result;
use crate::upload;
use crate::verify;

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
            admin::print(&admin::info(client, keys, name, options.raw, ring)?)
        }
        (Command::Delete, Some(name)) => admin::delete(client, keys, name, options.force),
        (Command::List, _) if options.incomplete => admin::print(&clean::incomplete(client, keys)?),
        (Command::Clean, _) => admin::print(&clean::clean(
            client,
            keys,
            options.older_than,
            options.dry_run,
        )?),
        (Command::List, _) => {
            let (text, result) = admin::list(client, keys, options.long, ring);
            admin::print(&text).and(result)
        }
        (Command::CreateBucket, _) => client.create_bucket(),
        (Command::DeleteBucket, _) => client.delete_bucket(),
        (_, None) => Err(config::missing("--stream")),
    }
}

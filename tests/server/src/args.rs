//! The command line of the test server.
//!
//! It must never guess: an option that is unknown, repeated or without its
//! value is refused, with one line that says which.

use std::net::SocketAddr;
use std::path::PathBuf;

/// What the command line looks like.
pub const USAGE: &str = "usage: s3-server --root DIR --access-key ID --secret-key KEY \
     [--listen 127.0.0.1:0] [--domain DOMAIN] [--tls DIR]";

/// What to serve, and how.
#[derive(Debug)]
pub struct Args {
    /// The folder that holds the buckets; made where it is missing.
    pub root: PathBuf,
    /// The one access key id that is known.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// A loopback address; port 0 stands for a free one.
    pub listen: SocketAddr,
    /// Requests to `BUCKET.DOMAIN` are virtual-hosted ones.
    pub domain: Option<String>,
    /// Serve HTTPS, and leave `ca.pem` in this folder.
    pub tls: Option<PathBuf>,
}

impl Args {
    /// Reads the arguments, the program's name not among them.
    pub fn parse(mut args: impl Iterator<Item = String>) -> Result<Args, String> {
        let names = [
            "--root",
            "--access-key",
            "--secret-key",
            "--listen",
            "--domain",
            "--tls",
        ];
        let mut values: [Option<String>; 6] = Default::default();
        while let Some(arg) = args.next() {
            let index = names.iter().position(|name| *name == arg);
            let index = index.ok_or_else(|| format!("{arg}: unknown option"))?;
            let value = args.next().ok_or_else(|| format!("{arg}: no value"))?;
            if values[index].replace(value).is_some() {
                return Err(format!("{arg}: given twice"));
            }
        }
        let [root, access_key, secret_key, listen, domain, tls] = values;
        Ok(Args {
            root: root.ok_or("--root: missing")?.into(),
            access_key: access_key.ok_or("--access-key: missing")?,
            secret_key: secret_key.ok_or("--secret-key: missing")?,
            listen: loopback(listen.as_deref().unwrap_or("127.0.0.1:0"))?,
            domain,
            tls: tls.map(PathBuf::from),
        })
    }
}

/// A test server has no business on any other interface.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    match text.parse::<SocketAddr>() {
        Ok(address) if address.ip().is_loopback() => Ok(address),
        Ok(_) => Err(format!("--listen: {text}: not a loopback address")),
        Err(error) => Err(format!("--listen: {text}: {error}")),
    }
}

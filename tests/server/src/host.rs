//! Which bucket a `Host` header names.
//!
//! s3s has types for this, but they compare the port as well, which is not
//! known before the server listens, and take any other host (127.0.0.1) for
//! a bucket's name. Here every host outside the domain means path style, so
//! that one server serves both kinds of request.

use s3s::S3Result;
use s3s::host::{S3Host, VirtualHost};

/// `BUCKET.DOMAIN`, with or without a port.
pub struct Domain(pub String);

impl S3Host for Domain {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
        let bucket = name
            .strip_suffix(self.0.as_str())
            .and_then(|rest| rest.strip_suffix('.'));
        let found = VirtualHost::new(name);
        Ok(match bucket {
            Some(bucket) => found.with_bucket(bucket),
            None => found,
        })
    }
}

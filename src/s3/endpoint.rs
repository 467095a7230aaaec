//! Where a bucket lives: endpoint, region and addressing make a URL; pure.

use crate::error::{Error, Exit, Result};
use crate::text::uri;

/// How the bucket is named in a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// In the host name for Amazon, in the path elsewhere and for names that
    /// do not fit into a host name.
    Auto,
    /// `https://host/bucket/key`.
    Path,
    /// `https://bucket.host/key`.
    Virtual,
}

impl Addressing {
    const WORDS: [(&'static str, Addressing); 3] = [
        ("auto", Addressing::Auto),
        ("path", Addressing::Path),
        ("virtual", Addressing::Virtual),
    ];

    /// The word for it on the command line.
    pub fn word(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, a)| *a == self);
        found.map_or("", |(word, _)| word)
    }

    /// From that word.
    pub fn parse(word: &str) -> Option<Addressing> {
        let found = Self::WORDS.iter().find(|(w, _)| *w == word);
        found.map(|(_, addressing)| *addressing)
    }
}

/// A service.
#[derive(Clone, Debug)]
pub struct Endpoint {
    tls: bool,
    /// Host, with the port if it is not the scheme's own; None: Amazon's, by
    /// region.
    host: Option<String>,
    /// A path that every request starts with; no slash at its end.
    base: String,
    addressing: Addressing,
}

/// Where to send a request, and what is signed of that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The whole URL.
    pub url: String,
    /// The Host header.
    pub host: String,
    /// The path, encoded.
    pub path: String,
    /// Whether the bucket is in the host name.
    pub bucket_in_host: bool,
}

impl Endpoint {
    /// `url` is `http://host[:port][/path]`, or without a scheme for HTTPS;
    /// None is Amazon S3. 78 if it is none of these.
    pub fn new(url: Option<&str>, addressing: Addressing) -> Result<Endpoint> {
        let Some(url) = url else {
            return Ok(Endpoint {
                tls: true,
                host: None,
                base: String::new(),
                addressing,
            });
        };
        // What stands before an @ may be a password.
        let shown = url.rsplit('@').next().unwrap_or_default();
        let bad = |why| Error::new(Exit::Config, format!("endpoint {shown}"), why);
        let (tls, rest) = match url.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(bad("only http:// and https:// are known")),
            None => (true, url),
        };
        let (host, base) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let default_port = if tls { ":443" } else { ":80" };
        let host = host.strip_suffix(default_port).unwrap_or(host);
        let fit = |b: u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b);
        if host.is_empty() || !host.bytes().all(fit) || !port_fits(host) {
            return Err(bad("not a host name"));
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/".contains(&b);
        if !base.bytes().all(plain) {
            return Err(bad(
                "its path has characters that are not letters or digits",
            ));
        }
        Ok(Endpoint {
            tls,
            host: Some(host.to_ascii_lowercase()),
            base: base.trim_end_matches('/').to_string(),
            addressing,
        })
    }

    /// Whether it is reached by TLS.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// Whether it is Amazon's own service.
    pub fn is_amazon(&self) -> bool {
        match &self.host {
            None => true,
            Some(h) => h.ends_with(".amazonaws.com") || h.ends_with(".amazonaws.com.cn"),
        }
    }

    fn host(&self, region: &str) -> String {
        match &self.host {
            Some(host) => host.clone(),
            None if region.starts_with("cn-") => format!("s3.{region}.amazonaws.com.cn"),
            None => format!("s3.{region}.amazonaws.com"),
        }
    }

    /// The target of a request for a bucket, or for an object in it.
    pub fn target(
        &self,
        region: &str,
        bucket: &str,
        key: Option<&str>,
        query: &[(&str, &str)],
    ) -> Target {
        let virtual_host = match self.addressing {
            Addressing::Path => false,
            Addressing::Virtual => true,
            Addressing::Auto => self.is_amazon() && fits_host(bucket),
        };
        let host = self.host(region);
        let (host, mut path) = if virtual_host {
            (format!("{bucket}.{host}"), format!("{}/", self.base))
        } else {
            (host, format!("{}/{}", self.base, uri::encode(bucket)))
        };
        if let Some(key) = key {
            if !virtual_host {
                path.push('/');
            }
            path.push_str(&uri::encode_path(key));
        }
        let scheme = if self.tls { "https" } else { "http" };
        let mut url = format!("{scheme}://{host}{path}");
        if !query.is_empty() {
            url.push('?');
            url.push_str(&uri::encode_query(query));
        }
        Target {
            url,
            host,
            path,
            bucket_in_host: virtual_host,
        }
    }
}

/// A port, if there is one, is a number. (An IPv6 address stands in brackets.)
fn port_fits(host: &str) -> bool {
    let rest = host.rsplit(']').next().unwrap_or_default();
    match rest.split_once(':') {
        Some((_, port)) => port.parse::<u16>().is_ok_and(|port| port > 0),
        None => true,
    }
}

/// Names that a certificate's wildcard and the host name rules cover.
fn fits_host(bucket: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (3..=63).contains(&bucket.len())
        && bucket.bytes().all(plain)
        && !bucket.starts_with('-')
        && !bucket.ends_with('-')
}

/// Check a bucket's name: what could change the meaning of a URL is refused
/// (64), the rest is the server's to judge.
pub fn check_bucket(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let fine = (1..=255).contains(&name.len())
        && name.bytes().all(plain)
        && !name.starts_with('.')
        && !name.starts_with('-');
    if fine {
        Ok(())
    } else {
        Err(Error::new(
            Exit::Usage,
            format!("bucket '{name}'"),
            "a bucket's name has letters, digits, dots, hyphens and underscores only",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(endpoint: Option<&str>, style: Addressing, bucket: &str, key: &str) -> String {
        let endpoint = Endpoint::new(endpoint, style).unwrap();
        endpoint.target("eu-west-1", bucket, Some(key), &[]).url
    }

    #[test]
    fn buckets_stand_where_they_should() {
        use Addressing::*;
        let amazon = "https://bucket.s3.eu-west-1.amazonaws.com/a/b%20c";
        assert_eq!(url(None, Auto, "bucket", "a/b c"), amazon);
        for odd in ["my.bucket", "Bucket", "a_b"] {
            let path = format!("https://s3.eu-west-1.amazonaws.com/{odd}/k");
            assert_eq!(url(None, Auto, odd, "k"), path);
        }
        let local = Some("http://127.0.0.1:9000/");
        assert_eq!(
            url(local, Auto, "bucket", "k"),
            "http://127.0.0.1:9000/bucket/k"
        );
        assert_eq!(
            url(local, Virtual, "bucket", "k"),
            "http://bucket.127.0.0.1:9000/k"
        );
        assert_eq!(
            url(Some("S3.Example.org:443"), Path, "b", "k"),
            "https://s3.example.org/b/k"
        );
        assert_eq!(
            url(Some("http://h/s3/v1"), Path, "b", "k"),
            "http://h/s3/v1/b/k"
        );
        assert_eq!(
            url(Some("http://[::1]:80"), Path, "b", "k"),
            "http://[::1]/b/k"
        );
    }

    #[test]
    fn buckets_themselves_have_a_path() {
        let endpoint = Endpoint::new(None, Addressing::Auto).unwrap();
        let query = [("list-type", "2"), ("prefix", "a/b")];
        let target = endpoint.target("us-east-1", "bucket", None, &query);
        assert_eq!(target.path, "/");
        assert!(target.url.ends_with(".com/?list-type=2&prefix=a%2Fb"));
        let target = endpoint.target("cn-north-1", "b.c", None, &[]);
        assert_eq!(target.url, "https://s3.cn-north-1.amazonaws.com.cn/b.c");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "http://",
            "ftp://x",
            "http://a b",
            "http://u:p@h",
            "http://h?x",
            "h:port",
            "h:0",
            "h:70000",
            "[::1]:x",
            "h:",
            "http://h/a?b",
        ] {
            assert!(Endpoint::new(Some(bad), Addressing::Auto).is_err(), "{bad}");
        }
        for bad in ["", "a/b", "a?b", "a b", "ü", ".a", "-a", "a%2f"] {
            assert!(check_bucket(bad).is_err(), "{bad}");
        }
        assert!(check_bucket("My_old.bucket-1").is_ok());
    }
}

//! What a request is about, so that the same one is found in every run: keys
//! have random parts, and workers no order.

use std::fmt;

use crate::support::store::Request;

/// The stream that scenarios are about.
pub const NAME: &str = "n";

/// What an object, or a listing, holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A stream's manifest.
    Manifest,
    /// An upload's record.
    Record,
    /// An index.
    Index,
    /// A block.
    Block,
    /// The info object of version 1.
    OldInfo,
    /// A block of version 1.
    OldBlock,
    /// A listing of manifests.
    ListManifest,
    /// A listing of records.
    ListUpload,
    /// A listing of indexes.
    ListIndex,
    /// A listing of blocks.
    ListBlock,
    /// A listing of what version 1 stored.
    ListOld,
    /// A listing of everything.
    ListAll,
    /// DeleteObjects.
    BulkDelete,
    /// The bucket itself.
    Bucket,
}

impl Kind {
    /// Whether it is a listing.
    pub fn is_listing(self) -> bool {
        use Kind::*;
        matches!(
            self,
            ListManifest | ListUpload | ListIndex | ListBlock | ListOld | ListAll
        )
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Manifest => "manifest",
            Kind::Record => "record",
            Kind::Index => "index",
            Kind::Block => "block",
            Kind::OldInfo => "v1-info",
            Kind::OldBlock => "v1-block",
            Kind::ListManifest => "list-manifest",
            Kind::ListUpload => "list-upload",
            Kind::ListIndex => "list-index",
            Kind::ListBlock => "list-block",
            Kind::ListOld => "list-v1",
            Kind::ListAll => "list-all",
            Kind::BulkDelete => "bulk-delete",
            Kind::Bucket => "bucket",
        }
    }
}

/// A method, on something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct What {
    /// The method.
    pub method: String,
    /// What it is about.
    pub kind: Kind,
    /// The number of the index or block.
    pub number: Option<u64>,
    /// Another stream than [`NAME`].
    pub other: Option<String>,
}

impl What {
    /// What a request is about.
    pub fn of(request: &Request) -> What {
        let key = request.key.as_deref();
        let (kind, rest) = match key {
            Some(key) => object(key),
            None => (bucket(request), ""),
        };
        let segments: Vec<&str> = rest.split('/').collect();
        let other = segments.first().filter(|name| match kind {
            Kind::Manifest | Kind::Record | Kind::Index | Kind::Block => **name != NAME,
            _ => false,
        });
        let number = segments.get(2).and_then(|last| last.split('.').next());
        let number = match kind {
            Kind::Index | Kind::Block => number,
            Kind::OldBlock => rest.rsplit('.').next(),
            _ => None,
        };
        What {
            method: request.method.clone(),
            kind,
            number: number.and_then(|number| number.parse().ok()),
            other: other.map(|name| name.to_string()),
        }
    }

    /// `GET manifest`: the line of a trace.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.kind.word())
    }
}

/// `GET-block-1`, `GET-manifest~other`.
impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.method, self.kind.word())?;
        if let Some(number) = self.number {
            write!(f, "-{number}")?;
        }
        match &self.other {
            Some(name) => write!(f, "~{name}"),
            None => Ok(()),
        }
    }
}

/// The kind of an object, and its key behind that of the kind.
fn object(key: &str) -> (Kind, &str) {
    let kinds = [
        ("s3pipe/manifest/", Kind::Manifest),
        ("s3pipe/upload/", Kind::Record),
        ("s3pipe/index/", Kind::Index),
        ("s3pipe/block/", Kind::Block),
    ];
    for (prefix, kind) in kinds {
        if let Some(rest) = key.strip_prefix(prefix) {
            return (kind, rest);
        }
    }
    match key.strip_prefix("stream.") {
        Some(rest) if rest.ends_with(".info") => (Kind::OldInfo, rest),
        Some(rest) => (Kind::OldBlock, rest),
        None => panic!("a request for {key}"),
    }
}

fn bucket(request: &Request) -> Kind {
    if request.parameter("delete").is_some() {
        return Kind::BulkDelete;
    }
    if request.parameter("list-type").is_none() {
        return Kind::Bucket;
    }
    let prefix = request.parameter("prefix").unwrap_or("");
    match prefix.split('/').nth(1) {
        _ if prefix.is_empty() => Kind::ListAll,
        _ if prefix.starts_with("stream.") => Kind::ListOld,
        Some("manifest") => Kind::ListManifest,
        Some("upload") => Kind::ListUpload,
        Some("index") => Kind::ListIndex,
        Some("block") => Kind::ListBlock,
        _ => panic!("a listing of {prefix}"),
    }
}

//! The objects of a store, as they are and as they were.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use md5::{Digest, Md5};

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its contents.
    pub body: Arc<Vec<u8>>,
    /// When it was written.
    pub modified: SystemTime,
    /// Its own metadata: header fields, with `x-amz-meta-` and in lower case.
    pub meta: Vec<(String, String)>,
}

impl Object {
    /// One with these contents, written now.
    pub fn new(body: impl Into<Vec<u8>>) -> Object {
        Object {
            body: Arc::new(body.into()),
            modified: SystemTime::now(),
            meta: Vec::new(),
        }
    }

    /// Adds a header field to its metadata.
    pub fn meta(mut self, name: &str, value: &str) -> Object {
        self.meta.push((name.into(), value.into()));
        self
    }

    /// Its ETag: the MD5, in quotes.
    pub fn etag(&self) -> String {
        let digest = Md5::digest(self.body.as_slice());
        let hex: String = digest.iter().map(|b| format!("{b:02x}")).collect();
        format!("\"{hex}\"")
    }
}

/// The order in which a listing has its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By their bytes, as S3 has them.
    Sorted,
    /// The last one first.
    Reversed,
    /// Any, but the same one each time.
    Shuffled(u64),
    /// By their bytes, each one twice.
    Doubled,
}

/// A key's place in a listing; a token names the place of the last one sent.
type Place = (u64, String, u8);

impl Order {
    /// These keys in this order, each with its place. Places do not depend on
    /// what else is there, so that a listing goes on though keys went away.
    pub fn places<'a>(self, keys: impl Iterator<Item = &'a String>) -> Vec<(Place, &'a String)> {
        let mut places = Vec::new();
        for key in keys {
            places.push((self.place(key, 0), key));
            if self == Order::Doubled {
                places.push((self.place(key, 1), key));
            }
        }
        places.sort();
        if self == Order::Reversed {
            places.reverse();
        }
        places
    }

    /// Whether a place comes after another.
    pub fn is_after(self, place: &Place, other: &Place) -> bool {
        if self == Order::Reversed {
            place < other
        } else {
            place > other
        }
    }

    /// The place of this copy of a key.
    pub fn place(self, key: &str, copy: u8) -> Place {
        match self {
            Order::Shuffled(seed) => {
                let text = format!("{seed} {key}");
                let digest = Md5::digest(text.as_bytes());
                let first: [u8; 8] = digest[..8].try_into().expect("eight bytes");
                (u64::from_le_bytes(first), key.into(), copy)
            }
            _ => (0, key.into(), copy),
        }
    }
}

/// All objects, and all changes.
#[derive(Default)]
pub struct Objects {
    first: BTreeMap<String, Object>,
    changes: Vec<(String, Option<Object>)>,
    now: BTreeMap<String, Object>,
}

impl Objects {
    /// These, without a past.
    pub fn new(objects: BTreeMap<String, Object>) -> Objects {
        Objects {
            now: objects.clone(),
            first: objects,
            changes: Vec::new(),
        }
    }

    /// Those that are there.
    pub fn now(&self) -> &BTreeMap<String, Object> {
        &self.now
    }

    /// Puts one there, or takes it away.
    pub fn change(&mut self, key: &str, object: Option<Object>) {
        match &object {
            Some(object) => self.now.insert(key.into(), object.clone()),
            None => self.now.remove(key),
        };
        self.changes.push((key.into(), object));
    }

    /// How many changes there were.
    pub fn moment(&self) -> usize {
        self.changes.len()
    }

    /// Those that were there then.
    pub fn at(&self, moment: usize) -> BTreeMap<String, Object> {
        let mut then = self.first.clone();
        for (key, object) in self.changes.iter().take(moment) {
            match object {
                Some(object) => then.insert(key.clone(), object.clone()),
                None => then.remove(key),
            };
        }
        then
    }

    /// The moment before the last change of a key, or of any; now, where it
    /// never changed.
    pub fn before(&self, key: Option<&str>) -> usize {
        let changed = |(changed, _): &(String, Option<Object>)| key.is_none_or(|k| k == changed);
        let last = self.changes.iter().rposition(changed);
        last.unwrap_or(self.moment())
    }
}

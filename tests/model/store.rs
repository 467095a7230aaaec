//! The store of the model: one stream's manifest, and the objects of five
//! uploads of two blocks each.
//!
//! There are two kinds of data, which begin alike and differ in the second block:
//! so an upload that is resumed with other data has three blocks, and two
//! indexes, that may be stored.

/// An upload: 0 to 4; ids sort by time.
pub type Id = u8;

/// How many uploads there can be.
pub const UPLOADS: usize = 5;

/// Which data a stream has: 0 or 1.
pub type Data = u8;

/// The text of a manifest, which says upload and data; or [`NONE`].
pub type Text = u8;

/// No manifest.
pub const NONE: Text = 0;

/// What who may not list is told of a manifest that is not there.
pub const UNKNOWN: Text = 100;

/// The block that all data begins with.
pub const FIRST: u8 = 0b00001;
/// All blocks of an upload.
pub const BLOCKS: u8 = 0b00111;
/// Its indexes.
pub const INDEXES: u8 = 0b11000;
/// Its record, in what was there at any time.
pub const RECORD: u8 = 0b100000;

/// The manifest of this upload with this data.
pub fn text(id: Id, data: Data) -> Text {
    1 + 2 * id + data
}

/// The upload that a manifest names.
pub fn names(text: Text) -> Option<Id> {
    match text {
        NONE | UNKNOWN => None,
        text => Some((text - 1) / 2),
    }
}

/// Whether a manifest names this upload.
pub fn is_of(text: Text, id: Id) -> bool {
    names(text) == Some(id)
}

/// The data that a manifest stands for.
pub fn data(text: Text) -> Data {
    (text + 1) % 2
}

/// The second block of this data.
pub fn second(data: Data) -> u8 {
    0b010 << data
}

/// The index of this data.
pub fn index(data: Data) -> u8 {
    0b01000 << data
}

/// The objects that a manifest names, itself or by its index.
pub fn named(text: Text) -> u8 {
    match names(text) {
        Some(_) => FIRST | second(data(text)) | index(data(text)),
        None => 0,
    }
}

/// What is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Store {
    /// The manifest that stands.
    pub manifest: Text,
    /// The nonces of the records, 0 for none.
    pub records: [u8; UPLOADS],
    /// The blocks and indexes of the uploads.
    pub objects: [u8; UPLOADS],
    /// What was there of each at any time: a stale listing may show it.
    pub ever: [u8; UPLOADS],
}

impl Store {
    /// One with nothing in it.
    pub const EMPTY: Store = Store {
        manifest: NONE,
        records: [0; UPLOADS],
        objects: [0; UPLOADS],
        ever: [0; UPLOADS],
    };

    /// With these objects of an upload, and its record.
    pub fn with(mut self, id: Id, objects: u8, record: bool) -> Store {
        let id = id as usize;
        self.records[id] = record.into();
        self.objects[id] = objects;
        self.ever[id] = objects | RECORD;
        self
    }

    /// With this manifest.
    pub fn committed(self, manifest: Text) -> Store {
        Store { manifest, ..self }
    }

    /// Whether all that this manifest names is stored.
    pub fn is_whole(&self, text: Text) -> bool {
        names(text).is_none_or(|id| lacks(self.objects[id as usize], text) == 0)
    }
}

/// What a manifest names that is not among these objects.
pub fn lacks(objects: u8, text: Text) -> u8 {
    named(text) & !objects
}

/// A request that changes something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    /// This manifest, in the place of that one.
    PutManifest(Text, Text),
    /// Whichever it is.
    DeleteManifest,
    /// The record with this nonce, in the place of the one with that; None for
    /// whatever there is.
    PutRecord(Id, u8, Option<u8>),
    /// The record.
    DeleteRecord(Id),
    /// A block or an index.
    Put(Id, u8),
    /// A block or an index goes.
    Delete(Id, u8),
}

/// A request whose sender has heard nothing, and that is carried out yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// The actor that sent it.
    pub by: u8,
    /// What it is.
    pub request: Request,
}

impl Held {
    /// In eight bytes.
    pub fn packed(&self) -> [u8; 8] {
        let (what, a, b, c) = match self.request {
            Request::PutManifest(text, old) => (1, text, old, 0),
            Request::DeleteManifest => (2, 0, 0, 0),
            Request::PutRecord(id, nonce, None) => (3, id, nonce, 0),
            Request::PutRecord(id, nonce, Some(old)) => (4, id, nonce, old),
            Request::DeleteRecord(id) => (5, id, 0, 0),
            Request::Put(id, object) => (6, id, object, 0),
            Request::Delete(id, object) => (7, id, object, 0),
        };
        [what, a, b, c, self.by, 0, 0, 0]
    }
}

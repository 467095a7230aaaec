//! What a class of odd answers is, and to which requests it can be given.

use crate::making::instead;
use crate::proxy::Answer;
use crate::requests::{Kind, What};
use crate::support::store::{Act, Reply, Request};

/// What an odd answer amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nature {
    /// The truth, in a form that HTTP or S3 allows: nothing may fail, however
    /// often it comes.
    Truth,
    /// Nobody knows what it is: it proves nothing, and is waited out.
    Noise,
    /// S3's own word for something else than success.
    Refusal,
    /// The service shows something that is wrong in itself.
    Evidence,
    /// The service shows what was true once.
    Past,
    /// A listing that breaks the rules of listings.
    Listing,
}

/// A class of odd answers.
#[derive(Clone, Copy)]
pub struct Class {
    /// Its name.
    pub name: &'static str,
    /// What it amounts to.
    pub nature: Nature,
    /// The requests that it can be given to.
    pub fits: fn(&What) -> bool,
    /// How it is made.
    pub reply: fn(&Asked) -> Reply,
    /// A message about it has this in it.
    pub says: &'static str,
    /// The store must be narrow, see [`Settings`](crate::support::store::Settings).
    pub narrow: bool,
    /// The client must wait for something that does not come.
    pub silent: bool,
    /// How many requests it takes, one after the other.
    pub length: usize,
    /// Its status, where it is one among many.
    pub code: u16,
}

impl Class {
    /// One of this name and nature, for these requests.
    pub const fn new(
        name: &'static str,
        nature: Nature,
        fits: fn(&What) -> bool,
        reply: fn(&Asked) -> Reply,
    ) -> Class {
        Class {
            name,
            nature,
            fits,
            reply,
            says: "",
            narrow: false,
            silent: false,
            length: 1,
            code: 0,
        }
    }

    /// A message about it has this in it.
    pub const fn says(mut self, says: &'static str) -> Class {
        self.says = says;
        self
    }

    /// The store must be narrow.
    pub const fn narrow(mut self) -> Class {
        self.narrow = true;
        self
    }

    /// The client must wait in vain.
    pub const fn silent(mut self) -> Class {
        self.silent = true;
        self
    }

    /// It takes two requests.
    pub const fn pair(mut self) -> Class {
        self.length = 2;
        self
    }

    /// Its status.
    pub const fn code(mut self, code: u16) -> Class {
        self.code = code;
        self
    }
}

/// A request that is to be answered oddly.
pub struct Asked<'a> {
    /// The request.
    pub request: &'a Request,
    /// The class.
    pub class: &'a Class,
    /// How often this class was given before in this run.
    pub times: usize,
    /// A server that nobody must ever ask anything.
    pub trap: &'a str,
}

impl Asked<'_> {
    /// This answer, and nothing is carried out.
    pub fn told(&self, answer: Answer) -> Reply {
        instead(self.request.method == "HEAD", answer)
    }

    /// The answer as if it had been carried out, changed; it was not.
    pub fn pretended(&self, edit: fn(Answer) -> Answer) -> Reply {
        Reply::truth().act(Act::Never).edit(edit)
    }

    /// Whether it is the second one of a pair.
    pub fn second(&self) -> bool {
        self.times % 2 == 1
    }
}

/// Every request.
pub fn any(_: &What) -> bool {
    true
}

/// 204 is what a DELETE is answered by: so only where it is seen afterwards.
pub fn but_delete(what: &What) -> bool {
    what.method != "DELETE" || seen_again(what)
}

/// One whose status tells all, whatever it is.
pub fn any_status(what: &What) -> bool {
    not_head(what) && but_delete(what)
}

/// One that has a body in its answer, or may have.
pub fn not_head(what: &What) -> bool {
    what.method != "HEAD"
}

/// PutObject and CreateBucket.
pub fn put(what: &What) -> bool {
    what.method == "PUT"
}

/// PutObject.
pub fn put_object(what: &What) -> bool {
    put(what) && what.kind != Kind::Bucket
}

/// One that changes something.
pub fn writes(what: &What) -> bool {
    ["PUT", "DELETE", "POST"].contains(&what.method.as_str())
}

/// One whose success is seen afterwards, so that a perfect lie comes out.
pub fn seen_again(what: &What) -> bool {
    let text = matches!(what.kind, Kind::Manifest | Kind::Record);
    (put(what) && text) || (what.method == "DELETE" && what.kind == Kind::Manifest)
}

/// A PUT that is under way for a while, or whose success is seen afterwards.
pub fn slow_put(what: &What) -> bool {
    put(what) && (what.kind == Kind::Block || seen_again(what))
}

/// One whose true answer has a body.
pub fn has_answer(what: &What) -> bool {
    what.method == "GET" || what.kind == Kind::BulkDelete
}

/// GetObject.
pub fn get_object(what: &What) -> bool {
    what.method == "GET" && !what.kind.is_listing()
}

/// GetObject of a block.
pub fn get_block(what: &What) -> bool {
    what.method == "GET" && matches!(what.kind, Kind::Block | Kind::OldBlock)
}

/// GetObject of what a hash proves.
pub fn get_hashed(what: &What) -> bool {
    get_block(what) || (what.method == "GET" && what.kind == Kind::Index)
}

/// The same, whatever else is known of it: a block of version 1 has only its ETag.
pub fn get_named(what: &What) -> bool {
    get_hashed(what) && what.kind != Kind::OldBlock
}

/// GetObject of what only its form proves.
pub fn get_text(what: &What) -> bool {
    what.method == "GET" && matches!(what.kind, Kind::Manifest | Kind::Record)
}

/// GetObject of a manifest.
pub fn get_manifest(what: &What) -> bool {
    get_text(what) && what.kind == Kind::Manifest
}

/// One whose answer is short.
pub fn small(what: &What) -> bool {
    get_text(what) || what.kind.is_listing()
}

/// One that looks at objects.
pub fn looks(what: &What) -> bool {
    ["GET", "HEAD"].contains(&what.method.as_str()) && what.kind != Kind::Bucket
}

/// ListObjectsV2.
pub fn listing(what: &What) -> bool {
    what.kind.is_listing()
}

/// DeleteObjects.
pub fn bulk(what: &What) -> bool {
    what.kind == Kind::BulkDelete
}

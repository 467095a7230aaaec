//! Listings: ListObjectsV2, page by page.
//!
//! A listing proves that an object is there, never that one is not, and may come
//! in any order. Who depends on the order of keys says so, and is refused (69)
//! where the service does not keep it; who does not takes a listing as a set, in
//! which a key may stand twice. A page that makes no sense is asked for again,
//! and so is one after which the listing does not go on; if it stays so, the
//! listing ends (69). Memory is one page, however long the listing is.

use std::cell::Cell;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::call::{Call, Operation};
use super::client::Client;
use super::fault::{Fault, Sizes};
use super::headers::Kind;
use super::ops::read_xml;
use super::xml::{self, Object, Page};
use crate::error::{Error, Exit, Result};
use crate::net::Answer;

/// How often a listing may seem not to go on.
const READINGS: u32 = 3;

/// How many pages without an object may follow each other.
const EMPTY_PAGES: u32 = 1000;

/// A listing under way.
pub struct Pages {
    prefix: String,
    /// Whether keys must come in their order, each of them once.
    ordered: bool,
    /// Where the service says that the next page begins.
    token: Option<String>,
    /// The greatest key so far.
    last: Option<String>,
    /// Whether they have come in their order so far.
    sorted: bool,
    circle: Circle,
    /// How often it seemed not to go on.
    stays: Cell<u32>,
    done: bool,
}

impl Pages {
    /// All objects whose keys begin with `prefix`, in any order; a service may
    /// list one twice.
    pub fn new(prefix: &str) -> Pages {
        Pages {
            prefix: prefix.to_string(),
            ordered: false,
            token: None,
            last: None,
            sorted: true,
            circle: Circle::default(),
            stays: Cell::new(0),
            done: false,
        }
    }

    /// The same in the order of their keys, each of them once, or else 69.
    pub fn in_order(prefix: &str) -> Pages {
        Pages {
            ordered: true,
            ..Pages::new(prefix)
        }
    }

    /// Where the next page begins if the service did not say so.
    fn after(&self) -> Option<&str> {
        self.last.as_deref().filter(|_| self.token.is_none())
    }

    /// What is wrong with this as the next page; None if nothing is.
    fn doubt(&self, page: &Page) -> Option<String> {
        let keys = || page.objects.iter().map(|object| object.key.as_str());
        if keys().any(|key| !key.starts_with(&self.prefix)) {
            return Some("the server lists keys that were not asked for".into());
        }
        let misplaced = self.misplaced(page, true).filter(|_| self.ordered);
        if let Some((key, last)) = misplaced {
            let prefix = &self.prefix;
            let why = "the service does not list in the order of keys";
            return Some(format!("{why}: of {prefix}, it has {key} behind {last}"));
        }
        let begun = |after| keys().any(|key| key <= after);
        let stays = self.after().is_some_and(begun)
            || match &page.token {
                _ if !page.truncated => false,
                Some(token) => self.circle.is_closed_by(token, page),
                None => page.objects.is_empty(),
            };
        if stays {
            self.stays.set(self.stays.get() + 1);
            return Some("the server's listing does not advance".into());
        }
        let cut = page.truncated && page.token.is_none();
        let sorted = self.sorted && self.misplaced(page, false).is_none();
        (cut && !sorted).then(|| {
            "the service cuts its listing off without a token to go on with, \
             and does not list in the order of keys"
                .into()
        })
    }

    /// The first key that comes behind a greater one, or, if each may come `once`
    /// only, behind itself; and that other one.
    fn misplaced<'a>(&'a self, page: &'a Page, once: bool) -> Option<(&'a str, &'a str)> {
        let mut last = self.last.as_deref();
        for object in &page.objects {
            let key = object.key.as_str();
            match last.replace(key) {
                Some(last) if key < last || (once && key == last) => return Some((key, last)),
                _ => {}
            }
        }
        None
    }

    /// Go on behind this page, in which nothing is wrong.
    fn go_on(&mut self, page: &Page) {
        self.sorted &= self.misplaced(page, false).is_none();
        let greatest = page.objects.iter().map(|object| &object.key).max();
        if greatest > self.last.as_ref() {
            self.last = greatest.cloned();
        }
        self.done = !page.truncated;
        self.token = page.token.clone();
        if let Some(token) = &page.token {
            self.circle.go_on(token, page);
        }
    }
}

/// Notices that the pages of a listing go round in a circle, however large that
/// is, and remembers only one of them (Brent's way): all that follow are compared
/// with it, and after twice as many as the time before another one takes its place.
#[derive(Default)]
struct Circle {
    /// A token, and what was listed before it.
    kept: Option<(String, u64)>,
    /// How many pages came since, and with how many more it is replaced.
    since: u64,
    until: u64,
    /// How many of them had the same objects.
    alike: u32,
    /// How many pages in a row had none.
    empty: u32,
}

impl Circle {
    /// Whether this page, behind which this token leads on, was there before. A
    /// token may not come twice; the same objects may, but not again and again.
    fn is_closed_by(&self, token: &str, page: &Page) -> bool {
        if page.objects.is_empty() && self.empty >= EMPTY_PAGES {
            return true;
        }
        self.kept.as_ref().is_some_and(|(kept, objects)| {
            kept == token || (self.alike >= 2 && *objects == fingerprint(page))
        })
    }

    fn go_on(&mut self, token: &str, page: &Page) {
        let objects = fingerprint(page);
        let (empty, kept) = (page.objects.is_empty(), self.kept.as_ref());
        self.empty = if empty { self.empty + 1 } else { 0 };
        self.alike += u32::from(!empty && kept.is_some_and(|(_, kept)| *kept == objects));
        self.since += 1;
        if self.since >= self.until {
            self.kept = Some((token.to_string(), objects));
            self.until = (2 * self.until).max(1);
            (self.since, self.alike) = (0, 0);
        }
    }
}

fn fingerprint(page: &Page) -> u64 {
    let mut hasher = DefaultHasher::new();
    for object in &page.objects {
        object.key.hash(&mut hasher);
    }
    hasher.finish()
}

/// ListObjectsV2: the next page.
struct List<'a>(&'a Pages);

impl Operation for List<'_> {
    type Out = Page;

    fn call(&self) -> Call<'_> {
        let mut call = Call::new("GET", None, Kind::Other);
        call.query = vec![
            ("list-type", "2"),
            ("prefix", &self.0.prefix),
            ("encoding-type", "url"),
        ];
        let token = self.0.token.as_deref();
        call.query.extend(token.map(|t| ("continuation-token", t)));
        let after = self.0.after();
        call.query.extend(after.map(|a| ("start-after", a)));
        call
    }

    fn take(&mut self, answer: Answer) -> std::result::Result<Page, Fault> {
        let page = read_xml(answer, |body| xml::page(body, &self.0.prefix), "a listing")?;
        match self.0.doubt(&page) {
            None => Ok(page),
            // Or it might lead on a bit each time, and round and round.
            Some(why) if self.0.stays.get() >= READINGS => Err(Fault::Fatal(Error::new(
                Exit::Unavailable,
                &self.0.prefix,
                why,
            ))),
            Some(why) => Err(Fault::wrong(Exit::Unavailable, why, Sizes::default())),
        }
    }
}

impl Client {
    /// Show every object whose key begins with `prefix` to `each`, in the
    /// server's order, with one request per page. A server may list one twice.
    pub fn list(&mut self, prefix: &str, mut each: impl FnMut(Object) -> Result<()>) -> Result<()> {
        let mut pages = Pages::new(prefix);
        while let Some(page) = self.next_page(&mut pages)? {
            page.into_iter().try_for_each(&mut each)?;
        }
        Ok(())
    }

    /// The next page of a listing; None after the last. A server that does not
    /// advance, or lists what was not asked for, is not believed (69).
    pub fn next_page(&mut self, pages: &mut Pages) -> Result<Option<Vec<Object>>> {
        if pages.done {
            return Ok(None);
        }
        let page = self.run(&mut List(pages))?;
        pages.go_on(&page);
        Ok(Some(page.objects))
    }
}

#[cfg(test)]
#[path = "listing_tests.rs"]
mod tests;

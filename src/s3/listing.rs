//! Listings: ListObjectsV2, page by page.
//!
//! Keys come in the server's order. A server that does not advance, or lists
//! what was not asked for, is not believed (69).

use super::call::{Call, Operation};
use super::client::Client;
use super::fault::Fault;
use super::headers::Kind;
use super::ops::read_xml;
use super::xml::{self, Object};
use crate::error::{Exit, Result};
use crate::http::Answer;

/// ListObjectsV2, one page.
struct List<'a> {
    prefix: &'a str,
    token: Option<&'a str>,
    after: Option<&'a str>,
}

impl Operation for List<'_> {
    type Out = xml::Page;

    fn call(&self) -> Call<'_> {
        let mut call = Call::new("GET", None, Kind::Other);
        call.query = vec![
            ("list-type", "2"),
            ("prefix", self.prefix),
            ("encoding-type", "url"),
        ];
        call.query
            .extend(self.token.map(|t| ("continuation-token", t)));
        call.query.extend(self.after.map(|a| ("start-after", a)));
        call
    }

    fn take(&mut self, answer: Answer) -> std::result::Result<xml::Page, Fault> {
        read_xml(answer, |body| xml::page(body, self.prefix), "a listing")
    }
}

/// A listing under way.
pub struct Pages {
    prefix: String,
    token: Option<String>,
    last: Option<String>,
    done: bool,
}

impl Pages {
    /// All objects whose keys begin with `prefix`.
    pub fn new(prefix: &str) -> Pages {
        Pages {
            prefix: prefix.to_string(),
            token: None,
            last: None,
            done: false,
        }
    }
}

impl Client {
    /// Show every object whose key begins with `prefix` to `each`, in the
    /// server's order, with one request per page.
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
        let page = self.run(&mut List {
            prefix: &pages.prefix,
            token: pages.token.as_deref(),
            // Where the server says that there is more, but not where.
            after: pages.last.as_deref().filter(|_| pages.token.is_none()),
        })?;
        let doubt = |why| Err(self.error(Exit::Unavailable, Some(&pages.prefix), why));
        if page
            .objects
            .iter()
            .any(|o| !o.key.starts_with(&pages.prefix))
        {
            return doubt("the server lists keys that were not asked for");
        }
        let last = page.objects.last().map(|o| o.key.clone());
        if page.truncated && (last.is_none() || last <= pages.last) {
            return doubt("the server's listing does not advance");
        }
        pages.done = !page.truncated;
        pages.token = page.token;
        pages.last = last;
        Ok(Some(page.objects))
    }
}

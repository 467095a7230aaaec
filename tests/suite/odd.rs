//! Answers that prove nothing, and services that are odd: what s3pipe makes of
//! them, with the store in memory that says what it is told to say.
//!
//! What passes is waited out, what does not ends as it must, and after each run
//! the truth is asked whether the stream is there.

mod attacks;
mod conditions;
mod ends;
mod etags;
mod evidence;
mod lasting;
mod manifests;
mod pages;
mod puts;
mod races;
mod records;
mod stops;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::proxy::{Answer, date};
use crate::support::store::{Object, Reply, Request, Settings, Store};
use crate::support::{Outcome, Run, Scratch, assert_same, random};

/// The block size of all streams here, in bytes.
const BLOCK: usize = 64 << 10;

/// The stream of all tests here.
const STREAM: &str = "x";

/// What a load balancer says.
const PAGE: &str = "<!DOCTYPE html>\n<html><title>Sorry</title>We are back soon.</html>\n";

/// A store, and a place to work in.
struct Odd {
    store: Store,
    scratch: Scratch,
}

impl Odd {
    fn new() -> Odd {
        Odd::with(Settings::default())
    }

    fn with(settings: Settings) -> Odd {
        Odd {
            store: Store::start_with(settings, &Default::default()),
            scratch: Scratch::new(),
        }
    }

    /// One in which the stream is stored.
    fn holding(data: &[u8]) -> Odd {
        let odd = Odd::new();
        odd.upload(data).run().ok();
        odd
    }

    /// A command, about the stream where it can be.
    fn run(&self, command: &str) -> Run {
        let run = self.store.s3pipe(self.scratch.path()).arg(command);
        match command {
            "list" | "clean" => run,
            _ => run.option("-s", STREAM),
        }
    }

    fn upload(&self, data: &[u8]) -> Run {
        let run = self.run("upload").option("--blocksize", "64K");
        run.stdin(data)
    }

    /// The truth from now on.
    fn truth(&self) {
        self.store.hook(|_| Reply::truth());
    }

    /// The stream is committed, and this.
    #[track_caller]
    fn holds(&self, data: &[u8]) {
        self.truth();
        let outcome = self.run("download").option("-j", "1").run();
        assert_eq!(outcome.status, 0, "{outcome}");
        assert_same(&outcome.stdout, data);
        let outcome = self.run("verify").option("-j", "1").run();
        assert_eq!(outcome.status, 0, "{outcome}");
    }

    /// There is no such stream.
    #[track_caller]
    fn holds_none(&self) {
        self.truth();
        let outcome = self.run("info").run();
        assert_eq!(outcome.status, 66, "{outcome}");
    }

    /// The key of the object that has this in it, of which there is one.
    #[track_caller]
    fn key(&self, part: &str) -> String {
        let keys = self.keys(part);
        assert_eq!(keys.len(), 1, "{keys:?}");
        keys[0].clone()
    }

    /// The keys that have this in them, in order.
    fn keys(&self, part: &str) -> Vec<String> {
        let objects = self.store.objects().into_keys();
        objects.filter(|key| key.contains(part)).collect()
    }

    /// Changes the contents of an object.
    fn change(&self, key: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let object = self.store.object(key).expect("an object");
        let mut body = object.body.to_vec();
        change(&mut body);
        self.store.put(key, Object::new(body));
    }

    /// How many such requests there were.
    fn count(&self, method: &str, part: &str) -> usize {
        let requests = self.store.requests();
        requests.iter().filter(|r| is(r, method, part)).count()
    }

    /// Stores this an hour ago, by the clock of the service: ids of the same second
    /// have no order.
    fn upload_earlier(&self, data: &[u8]) {
        self.store.hook(first(1, |_| true, |_| an_hour_ago()));
        self.upload(data).run().ok();
        self.truth();
    }

    /// Leaves an upload of one block from then, as one that was killed does.
    fn broken_off_earlier(&self) {
        let clock = first(1, |_| true, |_| an_hour_ago());
        self.store
            .hook(move |request| match is(request, "PUT", "/manifest/") {
                true => Reply::instead(Answer::access_denied()),
                false => clock(request),
            });
        let run = self.upload(b"broken off").option("--patience", "1s");
        assert_ne!(run.run().status, 0);
        self.truth();
    }

    /// Leaves an upload of these blocks that was never committed, as one that
    /// was killed does.
    fn broken_off(&self, data: &[u8]) {
        let commit = |request: &Request| is(request, "PUT", "/manifest/");
        let denied = Reply::instead(Answer::access_denied());
        self.store.hook(move |request| match commit(request) {
            true => denied.clone(),
            false => Reply::truth(),
        });
        let run = self.upload(data).option("--patience", "1s").run();
        assert_ne!(run.status, 0);
        self.truth();
        assert_eq!(self.keys("/upload/").len(), 1);
    }
}

/// What a service says whose clock shows that.
fn an_hour_ago() -> Reply {
    let hour = Duration::from_secs(3600);
    let then = (SystemTime::now() - hour).duration_since(UNIX_EPOCH);
    let date = date::http(then.expect("a time").as_secs());
    let skewed = Answer::s3(403, "Forbidden", "RequestTimeTooSkewed", "It is not.", "");
    Reply::instead(skewed.header("Date", &date))
}

/// So many blocks and a bit.
fn blocks(count: usize) -> Vec<u8> {
    random(count as u64, count * BLOCK + 1000)
}

fn is(request: &Request, method: &str, part: &str) -> bool {
    let key = request.key.as_deref().unwrap_or("");
    request.method == method && key.contains(part)
}

/// A page in place of what was asked for. Who asks with HEAD gets its head.
fn page(request: &Request, status: u16) -> Reply {
    odd_page(request, status, &[])
}

/// One with further headers.
fn odd_page(request: &Request, status: u16, headers: &[(&str, &str)]) -> Reply {
    let mut answer = Answer::new(status, "Whatever")
        .header("Content-Type", "text/html")
        .header("Content-Length", &PAGE.len().to_string());
    if status == 302 {
        answer = answer.header("Location", "http://portal.example/login");
    }
    for (name, value) in headers {
        answer = answer.header(name, value);
    }
    match request.method.as_str() {
        "HEAD" => Reply::instead(answer),
        _ => Reply::instead(answer.body(PAGE)),
    }
}

/// Not carried out, and answered as it would be but for this.
fn undone(edit: impl Fn(Answer) -> Answer + Send + Sync + 'static) -> Reply {
    Reply::truth()
        .act(crate::support::store::Act::Never)
        .edit(edit)
}

/// An answer without this header.
fn without(mut answer: Answer, name: &str) -> Answer {
    answer
        .headers
        .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    answer
}

/// Answers the first so many of these requests so, and the others truly.
fn first(
    times: usize,
    when: impl Fn(&Request) -> bool + Send + Sync + 'static,
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    let so_far = AtomicUsize::new(0);
    move |request| {
        if when(request) && so_far.fetch_add(1, Ordering::Relaxed) < times {
            return reply(request);
        }
        Reply::truth()
    }
}

/// Every one of these requests, for good.
fn always(
    when: impl Fn(&Request) -> bool + Send + Sync + 'static,
    reply: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> impl Fn(&Request) -> Reply + Send + Sync + 'static {
    first(usize::MAX, when, reply)
}

/// Whether a hook has come to where it matters; it is told so once.
#[derive(Default)]
struct Once(Mutex<bool>);

impl Once {
    /// True the first time.
    fn take(&self) -> bool {
        !std::mem::replace(&mut self.0.lock().unwrap(), true)
    }
}

/// It succeeded, whatever it had to say.
#[track_caller]
fn succeeds(outcome: &Outcome) {
    assert_eq!(outcome.status, 0, "{outcome}");
}

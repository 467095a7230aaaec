//! An S3 store in memory that can be told how to answer: plain HTTP over
//! loopback from std alone, so that every byte of an answer is the test's own.
//!
//! It does truthfully what s3pipe needs of S3 (one bucket, [`BUCKET`]), as its
//! [`Settings`] say, which are those of services that differ. A hook is asked
//! about each request before it is carried out, and says with a [`Reply`] how
//! it is to be answered. The test sees all objects, all that ever changed, and
//! all requests.
//!
//! Signatures are not checked; hashes of bodies are. Dropping the store ends
//! its connections and threads.

// Each test program uses a part of this.
#![allow(dead_code, unused_imports)]

#[path = "store/objects.rs"]
mod objects;
#[path = "store/reply.rs"]
mod reply;
#[path = "store/serve.rs"]
mod serve;
#[path = "store/socket.rs"]
mod socket;
#[path = "store/truth.rs"]
mod truth;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::{BUCKET, Run, s3pipe_alone};
use objects::Objects;
pub use objects::{Object, Order};
pub use reply::{Act, Part, Reply, Say, View};

/// The access key's secret that [`Store::s3pipe`] gives.
pub const SECRET: &str = "storesecret+/tobekept";

/// How the store differs from Amazon's.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether it sends ETags.
    pub etags: bool,
    /// What it makes of If-Match and If-None-Match on PUT.
    pub conditions: Conditions,
    /// How many objects a page of a listing has at most.
    pub page: usize,
    /// The order of its listings.
    pub order: Order,
    /// Receive little at a time, so that a client is still sending a block of
    /// 64 KiB while it is answered; and close each connection after an answer,
    /// since buffers grow.
    pub narrow: bool,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            etags: true,
            conditions: Conditions::Honoured,
            page: 1000,
            order: Order::Sorted,
            narrow: false,
        }
    }
}

/// What a store makes of conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// It honours them.
    Honoured,
    /// It ignores them.
    Ignored,
    /// It answers 501.
    Refused,
    /// Ceph's way: If-Match is compared without quotes, so that the true ETag
    /// as it was sent gets a 412.
    Unquoted,
}

/// A request, as the hook and the log have it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its place in the list of all requests, from 0.
    pub n: usize,
    /// `GET`.
    pub method: String,
    /// The bucket.
    pub bucket: String,
    /// The object's key, decoded; none where it is about the bucket.
    pub key: Option<String>,
    /// The query, decoded.
    pub query: Vec<(String, String)>,
    /// The header fields in their order.
    pub headers: Vec<(String, String)>,
    /// The length of its body, in bytes.
    pub length: u64,
    /// The status that the true answer had, or would have had; none until
    /// it is known.
    pub status: Option<u16>,
}

impl Request {
    /// The first value of this header field, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        all.find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// A parameter of the query.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let mut all = self.query.iter();
        all.find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// `GET key`, or `GET ?list-type=2&prefix=s3pipe/`.
impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.key.as_deref().unwrap_or(""))?;
        for (n, (name, value)) in self.query.iter().enumerate() {
            write!(f, "{}{name}={value}", if n == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

/// Says how a request is to be answered.
pub type Hook = dyn Fn(&Request) -> Reply + Send + Sync;

/// The store; see the module's documentation.
pub struct Store {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

/// What the store's threads have in common.
struct Shared {
    state: Mutex<State>,
    /// A request has come, or the store goes.
    came: Condvar,
    hook: Mutex<Arc<Hook>>,
}

#[derive(Default)]
struct State {
    settings: Settings,
    /// Whether the bucket is there.
    bucket: bool,
    objects: Objects,
    requests: Vec<Request>,
    /// What is to be carried out just before the request of this number.
    late: Vec<(usize, Request, Vec<u8>)>,
    /// Open connections, to be ended with the store.
    connections: BTreeMap<usize, TcpStream>,
    closing: bool,
}

impl Store {
    /// Starts it, empty and truthful.
    pub fn start() -> Store {
        Store::start_with(Settings::default(), &BTreeMap::new())
    }

    /// Starts it with these settings and objects.
    pub fn start_with(settings: Settings, objects: &BTreeMap<String, Object>) -> Store {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        if settings.narrow {
            socket::narrow(&listener);
        }
        let addr = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                settings,
                bucket: true,
                objects: Objects::new(objects.clone()),
                ..State::default()
            }),
            came: Condvar::new(),
            hook: Mutex::new(Arc::new(|_| Reply::truth())),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || serve::accept(&listener, &accepting));
        Store { addr, shared }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The endpoint's URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// s3pipe with this store, an access key and [`BUCKET`].
    pub fn s3pipe(&self, home: &Path) -> Run {
        self.point(s3pipe_alone(home))
    }

    /// A run of s3pipe's, sent here.
    pub fn point(&self, run: Run) -> Run {
        run.env("AWS_ACCESS_KEY_ID", "STOREID")
            .env("AWS_SECRET_ACCESS_KEY", SECRET)
            .option("--endpoint", &self.url())
            .option("-b", BUCKET)
    }

    /// From now on, asks this how to answer. It is asked without a lock, so it
    /// may look at the store.
    pub fn hook(&self, hook: impl Fn(&Request) -> Reply + Send + Sync + 'static) {
        *self.shared.hook.lock().unwrap() = Arc::new(hook);
    }

    /// Changes the settings; whether it is narrow was settled at its start.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.lock().settings);
    }

    /// Makes the bucket, or takes it away with all that is in it.
    pub fn set_bucket(&self, there: bool) {
        let mut state = self.shared.lock();
        state.bucket = there;
        if !there {
            state.objects = Objects::default();
        }
    }

    /// Whether the bucket is there.
    pub fn has_bucket(&self) -> bool {
        self.shared.lock().bucket
    }

    /// All requests so far, in the order in which their heads had come.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().requests.clone()
    }

    /// All objects, by their keys.
    pub fn objects(&self) -> BTreeMap<String, Object> {
        self.shared.lock().objects.now().clone()
    }

    /// An object.
    pub fn object(&self, key: &str) -> Option<Object> {
        self.shared.lock().objects.now().get(key).cloned()
    }

    /// Puts an object there.
    pub fn put(&self, key: &str, object: Object) {
        self.shared.lock().objects.change(key, Some(object));
    }

    /// Takes an object away.
    pub fn remove(&self, key: &str) {
        self.shared.lock().objects.change(key, None);
    }

    /// Makes every object whose key begins so older.
    pub fn age(&self, prefix: &str, by: Duration) {
        let mut state = self.shared.lock();
        for (key, mut object) in state.objects.now().clone() {
            if key.starts_with(prefix) {
                object.modified -= by;
                state.objects.change(&key, Some(object));
            }
        }
    }

    /// How many changes there were so far: a moment, for [`View::At`].
    pub fn moment(&self) -> usize {
        self.shared.lock().objects.moment()
    }

    /// All objects as they were at a moment.
    pub fn objects_at(&self, moment: usize) -> BTreeMap<String, Object> {
        self.shared.lock().objects.at(moment)
    }

    /// Carries out whatever is still to be carried out late.
    pub fn settle(&self) {
        self.shared.lock().catch_up(usize::MAX);
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.closing = true;
        for connection in state.connections.values() {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.came.notify_all();
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.addr);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Carries out what is late, up to the request of this number.
    fn catch_up(&mut self, n: usize) {
        let (due, later) = std::mem::take(&mut self.late)
            .into_iter()
            .partition(|(at, ..)| *at <= n);
        self.late = later;
        let due: Vec<(usize, Request, Vec<u8>)> = due;
        for (_, request, body) in due {
            let (_, changes) = truth::answer(self, &request, &body, &View::Now);
            self.apply(changes);
        }
    }

    fn apply(&mut self, changes: Vec<truth::Change>) {
        for change in changes {
            match change {
                truth::Change::Object(key, object) => self.objects.change(&key, object),
                truth::Change::Bucket(there) => self.bucket = there,
            }
        }
    }
}

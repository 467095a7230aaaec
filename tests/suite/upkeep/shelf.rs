//! A store in memory with streams in it, for tests of what is removed.

use std::sync::Arc;
use std::time::Duration;

use crate::faults::site::blocks;
use crate::proxy::Answer;
use crate::support::store::{Object, Order, Reply, Request, Store};
use crate::support::{Run, Scratch, assert_same};

/// All orders in which keys may come, but for their own.
pub const ORDERS: [Order; 4] = [
    Order::Reversed,
    Order::Shuffled(1),
    Order::Shuffled(2),
    Order::Doubled,
];

/// The store, and the folder that is s3pipe's home.
pub struct Shelf {
    pub store: Arc<Store>,
    pub scratch: Scratch,
}

impl Shelf {
    /// An empty one.
    pub fn new() -> Shelf {
        Shelf {
            store: Arc::new(Store::start()),
            scratch: Scratch::new(),
        }
    }

    /// One with the stream `n`, of so many blocks and a short one.
    pub fn with(blocks: usize) -> Shelf {
        let shelf = Shelf::new();
        shelf.upload("n", blocks);
        shelf
    }

    /// This command, which gives up soon.
    pub fn run(&self, command: &str) -> Run {
        let run = self.store.s3pipe(self.scratch.path());
        let run = run.option("--patience", "2s").option("--retry", "3");
        let run = run.arg(command);
        match command {
            "upload" => run.option("--blocksize", "64K"),
            _ => run,
        }
    }

    /// Stores a stream of so many blocks and a short one, or replaces it.
    #[track_caller]
    pub fn upload(&self, name: &str, n: usize) {
        let run = self.run("upload").option("-s", name).arg("-f");
        run.stdin(blocks(n)).run().ok();
    }

    /// An upload that ends without a commit, and leaves so many blocks and a
    /// short one.
    #[track_caller]
    pub fn leave(&self, name: &str, n: usize) {
        let run = self.run("upload").option("-s", name).arg("-f");
        let run = run.option("--size", "1G").stdin(blocks(n)).run();
        run.fails(65, "not committed");
    }

    /// A committed stream whose record stayed: so many blocks and a short one.
    #[track_caller]
    pub fn upload_with_record(&self, name: &str, n: usize) {
        let denied = |request: &Request| match request.method.as_str() {
            "DELETE" => Reply::instead(Answer::access_denied()),
            _ => Reply::truth(),
        };
        self.store.hook(denied);
        let run = self.run("upload").option("-s", name);
        let run = run.stdin(blocks(n)).run();
        run.ok_saying("the stream is committed");
        self.store.hook(|_| Reply::truth());
    }

    /// From now on, asks this how to answer.
    pub fn hook(&self, hook: impl Fn(&Store, &Request) -> Reply + Send + Sync + 'static) {
        let store = Arc::downgrade(&self.store);
        self.store.hook(move |request| match store.upgrade() {
            Some(store) => hook(&store, request),
            None => Reply::truth(),
        });
    }

    /// From now on, changes the listings of what begins with this.
    pub fn edit_listings(
        &self,
        prefix: &'static str,
        edit: impl Fn(&str) -> String + Clone + Send + Sync + 'static,
    ) {
        self.store.hook(move |request| {
            let edit = edit.clone();
            match lists(request, prefix) {
                true => Reply::truth().edit(move |mut answer| {
                    let text = String::from_utf8(answer.body).expect("a listing");
                    answer.body = edit(&text).into();
                    answer
                }),
                false => Reply::truth(),
            }
        });
    }

    /// Lists in this order, so many to a page.
    pub fn order(&self, order: Order, page: usize) {
        self.store.set(|s| (s.order, s.page) = (order, page));
    }

    /// The keys with this part, sorted.
    pub fn keys(&self, part: &str) -> Vec<String> {
        let mut keys: Vec<String> = self.store.objects().into_keys().collect();
        keys.retain(|key| key.contains(part));
        keys
    }

    /// The one key with this part.
    #[track_caller]
    pub fn key(&self, part: &str) -> String {
        let mut keys = self.keys(part);
        assert_eq!(keys.len(), 1, "{keys:#?}");
        keys.remove(0)
    }

    /// Makes all objects with this prefix so many days old.
    pub fn age(&self, days: u64) {
        self.store.age("", Duration::from_secs(days * 24 * 3600));
    }

    /// Puts an object beside the blocks of a stream: of this number, with a hash
    /// of this digit only. Gives its key.
    pub fn stray(&self, name: &str, number: usize, digit: &str) -> String {
        let beside = self.keys(&format!("/block/{name}/")).remove(0);
        let (folder, _) = beside.rsplit_once('/').expect("a folder");
        let key = format!("{folder}/{number:010}.{}", digit.repeat(64));
        self.store.put(&key, Object::new("stray"));
        key
    }

    /// The stream is there, and is this; verify finds nothing either. Asked
    /// truthfully, in the order of keys.
    #[track_caller]
    pub fn assert_holds(&self, name: &str, data: &[u8]) {
        self.store.hook(|_| Reply::truth());
        self.order(Order::Sorted, 1000);
        let run = self.run("download").option("-s", name).run().ok();
        assert_same(&run.stdout, data);
        self.run("verify").option("-s", name).run().ok();
    }
}

/// What a portal says: 200, and a page.
pub fn page() -> Answer {
    let body = "<html><body>Please log in</body></html>";
    Answer::new(200, "OK")
        .header("Content-Type", "text/html")
        .body(body)
}

/// Whether it asks for a listing of what begins with this.
pub fn lists(request: &Request, prefix: &str) -> bool {
    let listed = request.parameter("prefix");
    request.method == "GET" && listed.is_some_and(|listed| listed.starts_with(prefix))
}

/// Whether it has this method, and this in its key.
pub fn is(request: &Request, method: &str, part: &str) -> bool {
    let key = request.key.as_deref();
    request.method == method && key.is_some_and(|key| key.contains(part))
}

/// The manifest of the same upload with other data: another index.
pub fn with_other_data(manifest: &Object) -> String {
    let text = String::from_utf8(manifest.body.to_vec()).expect("a text");
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let index = lines.iter_mut().find(|line| line.starts_with("index "));
    let index = index.expect("an index");
    let digit = index.pop().expect("a digit");
    index.push(if digit == '0' { '1' } else { '0' });
    lines.join("\n") + "\n"
}

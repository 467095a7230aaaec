//! A server behind a proxy, and s3pipe in front of both.
//!
//! What is stored or checked directly goes past the proxy, so that no fault
//! can hide another.

use crate::proxy::{Fault, Match, Proxy, Seen};
use crate::support::{Run, Scratch, Server, assert_same, random, s3pipe};

/// The block size of these tests, in bytes.
pub const BLOCK: usize = 64 << 10;

/// The stream that they are about, where a test names no other.
pub const STREAM: &str = "export";

/// Server and proxy of one test.
pub struct Site {
    /// Between s3pipe and the server.
    pub proxy: Proxy,
    /// The server.
    pub server: Server,
    /// The folder of both.
    pub scratch: Scratch,
}

impl Site {
    /// A server with an empty bucket, and a proxy without a fault.
    pub fn new() -> Site {
        let scratch = Scratch::new();
        let server = Server::embedded(&scratch);
        let proxy = Proxy::start(server.addr());
        Site {
            proxy,
            server,
            scratch,
        }
    }

    /// Such a site with this stream stored in it.
    pub fn with(data: &[u8]) -> Site {
        let site = Site::new();
        site.store(STREAM, data);
        site
    }

    /// This command on [`STREAM`], through the proxy. A stall is only noticed
    /// where a test shortens the time-out.
    pub fn run(&self, command: &str) -> Run {
        let run = s3pipe(&self.server)
            .option("--endpoint", &self.proxy.url())
            .option("-s", STREAM)
            .option("--patience", "60s")
            .option("--timeout", "20s")
            .arg(command);
        match command {
            "upload" => run.option("--blocksize", "64K"),
            _ => run,
        }
    }

    /// The same, where what stays wrong is not to be read again for long.
    pub fn hasty(&self, command: &str) -> Run {
        self.run(command).option("--patience", "1s")
    }

    /// An upload of this through the proxy.
    pub fn upload(&self, data: &[u8]) -> Run {
        self.run("upload").stdin(data)
    }

    /// A download through the proxy.
    pub fn download(&self) -> Run {
        self.run("download")
    }

    /// Stores a stream directly.
    #[track_caller]
    pub fn store(&self, name: &str, data: &[u8]) {
        let run = s3pipe(&self.server).option("-s", name);
        let run = run.option("--blocksize", "64K").arg("upload");
        run.stdin(data).run().ok();
    }

    /// The stream is there and is this, seen directly.
    #[track_caller]
    pub fn assert_holds(&self, name: &str, data: &[u8]) {
        let run = s3pipe(&self.server).option("-s", name).arg("download");
        assert_same(&run.run().ok().stdout, data);
    }

    /// Nothing is committed in the whole bucket.
    #[track_caller]
    pub fn assert_nothing_committed(&self) {
        assert_eq!(self.count("/manifest/"), 0, "{:?}", self.server.objects());
    }

    /// How many objects there are with this in their key.
    pub fn count(&self, part: &str) -> usize {
        let keys = self.server.objects();
        keys.iter().filter(|key| key.contains(part)).count()
    }

    /// The requests so far of this method with this in the target.
    pub fn seen(&self, method: &str, part: &str) -> Vec<Seen> {
        let mut seen = self.proxy.seen();
        seen.retain(|seen| seen.method == method && seen.target.contains(part));
        seen
    }

    /// Waits until so many such requests were answered with 200.
    pub fn wait_for(&self, method: &str, part: &str, times: usize) {
        let fits = |seen: &Seen| {
            seen.method == method && seen.target.contains(part) && seen.status == Some(200)
        };
        let enough = |seen: &[Seen]| seen.iter().filter(|seen| fits(seen)).count() >= times;
        self.proxy.wait_for(enough);
    }

    /// The nth of these faults for the nth block, once.
    fn one_a_block(&self, method: &str, faults: &[Fault]) {
        for (n, fault) in faults.iter().enumerate() {
            let when = Match::method(method).target("/block/");
            let when = when.target(&format!("/{n:010}."));
            self.proxy.once(when, fault.clone());
        }
    }

    /// Each of these blocks was asked for, or sent, more than once or just once.
    #[track_caller]
    fn assert_repeated(&self, method: &str, faults: &[Fault], repeated: bool) {
        for (n, fault) in faults.iter().enumerate() {
            let times = self.seen(method, &format!("/{n:010}."));
            let times = times.iter().filter(|s| s.target.contains("/block/"));
            let times = times.count();
            assert!((times > 1) == repeated && times > 0, "{times}: {fault:?}");
        }
    }
}

/// Requests of this method whose target has this part.
pub fn on(method: &str, part: &str) -> Match {
    Match::method(method).target(part)
}

/// So many whole blocks, and a short one.
pub fn blocks(n: usize) -> Vec<u8> {
    random(n as u64, n * BLOCK + 4321)
}

/// Uploads a stream of which each block meets one of these faults: it is
/// stored whole, and each block was sent again, or (not `repeated`) was not.
#[track_caller]
pub fn upload_survives(faults: &[Fault], timeout: &str, repeated: bool) {
    let (site, data) = (Site::new(), blocks(faults.len()));
    site.one_a_block("PUT", faults);
    let run = site.upload(&data).option("--timeout", timeout);
    run.run().ok();
    site.assert_repeated("PUT", faults, repeated);
    site.assert_holds(STREAM, &data);
    assert_eq!(site.count("/manifest/"), 1);
    assert_eq!(site.count("/upload/"), 0);
}

/// The same for a download.
#[track_caller]
pub fn download_survives(faults: &[Fault], timeout: &str, repeated: bool) {
    let data = blocks(faults.len());
    let site = Site::with(&data);
    site.one_a_block("GET", faults);
    let run = site.download().option("--timeout", timeout);
    assert_same(&run.run().ok().stdout, &data);
    site.assert_repeated("GET", faults, repeated);
}

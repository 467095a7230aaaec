//! Streams of any length, by any number of workers, from and to anything: what
//! comes back is what was sent, bit for bit.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::with_jobs;
use crate::faults::site::{BLOCK, STREAM, Site, on};
use crate::proxy::Fault;
use crate::support::{Outcome, Run, assert_same, random};

/// What a file holds before the place where it is read or written on.
const BEFORE: &[u8] = b"none of it\n";

/// Where a stream comes from, and where it goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    File,
    Pipe,
    Command,
}

const ENDS: [End; 3] = [End::File, End::Pipe, End::Command];

/// An upload of this through the proxy, with small indexes.
fn upload(site: &Site, jobs: usize, name: &str, from: End, data: &[u8]) -> Outcome {
    let run = with_jobs(site.run("upload"), jobs).option("-s", name);
    let run = run.args(["--min-size", "0"]);
    let run = run.env("S3PIPE_INDEX_BLOCKS", "2");
    match from {
        End::File => {
            let path = site.scratch.file("in", [BEFORE, data].concat());
            let mut file = File::open(path).expect("a file");
            file.read_exact(&mut [0; BEFORE.len()]).expect("its start");
            run.stdin_from(file).run()
        }
        End::Pipe => {
            let mut running = run.stdin_open().spawn();
            let (mut rest, mut sizes) = (data, odd_sizes());
            while !rest.is_empty() {
                let size = rest.len().min(sizes.next().expect("a size"));
                running.feed(&rest[..size]);
                rest = &rest[size..];
            }
            running.feed_end();
            running.wait()
        }
        End::Command => {
            let path = site.scratch.file("in", data);
            run.args(["--", "cat"]).arg(path).run()
        }
    }
}

/// Pieces that never fit.
fn odd_sizes() -> impl Iterator<Item = usize> {
    let sizes = [1, 4095, 65_537, 7, 131_071, 65_535, 65_536, 3, 40_000];
    sizes.into_iter().cycle()
}

/// A download, and what came of it.
fn download(site: &Site, jobs: usize, name: &str, to: End) -> Vec<u8> {
    let run = with_jobs(site.download(), jobs).option("-s", name);
    let path: PathBuf = site.scratch.path().join("out");
    match to {
        End::File => {
            let mut file = File::create(&path).expect("a file");
            file.write_all(BEFORE).expect("its start");
            run.stdout_to(file.try_clone().expect("a file")).run().ok();
            assert_eq!(
                file.stream_position().unwrap(),
                file.metadata().unwrap().len()
            );
            let whole = fs::read(path).expect("its output");
            whole.strip_prefix(BEFORE).expect("what was there").to_vec()
        }
        End::Pipe => run.run().ok().stdout,
        End::Command => {
            let script = format!("cat >'{}'", path.to_str().expect("a UTF-8 path"));
            run.args(["--", "sh", "-c", &script]).run().ok();
            fs::read(path).expect("its output")
        }
    }
}

/// All lengths around block boundaries; each from one thing and to another,
/// which change from length to length.
fn at_any_length(jobs: usize) {
    let site = Site::new();
    let n = jobs * BLOCK;
    let lengths = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, n, n + 1, 40 * BLOCK];
    for (at, length) in lengths.into_iter().enumerate() {
        let data = random((jobs + length) as u64, length);
        for (turn, from) in ENDS.into_iter().enumerate() {
            let name = format!("{at}{from:?}");
            upload(&site, jobs, &name, from, &data).ok();
            let blocks = length.div_ceil(BLOCK);
            let stored = site.count(&format!("/block/{name}/"));
            let indexes = site.count(&format!("/index/{name}/"));
            let what = format!("-j {jobs}, {length} bytes from a {from:?}");
            assert_eq!((stored, indexes), (blocks, blocks.div_ceil(2)), "{what}");
            let to = ENDS[(turn + at) % 3];
            let back = download(&site, jobs, &name, to);
            assert!(back == data, "{what} to a {to:?}: {} bytes", back.len());
        }
    }
    assert_eq!(site.count("/upload/"), 0);
    site.run("verify").option("-s", "7Pipe").run().ok();
}

#[test]
fn no_worker() {
    at_any_length(1);
}

#[test]
fn two_workers() {
    at_any_length(2);
}

#[test]
fn three_workers() {
    at_any_length(3);
}

#[test]
fn four_workers() {
    at_any_length(4);
}

#[test]
fn sixteen_workers() {
    at_any_length(16);
}

/// Each block of this method takes its own time.
fn delay_at_random(site: &Site, method: &str, blocks: usize, seed: u64) {
    for (n, dice) in random(seed, blocks).into_iter().enumerate() {
        let time = Duration::from_millis(u64::from(dice % 90));
        let when = on(method, "/block/").target(&format!("/{n:010}."));
        site.proxy.once(when, Fault::Delay(time));
    }
}

fn small_indexes(run: Run, jobs: usize) -> Run {
    with_jobs(run, jobs).env("S3PIPE_INDEX_BLOCKS", "3")
}

#[test]
fn the_order_does_not_depend_on_who_is_first() {
    for jobs in [2, 3, 4, 16] {
        let (site, blocks) = (Site::new(), 24);
        let data = random(5, (blocks - 1) * BLOCK + 99);
        delay_at_random(&site, "PUT", blocks, 2007);
        small_indexes(site.upload(&data), jobs).run().ok();
        site.assert_holds(STREAM, &data);
        delay_at_random(&site, "GET", blocks, 1 + jobs as u64);
        let back = with_jobs(site.download(), jobs).run().ok();
        assert_same(&back.stdout, &data);
        // A part of it, from the middle of a block to the middle of another.
        delay_at_random(&site, "GET", blocks, 9);
        let part = BLOCK + 77..20 * BLOCK - 5;
        let run = with_jobs(site.download(), jobs);
        let run = run.option("--offset", &part.start.to_string());
        let run = run.option("--length", &part.len().to_string());
        assert_same(&run.run().ok().stdout, &data[part]);
    }
}

/// Sockets, as ssh and inetd have them, that somebody has set not to block: each
/// of those who take turns meets them empty, or full.
#[test]
fn sockets_that_do_not_block() {
    let (site, data) = (Site::new(), random(8, 9 * BLOCK + 5));
    for jobs in [1, 4] {
        let (ours, theirs) = UnixStream::pair().expect("sockets");
        theirs.set_nonblocking(true).expect("a socket");
        let run = with_jobs(site.run("upload"), jobs).arg("-f");
        let running = run.stdin_from(OwnedFd::from(theirs)).spawn();
        for (n, piece) in data.chunks(BLOCK + 777).enumerate() {
            site.wait_for("PUT", "/block/", n);
            (&ours).write_all(piece).expect("a reader");
        }
        drop(ours);
        running.wait().ok();
        site.assert_holds(STREAM, &data);

        // These blocks are larger than what a socket holds.
        let large = random(9, 5 << 20);
        let run = site.upload(&large).option("-s", "large").arg("-f");
        run.option("--blocksize", "1M").run().ok();
        let (mut ours, theirs) = UnixStream::pair().expect("sockets");
        theirs.set_nonblocking(true).expect("a socket");
        let run = with_jobs(site.download().option("-s", "large"), jobs);
        let running = run.stdout_to(OwnedFd::from(theirs)).spawn();
        let mut back = Vec::new();
        let mut piece = vec![0; 4099];
        while let n @ 1.. = ours.read(&mut piece).expect("its output") {
            back.extend_from_slice(&piece[..n]);
        }
        running.wait().ok();
        assert_same(&back, &large);
    }
}

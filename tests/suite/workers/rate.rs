//! --limit-rate: never more than was allowed, whatever the number of workers,
//! and what was not used is not made up for.
//!
//! A slow machine moves less, so all limits here are upper ones for bytes, and
//! lower ones for time.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::with_jobs;
use crate::faults::site::{STREAM, Site};
use crate::support::{Run, assert_same, random};

/// Bytes a second.
const RATE: usize = 512 << 10;

/// What may go at once: a twentieth of a second's worth for whoever has the
/// whole rate, for each that shares it less and less, as they start; the
/// coordinator's own. And the heads of its requests.
const SLACK: usize = 4 * RATE / 20;

const SIZE: usize = 2 << 20;

/// A relay in front of a server that notes when bytes have come from the
/// client: no earlier than they were sent.
struct Meter {
    addr: SocketAddr,
    pieces: Arc<Mutex<Vec<(Instant, usize)>>>,
}

impl Meter {
    fn start(upstream: SocketAddr) -> Meter {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let addr = listener.local_addr().expect("an address");
        let pieces = Arc::new(Mutex::new(Vec::new()));
        let all = pieces.clone();
        // Until the test's process ends.
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect(upstream).expect("the server");
                let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || relay(from, to, |_| ()));
                let all = all.clone();
                let note = move |n| all.lock().unwrap().push((Instant::now(), n));
                thread::spawn(move || relay(client, server, note));
            }
        });
        Meter { addr, pieces }
    }

    fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Since then no more came than the rate allows.
    #[track_caller]
    fn assert_slow(&self, since: Instant) {
        let mut bytes = 0;
        for (at, piece) in self.pieces.lock().unwrap().iter() {
            let Some(passed) = at.checked_duration_since(since) else {
                continue;
            };
            bytes += piece;
            let allowed = (passed.as_secs_f64() * RATE as f64) as usize + SLACK;
            assert!(bytes <= allowed, "{bytes} bytes after {passed:?}");
        }
        assert!(bytes > 0);
    }
}

/// Passes on what comes, and notes it before.
fn relay(mut from: TcpStream, mut to: TcpStream, note: impl Fn(usize)) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        note(n);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
    let _ = from.shutdown(Shutdown::Both);
}

fn limited(site: &Site, word: &str, jobs: usize, blocksize: &str) -> Run {
    let run = with_jobs(site.run(word), jobs).option("--limit-rate", "512K");
    match word {
        "upload" => run.option("--blocksize", blocksize),
        _ => run,
    }
}

/// It took as long as it had to.
#[track_caller]
fn assert_took(start: Instant, bytes: usize) {
    let least = Duration::from_secs_f64((bytes - SLACK) as f64 / RATE as f64);
    let took = start.elapsed();
    assert!(took >= least, "{bytes} bytes in {took:?}");
}

fn up(jobs: usize, blocksize: &str) {
    let (site, data) = (Site::new(), random(1, SIZE));
    let meter = Meter::start(site.server.addr());
    let run = limited(&site, "upload", jobs, blocksize);
    let start = Instant::now();
    let run = run.option("--endpoint", &meter.url()).stdin(data.clone());
    run.run().ok();
    assert_took(start, SIZE);
    meter.assert_slow(start);
    site.assert_holds(STREAM, &data);
}

fn down(word: &str, jobs: usize, blocksize: &str) {
    let (site, data) = (Site::new(), random(2, SIZE));
    let run = site.upload(&data).option("--blocksize", blocksize);
    run.run().ok();
    let start = Instant::now();
    let end = limited(&site, word, jobs, "").run().ok();
    assert_took(start, SIZE);
    assert!(word != "download" || end.stdout == data);
}

#[test]
fn it_holds_for_all_together() {
    thread::scope(|scope| {
        // Blocks that are smaller, and larger, than what goes in a second.
        for (jobs, blocksize) in [(1, "64K"), (1, "1M"), (4, "64K"), (4, "256K"), (2, "1M")] {
            scope.spawn(move || up(jobs, blocksize));
        }
        for (jobs, blocksize) in [(1, "1M"), (4, "64K"), (4, "512K")] {
            scope.spawn(move || down("download", jobs, blocksize));
        }
        scope.spawn(|| down("verify", 4, "128K"));
    });
}

/// Nothing to send for a while, and then a lot.
#[test]
fn what_was_not_used_is_gone() {
    thread::scope(|scope| {
        for jobs in [1, 4] {
            scope.spawn(move || after_a_while(jobs));
        }
    });
}

fn after_a_while(jobs: usize) {
    let (site, data) = (Site::new(), random(3, SIZE));
    let meter = Meter::start(site.server.addr());
    let run = limited(&site, "upload", jobs, "256K");
    let run = run.option("--endpoint", &meter.url()).arg("-v");
    let mut running = run.stdin_open().spawn();
    let (first, rest) = data.split_at(1 << 20);
    running.feed(first);
    for n in 0..4 {
        running.wait_for_stderr(&format!("/000000000{n}."));
    }
    thread::sleep(Duration::from_secs(1));
    let since = Instant::now();
    running.feed(rest);
    running.feed_end();
    let end = running.wait();
    assert_eq!(end.status, 0, "{end}");
    meter.assert_slow(since);
    assert_took(since, rest.len());
    assert_same(&site.download().run().ok().stdout, &data);
}

//! SIGHUP, SIGINT and SIGTERM in the middle of a transfer: it stops at once,
//! whatever it is blocked in, commits nothing, and one line says how far it
//! came, to the byte.

use std::io::{PipeReader, Read, pipe};
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::proxy::{Fault, Match, Proxy};
use crate::support::{Outcome, Run, Running, Scratch, Server, random, s3pipe};

const K: usize = 1 << 10;
const M: usize = 1 << 20;
const SIGNALS: [(&str, i32); 3] = [("HUP", 129), ("INT", 130), ("TERM", 143)];

/// Kills a process that does not end, so that a lost signal is a failed test
/// and not one that hangs.
struct Watchdog(Sender<()>);

impl Watchdog {
    fn over(running: &Running) -> Watchdog {
        let pid = running.pid().to_string();
        let (done, waiting): (Sender<()>, Receiver<()>) = channel();
        thread::spawn(move || {
            if waiting.recv_timeout(Duration::from_secs(20)) == Err(RecvTimeoutError::Timeout) {
                let _ = Command::new("kill").args(["-s", "KILL", &pid]).status();
            }
        });
        Watchdog(done)
    }

    fn stand_down(self) {
        self.0.send(()).expect("it did not end in 20 s: killed");
    }
}

/// Sends the signal, awaits the end, and checks that it was for this reason.
fn stop(running: Running, signal: &str, status: i32, why: &str) -> Outcome {
    let watchdog = Watchdog::over(&running);
    running.signal(signal);
    // Its stdin and stdout are open still, which must not keep it.
    running.wait_for_stderr(&format!("stopped by SIG{signal}: {why}"));
    let outcome = running.wait();
    watchdog.stand_down();
    assert_eq!(outcome.stderr.matches("stopped by").count(), 1, "{outcome}");
    assert_eq!(outcome.status, status, "{outcome}");
    outcome
}

fn upload(server: &Server, name: &str) -> Run {
    let run = s3pipe(server).args(["upload", "-v", "-s", name]);
    run.option("--blocksize", "64K").stdin_open()
}

#[test]
fn an_upload_that_waits_for_its_producer() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for (signal, status) in SIGNALS {
        let mut running = upload(&server, signal).spawn();
        running.feed(&random(6, 200 * K));
        for n in 0..3 {
            running.wait_for_stderr(&format!("/000000000{n}."));
        }
        let why = "196608 bytes in 3 blocks stored, nothing committed\n";
        let outcome = stop(running, signal, status, why);
        let start = format!("s3pipe: upload: test/{signal}: stopped by");
        assert!(outcome.stderr.contains(&start), "{outcome}");
        let missing = s3pipe(&server).args(["download", "-s", signal]).run();
        missing.fails(66, "no such stream");
    }
}

#[test]
fn an_upload_that_has_read_nothing() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for (signal, status) in SIGNALS {
        let running = upload(&server, signal).spawn();
        // The record: read back just before stdin is.
        running.wait_for_stderr("GET test/s3pipe/upload/");
        stop(running, signal, status, "0 bytes in 0 blocks stored");
        assert_eq!(server.objects(), Vec::<String>::new());
    }
}

#[test]
fn an_upload_that_waits_for_the_server() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let proxy = Proxy::start(server.addr());
    let second = Match::method("PUT")
        .target("/block/")
        .target("/0000000001.");
    proxy.always(second, Fault::StallRequest);
    for (signal, status) in SIGNALS {
        let run = upload(&server, signal).option("--endpoint", &proxy.url());
        let mut running = run.spawn();
        running.feed(&random(6, 200 * K));
        let block = format!("/block/{signal}/");
        proxy.wait_for(|seen| {
            seen.iter()
                .any(|s| s.target.contains(&block) && s.faulted && s.body_len == 64 * K as u64)
        });
        // The third block may be stored or not, where there are workers.
        stop(running, signal, status, "");
    }
}

/// Stores four blocks of 1M, and begins to download them into a pipe.
fn download(server: &Server) -> (Running, PipeReader) {
    let run = s3pipe(server).args(["upload", "-f", "-s", "x", "--blocksize", "1M"]);
    run.stdin(random(7, 4 * M)).run().ok();
    let (reader, writer) = pipe().expect("a pipe");
    let run = s3pipe(server).args(["download", "-v", "-s", "x"]);
    (run.stdout_to(writer).spawn(), reader)
}

/// The number in `N bytes were written`.
fn claimed(outcome: &Outcome) -> usize {
    let (before, _) = outcome
        .stderr
        .split_once(" bytes were written")
        .expect("so");
    let number = before.rsplit(' ').next().expect("a number");
    number.parse().expect("a number")
}

#[test]
fn a_download_that_nobody_reads() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for (signal, status) in SIGNALS {
        let (running, mut reader) = download(&server);
        running.wait_for_stderr("/block/x/");
        let outcome = stop(running, signal, status, "");
        let mut written = Vec::new();
        reader.read_to_end(&mut written).expect("its output");
        assert_eq!(claimed(&outcome), written.len(), "{outcome}");
    }
}

#[test]
fn a_download_that_is_between_two_calls() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for _ in 0..10 {
        let (running, _reader) = download(&server);
        // The signal comes somewhere between here and the first full pipe.
        running.wait_for_stderr("/index/x/");
        stop(running, "TERM", 143, "");
    }
}

//! A look-up of a name, which nothing interrupts, in workers.
//!
//! A name server's outage is made by a library before libc (tests/support,
//! names.c), for which a C compiler is needed, as for the program.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use super::crew::Crew;
use super::with_jobs;
use crate::faults::site::{BLOCK, STREAM, Site, blocks};
use crate::support::Scratch;

/// The library, built.
fn library(scratch: &Scratch) -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/names.c");
    let library = scratch.path().join("names.so");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(source);
    assert!(cc.status().expect("cc runs").success());
    library.to_str().expect("a path").to_string()
}

/// From now on, names cannot be looked up.
fn close(gate: &Path) {
    let made = Command::new("mkfifo").arg(gate).status();
    assert!(made.expect("mkfifo runs").success());
}

/// Once somebody waits for a name, give it to all who do.
fn open(gate: &Path) {
    let writer = OpenOptions::new().write(true).open(gate);
    fs::remove_file(gate).expect("a gate");
    drop(writer.expect("a gate"));
}

/// A worker that waits for a name server for longer than one that hangs may is
/// none that hangs.
#[test]
fn an_outage_of_the_name_server_is_ridden_out() {
    let site = Site::new();
    let gate = site.scratch.path().join("gate");
    let port = site.proxy.addr().port();
    let run = with_jobs(site.run("upload"), 2).option("--timeout", "1s");
    let run = run.option("--endpoint", &format!("http://s3.test:{port}"));
    let run = run.env("LD_PRELOAD", library(&site.scratch));
    let run = run.env("S3PIPE_TEST_GATE", &gate).stdin_open();
    let mut crew = Crew::start(run);
    // That is the coordinator's last request for now, and it has looked the name up
    // for it; workers do when they have read a block.
    site.wait_for("GET", "/upload/", 1);
    close(&gate);
    let data = blocks(3);
    crew.running.feed(&data[..2 * BLOCK]);
    crew.wait_for_workers(2);
    thread::sleep(Duration::from_secs(11));
    if !crew.running.has_ended() {
        open(&gate);
        crew.running.feed(&data[2 * BLOCK..]);
        crew.running.feed_end();
    }
    crew.end().ok();
    site.assert_holds(STREAM, &data);
}

//! Producers and consumers that fail, and uploads that are taken up again: the
//! same at any number of workers.

use std::fs::{self, File};
use std::io::{Read, pipe};

use super::crew::Crew;
use super::{claimed, with_jobs};
use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::Fault;
use crate::support::{Run, Scratch, assert_same, random};

/// `upload -- sh -c SCRIPT`, or the same of another command word.
fn shell(site: &Site, word: &str, jobs: usize, script: &str) -> Run {
    with_jobs(site.run(word), jobs).args(["--", "sh", "-c", script])
}

/// This data in a file, for a script.
fn file(scratch: &Scratch, name: &str, data: &[u8]) -> String {
    let path = scratch.file(name, data);
    path.to_str().expect("a UTF-8 path").into()
}

#[test]
fn a_producer_that_fails_commits_nothing() {
    let site = Site::new();
    // In a block, at the end of one, and before there is any.
    for (n, length) in [4 * BLOCK + 77, 4 * BLOCK, 20 * BLOCK, BLOCK, 9, 0]
        .into_iter()
        .enumerate()
    {
        let data = file(&site.scratch, "in", &random(n as u64, length));
        for jobs in [1, 2, 4, 16] {
            for (end, why) in [
                ("exit 3", "failed with exit status 3"),
                ("kill -s KILL $$", "was killed by signal 9"),
            ] {
                let run = shell(&site, "upload", jobs, &format!("cat {data}; {end}"));
                let end = Crew::start(run).end();
                end.fails(65, &format!("command 'sh': {why}"));
            }
        }
    }
    site.assert_nothing_committed();
    assert_eq!(site.seen("PUT", "/manifest/"), []);
}

#[test]
fn a_consumer_that_fails_is_told_of() {
    let data = random(1, 20 * BLOCK);
    let site = Site::with(&data);
    let out = file(&site.scratch, "out", b"");
    for jobs in [1, 2, 4, 16] {
        for (take, end, status, why) in [
            (0, "exit 4", 65, "failed with exit status 4"),
            (100_000, "exit 4", 65, "failed with exit status 4"),
            (100_000, "kill -s KILL $$", 65, "was killed by signal 9"),
            (100_000, "exit 0", 74, "Broken pipe"),
        ] {
            let script = format!("head -c {take} >{out}; {end}");
            let run = shell(&site, "download", jobs, &script);
            let end = Crew::start(run).end();
            let end = end.fails(status, &format!("command 'sh': {why}"));
            let written = claimed(&end, " bytes were written");
            assert!((take..data.len()).contains(&written), "-j {jobs}: {end}");
            let got = fs::read(&out).expect("its output");
            assert_same(&got, &data[..take]);
        }
    }
}

/// What a pipe holds at most, on Linux and FreeBSD.
const PIPE: usize = 64 << 10;

#[test]
fn a_reader_that_closes_its_end() {
    let data = random(2, 20 * BLOCK);
    let site = Site::with(&data);
    for jobs in [1, 2, 4, 16] {
        for take in [0, 1, BLOCK, 3 * BLOCK + 5] {
            let (mut reader, writer) = pipe().expect("a pipe");
            let run = with_jobs(site.download(), jobs).stdout_to(writer);
            let crew = Crew::start(run);
            let mut got = vec![0; take];
            reader.read_exact(&mut got).expect("its output");
            drop(reader);
            let end = crew.end().fails(74, "stdout: Broken pipe");
            assert_same(&got, &data[..take]);
            let written = claimed(&end, " bytes were written");
            assert!((take..=take + PIPE).contains(&written), "-j {jobs}: {end}");
        }
    }
}

/// A disk that is full, as far as s3pipe can tell: the claim is exact.
#[test]
fn a_file_that_may_not_grow() {
    let data = random(3, 20 * BLOCK);
    let site = Site::with(&data);
    for jobs in [1, 2, 4, 16] {
        // In units of 512 bytes, as sh(1) has them.
        for units in [0, 1, 128, 300, 2559] {
            let path = site.scratch.path().join("out");
            let file = File::create(&path).expect("a file");
            let limit = format!("trap '' XFSZ; ulimit -f {units}");
            let run = with_jobs(site.download().after(&limit), jobs);
            let end = Crew::start(run.stdout_to(file)).end();
            let end = end.fails(74, "stdout: File too large");
            let got = fs::read(path).expect("its output");
            assert_eq!(got.len(), units * 512);
            assert_same(&got, &data[..units * 512]);
            assert_eq!(claimed(&end, " bytes were written"), got.len(), "{end}");
        }
    }
}

#[test]
fn a_killed_upload_is_taken_up_by_any_number() {
    for (before, after) in [(2, 1), (2, 4), (4, 2), (16, 3), (3, 16), (4, 4)] {
        let (site, data) = (Site::new(), blocks(9));
        // All but one, which is before others that are stored.
        let when = on("PUT", "/block/").target("/0000000001.");
        site.proxy.once(when, Fault::StallRequest);
        let run = with_jobs(site.run("upload"), before).stdin_open();
        let mut crew = Crew::start(run.env("S3PIPE_INDEX_BLOCKS", "2"));
        crew.running.feed(&data[..9 * BLOCK]);
        site.wait_for("PUT", "/block/", 8);
        crew.kill();
        site.proxy.hang_up();
        assert_eq!(site.count("/block/"), 8);
        let start = site.proxy.seen().len();
        let run = with_jobs(site.upload(&data), after).arg("--resume");
        run.env("S3PIPE_INDEX_BLOCKS", "2").run().ok();
        let sent = site.seen("PUT", "/block/");
        let sent: Vec<_> = sent.iter().filter(|seen| seen.n >= start).collect();
        assert_eq!(sent.len(), 2, "-j {before}, then -j {after}: {sent:#?}");
        site.assert_holds(STREAM, &data);
        site.run("verify").run().ok();
    }
}

/// What is stored already is not sent, and what is not must be, whoever reads it.
#[test]
fn what_differs_is_sent_by_any_number() {
    let (old, same) = (blocks(8), 3);
    let new = [&old[..same * BLOCK], &random(9, 7 * BLOCK + 1)].concat();
    for jobs in [1, 2, 4, 16] {
        let site = Site::new();
        let run = with_jobs(site.upload(&old), jobs).args(["--size", "1G"]);
        run.run().fails(65, "not committed");
        assert_eq!(site.count("/block/"), 9);
        let start = site.proxy.seen().len();
        let run = with_jobs(site.upload(&new), jobs).arg("--resume");
        run.run().ok();
        let sent = site.seen("PUT", "/block/");
        let sent = sent.iter().filter(|seen| seen.n >= start).count();
        assert_eq!(sent, new.len().div_ceil(BLOCK) - same, "-j {jobs}");
        site.assert_holds(STREAM, &new);
        // Of the old one nothing is left.
        assert_eq!(site.count("/block/"), new.len().div_ceil(BLOCK));
    }
}

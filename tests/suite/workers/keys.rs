//! Credentials: found by the coordinator alone, told to the workers in a way
//! that nobody else sees, and renewed in the same way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::{self, JoinHandle};

use super::crew::Crew;
use super::with_jobs;
use crate::faults::site::{BLOCK, STREAM, Site, blocks, on};
use crate::proxy::{Answer, Fault, Seen};
use crate::support::{BUCKET, Run, s3pipe_alone};

/// A key file's text, with a token.
fn text(site: &Site, token: &str) -> String {
    let (id, key) = (&site.server.id, &site.server.key);
    format!("aws.id = {id}\naws.key = {key}\naws.token = {token}\n")
}

fn private(path: &Path) {
    let mode = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, mode).expect("chmod");
}

fn keyfile(site: &Site, token: &str) -> PathBuf {
    let path = site.scratch.file("keys", text(site, token));
    private(&path);
    path
}

/// Puts a pipe in the place of the key file, and this text into it, once: who
/// reads it a second time waits for ever.
fn key_pipe(site: &Site, token: &str) -> (PathBuf, JoinHandle<()>) {
    let new = site.scratch.path().join("keys.new");
    let made = Command::new("mkfifo").arg(&new).status();
    assert!(made.expect("mkfifo runs").success());
    private(&new);
    let path = site.scratch.path().join("keys");
    fs::rename(new, &path).expect("rename");
    let (to, text) = (path.clone(), text(site, token));
    let feeder = thread::spawn(move || fs::write(to, text).expect("a reader"));
    (path, feeder)
}

fn run(site: &Site, word: &str, keyfile: &Path) -> Run {
    let run = s3pipe_alone(&site.server.home)
        .option("-k", keyfile.to_str().expect("a UTF-8 path"))
        .option("--endpoint", &site.proxy.url())
        .option("--timeout", "20s")
        .option("-b", BUCKET)
        .option("-s", STREAM);
    let run = match word {
        "upload" => run.option("--blocksize", "64K"),
        _ => run,
    };
    with_jobs(run.arg(word), 4)
}

/// What a request was signed with.
fn token(seen: &Seen) -> &str {
    seen.header("x-amz-security-token").expect("a token")
}

fn is_block(seen: &Seen) -> bool {
    seen.target.contains("/block/")
}

#[test]
fn nobody_sees_them() {
    let site = Site::with(&blocks(6));
    let path = keyfile(&site, "a/token+of=mine");
    for (word, method) in [("upload", "PUT"), ("download", "GET"), ("verify", "GET")] {
        site.proxy
            .always(on(method, "/block/"), Fault::StallRequest);
        let start = site.proxy.seen().len();
        let run = run(&site, word, &path).arg("-v");
        let crew = Crew::start(match word {
            "upload" => run.option("-s", "new").stdin(blocks(6)),
            _ => run,
        });
        site.proxy.wait_for(|seen| {
            let blocks = seen[start..].iter().filter(|s| is_block(s));
            blocks.count() == 4
        });
        let all = crew.processes();
        assert_eq!(all.iter().filter(|p| p.is_worker()).count(), 4);
        assert_eq!(all.len(), 5);
        // As it is, and percent-encoded.
        for secret in ["test+secret", "test%2Bsecret", "of=mine", "of%3Dmine"] {
            assert!(site.server.key.contains("test+secret"));
            let shown = all.iter().find(|p| p.text.contains(secret));
            assert!(shown.is_none(), "{secret} is seen in {word}");
        }
        crew.running.signal("TERM");
        let end = crew.end();
        assert_eq!(end.status, 143, "{end}");
        assert!(!end.stderr.contains("secret") && !end.stderr.contains("mine"));
        site.proxy.clear();
    }
}

#[test]
fn only_the_coordinator_reads_the_key_file() {
    let (site, data) = (Site::new(), blocks(9));
    for word in ["upload", "verify", "download"] {
        let (path, feeder) = key_pipe(&site, "one");
        let run = run(&site, word, &path).stdin(data.clone());
        let end = Crew::start(run).end().ok();
        assert!(word != "download" || end.stdout == data);
        feeder.join().expect("a reader");
    }
    assert!(site.proxy.seen().iter().all(|s| token(s) == "one"));
}

/// Refuses every block that is signed with the token "old".
fn expire(site: &Site) {
    let old = on("PUT", "/block/").when(|seen| token(seen) == "old");
    site.proxy
        .always(old, Fault::Status(Answer::expired_token()));
}

/// Waits until so many blocks are stuck on their way.
fn stuck(site: &Site, token: &'static str, count: usize) {
    let stuck = |s: &&Seen| s.faulted && s.status.is_none() && self::token(s) == token;
    site.proxy
        .wait_for(|seen| seen.iter().filter(stuck).count() == count);
}

/// Lets go what is stuck: it is sent again.
fn release(site: &Site) {
    site.proxy.clear();
    expire(site);
    site.proxy.hang_up();
}

/// The tokens of the requests that were refused.
fn refused(site: &Site) -> Vec<String> {
    let mut seen = site.proxy.seen();
    seen.retain(|s| s.status == Some(400));
    seen.iter().map(|s| token(s).to_string()).collect()
}

/// The first worker that is refused has the file read, once, and the others
/// get what was found then.
#[test]
fn expired_ones_are_renewed_for_all() {
    let (site, data) = (Site::new(), blocks(12));
    site.proxy.always(on("PUT", "/block/"), Fault::StallRequest);
    let path = keyfile(&site, "old");
    let crew = Crew::start(run(&site, "upload", &path).stdin(data.clone()));
    stuck(&site, "old", 4);
    let (_, feeder) = key_pipe(&site, "new");
    release(&site);
    crew.end().ok();
    feeder.join().expect("a reader");
    site.assert_holds(STREAM, &data);
    // Each worker once at most.
    let refused = refused(&site);
    assert!((1..=4).contains(&refused.len()), "{refused:?}");
    assert!(refused.iter().all(|token| token == "old"));
    // The coordinator's own requests have the new ones, too.
    let commit = &site.seen("PUT", "/manifest/")[0];
    assert_eq!(token(commit), "new");
}

/// A worker that starts later begins with the new ones.
#[test]
fn who_comes_later_gets_the_new_ones() {
    let (site, data) = (Site::new(), blocks(8));
    let path = keyfile(&site, "old");
    let mut crew = Crew::start(run(&site, "upload", &path).stdin_open());
    crew.running.feed(&data[..BLOCK]);
    site.wait_for("PUT", "/block/", 1);
    let (_, feeder) = key_pipe(&site, "new");
    expire(&site);
    crew.running.feed(&data[BLOCK..2 * BLOCK]);
    site.wait_for("PUT", "/block/", 2);
    feeder.join().expect("a reader");
    site.proxy.always(on("PUT", "/block/"), Fault::StallRequest);
    crew.running.feed(&data[2 * BLOCK..]);
    crew.running.feed_end();
    stuck(&site, "new", 4);
    // Two of the four have begun with the old ones; or three, if the first was
    // not quite done with its block when there was another.
    let refused = refused(&site);
    assert!(refused.len() <= 3, "{refused:?}");
    release(&site);
    crew.end().ok();
    site.assert_holds(STREAM, &data);
}

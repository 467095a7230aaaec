//! No core files: what would be in them are keys. What s3pipe starts is as it
//! would be without it.

use std::fs;
use std::process::Command;

use crate::faults::site::{BLOCK, Site, blocks, on};
use crate::proxy::Fault;
use crate::support::Run;
use crate::support::keys::Keys;
use crate::workers::crew::{Crew, signal};

/// The core files, as their names mostly are, in the folder of a site.
fn cores(site: &Site) -> Vec<String> {
    let files = fs::read_dir(site.scratch.path())
        .expect("a folder")
        .flatten();
    let names = files.map(|file| file.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.contains("core")).collect()
}

/// A run in the folder of its site, which may leave core files.
fn dangerous(site: &Site, run: Run) -> Run {
    let folder = site.scratch.path().display();
    run.after(&format!("ulimit -S -c $(ulimit -H -c); cd '{folder}'"))
}

/// What the system says of a process's limit; nothing where it does not.
fn limit(pid: u32) -> Option<String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find(|line| line.contains("core file"))?;
    line.split_whitespace().nth(4).map(String::from)
}

#[test]
fn none_is_left() {
    for jobs in ["1", "2"] {
        let site = Site::new();
        site.proxy.always(on("PUT", "/block/"), Fault::StallRequest);
        let run = dangerous(&site, site.run("upload")).option("-j", jobs);
        let mut crew = Crew::start(run.stdin_open());
        crew.running.feed(&blocks(2)[..BLOCK]);
        site.proxy.wait_for(|seen| seen.iter().any(|s| s.faulted));
        let all = [vec![crew.running.pid()], crew.workers()].concat();
        assert_eq!(all.len(), if jobs == "1" { 1 } else { 3 });
        for pid in &all {
            let limit = limit(*pid);
            assert!(limit.is_none_or(|limit| limit == "0"), "{pid} of {all:?}");
        }
        for pid in all.iter().rev() {
            signal("QUIT", *pid);
        }
        let end = crew.end_late();
        assert!(matches!(end.status, 70 | 131), "{end}");
        assert_eq!(cores(&site), [""; 0]);
    }
}

/// A producer, a consumer, a filter and a program that gives keys.
#[test]
fn what_is_started_keeps_its_limit() {
    let site = Site::new();
    let mut probe = Command::new("sh");
    let probe = probe
        .args(["-c", "ulimit -S -c 7 && ulimit -S -c"])
        .output();
    if probe.expect("sh runs").stdout != b"7\n" {
        return println!("not run: core files are limited for good here");
    }
    let path = |name: &str| site.scratch.path().join(name).display().to_string();
    let limited = |run: Run| run.after("ulimit -S -c 7");
    let say = format!("ulimit -S -c >>'{}'", path("said"));
    // The producer.
    let run = limited(site.run("upload"));
    run.args(["--", "sh", "-c", "ulimit -S -c"]).run().ok();
    site.assert_holds("export", b"7\n");
    // The consumer.
    let run = limited(site.download());
    run.args(["--", "sh", "-c", &format!("cat; {say}")])
        .run()
        .ok();
    // The filter.
    let keys = Keys::new(&site.scratch);
    let age = keys.script("age", &format!("{say}; exec cat"));
    let run = limited(site.upload(b"data")).args(["-f", "--encrypt-to", "age1x"]);
    let _ = run.env("S3PIPE_AGE", age).run();
    // What gives keys.
    let (id, key) = (&site.server.id, &site.server.key);
    let answer = format!(r#"{{"Version": 1, "AccessKeyId": "{id}", "SecretAccessKey": "{key}"}}"#);
    let program = keys.script("keys", &format!("{say}; echo '{answer}'"));
    let config = format!("[profile p]\ncredential_process = '{program}'\n");
    let config = keys.file("config", config);
    let run = limited(site.run("list").without("-s")).env("AWS_CONFIG_FILE", config);
    run.option("--profile", "p").run().ok();
    let said = fs::read_to_string(path("said")).expect("what was said");
    assert_eq!(said, "7\n".repeat(3));
}

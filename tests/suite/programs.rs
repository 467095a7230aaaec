//! Commands behind `--`: their exit status decides, they get their arguments
//! as they stand and no shell, and none of them outlives s3pipe.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::faults::site::{BLOCK, Site, blocks, on};
use crate::proxy::{Answer, Fault};
use crate::support::{Run, Server, assert_same, random, s3pipe};

/// `upload -- sh -c SCRIPT`, or the same of another command word.
fn shell(site: &Site, word: &str, script: &str) -> Run {
    site.run(word).args(["--", "sh", "-c", script])
}

/// A path in a script.
fn path(site: &Site, name: &str) -> String {
    let path = site.scratch.path().join(name);
    path.to_str().expect("a UTF-8 path").into()
}

/// This data in a file, for a script.
fn file(site: &Site, data: &[u8]) -> String {
    site.scratch.file("data", data);
    path(site, "data")
}

/// Whether the process whose id is in this file is there, a zombie included.
fn alive(pid_file: &str) -> bool {
    let pid = fs::read_to_string(pid_file).expect("a process id");
    let mut kill = Command::new("kill");
    kill.args(["-s", "0", pid.trim()]).stderr(Stdio::null());
    kill.status().expect("kill runs").success()
}

fn incomplete(server: &Server) -> String {
    let out = s3pipe(server).args(["list", "--incomplete"]).run().ok();
    out.text().into()
}

fn make_fifo(at: &str) {
    let made = Command::new("mkfifo").arg(at).status();
    assert!(made.expect("mkfifo runs").success());
}

#[test]
fn a_producer_that_succeeds_is_committed() {
    let (site, data) = (Site::new(), blocks(3));
    let script = format!("echo a word >&2; cat {}", file(&site, &data));
    let out = shell(&site, "upload", &script).run();
    // Its stderr is its own, and s3pipe has nothing to add.
    assert_eq!((out.status, out.stderr.as_str()), (0, "a word\n"), "{out}");
    site.assert_holds("export", &data);
    // It has our stdin, and may be a filter.
    let run = site.upload(&data).args(["-f", "--", "cat"]);
    run.run().ok();
    site.assert_holds("export", &data);
}

#[test]
fn a_producer_that_fails_is_not() {
    let (site, data) = (Site::new(), blocks(3));
    let data = file(&site, &data);
    for (end, why) in [
        ("exit 1", "failed with exit status 1"),
        ("exit 255", "failed with exit status 255"),
        ("kill -s KILL $$", "was killed by signal 9"),
        ("kill -s TERM $$", "was killed by signal 15"),
    ] {
        let script = format!("cat {data}; {end}");
        let out = shell(&site, "upload", &script).run();
        let out = out.fails(65, &format!("command 'sh': {why}"));
        assert!(out.stderr.contains("nothing was committed"), "{out}");
        site.assert_nothing_committed();
    }
    assert_eq!(site.seen("PUT", "/manifest/"), []);
    let out = s3pipe(&site.server).arg("list").run().ok();
    assert_eq!(out.text(), "");
    let left = incomplete(&site.server);
    assert_eq!(left.lines().count(), 4, "{left}");
    assert!(left.lines().all(|line| line.ends_with("\texport")));

    let out = shell(&site, "upload", "echo oops >&2; echo data; exit 2").run();
    assert_eq!(out.status, 65, "{out}");
    let last = out.stderr.strip_prefix("oops\n").expect("its own line");
    assert!(last.starts_with("s3pipe: command 'sh': "), "{out}");
    assert_eq!(last.lines().count(), 1, "{out}");
}

#[test]
fn a_producer_that_fails_leaves_the_old_stream() {
    let old = blocks(2);
    let site = Site::with(&old);
    let script = format!("cat {}; exit 1", file(&site, &blocks(3)));
    let run = shell(&site, "upload", &script);
    run.run().fails(73, "exists already");
    let run = site.run("upload").args(["-f", "--", "sh", "-c", &script]);
    run.run().fails(65, "failed with exit status 1");
    site.assert_holds("export", &old);
}

#[test]
fn a_producer_of_nothing_or_too_much() {
    let site = Site::new();
    let run = site.run("upload").args(["--", "true"]);
    run.run().fails(65, "the stream is empty");
    assert_eq!(site.server.objects(), Vec::<String>::new());
    let pid = path(&site, "pid");
    let script = format!("echo $$ >{pid}; exec cat /dev/zero");
    let run = site.run("upload").args(["--size", "200000"]);
    let run = run.args(["--", "sh", "-c", &script]);
    run.run().fails(65, "longer than --size");
    assert!(!alive(&pid));
    site.assert_nothing_committed();
}

#[test]
fn what_cannot_be_started() {
    let site = Site::with(b"x");
    let plain = file(&site, b"true\n");
    for command in ["/no/such/program", "no-such-program", &plain, "/", ""] {
        for (word, stream) in [("upload", "new"), ("download", "export")] {
            let run = site.run(word).option("-s", stream).args(["--", command]);
            let why = format!("command '{command}': not started: ");
            assert_eq!(run.run().fails(65, &why).stdout, b"");
        }
    }
    // Of the uploads nothing is left, not even a record.
    assert_eq!(site.server.objects().len(), 3);
    site.run("upload").arg("--").run().fails(64, "--");
    let run = site.run("info").args(["--", "true"]);
    run.run().fails(64, "not for info");
}

#[test]
fn arguments_are_kept_and_no_shell_sees_them() {
    let site = Site::new();
    let odd = [
        "-s", "a  b", "$HOME", "*", "", "--", "-f", "ü", "`id`", "a\nb",
    ];
    let run = site.run("upload").args(["--", "printf", "<%s>"]);
    run.args(odd).run().ok();
    let expected: String = odd.iter().map(|arg| format!("<{arg}>")).collect();
    site.assert_holds("export", expected.as_bytes());
    let run = site.run("upload").args(["-f", "--", "echo x | cat"]);
    run.run().fails(65, "command 'echo x | cat': not started");
    site.assert_holds("export", expected.as_bytes());

    let script = r#"cat >/dev/null; printf "<%s>" "$@""#;
    let run = site.run("download").args(["--", "sh", "-c", script, "sh"]);
    assert_eq!(run.args(odd).run().ok().text(), expected);
}

/// It closes its stdout, and only then comes to its end.
#[test]
fn a_producer_is_waited_for() {
    let (site, data) = (Site::new(), blocks(2));
    let script = format!("cat {}; exec >&-; read end; exit $end", file(&site, &data));
    for (n, (end, status)) in [("3\n", 65), ("0\n", 0)].into_iter().enumerate() {
        let mut running = shell(&site, "upload", &script).stdin_open().spawn();
        site.wait_for("PUT", "/block/", 3 * (n + 1));
        assert_eq!(site.seen("PUT", "/manifest/"), []);
        running.feed(end.as_bytes());
        let out = running.wait();
        assert_eq!(out.status, status, "{out}");
        assert_eq!(site.count("/manifest/"), usize::from(status == 0));
    }
    site.assert_holds("export", &data);

    let run = shell(&site, "upload", &script).option("-s", "other");
    let running = run.stdin_open().spawn();
    site.wait_for("PUT", "/block/other/", 3);
    running.signal("TERM");
    // The command waits for its stdin, which is ours, as long as we do.
    running.wait_for_stderr("stopped by SIGTERM");
    running.wait().fails(143, "nothing committed");
    assert_eq!(site.count("/manifest/other"), 0);
}

/// A command that writes its process id and then data without an end.
fn endless(pid: &str) -> String {
    format!("echo $$ >{pid}; exec cat /dev/zero")
}

#[test]
fn a_producer_does_not_outlive_us() {
    let site = Site::new();
    let pid = path(&site, "pid");
    let running = shell(&site, "upload", &endless(&pid)).spawn();
    site.wait_for("PUT", "/block/", 2);
    assert!(alive(&pid));
    running.signal("TERM");
    let out = running.wait().fails(143, "stopped by SIGTERM");
    assert!(out.stderr.contains("nothing committed"), "{out}");
    assert!(!alive(&pid));

    let denied = Fault::Status(Answer::access_denied());
    site.proxy.always(on("PUT", "/block/"), denied);
    let out = shell(&site, "upload", &endless(&pid)).run();
    out.fails(77, "AccessDenied");
    assert!(!alive(&pid));
    site.proxy.clear();

    // One that has nothing to say, and does not care for signals.
    let deaf = format!("trap '' TERM; echo $$ >{pid}; head -c {BLOCK} /dev/zero; exec sleep 999");
    let running = shell(&site, "upload", &deaf).option("-s", "deaf").spawn();
    site.wait_for("PUT", "/block/deaf/", 1);
    running.signal("TERM");
    running.wait().fails(143, "stopped by SIGTERM");
    assert!(!alive(&pid));
    site.assert_nothing_committed();
}

#[test]
fn a_consumer_gets_the_stream() {
    let data = blocks(5);
    let site = Site::with(&data);
    let out = path(&site, "out");
    let script = format!("cat >{out}; echo a word >&2");
    let end = shell(&site, "download", &script).run();
    assert_eq!((end.status, end.stderr.as_str()), (0, "a word\n"), "{end}");
    assert_same(&fs::read(&out).expect("its output"), &data);
    // Its stdout is ours.
    let run = site.run("download").args(["--", "cat"]);
    assert_same(&run.run().ok().stdout, &data);
    let range = ["--offset", "65530", "--length", "9", "--", "cat"];
    let run = site.run("download").args(range);
    assert_same(&run.run().ok().stdout, &data[65530..65539]);
}

#[test]
fn a_consumer_is_waited_for() {
    let site = Site::with(&blocks(1));
    let fifo = path(&site, "fifo");
    make_fifo(&fifo);
    // The end of its stdin comes long before its own.
    let script = format!("cat >/dev/null; read end <{fifo}; exit $end");
    for (end, status) in [("0\n", 0), ("9\n", 65)] {
        let running = shell(&site, "download", &script).spawn();
        // Opens once the stream has been read to its end.
        fs::write(&fifo, end).expect("a reader");
        let out = running.wait();
        assert_eq!(out.status, status, "{out}");
        assert_eq!(out.stderr.contains("exit status 9"), status == 65, "{out}");
    }
}

#[test]
fn a_consumer_that_fails() {
    let data = random(1, 4 << 20);
    let site = Site::with(&data);
    for (script, status, why) in [
        ("cat >/dev/null; exit 7", 65, "failed with exit status 7"),
        (
            "cat >/dev/null; kill -s KILL $$",
            65,
            "was killed by signal 9",
        ),
        ("exit 3", 65, "failed with exit status 3"),
        (
            "head -c 1 >/dev/null; exit 4",
            65,
            "failed with exit status 4",
        ),
        ("kill -s KILL $$", 65, "was killed by signal 9"),
        // Content with less than all: but the whole was not delivered.
        ("exec head -c 1 >/dev/null", 74, "Broken pipe"),
        ("exit 0", 74, "Broken pipe"),
    ] {
        let out = shell(&site, "download", script).run();
        let out = out.fails(status, &format!("command 'sh': {why}"));
        assert!(out.stderr.contains("bytes were written"), "{out}");
    }
}

#[test]
fn a_consumer_is_not_started_for_nothing() {
    let site = Site::with(&blocks(1));
    let out = path(&site, "out");
    let script = format!("echo >{out}; cat");
    let run = shell(&site, "download", &script).option("-s", "none");
    run.run().fails(66, "no such stream");
    let run = site.run("download").args(["--offset", "999999"]);
    let run = run.args(["--", "sh", "-c", &script]);
    run.run().fails(65, "the stream has 69857 bytes only");
    assert!(!Path::new(&out).exists());
}

#[test]
fn a_consumer_does_not_outlive_us() {
    let data = random(1, 4 << 20);
    let site = Site::with(&data);
    let pid = path(&site, "pid");
    let fifo = path(&site, "fifo");
    make_fifo(&fifo);
    // It reads nothing at all.
    let script = format!("echo $$ >{pid}; echo >{fifo}; exec sleep 999");
    let running = shell(&site, "download", &script).spawn();
    fs::read(&fifo).expect("its line");
    running.signal("TERM");
    running.wait().fails(143, "stopped by SIGTERM");
    assert!(!alive(&pid));

    // A block that is not what it must be: what it got is true, and too little.
    let objects = site.server.objects();
    let key = objects.iter().find(|key| key.contains("/0000000003."));
    let at = site.server.object(key.expect("a block"));
    let mut block = fs::read(&at).expect("a block");
    block[5] ^= 1;
    fs::write(&at, block).expect("a block");
    let out = path(&site, "out");
    let script = format!("echo $$ >{pid}; exec cat >{out}");
    shell(&site, "download", &script)
        .option("--patience", "1s")
        .run()
        .fails(65, "/0000000003.");
    assert!(!alive(&pid));
    let got = fs::read(&out).expect("its output");
    assert_same(&got, &data[..got.len()]);
    assert!(got.len() <= 3 * BLOCK);
}

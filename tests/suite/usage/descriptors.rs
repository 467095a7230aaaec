//! The standard descriptors in every state that a shell can leave them in: the
//! status is right even where there is nowhere to say why, and nothing panics.

use std::fs::File;
use std::process::Command;

use super::Trap;
use crate::support::{BUCKET, Scratch, Server, s3pipe, s3pipe_alone};

#[test]
fn help_and_version() {
    let trap = Trap::new();
    let version = format!("s3pipe {}\n", env!("CARGO_PKG_VERSION"));
    for args in [&["-V"][..], &["--version"], &["list", "-V", "extra"]] {
        let outcome = trap.run(args, &[]).ok();
        assert_eq!(outcome.text(), version);
    }
    let help = trap.run(&["-h"], &[]).ok();
    assert!(help.text().starts_with("usage: s3pipe "), "{help}");
    assert!(help.text().lines().all(|line| line.len() < 80), "{help}");
    for word in "upload download list info delete createbucket deletebucket -b -s -k -f \
                 --patience -H --encrypt-to --progress -V"
        .split_whitespace()
    {
        assert!(help.text().contains(word), "{word}: {help}");
    }
    for args in [&["--help"][..], &["-h", "uplaod"], &["-hV"]] {
        assert_eq!(trap.run(args, &[]).ok().stdout, help.stdout);
    }
    for option in ["-h", "-V"] {
        let full = File::options().write(true).open("/dev/full");
        let run = s3pipe_alone(trap.scratch.path()).arg(option);
        let run = run.stdout_to(full.expect("/dev/full"));
        run.run().fails(74, "stdout: ");
    }
}

/// Status of a run by sh(1) with these redirections.
fn redirected(server: &Server, redirections: &str, args: &[&str]) -> i32 {
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("exec \"$0\" \"$@\" {redirections}")])
        .arg(env!("CARGO_BIN_EXE_s3pipe"))
        .args(args)
        .env_clear()
        .env("HOME", &server.home)
        .env("AWS_ACCESS_KEY_ID", &server.id)
        .env("AWS_SECRET_ACCESS_KEY", &server.key)
        .env("AWS_ENDPOINT_URL", &server.endpoint)
        .status();
    let status = status.expect("sh runs").code();
    status.expect("a status, not a signal")
}

#[test]
fn closed_descriptors() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let stored = s3pipe(&server).args(["upload", "-s", "n"]).stdin("data");
    stored.run().ok();
    let kept = server.objects();
    let run = |redirections: &str, args: &[&str]| {
        println!("{redirections} {args:?}");
        redirected(&server, redirections, args)
    };
    // There is nowhere to say it, but the status says it.
    for redirections in ["2>&-", "2>/dev/full", "<&- >&- 2>&-"] {
        assert_eq!(run(redirections, &["uplaod"]), 64);
        assert_eq!(run(redirections, &["info", "-b", BUCKET, "-s", "gone"]), 66);
    }
    // Every request is told on stderr, which is not there.
    assert_eq!(run("2>&- >/dev/null", &["list", "-v", "-b", BUCKET]), 0);
    // A closed stdin is an empty stream, and none is committed.
    let upload = ["upload", "-b", BUCKET, "-s", "m"];
    for redirections in ["<&- 2>/dev/null", "</dev/null 2>/dev/null", "<&- 2>&-"] {
        assert_eq!(run(redirections, &upload), 65);
        assert_eq!(server.objects(), kept);
    }
    assert_eq!(run("</ 2>/dev/null", &upload), 74);
    assert_eq!(server.objects(), kept);
    let download = ["download", "-b", BUCKET, "-s", "n"];
    assert_eq!(run(">/dev/full 2>/dev/null", &download), 74);
    assert_eq!(run(">/dev/full 2>/dev/null", &["list", "-b", BUCKET]), 74);
}

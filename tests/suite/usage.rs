//! Mistakes on the command line: status 64 (78 where a setting is unusable),
//! one line that says what and why, nothing on stdout, and not one connection.

mod descriptors;
mod headers;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::proxy::{Answer, Fault, Match, Proxy};
use crate::support::{Outcome, Scratch, s3pipe_alone};

/// A home for s3pipe, and a service that nothing may ever connect to.
struct Trap {
    scratch: Scratch,
    service: Proxy,
}

impl Trap {
    fn new() -> Trap {
        let nobody = "127.0.0.1:9".parse().expect("an address");
        let service = Proxy::start(nobody);
        // Where a mistake is not noticed, at least the run ends.
        let answer = Fault::Status(Answer::access_denied());
        service.always(Match::any(), answer);
        let scratch = Scratch::new();
        Trap { scratch, service }
    }

    /// Runs s3pipe with credentials and the trap as its service.
    fn run(&self, args: &[impl AsRef<OsStr>], env: &[(&str, &str)]) -> Outcome {
        let mut run = s3pipe_alone(self.scratch.path())
            .env("AWS_ACCESS_KEY_ID", "TRAPID")
            .env("AWS_SECRET_ACCESS_KEY", "trapsecret")
            .env("AWS_ENDPOINT_URL", self.service.url());
        for (name, value) in env {
            run = run.env(name, value);
        }
        let outcome = run.args(args).run();
        let connections = self.service.connections();
        assert_eq!(connections, 0, "it connected: {outcome}");
        outcome
    }

    /// The mistake is told in one clean line, and has this status.
    #[track_caller]
    fn refuses(&self, status: i32, args: &[&str], text: &str) {
        self.refuses_in(&[], status, args, text);
    }

    #[track_caller]
    fn refuses_in(&self, env: &[(&str, &str)], status: i32, args: &[&str], text: &str) {
        // Shown where the test fails.
        println!("{env:?} {args:?}");
        let outcome = self.run(args, env).fails(status, text);
        assert!(outcome.stdout.is_empty(), "{outcome}");
        let line = outcome.stderr.trim_end_matches('\n');
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(!line.ends_with('.'), "{line:?}");
        assert!(
            line.strip_prefix("s3pipe: ").is_some_and(is_reason),
            "{line:?}"
        );
    }
}

/// `what: why`.
fn is_reason(text: &str) -> bool {
    let parts = text.split_once(": ");
    parts.is_some_and(|(what, why)| !what.is_empty() && !why.is_empty())
}

#[test]
fn commands_and_operands() {
    let trap = Trap::new();
    let cases: [(&[&str], &str); 12] = [
        (&[], "command: missing"),
        (&["-b", "b"], "command: missing"),
        (&["--"], "command: missing"),
        (&["uplaod", "-b", "b"], "'uplaod': no such command"),
        (&["LIST", "-b", "b"], "'LIST': no such command"),
        (&["--", "-b", "b", "list"], "command: missing"),
        (&["upload", "--"], "--: needs a command"),
        (&["list", "--", "true"], "--: not for list"),
        (
            &["list", "extra", "-b", "b"],
            "'extra': one command, and no operands",
        ),
        (&["info", "list"], "'list': one command, and no operands"),
        (
            &["delete", "-b", "b", "-s", "one", "two"],
            "'two': one command, and no operands",
        ),
        (&["-", "list"], "'-': no such command"),
    ];
    for (args, text) in cases {
        trap.refuses(64, args, text);
    }
}

/// As `s3pipe "$COMMAND"` in a script in which that is not set.
#[test]
fn an_empty_command_is_named_too() {
    let trap = Trap::new();
    trap.refuses(64, &["", "-b", "b"], "command");
    trap.refuses(64, &["list", "", "-b", "b"], "no operands");
}

#[test]
fn options_and_their_values() {
    let trap = Trap::new();
    let cases: [(&[&str], &str); 14] = [
        (&["list", "-x"], "-x: no such option"),
        (&["list", "-qx"], "-x: no such option"),
        (&["list", "--bogus"], "--bogus: no such option"),
        (&["list", "--buck", "b"], "--buck: no such option"),
        (&["list", "--bogus=1"], "--bogus: no such option"),
        (&["list", "-b"], "-b: needs a value"),
        (&["list", "--region"], "--region: needs a value"),
        (&["list", "-b", ""], "--bucket: is empty"),
        (&["info", "-b", "b", "-s", ""], "--stream: is empty"),
        (&["list", "--region="], "--region: is empty"),
        (&["upload", "--force=yes"], "--force: takes no value"),
        (
            &["list", "-b", "b", "--addressing", "dns"],
            "--addressing: is",
        ),
        (&["list", "-b", "b", "--signature", "v3"], "--signature: is"),
        (&["list", "-b", "b", "--signature", "V4"], "--signature: is"),
    ];
    for (args, text) in cases {
        trap.refuses(64, args, text);
    }
    let valued = "bucket stream keyfile profile region endpoint prefix addressing blocksize \
                  patience retry timeout min-size size signature ca-file \
                  offset length older-than";
    for name in valued.split_whitespace() {
        let option = format!("--{name}");
        let text = format!("{option}: given twice");
        trap.refuses(64, &["upload", &option, "1", &option, "1"], &text);
    }
    let two = ["list", "-b", "b", "-k", "f", "--profile", "p"];
    trap.refuses(64, &two, "--profile: not together with --keyfile");
    // By either name, and with the same value.
    trap.refuses(64, &["list", "-b", "b", "--bucket=b"], "--bucket: given");
}

#[test]
fn options_that_the_command_has_no_use_for() {
    let trap = Trap::new();
    let cases: [(&str, &[&str]); 22] = [
        ("-s n", &["list", "createbucket", "deletebucket"]),
        ("--prefix p/", &["createbucket", "deletebucket"]),
        (
            "--blocksize 1M",
            &["download", "list", "info", "delete", "createbucket"],
        ),
        (
            "-f",
            &["download", "list", "info", "createbucket", "deletebucket"],
        ),
        ("--min-size 1", &["download", "list", "info", "delete"]),
        ("--size 1", &["download", "list", "info", "delete"]),
        ("-l", &["upload", "download", "info", "delete"]),
        ("--raw", &["upload", "list", "delete", "createbucket"]),
        ("--encrypt-to a", &["download", "info", "verify", "list"]),
        ("--identity f", &["upload", "info", "verify", "list"]),
        ("--hmac-keyfile f", &["delete", "clean", "createbucket"]),
        ("--sign-key f", &["download", "info", "verify", "list"]),
        ("--allowed-signers f", &["upload", "delete", "clean"]),
        ("--signer s", &["upload", "delete", "clean"]),
        ("--resume", &["download", "list", "verify", "clean"]),
        ("--offset 1", &["upload", "list", "info", "delete", "clean"]),
        ("--length 1", &["upload", "list", "info", "delete", "clean"]),
        ("--incomplete", &["upload", "info", "clean", "delete"]),
        ("--quick", &["upload", "download", "list", "info", "delete"]),
        ("--older-than 1d", &["upload", "list", "delete", "verify"]),
        (
            "-n",
            &["upload", "list", "delete", "verify", "deletebucket"],
        ),
        ("--progress", &["list", "info", "delete", "createbucket"]),
    ];
    for (option, commands) in cases {
        for command in commands {
            let mut args = vec![*command, "-b", "b"];
            args.extend(option.split(' '));
            trap.refuses(64, &args, &format!(": not for {command}"));
        }
    }
}

#[test]
fn numbers_sizes_and_times() {
    let trap = Trap::new();
    let upload = |option: &str, value: &str, text: &str| {
        let option = format!("{option}={value}");
        trap.refuses(64, &["upload", "-b", "b", "-s", "n", &option], text);
    };
    let sizes = [
        "x",
        "-1",
        "+1",
        "1.5M",
        "1MB",
        "0x10",
        "M",
        "1 M",
        " 1M",
        "16777216T",
        "18446744073709551616",
        "99999999999999999999999",
        "١",
        "1\u{1b}[2J",
    ];
    for option in ["--blocksize", "--min-size", "--size"] {
        for bad in sizes {
            upload(option, bad, &format!("{option}: '"));
        }
    }
    for bad in ["0", "1", "63", "64K1", "1025M", "1048577", "2G", "63K"] {
        upload("--blocksize", bad, "--blocksize: ");
    }
    for option in ["--patience", "--timeout"] {
        for bad in ["x", "-1", "1.5h", "h", "1h30m", "1y", "1w", "99999999999d"] {
            upload(option, bad, &format!("{option}: '{bad}' is no time"));
        }
    }
    upload("--timeout", "0", "--timeout: must be more than 0");
    for bad in ["x", "-1", "1.0", "4294967296", "1k"] {
        upload("--retry", bad, "--retry: not a number");
    }
    let both = ["--size=1M", "--min-size=2M"];
    let args = ["upload", "-b", "b", "-s", "n", both[0], both[1]];
    trap.refuses(64, &args, "--size: is less than --min-size");
}

#[test]
fn buckets_streams_and_prefixes() {
    let trap = Trap::new();
    trap.refuses(64, &["list"], "--bucket: missing");
    trap.refuses(64, &["upload", "-b", "b"], "--stream: missing");
    // What removes takes its target from the command line only.
    let env = [("S3PIPE_BUCKET", "b"), ("S3PIPE_STREAM", "n")];
    trap.refuses_in(&env, 64, &["deletebucket"], "--bucket: missing");
    trap.refuses_in(&env, 64, &["delete"], "--stream: missing");
    let long = "x".repeat(256);
    let buckets = [
        "a/b", "a b", "../b", ".b", "-b", "a%2f", "ü", "a?b", "a#b", "a@b", "a:b", "a\nb", "a\\b",
        &long,
    ];
    for bad in buckets {
        trap.refuses(64, &["list", &format!("--bucket={bad}")], "bucket '");
        trap.refuses_in(&[("S3PIPE_BUCKET", bad)], 64, &["list"], "bucket '");
    }
    for bad in ["s3://", "s3://b", "s3://b/", "s3:///n"] {
        trap.refuses(64, &["info", "-s", bad], "--stream: a URL is");
    }
    let two = ["info", "-b", "a", "-s", "s3://b/n"];
    trap.refuses(64, &two, "--stream: names another bucket");
    for (bad, text) in [
        ("x".repeat(201), "too long"),
        ("ü".repeat(34), "too long"),
        ("\n".repeat(67), "too long"),
    ] {
        trap.refuses(64, &["upload", "-b", "b", "-s", &bad], text);
    }
    let long = "x".repeat(601);
    let prefixes = [
        "/", "/a", "a//b", "..", "a/../b", "./a", "a/.", "a\nb", "a\u{9b}b", &long,
    ];
    for bad in prefixes {
        let args = ["list", "-b", "b", &format!("--prefix={bad}")];
        trap.refuses(64, &args, "--prefix: ");
    }
    let later = [("DUMP_VOLUME", "2")];
    let args = ["upload", "-f", "-b", "b", "-s", "export.1"];
    trap.refuses_in(&later, 64, &args, "--force: DUMP_VOLUME is 2");
}

#[test]
fn endpoints_regions_and_certificates() {
    let trap = Trap::new();
    let endpoints = [
        "ftp://h",
        "http:/h",
        "http://",
        "https:///b",
        "http://a b",
        "http://h?x",
        "http://h/?x",
        "http://h/a#b",
        "http://h/%2e",
        "h:",
        "http://h\u{1b}[2J",
    ];
    for bad in endpoints {
        let args = ["list", "-b", "b", "--endpoint", bad];
        trap.refuses(78, &args, "endpoint ");
        let env = [("AWS_ENDPOINT_URL", bad)];
        trap.refuses_in(&env, 78, &["list", "-b", "b"], "endpoint ");
    }
    for bad in ["evil.example/", "a b", "a\nb", "x/../y", &"x".repeat(65)] {
        let region = format!("--region={bad}");
        trap.refuses(78, &["list", "-b", "b", &region], "region: ");
    }
    let bad = [("S3PIPE_INDEX_BLOCKS", "0")];
    trap.refuses_in(&bad, 78, &["list", "-b", "b"], "S3PIPE_INDEX_BLOCKS: must");

    let url = trap.service.url().replace("http:", "https:");
    let empty = trap.scratch.file("empty.pem", "");
    let other = trap.scratch.file("other.pem", "no certificate\n");
    let gone = trap.scratch.fresh("gone.pem");
    for path in [&*empty, &other, &gone, trap.scratch.path()] {
        let path = path.to_str().expect("a UTF-8 path");
        let args = ["list", "-b", "b", "--endpoint", &url, "--ca-file", path];
        trap.refuses(78, &args, &format!("{path}: "));
        let env = [("AWS_ENDPOINT_URL", &*url), ("AWS_CA_BUNDLE", path)];
        trap.refuses_in(&env, 78, &["list", "-b", "b"], &format!("{path}: "));
    }
}

/// What is no host and port must be told at once and as what it is: an
/// endpoint that is misspelt in a crontab is no outage to be waited out.
#[test]
fn endpoints_that_are_no_host_and_port() {
    let trap = Trap::new();
    let endpoints = [
        "http://127.0.0.1:port",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:1:2",
        "http://127.0.0.1:0",
        "http://[::1",
        "http://::1",
    ];
    for bad in endpoints {
        let brief = ["--patience=1s", "--timeout=1s"];
        let args = ["list", "-b", "b", "--endpoint", bad, brief[0], brief[1]];
        trap.refuses(78, &args, "endpoint ");
    }
}

/// Some tools take a password in the URL, and users try that.
#[test]
fn a_password_in_an_endpoint_is_not_shown() {
    let trap = Trap::new();
    let env = [("AWS_ENDPOINT_URL", "https://user:hush@h")];
    let outcome = trap.run(&["list", "-b", "b"], &env).fails(78, "endpoint");
    assert!(!outcome.stderr.contains("hush"), "{outcome}");
}

#[test]
fn what_comes_in_is_shown_without_control_characters() {
    let trap = Trap::new();
    for evil in [
        "\u{1b}[2J",
        "a\nb: c",
        "a\rb",
        "\u{7}",
        "\u{9b}31m",
        "\u{7f}",
    ] {
        trap.refuses(64, &[evil], "no such command");
        trap.refuses(64, &["list", evil], "no operands");
        trap.refuses(64, &["list", &format!("--{evil}")], "no such option");
        let args = ["list", "-b", "b", "-k", evil];
        trap.refuses(78, &args, "no such file");
        let args = ["list", "-b", "b", "--profile", evil];
        trap.refuses(78, &args, "not in ");
    }
    let bytes: [&[u8]; 4] = [b"\xff", b"--bucket=\xfe", b"list\x80", b"-b\xc3\x28"];
    for bad in bytes {
        let args = [OsStr::from_bytes(bad), OsStr::new("list")];
        let outcome = trap.run(&args, &[]).fails(64, "not UTF-8");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
}

//! Key files as users of the Java s3pipe wrote them, end to end: the server
//! checks that the secret which arrives is the one that was meant.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{ear, keys, private};
use crate::proxy::Proxy;
use crate::support::{BUCKET, Scratch, Server, s3pipe_alone};

/// The embedded server with keys of the test's choice.
struct Keyed {
    child: Child,
    endpoint: String,
}

impl Keyed {
    fn start(scratch: &Scratch, id: &str, secret: &str) -> Keyed {
        let root = scratch.fresh("s3");
        fs::create_dir_all(root.join(BUCKET)).expect("a folder");
        let child = Command::new(program())
            .arg("--root")
            .arg(root)
            .args(["--access-key", id, "--secret-key", secret])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("s3-server starts");
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        stdout.read_line(&mut line).expect("its line");
        let port = line.trim_end().strip_prefix("listening ");
        let endpoint = format!("http://127.0.0.1:{}", port.expect("its port"));
        Keyed { child, endpoint }
    }
}

impl Drop for Keyed {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// As the harness finds it.
fn program() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    match env::var_os("S3PIPE_TEST_SERVER") {
        Some(program) => program.into(),
        None => tests.join("server/target/release/s3-server"),
    }
}

/// What a key file says, as java.util.Properties reads it: the id is AKID.
const FILES: [(&[u8], &str); 18] = [
    (b"aws.id=AKID\naws.key=plain/secret+\n", "plain/secret+"),
    (b"aws.id = AKID\naws.key = a=b==", "a=b=="),
    (b"aws.id: AKID\naws.key: a:b=c\n", "a:b=c"),
    (b"aws.id : AKID\naws.key : :a\n", ":a"),
    (b"aws.id AKID\naws.key a b  c\n", "a b  c"),
    (b"\taws.id\tAKID\n  aws.key\t \t=\t a\tb\n", ""),
    (
        b"# id=OTHER\n! aws.id=OTHER\n\n  # x\naws.id=AKID\naws.key=#!a#b!\n",
        "#!a#b!",
    ),
    (
        b"aws.id=AKID\naws.key=a\\\\b\\=c\\:d\\#\\!\\q\n",
        "a\\b=c:d#!q",
    ),
    (b"aws.id=AKID\r\naws.key=a=b\r\n", "a=b"),
    (b"aws.id=AKID\raws.key=a b\r", "a b"),
    (b"aws.id=AK\\\n    ID\naws.key=a\\\r\n\tb\\\n\n", "ab"),
    (
        b"aws.\\u0069d=\\u0041KID\naws.key=\\u0061\\u003D\\u00e9\n",
        "a=\u{e9}",
    ),
    (
        b"# Schl\xfcssel\naws.id=AKID\naws.key=caf\xe9\n",
        "caf\u{e9}",
    ),
    (
        b"# Schl\xc3\xbcssel\naws.id=AKID\naws.key=caf\xc3\xa9\n",
        "caf\u{e9}",
    ),
    (b"\xef\xbb\xbfaws.id=AKID\naws.key=bom\n", "bom"),
    (b"aws.id=AKID  \naws.key=trailing\t \n", "trailing"),
    (
        b"aws.id=OLD\naws.key=old\naws.id=AKID\naws.key=new\n",
        "new",
    ),
    (
        b"aws.key=reversed\nunknown=1\nawsid=2\naws.id=AKID",
        "reversed",
    ),
];

#[test]
fn as_java_reads_them() {
    let scratch = Scratch::new();
    for (text, secret) in FILES {
        println!("{}", String::from_utf8_lossy(text));
        let file = private(scratch.fresh("keys"), text);
        let run = s3pipe_alone(scratch.path()).option("-k", &file);
        let run = run.args(["list", "-b", BUCKET]);
        if secret.is_empty() {
            // A tab within a secret is a mistake, not a secret.
            let run = run.option("--endpoint", "http://127.0.0.1:9");
            run.run().fails(78, ":2: aws.key has a control character");
            continue;
        }
        let server = Keyed::start(&scratch, "AKID", secret);
        run.option("--endpoint", &server.endpoint).run().ok();
    }
}

#[test]
fn all_that_a_job_needs() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let proxy = Proxy::start(server.addr());
    let text = format!(
        "aws.id={}\naws.key={}\nbucket={BUCKET}\nstream=bacula-/export\nendpoint={}\n\
         region=eu-1\nprefix=backup/\n",
        server.id,
        server.key,
        proxy.url().replace(':', "\\:")
    );
    private(server.home.join(".s3pipe.properties"), text);
    let run = |command: &str| s3pipe_alone(&server.home).arg(command);
    run("upload").stdin("data").run().ok();
    assert_eq!(run("download").run().ok().text(), "data");
    assert_eq!(run("list").run().ok().text(), "bacula-/export\n");
    assert!(run("info").run().ok().text().contains("bacula-/export"));
    for seen in proxy.seen() {
        let (id, region) = super::signer(&seen);
        assert_eq!((id.as_str(), region.as_str()), (&*server.id, "eu-1"));
    }
    let keys = server.objects();
    let manifest = "backup/manifest/bacula-_2Fexport".to_string();
    assert!(keys.contains(&manifest), "{keys:?}");
    assert!(keys.iter().all(|key| key.starts_with("backup/")));
    // What removes must be told on the command line.
    run("delete").run().fails(64, "--stream: missing");
    run("deletebucket").run().fails(64, "--bucket: missing");
    run("download")
        .args(["-s", "other"])
        .run()
        .fails(66, "manifest/other");
    let other = run("download").env("S3PIPE_STREAM", "variable");
    other.run().fails(66, "manifest/variable");
    run("delete").args(["-s", "bacula-/export"]).run().ok();
    assert!(server.objects().is_empty());
}

#[test]
fn files_that_cannot_be_used() {
    let scratch = Scratch::new();
    let fails = |path: &str, text: &str| {
        println!("{path}: {text}");
        for named in [true, false] {
            let run = s3pipe_alone(scratch.path()).args(["list", "-b", BUCKET]);
            let run = match named {
                true => run.option("--keyfile", path),
                false => run.env("S3PIPE_KEYFILE", path),
            };
            let outcome = run.run().fails(78, &format!("s3pipe: {path}{text}"));
            assert!(!outcome.stderr.contains("hu"), "{outcome}");
        }
    };
    fails(
        scratch.fresh("gone").to_str().expect("UTF-8"),
        ": no such file",
    );
    fails(scratch.path().to_str().expect("UTF-8"), ": Is a directory");
    let large = "#".repeat(64 * 1024 + 1);
    for (text, expected) in [
        ("", ": aws.id is not set"),
        ("aws.id=A\n", ": aws.key is not set"),
        ("aws.key=hush\n", ": aws.id is not set"),
        ("aws.id=A\naws.key=\n", ": aws.key is not set"),
        ("aws.id=A\n\naws.key=hush\\u12g4\n", ":3: malformed"),
        ("aws.id=A\naws.key=hu\\nsh\n", ":2: aws.key goes on"),
        ("aws.id=A\naws.key=h\naws.keyhush\n", ":3: unknown setting"),
        ("aws.id=A\naws.secret=hush\n", ":2: unknown setting"),
        ("aws.id=hu sh\naws.key=hush\n", ": aws.id has a character"),
        ("aws.id=A\naws.key=h\nregion=hu\\u0007\n", ":3: region has"),
        (large.as_str(), ": larger than 64 KiB"),
    ] {
        fails(&private(scratch.fresh("keys"), text), expected);
    }
    let locked = private(scratch.fresh("locked"), keys("A"));
    fs::set_permissions(&locked, fs::Permissions::from_mode(0o000)).expect("its mode");
    match fs::File::open(&locked) {
        Ok(_) => eprintln!("mode 0 does not keep root from reading: not tested"),
        Err(_) => fails(&locked, ": Permission denied"),
    }
}

/// The system's reasons come in its words alone, as everywhere else.
#[test]
fn reasons_have_no_numbers() {
    let scratch = Scratch::new();
    let folder = scratch.path().to_str().expect("UTF-8");
    let run = s3pipe_alone(scratch.path()).option("-k", folder);
    let outcome = run.args(["list", "-b", BUCKET]).run();
    let outcome = outcome.fails(78, "Is a directory");
    assert!(!outcome.stderr.contains("os error"), "{outcome}");
}

#[test]
fn files_that_others_can_read() {
    let (service, scratch) = (ear(), Scratch::new());
    let shared = super::profile("default", "SHARED");
    let cases = [
        (private(scratch.path().join("keys"), keys("FILE")), "-k"),
        (private(scratch.path().join(".aws/credentials"), shared), ""),
    ];
    for (file, option) in cases {
        for (mode, warned) in [(0o600, false), (0o400, false), (0o640, true), (0o604, true)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its mode");
            let run = || {
                let run = s3pipe_alone(scratch.path()).args(["list", "-b", BUCKET]);
                let run = run.option("--endpoint", &service.url());
                match option {
                    "" => run,
                    option => run.option(option, &file),
                }
            };
            run().arg("-q").run().ok();
            let outcome = run().run();
            match warned {
                false => drop(outcome.ok()),
                true => {
                    let outcome = outcome.ok_saying(&format!("s3pipe: {file}: others can read it"));
                    assert_eq!(outcome.stderr.lines().count(), 1, "{outcome}");
                }
            }
        }
    }
}

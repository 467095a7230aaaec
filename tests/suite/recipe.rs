//! The recipe in man/s3pipe.5, run as it stands there: a stream comes back
//! with nothing but aws-cli, sh and a program that computes SHA-256.
//!
//! Where aws-cli is missing this says so; under 'make check', which knows how
//! to get it, that is a failure.

use std::io::{Write, stderr};
use std::process::{Command, Output, Stdio};
use std::{env, fs};

use crate::manual;
use crate::support::keys::{Keys, output};
use crate::support::{BUCKET, Scratch, Server, assert_same, random, s3pipe};

/// The first line of the recipe.
const START: &str = "# restore a stream";

/// And of that which checks a seal.
const SEAL: &str = r#"key=$(od -An -v -tx1 hmac-keyfile | tr -d ' \n')"#;

/// Whether aws-cli is there.
pub fn aws() -> bool {
    let found = Command::new("aws").arg("--version").output();
    if found.is_ok_and(|out| out.status.success()) {
        return true;
    }
    let why = "examples with aws(1) are not run: it is not there (Debian: awscli)";
    let asked = env::var_os("S3PIPE_TEST_SERVERS").is_some();
    assert!(!asked, "{why}");
    let _ = writeln!(stderr(), "{why}");
    false
}

/// Runs the recipe for this stream, encoded as in keys.
fn restore(scratch: &Scratch, server: &Server, name: &str) -> Output {
    let script = scratch.file("restore", manual::starting("s3pipe.5", START));
    let mut sh = Command::new("sh");
    sh.arg(script).current_dir(scratch.path());
    for name in [
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL",
        "AWS_CA_BUNDLE",
    ] {
        sh.env_remove(name);
    }
    let none = scratch.path().join("no-such-file");
    sh.env("AWS_CONFIG_FILE", &none)
        .env("AWS_SHARED_CREDENTIALS_FILE", &none);
    sh.env("AWS_ACCESS_KEY_ID", &server.id)
        .env("AWS_SECRET_ACCESS_KEY", &server.key);
    sh.env("AWS_DEFAULT_REGION", &server.region)
        .env("AWS_EC2_METADATA_DISABLED", "true");
    sh.env("ENDPOINT", &server.endpoint).env("BUCKET", BUCKET);
    sh.env("PREFIX", "s3pipe/")
        .env("NAME", name)
        .stdin(Stdio::null());
    sh.output().expect("sh")
}

/// What s3pipe.5 says of checking seals by hand, as it stands there.
fn seals_by_hand(server: &Server, keys: &Keys) {
    let manifest = fs::read(server.object("s3pipe/manifest/sealed")).expect("a manifest");
    let text = String::from_utf8(manifest.clone()).expect("text");
    let mac = text
        .lines()
        .find(|line| line.starts_with("seal hmac-sha256 "));
    let mac = mac
        .and_then(|line| line.rsplit(' ').next())
        .expect("a seal");
    fs::write(keys.path("manifest"), manifest).expect("a file");
    let script = manual::starting("s3pipe.5", SEAL).replace("hmac-keyfile", &keys.path("hmac"));
    let script = script.replace("allowed_signers", &keys.path("allowed"));
    let script = format!("set -e; cd {}\n{script}", keys.path("."));
    let out = output("sh", &["-c", &script.replace("SIGNER", "me")], b"");
    let out = String::from_utf8(out).expect("text");
    assert!(out.contains(mac), "{out}");
    assert!(out.contains("Good \"s3pipe\" signature for me "), "{out}");
}

#[test]
fn the_recipe_restores_what_was_stored_and_nothing_else() {
    if !aws() {
        return;
    }
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let data = random(1, 3 * 65536 + 1000);
    let run = s3pipe(&server).args(["upload", "-s", "a b/ü.1", "--blocksize", "64K"]);
    let run = run.env("S3PIPE_INDEX_BLOCKS", "2").stdin(data.clone());
    run.run().ok();

    let name = "a_20b_2F_C3_BC.1";
    let out = restore(&scratch, &server, name);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{}: {said}", out.status);
    assert_same(&out.stdout, &data);

    // An encrypted and sealed one opens with age(1) alone.
    let keys = Keys::new(&scratch);
    let recipient = keys.age("identity");
    let hmac = keys.file("hmac", "0123456789abcdef\n");
    let ssh = keys.ssh("sign");
    keys.file("allowed", format!("me {ssh}\n"));
    let run = s3pipe(&server).args(["upload", "-s", "sealed", "--encrypt-to", &recipient]);
    let run = run.args(["--hmac-keyfile", &hmac, "--sign-key", &keys.path("sign")]);
    run.stdin(data.clone()).run().ok();
    let out = restore(&scratch, &server, "sealed");
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success() && said.contains("age -d"), "{said}");
    let plain = output("age", &["-d", "-i", &keys.path("identity")], &out.stdout);
    assert_same(&plain, &data);
    seals_by_hand(&server, &keys);

    // A damaged block, in the second index, must not come out.
    let objects = server.objects();
    let block = |key: &&String| key.contains("/block/") && key.contains("/0000000002.");
    let path = server.object(objects.iter().find(block).expect("block 2"));
    let mut bytes = fs::read(&path).expect("a block");
    bytes[65535] ^= 1;
    fs::write(&path, bytes).expect("a block");
    let out = restore(&scratch, &server, name);
    assert!(!out.status.success(), "a damaged block was restored");
    assert_same(&out.stdout, &data[..2 * 65536]);

    // A manifest that was cut off is refused before anything is written.
    let path = server.object(&format!("s3pipe/manifest/{name}"));
    let text = fs::read_to_string(&path).expect("a manifest");
    let (whole, _) = text.split_once("end ").expect("an end line");
    fs::write(&path, whole).expect("a manifest");
    let out = restore(&scratch, &server, name);
    assert!(
        !out.status.success(),
        "half a manifest was taken for a whole one"
    );
    assert_eq!(out.stdout, b"");
}

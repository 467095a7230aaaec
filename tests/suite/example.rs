//! The worked example of s3pipe.1, SECURITY CONSIDERATIONS: a host that is
//! backed up may only write, and a host that restores trusts nothing but keys.

use std::fs;

use crate::faults::site::{STREAM, blocks};
use crate::policies::write_only;
use crate::support::keys::Keys;
use crate::support::{assert_same, s3pipe};

#[test]
fn a_host_that_only_writes_and_one_that_trusts_nothing() {
    let (site, data) = (write_only::site(), blocks(5));
    // On the host that restores.
    let restore = Keys::new(&site.scratch);
    let recipient = restore.age("identity");
    // On the host that is backed up; only its public half leaves it.
    let backup = Keys::new(&site.scratch);
    let public = backup.ssh("sign");
    restore.file("allowed", format!("db1 namespaces=\"s3pipe\" {public}\n"));
    let (id, key) = (&site.server.id, &site.server.key);
    let up = format!(
        "aws.id={id}\naws.key={key}\nencrypt-to={recipient}\nsign-key={}\n",
        backup.path("sign")
    );
    let up = backup.file("s3pipe.properties", up);
    let down = format!(
        "aws.id={id}\naws.key={key}\nidentity={}\nallowed-signers={}\nsigner=db1\n",
        restore.path("identity"),
        restore.path("allowed")
    );
    let down = restore.file("s3pipe.properties", down);
    let file = site.scratch.file("data", &data);
    let command = ["--", "cat", file.to_str().expect("a UTF-8 path")];
    let run = site.run("upload").option("-k", &up).args(command);
    // It may not even remove its own record.
    run.run().ok_saying("the stream is committed");
    // Nor read what it wrote, or take another's place.
    let run = site.run("download").option("-k", &up);
    run.run().fails(78, "--identity: missing");
    let run = site.run("download").option("-k", &up).arg("--raw");
    run.run().fails(77, "AccessDenied");
    let run = site.run("upload").option("-k", &up).args(command);
    run.run().fails(73, "exists already");
    let run = site.run("delete").option("-k", &up);
    run.run().fails(77, "AccessDenied");

    let restoring = |word: &str| {
        let run = s3pipe(&site.server).option("-k", &down);
        run.option("-s", STREAM).arg(word)
    };
    let info = restoring("info").run().ok();
    assert!(info.text().contains("(good, by db1)\n"), "{info}");
    restoring("verify").run().ok();
    assert_same(&restoring("download").run().ok().stdout, &data);

    // Somebody owns the bucket, knows the recipient, and has a key of their
    // own: a stream of theirs is none of ours.
    let evil = Keys::new(&site.scratch);
    evil.ssh("sign");
    let run = s3pipe(&site.server)
        .option("-s", STREAM)
        .args(["upload", "-f"]);
    let run = run.option("--encrypt-to", &recipient);
    let run = run.option("--sign-key", &evil.path("sign"));
    run.stdin("evil").run().ok();
    for word in ["info", "verify", "download"] {
        let out = restoring(word)
            .run()
            .fails(65, "bad signature: ssh-keygen: ");
        assert_eq!(out.stdout, b"", "{word}");
    }
    // Nor can they read what was stored: it opens for the identity alone.
    for key in site.server.objects() {
        let stored = fs::read(site.server.object(&key)).expect("an object");
        assert!(!stored.windows(32).any(|part| part == &data[..32]), "{key}");
    }
}

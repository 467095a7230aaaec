//! Encryption by age(1): what was stored opens with age(1) alone, and nothing
//! is committed or given out that age(1) did not finish.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::faults::site::{STREAM, Site, blocks};
use crate::support::keys::{Keys, output};
use crate::support::{Run, assert_same, random, s3pipe};

/// A site, an identity of age(1) and its recipient.
struct Sealed {
    site: Site,
    keys: Keys,
    identity: String,
    recipient: String,
}

impl Sealed {
    fn new() -> Sealed {
        let site = Site::new();
        let keys = Keys::new(&site.scratch);
        let recipient = keys.age("identity");
        Sealed {
            identity: keys.path("identity"),
            site,
            keys,
            recipient,
        }
    }

    fn upload(&self, data: &[u8]) -> Run {
        let run = self.site.upload(data);
        run.args(["--encrypt-to", &self.recipient])
    }

    fn download(&self) -> Run {
        self.site.download().option("--identity", &self.identity)
    }

    /// All blocks of the stream, one behind the other, as they are stored.
    fn stored(&self) -> Vec<u8> {
        let objects = self.site.server.objects();
        let blocks = objects.iter().filter(|key| key.contains("/block/export/"));
        let mut all: Vec<&String> = blocks.collect();
        all.sort();
        let read = |key: &&String| fs::read(self.site.server.object(key)).expect("a block");
        all.iter().flat_map(read).collect()
    }
}

/// Whether the process whose id is in this file is there, a zombie included.
fn alive(pid_file: &str) -> bool {
    let pid = fs::read_to_string(pid_file).expect("a process id");
    let mut kill = Command::new("kill");
    kill.args(["-s", "0", pid.trim()]).stderr(Stdio::null());
    kill.status().expect("kill runs").success()
}

#[test]
fn what_is_stored_opens_with_age_alone() {
    let data = blocks(5);
    for jobs in ["1", "4"] {
        let sealed = Sealed::new();
        sealed.upload(&data).option("-j", jobs).run().ok();
        let stored = sealed.stored();
        assert!(!stored.windows(64).any(|part| part == &data[..64]));
        let plain = output("age", &["-d", "-i", &sealed.identity], &stored);
        assert_same(&plain, &data);
        let out = sealed.download().option("-j", jobs).run().ok();
        assert_same(&out.stdout, &data);
        // Without the key: all but the plaintext.
        let raw = sealed.site.download().arg("--raw").run().ok();
        assert_same(&raw.stdout, &stored);
        let part = ["--raw", "--offset", "65530", "--length", "9"];
        let raw = sealed.site.download().args(part).run().ok();
        assert_same(&raw.stdout, &stored[65530..65539]);
        sealed.site.run("verify").run().ok();
        let info = sealed.site.run("info").run().ok();
        assert!(info.text().contains("\nencryption  age\n"), "{info}");
    }
}

#[test]
fn any_of_several_recipients_opens_it() {
    let (sealed, data) = (Sealed::new(), blocks(1));
    let (keys, site) = (&sealed.keys, &sealed.site);
    let ssh = keys.ssh("ssh");
    let (third, fourth) = (keys.age("third"), keys.age("fourth"));
    let file = keys.file("recipients", format!("# both\n{third}\n{fourth}\n"));
    let run = sealed.upload(&data).args(["--encrypt-to", &ssh]);
    run.args(["--encrypt-to", &format!("@{file}")]).run().ok();
    for identity in ["identity", "ssh", "third", "fourth"] {
        let out = site.download().option("--identity", &keys.path(identity));
        assert_same(&out.run().ok().stdout, &data);
    }
    // Somebody else's: nothing comes out.
    keys.age("other");
    let out = site.download().option("--identity", &keys.path("other"));
    let out = out.run();
    assert_eq!((out.status, out.stdout.len()), (65, 0), "{out}");
    let last = out.stderr.lines().last().expect("our line");
    assert!(
        last.starts_with("s3pipe: age: failed with exit status 1"),
        "{out}"
    );
}

#[test]
fn commands_and_rates() {
    let (sealed, data) = (Sealed::new(), blocks(3));
    let file = sealed.keys.file("data", &data);
    let run = sealed.upload(b"").option("--limit-rate", "100M");
    run.args(["--", "cat", &file]).run().ok();
    let plain = output("age", &["-d", "-i", &sealed.identity], &sealed.stored());
    assert_same(&plain, &data);
    let run = sealed.download().option("--limit-rate", "100M");
    let out = run.args(["--", "sh", "-c", "cat; echo end"]).run().ok();
    assert_same(&out.stdout, &[&data[..], b"end\n"].concat());

    // Either program can fail, at its end too.
    let sh = |run: Run, script: &str| run.args(["--", "sh", "-c", script]).run();
    let out = sh(sealed.upload(b"").arg("-f"), &format!("cat {file}; exit 3"));
    out.fails(
        65,
        "command 'sh': failed with exit status 3 (nothing was committed",
    );
    sh(sealed.upload(b"").arg("-f"), "exit 4").fails(65, "exit status 4");
    let out = sh(sealed.download(), "cat >/dev/null; exit 5");
    out.fails(65, "command 'sh': failed with exit status 5");
    sh(sealed.download(), "exit 6").fails(65, "command 'sh': failed with exit status 6");
    let out = sealed.download().run().ok();
    assert_same(&out.stdout, &data);
}

#[test]
fn what_age_did_not_finish_is_not_committed() {
    let (sealed, data) = (Sealed::new(), blocks(3));
    let pid = sealed.keys.path("pid");
    for (script, status, why) in [
        ("age \"$@\"; exit 3", 65, "failed with exit status 3"),
        ("age \"$@\"; kill -s KILL $$", 65, "was killed by signal 9"),
        ("exit 1", 65, "failed with exit status 1"),
        (
            "age \"$@\" | head -c 70000; exit 7",
            65,
            "failed with exit status 7",
        ),
        // What lets the plaintext through.
        ("exec cat", 65, "not begin with an age file's header"),
        (
            "age \"$@\" | head -c 100",
            65,
            "not begin with an age file's header",
        ),
    ] {
        let age = sealed
            .keys
            .script("age", &format!("echo $$ >{pid}\n{script}"));
        for jobs in ["1", "4"] {
            let run = sealed.upload(&data).env("S3PIPE_AGE", &age);
            run.option("-j", jobs).run().fails(status, why);
            assert!(!alive(&pid), "{script}");
        }
        sealed.site.assert_nothing_committed();
    }
    // Not a byte of plaintext was sent.
    assert!(!sealed.stored().windows(64).any(|part| part == &data[..64]));
    let before = sealed.site.server.objects().len();
    let run = sealed.upload(&data).env("S3PIPE_AGE", "/no/such/age");
    run.run()
        .fails(78, "/no/such/age: not started: No such file");
    assert_eq!(sealed.site.server.objects().len(), before);
    let run = sealed
        .site
        .upload(&data)
        .args(["--encrypt-to", "age1nonsense"]);
    let out = run.run();
    assert_eq!(out.status, 65, "{out}");
    sealed.site.assert_nothing_committed();
}

#[test]
fn neither_program_outlives_us() {
    let sealed = Sealed::new();
    let (age_pid, pid) = (sealed.keys.path("age-pid"), sealed.keys.path("pid"));
    let lines = format!("echo $$ >{age_pid}\nexec age \"$@\"");
    let age = sealed.keys.script("age", &lines);
    let script = format!("echo $$ >{pid}; exec cat /dev/zero");
    let run = sealed.upload(b"").env("S3PIPE_AGE", &age);
    let running = run.args(["--", "sh", "-c", &script]).spawn();
    sealed.site.wait_for("PUT", "/block/", 2);
    assert!(alive(&pid) && alive(&age_pid));
    running.signal("TERM");
    running.wait().fails(143, "nothing committed");
    assert!(!alive(&pid) && !alive(&age_pid));

    // One that nobody feeds.
    let run = sealed.upload(b"").env("S3PIPE_AGE", &age);
    let mut running = run.stdin_open().option("-s", "other").spawn();
    running.feed(&random(1, 200_000));
    sealed.site.wait_for("PUT", "/block/other/", 1);
    running.signal("INT");
    running.wait().fails(130, "nothing committed");
    assert!(!alive(&age_pid));
    sealed.site.assert_nothing_committed();
}

/// Nor if we are killed, though nobody feeds it, nor ends its input.
#[test]
fn age_does_not_outlive_even_a_kill() {
    let sealed = Sealed::new();
    for jobs in ["1", "4"] {
        let run = sealed.upload(b"").option("-j", jobs).option("-s", jobs);
        let (reader, mut writer) = std::io::pipe().expect("a pipe");
        let running = run.stdin_from(reader).spawn();
        writer.write_all(&random(1, 200_000)).expect("a reader");
        sealed.site.wait_for("PUT", &format!("/block/{jobs}/"), 1);
        running.signal("KILL");
        // Waits until nobody holds its stderr any more.
        assert_eq!(running.wait().status, 137);
        drop(writer);
    }
    sealed.site.assert_nothing_committed();
}

/// Age of nothing is not nothing; sizes are those of what the user gave.
#[test]
fn sizes_are_those_of_the_plaintext() {
    let sealed = Sealed::new();
    sealed.upload(b"").run().fails(65, "the stream is empty");
    let none = ["--", "true"];
    sealed
        .upload(b"")
        .args(none)
        .run()
        .fails(65, "the stream is empty");
    sealed.site.assert_nothing_committed();
    let data = blocks(3);
    let size = data.len();
    for (option, value, status) in [
        ("--size", size + 1, 65),
        ("--size", size - 1, 65),
        ("--min-size", size + 1, 65),
        ("--size", size, 0),
    ] {
        for jobs in ["1", "4"] {
            let run = sealed.upload(&data).option(option, &value.to_string());
            let out = run.option("-j", jobs).arg("-f").run();
            assert_eq!(out.status, status, "{option} {value}: {out}");
        }
    }
    let run = sealed.upload(b"").args(["-f", "--min-size", "0"]);
    run.run().ok();
    assert_eq!(sealed.download().run().ok().stdout, b"");
    let run = sealed.upload(b"").args(["-f", "--size", "0"]);
    run.run().ok();
}

#[test]
fn what_cannot_be_decrypted_is_not_begun() {
    let (sealed, data) = (Sealed::new(), blocks(2));
    sealed.upload(&data).run().ok();
    let refuses = |run: Run, status, why| {
        let out = run.run().fails(status, why);
        assert_eq!(out.stdout, b"", "{why}");
    };
    refuses(
        sealed.site.download(),
        78,
        "--identity: missing: the stream is encrypted",
    );
    let run = sealed.download().env("S3PIPE_AGE", "/no/such/age");
    refuses(run, 78, "/no/such/age: not started");
    refuses(
        sealed.download().args(["--offset", "1"]),
        64,
        "--offset: the stream is encrypted",
    );
    refuses(
        sealed.download().args(["--length", "1"]),
        64,
        "--length: the stream is encrypted",
    );
    assert_eq!(sealed.site.seen("GET", "/block/").len(), 0);
    let run = sealed.upload(&data).arg("--resume").option("-s", "new");
    refuses(run, 64, "--resume: not together with --encrypt-to");
    let run = s3pipe(&sealed.site.server).args(["info", "--identity", "x"]);
    refuses(run, 64, "--identity: not for info");
    // A stream that is not encrypted needs no identity, and takes one.
    sealed.site.store("plain", &data);
    let out = sealed.download().option("-s", "plain").run().ok();
    assert_same(&out.stdout, &data);
}

/// A ciphertext that was cut off at the end of one of age's chunks, under a
/// manifest that says that it is whole.
#[test]
fn a_truncated_age_file() {
    let (sealed, data) = (Sealed::new(), random(3, 5 << 16));
    let file = output("age", &["-r", &sealed.recipient], &data);
    let header = file.len() - data.len() - 16 - 5 * 16;
    let chunk = 65536 + 16;
    for cut in [3 * chunk, 3 * chunk + 5, 0] {
        let cut = &file[..header + 16 + cut];
        sealed.site.upload(cut).arg("-f").run().ok();
        let path = sealed.site.server.object("s3pipe/manifest/export");
        let manifest = fs::read_to_string(&path).expect("a manifest");
        let manifest = manifest.replace("encryption none", "encryption age");
        fs::write(&path, manifest).expect("a manifest");
        let out = sealed.download().run();
        assert_eq!(out.status, 65, "{out}");
        assert!(out.stderr.contains("s3pipe: age: failed"), "{out}");
        assert!(data.starts_with(&out.stdout) && out.stdout.len() < data.len());
        let out = sealed.download().args(["--", "cat"]).run();
        assert_eq!(out.status, 65, "{out}");
    }
}

#[test]
fn a_reader_that_ends_early() {
    let (sealed, data) = (Sealed::new(), random(3, 4 << 20));
    sealed.upload(&data).run().ok();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let out = sealed.download().stdout_to(writer).run();
    out.fails(74, "stdout: Broken pipe");
    let run = sealed
        .download()
        .args(["--", "sh", "-c", "exec head -c 1 >/dev/null"]);
    run.run().fails(74, "command 'sh': Broken pipe");
    assert!(sealed.site.count(STREAM) > 0);
}

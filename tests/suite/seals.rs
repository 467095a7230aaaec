//! Seals: what was written comes back, and what was not is refused before a
//! byte of it is given out.

mod attacks;

use std::process::{Child, Command, Stdio};

use crate::faults::site::{STREAM, Site, blocks};
use crate::support::keys::Keys;
use crate::support::{Outcome, Run, assert_same, s3pipe};

/// How a stream is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Hmac,
    Ssh,
    Both,
}

const ALL: [How; 3] = [How::Hmac, How::Ssh, How::Both];

/// A site, and keys: an HMAC key, an SSH key `host` and who may sign.
struct Sealed {
    site: Site,
    keys: Keys,
}

impl Sealed {
    fn new() -> Sealed {
        let site = Site::new();
        let keys = Keys::new(&site.scratch);
        keys.file("hmac", b"\x00 any 16 bytes or more \xff");
        let host = keys.ssh("host");
        keys.file("allowed", format!("backup@host {host}\n"));
        Sealed { site, keys }
    }

    /// With the keys that seal.
    fn sealing(&self, run: Run, how: How) -> Run {
        let run = match how {
            How::Ssh => run,
            _ => run.option("--hmac-keyfile", &self.keys.path("hmac")),
        };
        match how {
            How::Hmac => run,
            _ => run.option("--sign-key", &self.keys.path("host")),
        }
    }

    /// With the keys that check.
    fn checking(&self, run: Run, how: How) -> Run {
        let run = match how {
            How::Ssh => run,
            _ => run.option("--hmac-keyfile", &self.keys.path("hmac")),
        };
        match how {
            How::Hmac => run,
            _ => run
                .option("--allowed-signers", &self.keys.path("allowed"))
                .option("--signer", "backup@host"),
        }
    }

    #[track_caller]
    fn store(&self, name: &str, data: &[u8], how: How) {
        let run = self.site.upload(data).option("-s", name);
        let run = self.sealing(run, how).env("S3PIPE_INDEX_BLOCKS", "2");
        run.run().ok();
    }

    fn check(&self, word: &str, how: How) -> Outcome {
        self.checking(self.site.hasty(word), how).run()
    }

    fn list(&self, how: How) -> Outcome {
        let run = s3pipe(&self.site.server).args(["list", "-l", "--patience", "1s"]);
        self.checking(run, how).run()
    }
}

/// An ssh-agent(1) of the test's own.
struct Agent(Child);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_sealed_stream_comes_back() {
    let data = blocks(3);
    for how in ALL {
        let sealed = Sealed::new();
        sealed.store(STREAM, &data, how);
        assert_same(&sealed.check("download", how).ok().stdout, &data);
        sealed.check("verify", how).ok();
        let info = sealed.check("info", how).ok();
        let shown = info.text().matches("\nseal        ").count();
        assert_eq!(shown, if how == How::Both { 2 } else { 1 }, "{info}");
        let good = |part: &str| assert!(info.text().contains(part), "{info}");
        if how != How::Ssh {
            good("seal        hmac-sha256 ");
            good(" (good)\n");
        }
        if how != How::Hmac {
            good("seal        ssh SHA256:");
            good(" (good, by backup@host)\n");
        }
        assert!(sealed.list(how).ok().text().ends_with("\texport\n"));
        // Who has no key sees that there is a seal, and reads the stream.
        let info = sealed.site.run("info").run().ok();
        assert!(info.text().contains(" (not checked)\n"), "{info}");
        assert_same(&sealed.site.download().run().ok().stdout, &data);
        // And nobody needs one to remove it.
        sealed.site.run("delete").run().ok();
    }
}

#[test]
fn a_key_file_can_demand_all_of_it() {
    let (sealed, data) = (Sealed::new(), blocks(2));
    let (site, keys) = (&sealed.site, &sealed.keys);
    let recipient = keys.age("identity");
    let file = |name: &str, settings: &str| {
        let (id, key) = (&site.server.id, &site.server.key);
        keys.file(name, format!("aws.id={id}\naws.key={key}\n{settings}"))
    };
    let path = |name: &str| keys.path(name);
    let second = keys.age("second");
    let up = format!(
        "encrypt-to = {recipient}, {second}\nhmac-keyfile = {}\nsign-key = {}\n",
        path("hmac"),
        path("host")
    );
    let down = format!(
        "identity={}\nhmac-keyfile={}\nallowed-signers={}\nsigner=backup@host\n",
        path("second"),
        path("hmac"),
        path("allowed")
    );
    let (up, down) = (file("up", &up), file("down", &down));
    site.upload(&data).option("-k", &up).run().ok();
    for word in ["verify", "info", "download"] {
        let out = site.run(word).option("-k", &down).run().ok();
        assert!(word != "download" || out.stdout == data);
    }
    let manifest = site.run("info").arg("--raw").run().ok();
    assert!(manifest.text().contains("\nencryption age\n"), "{manifest}");
    assert_eq!(manifest.text().matches("\nseal ").count(), 2, "{manifest}");

    // A machine that demands seals takes no stream without.
    site.store("bare", &data);
    for word in ["verify", "info", "download"] {
        let run = site.run(word).option("-k", &down).option("-s", "bare");
        let out = run.run().fails(65, "not sealed by HMAC");
        assert_eq!(out.stdout, b"", "{word}");
    }
    let run = s3pipe(&site.server)
        .args(["list", "-l"])
        .option("-k", &down);
    let out = run.run().fails(65, "manifest/bare: not sealed by HMAC");
    assert!(out.text().starts_with("?\t?\t?\tbare\n"), "{out}");
    assert!(out.text().ends_with("\texport\n"), "{out}");
    // Names alone need no key.
    let run = s3pipe(&site.server).arg("list").option("-k", &down);
    assert_eq!(run.run().ok().text(), "bare\nexport\n");

    let run = site.upload(&data).arg("--resume").option("-k", &up);
    run.run()
        .fails(64, "--resume: not together with --encrypt-to");
    for setting in [
        "hmac-keyfil=x",
        "Sign-Key=x",
        "encrypt.to=x",
        "allowed_signers=x",
    ] {
        let file = file("misspelt", setting);
        let run = site.upload(&data).option("-k", &file).option("-s", "new");
        run.run()
            .fails(78, "misspelt:3: unknown setting, which looks like");
    }
}

#[test]
fn a_seal_that_cannot_be_made_is_noticed_first() {
    let (sealed, data) = (Sealed::new(), blocks(1));
    let (site, keys) = (&sealed.site, &sealed.keys);
    let theirs = keys.ssh("theirs");
    let refuses = |run: Run, status, why| {
        run.run().fails(status, why);
        assert_eq!(site.seen("PUT", "").len(), 0, "{why}");
    };
    let none = keys.path("none");
    let run = site.upload(&data).option("--sign-key", &none);
    refuses(run, 78, "none: cannot sign with it: ssh-keygen: ");
    let run = site.upload(&data).option("--hmac-keyfile", &none);
    refuses(run, 78, "none: No such file");
    let short = keys.file("short", "15 bytes only..");
    let run = site.upload(&data).option("--hmac-keyfile", &short);
    refuses(run, 78, "short: an HMAC key has at least 16 bytes, this 15");
    let run = sealed.sealing(site.upload(&data), How::Ssh);
    let run = run.env("PATH", keys.path("no-such-folder"));
    refuses(run, 78, "ssh-keygen: not started: ");
    // A key file that says who may sign is believed of our own key, too.
    keys.file("allowed", format!("backup@host {theirs}\n"));
    let (id, key) = (&site.server.id, &site.server.key);
    let settings = format!(
        "aws.id={id}\naws.key={key}\nallowed-signers={}\nsigner=backup@host\n",
        keys.path("allowed")
    );
    let file = keys.file("keys", settings);
    let run = sealed.sealing(site.upload(&data), How::Ssh);
    refuses(
        run.option("-k", &file),
        78,
        "whoever checks this signature will refuse it",
    );
    for args in [
        &["--allowed-signers", "x"][..],
        &["--signer", "x"],
        &["--identity", "x"],
    ] {
        refuses(site.upload(&data).args(args), 64, "not for upload");
    }
    let run = site.download().option("--signer", "x");
    refuses(run, 64, "--signer: needs --allowed-signers");
    let run = s3pipe(&site.server).args(["list", "--hmac-keyfile", "x"]);
    refuses(run, 64, "--hmac-keyfile: list looks at no seals without -l");
}

/// What ssh-keygen(1) is given lies in a folder that is gone in the end, in
/// whatever way that comes.
#[test]
fn nothing_stays_in_the_folder_for_temporary_files() {
    let (sealed, data) = (Sealed::new(), blocks(1));
    let (site, keys) = (&sealed.site, &sealed.keys);
    let tmp = site.scratch.fresh("tmp");
    std::fs::create_dir(&tmp).expect("a folder");
    let left = || std::fs::read_dir(&tmp).expect("the folder").count();
    let upload = |how| sealed.sealing(site.upload(&data), how).env("TMPDIR", &tmp);
    upload(How::Both).run().ok();
    let download = sealed.checking(site.download(), How::Both);
    download.env("TMPDIR", &tmp).run().ok();
    assert_eq!(left(), 0);
    keys.file("allowed", "nobody");
    let download = sealed.checking(site.download(), How::Both);
    download
        .env("TMPDIR", &tmp)
        .run()
        .fails(65, "bad signature");
    assert_eq!(left(), 0);

    // One that waits for a finger, the second time. Nobody else may look on.
    let (pid, fifo) = (keys.path("pid"), keys.path("fifo"));
    let made = Command::new("mkfifo").arg(&fifo).status();
    assert!(made.expect("mkfifo").success());
    let script = format!(
        "input=$(cat)\n\
         case $input in s3pipe-manifest*)\n\
         echo $$ >{pid}; ls -ld {0}/* {0}/*/* >{fifo}; exec sleep 999 ;;\n\
         esac\n\
         PATH=${{PATH#*:}}; printf '%s\\n' \"$input\" | ssh-keygen \"$@\"",
        tmp.display(),
    );
    keys.script("ssh-keygen", &script);
    let path = format!(
        "{}:{}",
        keys.path("."),
        std::env::var("PATH").expect("PATH")
    );
    let run = upload(How::Ssh).option("-s", "touched").env("PATH", path);
    let running = run.spawn();
    let seen = std::fs::read_to_string(&fifo).expect("its listing");
    assert_eq!(seen.lines().count(), 3, "{seen}");
    let only_ours = |line: &str| line.starts_with("drwx------ ") || line.starts_with("-rw------- ");
    assert!(seen.lines().all(only_ours), "{seen}");
    running.signal("TERM");
    running.wait().fails(143, "nothing committed");
    assert_eq!((left(), site.count("/manifest/touched")), (0, 0));
    let pid = std::fs::read_to_string(pid).expect("its id");
    let mut kill = Command::new("kill");
    kill.args(["-s", "0", pid.trim()]).stderr(Stdio::null());
    assert!(!kill.status().expect("kill").success());
}

#[test]
fn an_open_key_file_draws_a_warning() {
    use std::os::unix::fs::PermissionsExt;
    let (sealed, data) = (Sealed::new(), blocks(1));
    let open = std::fs::Permissions::from_mode(0o640);
    std::fs::set_permissions(sealed.keys.path("hmac"), open).expect("its mode");
    let run = sealed.sealing(sealed.site.upload(&data), How::Hmac);
    run.run()
        .ok_saying("hmac: others can read it (mode 0640): chmod 600");
}

/// The key that signs may be known to an agent only.
#[test]
fn an_agent_can_sign() {
    let (sealed, data) = (Sealed::new(), blocks(1));
    let (keys, site) = (&sealed.keys, &sealed.site);
    let socket = keys.path("agent");
    let mut agent = Command::new("ssh-agent");
    agent.args(["-D", "-a", &socket]).stdout(Stdio::piped());
    let mut agent = Agent(agent.spawn().expect("ssh-agent (tests/packages)"));
    // It says where it listens once it does.
    let mut line = String::new();
    let mut said = std::io::BufReader::new(agent.0.stdout.take().expect("its stdout"));
    std::io::BufRead::read_line(&mut said, &mut line).expect("its first line");
    let mut add = Command::new("ssh-add");
    add.args(["-q", &keys.path("host")])
        .env("SSH_AUTH_SOCK", &socket);
    assert!(add.status().expect("ssh-add").success());
    std::fs::remove_file(keys.path("host")).expect("the private half");
    let run = site
        .upload(&data)
        .option("--sign-key", &keys.path("host.pub"));
    run.env("SSH_AUTH_SOCK", &socket).run().ok();
    assert_same(&sealed.check("download", How::Ssh).ok().stdout, &data);
    drop(agent);
    let run = site
        .upload(&data)
        .option("--sign-key", &keys.path("host.pub"));
    let run = run.env("SSH_AUTH_SOCK", &socket).arg("-f");
    run.run().fails(78, "cannot sign with it");
}

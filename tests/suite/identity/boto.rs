//! What s3pipe finds, and what boto3 finds (botocore, on which AWS's command
//! line stands too), for the same files and variables: a table of cases, with
//! both sides run against the same listeners.
//!
//! Needs a python3 that has botocore 1.34 or newer: the one on PATH, or
//! S3PIPE_TEST_PYTHON. Without one the tests here hold s3pipe alone against
//! the table, and say so, and why, on stderr; one that the variable names
//! must do.

mod asked;
mod cases;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs, io, thread};

use super::{container, ear, imds, private, signer};
use crate::proxy::{Answer, Fault, Match, Proxy};
use crate::support::{BUCKET, Scratch, Server, s3pipe_alone};
use asked::ASKED;
use cases::{Case, DIFFERENT, SAME};

/// Reads blocks of NAME=VALUE lines, each an environment, and prints for each
/// what botocore finds in it: five words, or what went wrong.
const SCRIPT: &str = r#"
import os, sys
import botocore.session, botocore.utils
botocore.utils.ContainerMetadataFetcher.SLEEP_TIME = 0
for block in sys.stdin.read().split("\n\n"):
    os.environ.clear()
    os.environ.update(line.split("=", 1) for line in block.splitlines())
    try:
        session = botocore.session.Session()
        client = session.create_client("s3")
        found = session.get_credentials()
        if found is None:
            print("error none", flush=True)
            continue
        found = found.get_frozen_credentials()
        region = client.meta.region_name
        region = "us-east-1" if region in (None, "aws-global") else region
        url = client.meta.endpoint_url
        bundle = session.get_config_variable("ca_bundle") or "-"
        print(found.access_key, found.token or "-", region, url, bundle, flush=True)
    except Exception as error:
        print("error", type(error).__name__, flush=True)
"#;

/// The Python to use, by its own path: one on PATH may be a wrapper that
/// needs more of the environment than a case has.
fn python() -> Option<&'static str> {
    static PYTHON: OnceLock<Result<String, String>> = OnceLock::new();
    let found = PYTHON.get_or_init(|| {
        let named = env::var_os("S3PIPE_TEST_PYTHON");
        let python = named.clone().unwrap_or("python3".into());
        let found = look_for_botocore(Path::new(&python));
        match named {
            Some(_) => Ok(found.expect("S3PIPE_TEST_PYTHON has botocore")),
            None => found,
        }
    });
    // Past the test harness, which hides what passing tests print.
    if let Err(why) = found {
        let test = thread::current();
        let name = test.name().unwrap_or("a test");
        let line = format!("{name}: not compared with boto3: {why}\n");
        let _ = io::stderr().write_all(line.as_bytes());
    }
    found.as_deref().ok()
}

fn look_for_botocore(python: &Path) -> Result<String, String> {
    let script = "import sys, botocore; print(sys.executable, botocore.__version__)";
    let output = Command::new(python).args(["-c", script]).output();
    let output = output.map_err(|e| format!("{}: {e}", python.display()))?;
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let (path, version) = text
        .trim_end()
        .rsplit_once(' ')
        .ok_or_else(|| format!("{} has no botocore", python.display()))?;
    let mut numbers = version.split('.').map(|n| n.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next(), numbers.next());
    match (major, minor) >= (Some(1), Some(34)) {
        true => Ok(path.to_string()),
        false => Err(format!("botocore {version} is older than 1.34")),
    }
}

/// The listeners, and the words that stand for them in the cases.
struct Stage {
    scratch: Scratch,
    services: [Proxy; 3],
    container: Proxy,
    refusing: Proxy,
    instance: Proxy,
    proxy: Proxy,
    tls: Server,
}

impl Stage {
    fn new() -> Stage {
        let scratch = Scratch::new();
        let answering = |answer| {
            let proxy = ear();
            proxy.clear();
            proxy.always(Match::any(), Fault::Status(answer));
            proxy
        };
        // It stands before AWS: no tunnel leads there from a test.
        let proxy = ear();
        let refused = Fault::Status(Answer::new(403, "Forbidden"));
        proxy.always(Match::method("CONNECT"), refused);
        Stage {
            services: [ear(), ear(), ear()],
            container: container::agent("CONTAINER"),
            refusing: answering(Answer::new(404, "Not Found")),
            instance: imds::instance("INSTANCE"),
            proxy,
            tls: Server::embedded_tls(&scratch),
            scratch,
        }
    }

    /// Puts URLs and paths in the places of `{A}`, `{HOME}`, …
    fn fill(&self, text: &str, home: &Path) -> String {
        let [a, b, c] = &self.services;
        let home = home.to_str().expect("a UTF-8 path");
        text.replace("{A}", &a.url())
            .replace("{B}", &b.url())
            .replace("{C}", &c.url())
            .replace("{CONTAINER}", &self.container.url())
            .replace("{REFUSING}", &self.refusing.url())
            .replace("{INSTANCE}", &self.instance.url())
            .replace("{PROXY}", &self.proxy.url())
            .replace("{HOME}", home)
    }

    /// Writes the files of a case, and gives its environment.
    fn prepare(&self, case: &Case) -> Vec<(String, String)> {
        let home = self.scratch.fresh("case");
        fs::create_dir(&home).expect("a folder");
        for (name, text) in case.files {
            private(home.join(name), self.fill(text, &home));
        }
        let path = env::var("PATH").expect("PATH");
        let mut variables = HashMap::from([
            ("HOME".to_string(), self.fill("{HOME}", &home)),
            ("PATH".to_string(), path),
            ("AWS_EC2_METADATA_DISABLED".to_string(), "true".to_string()),
        ]);
        for (name, value) in case.env {
            variables.insert(name.to_string(), self.fill(value, &home));
        }
        variables.into_iter().collect()
    }

    /// What s3pipe finds: who asked for the listing, in which region, where.
    fn ours(&self, env: &[(String, String)]) -> String {
        let home = env.iter().find(|(name, _)| name == "HOME");
        let home = Path::new(&home.expect("a home").1);
        let ca = self.tls.ca.as_deref().expect("an authority");
        let mut run = s3pipe_alone(home)
            .option("-b", BUCKET)
            .option("--ca-file", ca.to_str().expect("a UTF-8 path"))
            .args(["--retry", "0", "list"]);
        for (name, value) in env {
            run = run.env(name, value);
        }
        let before = self.counts();
        let outcome = run.run();
        let seen = |(proxy, before): (&Proxy, usize)| {
            let seen = proxy.seen().into_iter().nth(before)?;
            Some((seen, proxy.url()))
        };
        let mut listeners = self.services.iter().chain([&self.proxy]).zip(before);
        let Some((seen, url)) = listeners.find_map(seen) else {
            assert!(matches!(outcome.status, 77 | 78), "{outcome}");
            return "error".to_string();
        };
        if seen.method == "CONNECT" {
            let host = seen.target.strip_prefix(&format!("{BUCKET}."));
            let host = host.and_then(|host| host.strip_suffix(":443"));
            return format!("https://{}", host.expect("the bucket's host"));
        }
        assert_eq!(outcome.status, 0, "{outcome}");
        let (id, region) = signer(&seen);
        let token = seen.header("x-amz-security-token").unwrap_or("-");
        format!("{id} {token} {region} {url}")
    }

    /// The requests so far, of each listener.
    fn counts(&self) -> Vec<usize> {
        let listeners = self.services.iter().chain([&self.proxy]);
        listeners.map(|proxy| proxy.seen().len()).collect()
    }
}

/// What botocore finds, for each environment.
fn theirs(python: &str, environments: &[Vec<(String, String)>]) -> Vec<String> {
    let mut blocks = Vec::new();
    for env in environments {
        let mut block = String::new();
        for (name, value) in env {
            assert!(!value.contains('\n'), "{name}: more than a line");
            writeln!(block, "{name}={value}").expect("a string");
        }
        blocks.push(block.trim_end().to_string());
    }
    let child = Command::new(python)
        .args(["-W", "ignore", "-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    let mut child = child.expect("python3 starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = blocks.join("\n\n");
    let feeder = thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().expect("python3 runs");
    feeder.join().expect("a feeder");
    assert!(output.status.success(), "python3: {:?}", output.status);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let found: Vec<_> = text.lines().map(String::from).collect();
    assert_eq!(found.len(), environments.len(), "{found:#?}");
    found
}

/// The same in the words of a case, without the bundle: the listeners' names
/// for their URLs.
fn worded(stage: &Stage, found: &str) -> String {
    let names = ["{A}", "{B}", "{C}"].into_iter();
    let words: Vec<_> = found.split(' ').take(4).collect();
    let named = names.fold(words.join(" "), |text, name| {
        text.replace(&stage.fill(name, Path::new("/")), name)
    });
    match named.split_once(" https://") {
        // Who would have asked AWS is not seen on our side.
        Some((_, host)) => format!("https://{host}"),
        None if named.starts_with("error") => "error".to_string(),
        None => named,
    }
}

/// Runs both sides, and compares them with what the table says.
fn compare(cases: &[Case]) {
    let stage = Stage::new();
    let environments: Vec<_> = cases.iter().map(|case| stage.prepare(case)).collect();
    let theirs = python().map(|python| theirs(python, &environments));
    let mut wrong = String::new();
    for (n, (case, env)) in cases.iter().zip(&environments).enumerate() {
        let name = case.name;
        let ours = worded(&stage, &stage.ours(env));
        println!("{name}: s3pipe: {ours}");
        if ours != case.ours {
            writeln!(wrong, "{name}: s3pipe: {ours}").expect("a string");
        }
        let Some(found) = theirs.as_ref().map(|theirs| &theirs[n]) else {
            continue;
        };
        println!("{name}: boto3: {found}");
        if worded(&stage, found) != case.theirs.unwrap_or(case.ours) {
            writeln!(wrong, "{name}: boto3: {found}").expect("a string");
        }
    }
    assert!(wrong.is_empty(), "not as the table has it:\n{wrong}");
}

#[test]
fn the_same_is_found_in_variables_and_files() {
    assert!(SAME.iter().all(|case| case.theirs.is_none()));
    compare(SAME);
}

#[test]
fn the_same_is_got_from_programs_and_services() {
    assert!(ASKED.iter().all(|case| case.theirs.is_none()));
    compare(ASKED);
}

#[test]
fn where_s3pipe_differs_on_purpose() {
    let differs = |case: &Case| case.theirs.is_some_and(|theirs| theirs != case.ours);
    assert!(DIFFERENT.iter().all(differs));
    compare(DIFFERENT);
}

/// Ours shows when there is no such file.
#[test]
fn the_same_certificates_are_trusted() {
    let scratch = Scratch::new();
    let config = private(
        scratch.path().join(".aws/config"),
        "[default]\nca_bundle = /gone/profile.pem\n[profile plain]\nregion = r-1\n",
    );
    let pair = [
        ("AWS_ACCESS_KEY_ID", "ENV"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("AWS_ENDPOINT_URL", "https://127.0.0.1:9"),
        ("AWS_CONFIG_FILE", &config),
    ];
    let bundle = ("AWS_CA_BUNDLE", "/gone/variable.pem");
    let plain = ("AWS_PROFILE", "plain");
    let cases = [
        (vec![], "/gone/profile.pem"),
        (vec![bundle], "/gone/variable.pem"),
        (vec![bundle, plain], "/gone/variable.pem"),
    ];
    let environments = cases.each_ref().map(|(env, _)| {
        let all = pair.iter().chain(env);
        all.map(|(name, value)| (name.to_string(), value.to_string()))
            .collect::<Vec<_>>()
    });
    let theirs = python().map(|python| theirs(python, &environments));
    for (n, ((_, expected), env)) in cases.iter().zip(&environments).enumerate() {
        if let Some(theirs) = &theirs {
            assert!(theirs[n].ends_with(&format!(" {expected}")), "{theirs:?}");
        }
        let mut run = s3pipe_alone(scratch.path()).args(["list", "-b", BUCKET]);
        for (name, value) in env {
            run = run.env(name, value);
        }
        run.run().fails(78, &format!("s3pipe: {expected}: "));
    }
}

//! The same round on every server there is, and every way to reach one: path
//! and virtual-hosted style, SigV4 and SigV2, proxies, IPv6 (TLS: `tls`).

use std::io;
use std::net::TcpListener;
use std::process;

use crate::proxy::{Proxy, Seen};
use crate::support::relay::relay;
use crate::support::{Run, Scratch, Server, assert_same, random, s3pipe};

/// Everything that s3pipe does, in a bucket of its own.
fn round(server: &Server, signature: &str) {
    let bucket = format!("round-{signature}-{}", process::id());
    let run = |args: &[&str]| {
        let run = s3pipe(server).option("-b", &bucket);
        run.option("--signature", signature).args(args)
    };
    // The embedded one stores in and deletes buckets that S3 would not let it,
    // and its files cannot have the longest names.
    let embedded = server.root.is_some();
    missing_bucket(&run, embedded);
    run(&["createbucket"]).run().ok();
    let longest = "a".repeat(200);
    let last = if embedded { "z" } else { &longest };
    let mut names = ["bacula-/export", "one", "größe 100%+", last];
    names.sort();
    let lengths = [1, 65536, 3 * 65536 + 5, (16 << 20) + 1];
    for (name, length) in names.iter().zip(lengths) {
        let size = if length > 1 << 20 { "16M" } else { "64K" };
        let data = random(length as u64, length);
        let args = ["upload", "-s", name, "--blocksize", size];
        run(&args).stdin(data.clone()).run().ok();
        let out = run(&["download", "-s", name]).run().ok();
        assert_same(&out.stdout, &data);
    }
    let out = run(&["list"]).run().ok();
    assert_eq!(out.text(), names.join("\n") + "\n");
    let out = run(&["list", "-l"]).run().ok();
    let lines = out.text().lines().map(|line| line.splitn(4, '\t'));
    let sizes: Vec<_> = lines.map(|mut fields| fields.nth(1)).collect();
    assert_eq!(
        sizes,
        lengths
            .map(|n| n.to_string())
            .each_ref()
            .map(|n| Some(n.as_str()))
    );
    let out = run(&["info", "-s", names[2]]).run().ok();
    assert!(out.text().contains("196613 "), "{out}");

    conflict(&run, names[2]);
    refused(&run, names[0]);
    let out = run(&["deletebucket"]).run();
    out.fails(73, "the bucket is not empty");
    for name in names {
        run(&["delete", "-s", name]).run().ok();
        run(&["delete", "-s", name])
            .run()
            .fails(66, "no such stream");
        run(&["delete", "-f", "-s", name]).run().ok();
    }
    assert_eq!(run(&["list"]).run().ok().text(), "");
    run(&["deletebucket"]).run().ok();
    missing_bucket(&run, embedded);
}

fn missing_bucket(run: &impl Fn(&[&str]) -> Run, embedded: bool) {
    for args in [
        &["list"][..],
        &["info", "-s", "x"],
        &["download", "-s", "x"],
    ] {
        run(args).run().fails(66, "round-");
    }
    if !embedded {
        let upload = run(&["upload", "-s", "x"]).stdin("1");
        upload.run().fails(66, "round-");
    }
    run(&["deletebucket"]).run().fails(66, "round-");
}

/// A name that is taken, without and with -f.
fn conflict(run: &impl Fn(&[&str]) -> Run, name: &str) {
    let upload = run(&["upload", "-s", name]).stdin("other");
    upload.run().fails(73, "exists already");
    let old = run(&["info", "--raw", "-s", name]).run().ok();
    run(&["upload", "-f", "-s", name]).stdin("other").run().ok();
    let out = run(&["download", "-s", name]).run().ok();
    assert_eq!(out.text(), "other");
    let new = run(&["info", "--raw", "-s", name]).run().ok();
    assert_ne!(old.text(), new.text());
}

/// Requests that are signed with another secret.
fn refused(run: &impl Fn(&[&str]) -> Run, name: &str) {
    for args in [
        &["list"][..],
        &["download", "-s", name],
        &["info", "-s", name],
        &["delete", "-s", name],
        &["upload", "-s", "new"],
        &["upload", "-f", "-s", name],
    ] {
        let run = run(args).env("AWS_SECRET_ACCESS_KEY", "not/the+secret");
        let out = run.stdin("1").run().fails(77, "403");
        assert!(!out.stderr.contains("not/the+secret"), "{out}");
        assert_eq!(out.stdout, b"");
    }
    run(&["info", "-s", name]).run().ok();
}

#[test]
fn embedded_v4() {
    let scratch = Scratch::new();
    round(&Server::embedded(&scratch), "v4");
}

#[test]
fn embedded_v2() {
    let scratch = Scratch::new();
    round(&Server::embedded(&scratch), "v2");
}

#[test]
fn swift_v4() {
    if let Some(server) = Server::swift() {
        round(server, "v4");
    }
}

#[test]
fn swift_v2() {
    if let Some(server) = Server::swift() {
        round(server, "v2");
    }
}

#[test]
fn rclone_v4() {
    if let Some(server) = Server::rclone() {
        round(server, "v4");
    }
}

/// A stream up and down, by an s3pipe that has been told how to get there.
pub fn exchange(run: impl Fn() -> Run) {
    let data = random(9, 3 * 65536 + 5);
    let upload = run().args(["upload", "-s", "a b/ü", "--blocksize", "64K"]);
    upload.stdin(data.clone()).run().ok();
    assert_eq!(run().arg("list").run().ok().text(), "a b/ü\n");
    let out = run().args(["download", "-s", "a b/ü"]).run().ok();
    assert_same(&out.stdout, &data);
    run().args(["delete", "-s", "a b/ü"]).run().ok();
    assert_eq!(run().arg("list").run().ok().text(), "");
}

/// The requests that went through the proxy's tunnels, and those for tunnels.
pub fn tunnelled(proxy: &Proxy) -> (Vec<Seen>, Vec<Seen>) {
    let seen = proxy.seen().into_iter();
    seen.partition(|seen| seen.method != "CONNECT")
}

#[test]
fn virtual_hosted_buckets() {
    let scratch = Scratch::new();
    let server = Server::embedded_with(&scratch, &["--domain", "s3.test"]);
    for signature in ["v4", "v2"] {
        let proxy = Proxy::start(server.addr());
        exchange(|| {
            let run = s3pipe(&server).option("--endpoint", "http://s3.test");
            let run = run.option("--addressing", "virtual");
            let run = run.option("--signature", signature);
            run.env("HTTP_PROXY", proxy.url())
        });
        let (requests, connects) = tunnelled(&proxy);
        assert!(!requests.is_empty() && !connects.is_empty());
        for seen in requests {
            assert_eq!(seen.header("host"), Some("test.s3.test"), "{seen:?}");
            let target = seen.target.as_str();
            // The bucket's name is not in the path.
            let starts = ["/s3pipe/", "/stream.", "/?"];
            assert!(starts.iter().any(|s| target.starts_with(s)), "{target}");
        }
    }
}

/// A proxy that cannot be understood is not passed by.
#[test]
fn proxies_that_are_none() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let list = || s3pipe(&server).arg("list");
    let names = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"];
    for name in names
        .map(String::from)
        .into_iter()
        .chain(names.map(str::to_lowercase))
    {
        for value in ["http://u:hush@p:123456", "u:hush", "socks5://u:hush@p"] {
            let end = list().env(&name, value).run();
            let end = end.fails(78, &format!("s3pipe: {name}: "));
            assert!(!end.stderr.contains("hush"), "{end}");
        }
        // What is empty is not there.
        list().env(&name, "").run().ok();
    }
}

#[test]
fn proxies_are_passed_by_where_no_proxy_says_so() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let proxy = Proxy::start(server.addr());
    exchange(|| {
        let run = s3pipe(&server).env("HTTP_PROXY", proxy.url());
        run.env("NO_PROXY", "127.0.0.1")
    });
    assert_eq!(proxy.seen(), []);
}

#[test]
fn ipv6() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        let _ = io::Write::write_all(
            &mut io::stderr(),
            b"IPv6 is not tried: this system has no loopback address ::1\n",
        );
        return;
    };
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    assert!(endpoint.starts_with("http://[::1]:"));
    relay(listener, server.addr(), |_| {});
    exchange(|| s3pipe(&server).option("--endpoint", &endpoint));
}

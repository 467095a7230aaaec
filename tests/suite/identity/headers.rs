//! The user's own headers: each arrives on the requests that it belongs on,
//! signed (the server checks that), and on no other.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::private;
use crate::proxy::{Proxy, Seen};
use crate::support::{Run, Scratch, Server, s3pipe};

/// Whether the signature of a request covers this header.
pub fn is_signed(seen: &Seen, name: &str) -> bool {
    let text = seen.header("authorization").expect("a signature");
    let (_, list) = text.split_once("SignedHeaders=").expect("a list");
    let (list, _) = list.split_once(',').expect("its end");
    list.split(';').any(|signed| signed == name)
}

/// What a request is: `PUT block`, `GET manifest`, `GET ` for a listing.
fn kind(seen: &Seen) -> String {
    let path = seen.target.split('?').next().expect("a path");
    let part = path.strip_prefix("/test/s3pipe/").unwrap_or("");
    let part = part.split('/').next().expect("a part");
    format!("{} {part}", seen.method)
}

const PUTS: &str = "PUT block,PUT index,PUT manifest,PUT upload";
const DATA: &str = "PUT block,PUT index,PUT manifest";
const OBJECTS: &str = "PUT block,PUT index,PUT manifest,PUT upload,\
    GET block,GET index,GET manifest,GET upload";

/// Uploads with these options, lists, downloads, replaces and deletes, so
/// that every kind of request is made; gives them all.
fn life(options: impl Fn(Run) -> Run) -> Vec<Seen> {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let proxy = Proxy::start(server.addr());
    let run = |args: &[&str]| {
        let run = s3pipe(&server).option("--endpoint", &proxy.url());
        options(run).args(args)
    };
    run(&["upload", "-s", "n"]).stdin("data").run().ok();
    let replace = run(&["upload", "-f", "-s", "n"]).stdin("other");
    replace.run().ok();
    assert_eq!(run(&["list"]).run().ok().text(), "n\n");
    let outcome = run(&["download", "-s", "n"]).run().ok();
    assert_eq!(outcome.text(), "other");
    run(&["delete", "-s", "n"]).run().ok();
    assert!(server.objects().is_empty());
    let seen = proxy.seen();
    for kind_of in (OBJECTS.to_string() + ",GET ,POST ,DELETE manifest").split(',') {
        assert!(seen.iter().any(|s| kind(s) == kind_of), "no {kind_of}");
    }
    seen
}

/// The header is, with its value, on these kinds of request and on no other.
#[track_caller]
fn assert_is_on(seen: &[Seen], name: &str, value: &str, kinds: &str) {
    for request in seen {
        let kind = kind(request);
        let expected = kinds == "all" || kinds.split(',').any(|k| k == kind);
        let found = request.header(name);
        assert_eq!(found, expected.then_some(value), "{name} on {kind}");
    }
}

const HEADERS: [(&str, &str, &str); 10] = [
    ("X-Amz-Storage-Class", "STANDARD", "PUT block"),
    ("x-amz-server-side-encryption", "AES256", PUTS),
    ("x-amz-tagging", "a=b&c=d", DATA),
    ("x-amz-object-lock-mode", "GOVERNANCE", DATA),
    (
        "x-amz-object-lock-retain-until-date",
        "2099-01-01T00:00:00Z",
        DATA,
    ),
    ("x-amz-request-payer", "requester", "all"),
    ("x-amz-meta-owner", "me, myself  and I", PUTS),
    ("Cache-Control", "no-store", PUTS),
    ("x-amz-expected-bucket-owner", "111122223333", "all"),
    ("X-Gateway", "a:b", "all"),
];

#[test]
fn each_goes_where_it_belongs() {
    let seen = life(|mut run| {
        for (name, value, _) in HEADERS {
            run = run.arg("-H").arg(format!("{name}: {value}"));
        }
        run
    });
    for (name, value, kinds) in HEADERS {
        assert_is_on(&seen, name, value, kinds);
        let name = name.to_ascii_lowercase();
        let carriers = seen.iter().filter(|s| s.header(&name).is_some());
        for request in carriers {
            assert!(is_signed(request, &name), "{name}: {request:?}");
        }
    }
}

#[test]
fn each_is_signed_by_version_2_too() {
    let seen = life(|mut run| {
        for (name, value, _) in HEADERS {
            run = run.arg("-H").arg(format!("{name}:{value}"));
        }
        run.option("--signature", "v2")
    });
    for (name, value, kinds) in HEADERS {
        assert_is_on(&seen, name, value, kinds);
    }
    let v2 = |s: &Seen| {
        s.header("authorization")
            .is_some_and(|a| a.starts_with("AWS "))
    };
    assert!(seen.iter().all(v2));
}

#[test]
fn a_customer_key_comes_from_a_file() {
    let scratch = Scratch::new();
    let prefix = "x-amz-server-side-encryption-customer-";
    let (key, md5) = ("aHVzaGh1c2hodXNoaHVzaGh1c2hodXNoaHVzaGh1c2g=", "bWQ1");
    let file = private(
        scratch.path().join("sse-c"),
        format!(
            "# SSE-C\n\n{prefix}algorithm: AES256\r\n{prefix}key: {key}\n{prefix}key-MD5: {md5}"
        ),
    );
    let seen = life(|run| run.option("-H", &format!("@{file}")));
    for (name, value) in [("algorithm", "AES256"), ("key", key), ("key-MD5", md5)] {
        let name = format!("{prefix}{name}");
        assert_is_on(&seen, &name, value, OBJECTS);
    }
    // The key is in no line that -v shows.
    let server = Server::embedded(&scratch);
    let run = s3pipe(&server).option("-H", &format!("@{file}")).arg("-v");
    let outcome = run.args(["upload", "-s", "n"]).stdin("data").run();
    let outcome = outcome.ok_saying("PUT test/s3pipe/manifest/n: 200");
    assert!(!outcome.stderr.contains("aHVzaGh1"), "{outcome}");
    assert!(!outcome.stderr.contains("others can read"), "{outcome}");
    let everybodys = fs::Permissions::from_mode(0o644);
    fs::set_permissions(&file, everybodys).expect("chmod");
    let run = s3pipe(&server).option("-H", &format!("@{file}"));
    let outcome = run.args(["upload", "-s", "o"]).stdin("data").run();
    outcome.ok_saying(&format!("s3pipe: {file}: others can read it (mode 0644)"));
}

//! The store in memory that other tests lie with (tests/support/store.rs): what
//! it answers when it is told nothing, and that it does what it is told.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::proxy::Answer;
use crate::support::store::{Act, Conditions, Object, Order, Part, Reply, Say, Store, View};
use crate::support::{Scratch, assert_same, random};

/// Sends these requests on one connection, the last one with a wish that it
/// be closed, and gives all that comes back.
fn talk(store: &Store, requests: &[(&str, &str, &str)]) -> String {
    let mut stream = TcpStream::connect(store.addr()).unwrap();
    for (start, headers, body) in requests {
        let length = body.len();
        let head = format!("{start} HTTP/1.1\r\nContent-Length: {length}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(body.as_bytes()).unwrap();
    }
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    let ended = stream.read_to_end(&mut answers);
    let text = String::from_utf8(answers).unwrap();
    match ended {
        Ok(_) => text,
        Err(e) => format!("{text}<{:?}>", e.kind()),
    }
}

fn put(key: &str, headers: &str) -> String {
    let store = Store::start();
    store.put("there", Object::new("old"));
    talk(&store, &[(&format!("PUT /test/{key}"), headers, "new")])
}

/// The keys of a listing, in its order.
fn keys(listing: &str) -> Vec<&str> {
    let parts = listing.split("<Key>").skip(1);
    parts.map(|part| part.split('<').next().unwrap()).collect()
}

#[test]
fn objects_come_and_go_on_one_connection() {
    let store = Store::start();
    let said = talk(
        &store,
        &[
            ("PUT /test/a%20b", "x-amz-meta-x: y\r\n", "content"),
            ("GET /test/a%20b", "", ""),
            ("GET /test/a%20b", "Range: bytes=2-3\r\n", ""),
            ("GET /test/a%20b", "Range: bytes=7-9\r\n", ""),
            ("HEAD /test/a%20b", "", ""),
            ("DELETE /test/a%20b", "", ""),
            ("HEAD /test/a%20b", "", ""),
            ("GET /test/a%20b", "", ""),
            ("GET /else/a", "", ""),
        ],
    );
    let statuses: Vec<&str> = said
        .split("HTTP/1.1 ")
        .map(|a| a.get(..3).unwrap_or(""))
        .collect();
    let expected = [
        "", "200", "200", "206", "416", "200", "204", "404", "404", "404",
    ];
    assert_eq!(statuses, expected, "{said}");
    assert!(
        said.contains("ETag: \"9a0364b9e99bb480dd25e1f0284c8555\""),
        "{said}"
    );
    assert!(said.contains("Content-Range: bytes 2-3/7\r\n"), "{said}");
    assert!(said.contains("<Code>NoSuchKey</Code>"), "{said}");
    assert!(said.contains("<Code>NoSuchBucket</Code>"), "{said}");
    assert!(
        said.contains("x-amz-meta-x: y\r\n") && said.contains("Date: "),
        "{said}"
    );
    assert_eq!(store.requests()[1].to_string(), "GET a b");
    assert_eq!(store.objects().len(), 0);
    assert_eq!(store.objects_at(1).len(), 1);
}

#[test]
fn conditions_are_honoured_ignored_or_refused() {
    let etag = Object::new("old").etag();
    let bare = etag.trim_matches('"');
    let matching = format!("If-Match: {etag}\r\n");
    assert!(put("new", "If-None-Match: *\r\n").contains(" 200 "));
    assert!(put("there", "If-None-Match: *\r\n").contains("PreconditionFailed"));
    assert!(put("there", &matching).contains(" 200 "));
    assert!(put("there", "If-Match: \"other\"\r\n").contains("PreconditionFailed"));
    assert!(put("new", &matching).contains("NoSuchKey"));
    let asked = |conditions, headers: &str| {
        let store = Store::start();
        store.put("there", Object::new("old"));
        store.set(|s| s.conditions = conditions);
        talk(&store, &[("PUT /test/there", headers, "new")])
    };
    assert!(asked(Conditions::Ignored, "If-None-Match: *\r\n").contains(" 200 "));
    assert!(asked(Conditions::Refused, &matching).contains(" 501 "));
    assert!(asked(Conditions::Unquoted, &matching).contains(" 412 "));
    assert!(asked(Conditions::Unquoted, &format!("If-Match: {bare}\r\n")).contains(" 200 "));
}

#[test]
fn hashes_of_bodies_are_checked() {
    assert!(put("a", "Content-MD5: wrong\r\n").contains("BadDigest"));
    let header = format!("x-amz-content-sha256: {}\r\n", "0".repeat(64));
    assert!(put("a", &header).contains("XAmzContentSHA256Mismatch"));
}

#[test]
fn listings_have_their_order_and_their_pages() {
    let list = |order, query: &str| {
        let store = Store::start();
        for key in ["p/a", "p/b", "p/c d", "q"] {
            store.put(key, Object::new(key));
        }
        store.set(|s| (s.order, s.page) = (order, 2));
        talk(
            &store,
            &[(&format!("GET /test/?list-type=2&{query}"), "", "")],
        )
    };
    let first = list(Order::Sorted, "prefix=p%2F&encoding-type=url");
    assert_eq!(keys(&first), ["p/a", "p/b"]);
    let token = "<NextContinuationToken>0.p/b</NextContinuationToken>";
    assert!(
        first.contains(token) && first.contains("<IsTruncated>true<"),
        "{first}"
    );
    let second = list(
        Order::Sorted,
        "prefix=p%2F&encoding-type=url&continuation-token=0.p%2Fb",
    );
    assert_eq!(keys(&second), ["p/c%20d"]);
    assert!(second.contains("<IsTruncated>false<"), "{second}");
    assert_eq!(
        keys(&list(Order::Sorted, "prefix=&start-after=p/b")),
        ["p/c d", "q"]
    );
    assert_eq!(
        keys(&list(Order::Reversed, "prefix=p%2F")),
        ["p/c d", "p/b"]
    );
    let reversed = list(Order::Reversed, "prefix=p%2F&continuation-token=0.p%2Fb");
    assert_eq!(keys(&reversed), ["p/a"]);
    assert_eq!(keys(&list(Order::Doubled, "prefix=p%2F")), ["p/a", "p/a"]);
    assert_eq!(
        list(Order::Shuffled(1), "prefix="),
        list(Order::Shuffled(1), "prefix=")
    );
}

#[test]
fn many_are_deleted_at_once() {
    let store = Store::start();
    for key in ["a", "b&c", "d"] {
        store.put(key, Object::new(key));
    }
    let body = "<Delete><Object><Key>a</Key></Object><Object><Key>b&amp;c</Key></Object></Delete>";
    let said = talk(&store, &[("POST /test/?delete=", "", body)]);
    assert!(
        said.contains("<Deleted><Key>b&amp;c</Key></Deleted>"),
        "{said}"
    );
    assert_eq!(store.objects().into_keys().collect::<Vec<_>>(), ["d"]);
}

#[test]
fn a_bucket_comes_and_goes() {
    let store = Store::start();
    store.set_bucket(false);
    let head = ("HEAD /test", "", "");
    let said = talk(
        &store,
        &[head, ("PUT /test", "", ""), head, ("PUT /test", "", "")],
    );
    let statuses = said.matches("HTTP/1.1 404").count();
    assert_eq!(
        (statuses, said.matches("HTTP/1.1 200").count()),
        (1, 2),
        "{said}"
    );
    assert!(said.contains("BucketAlreadyOwnedByYou"), "{said}");
    store.put("a", Object::new(""));
    let said = talk(&store, &[("DELETE /test", "", "")]);
    assert!(said.contains("BucketNotEmpty"), "{said}");
    store.remove("a");
    assert!(talk(&store, &[("DELETE /test", "", "")]).contains(" 204 "));
    assert!(!store.has_bucket());
}

#[test]
fn what_it_is_told_is_what_it_does() {
    let asked = |reply: Reply| {
        let store = Store::start();
        store.put("k", Object::new("first"));
        store.put("k", Object::new("second"));
        store.hook(move |request| match request.n {
            0 => reply.clone(),
            _ => Reply::truth(),
        });
        let said = talk(
            &store,
            &[("PUT /test/k", "", "third"), ("GET /test/k", "", "")],
        );
        let content = store.object("k").expect("an object").body;
        (said, String::from_utf8(content.to_vec()).unwrap(), store)
    };
    let lost = asked(Reply::truth().say(|_| vec![Say::Close]));
    assert_eq!((lost.0.as_str(), lost.1.as_str()), ("", "third"));
    let reset = asked(Reply::truth().act(Act::Never).say(|_| vec![Say::Reset]));
    assert_eq!(
        (reset.0.as_str(), reset.1.as_str()),
        ("<ConnectionReset>", "second")
    );
    let early = asked(Reply::instead(Answer::new(204, "Fine")).read(Part::Begun));
    assert!(early.0.starts_with("HTTP/1.1 204 Fine\r\n") && early.0.ends_with("second"));
    let (said, content, store) = asked(Reply::truth().act(Act::Late(2)));
    assert!(said.ends_with("second") && content == "second");
    store.settle();
    assert_eq!(store.object("k").unwrap().body.as_slice(), b"third");
    // The next request comes first.
    assert!(asked(Reply::truth().act(Act::Late(1))).0.ends_with("third"));
    let kept = asked(Reply::truth().edit(|answer| answer.header("X", "y")));
    assert!(kept.0.contains("\r\nX: y\r\n") && kept.0.ends_with("third"));
}

#[test]
fn it_shows_what_was_there_before() {
    let store = Store::start();
    store.put("k", Object::new("first"));
    let moment = store.moment();
    store.put("k", Object::new("second"));
    store.put("l", Object::new(""));
    let seen = |view| {
        store.hook(move |_| Reply::truth().view(view));
        talk(
            &store,
            &[("GET /test/k", "", ""), ("GET /test/?list-type=2", "", "")],
        )
    };
    assert!(seen(View::Now).contains("second"));
    let then = seen(View::At(moment));
    assert!(then.contains("first") && !then.contains("<Key>l"), "{then}");
    let before = seen(View::Before);
    assert!(
        before.contains("first") && !before.contains("<Key>l"),
        "{before}"
    );
}

#[test]
fn streams_go_there_and_back() {
    let (store, scratch) = (Store::start(), Scratch::new());
    let s3pipe = || store.s3pipe(scratch.path()).option("-s", "a stream");
    let data = random(7, 200_000);
    let upload = s3pipe().args(["upload", "--blocksize", "64K"]);
    upload.stdin(data.clone()).run().ok();
    let outcome = s3pipe().arg("download").run().ok();
    assert_same(&outcome.stdout, &data);
    s3pipe().arg("verify").run().ok();
    store.age("s3pipe/", Duration::from_secs(3600));
    s3pipe().arg("delete").run().ok();
    assert_eq!(store.objects().len(), 0);
}

/// A block of 64 KiB does not fit into what is under way, so that the client
/// has the answer while it is still sending.
#[test]
fn a_narrow_store_answers_while_it_is_sent_to() {
    let settings = crate::support::store::Settings {
        narrow: true,
        ..Default::default()
    };
    let store = Store::start_with(settings, &Default::default());
    let (go, wait) = std::sync::mpsc::channel();
    let wait = std::sync::Mutex::new(wait);
    store.hook(move |_| {
        wait.lock().unwrap().recv().unwrap();
        let early = Reply::truth().act(Act::Never).read(Part::Nothing);
        early.say(|_| vec![Say::Bytes(b"HTTP/1.1 200 OK\r\n\r\n".to_vec())])
    });
    let mut stream = TcpStream::connect(store.addr()).unwrap();
    let head = b"PUT /test/k HTTP/1.1\r\nContent-Length: 65536\r\n\r\n";
    stream.write_all(head).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut sent = 0;
    while let Ok(more @ 1..) = stream.write(&[0; 1024]) {
        sent += more;
    }
    assert!(sent < 65536, "{sent} bytes are under way");
    stream.set_nonblocking(false).unwrap();
    go.send(()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

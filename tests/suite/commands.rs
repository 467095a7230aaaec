//! list, info, delete, createbucket and deletebucket on the embedded server.

use std::fs;

use crate::proxy::{Answer, Fault, Match, Proxy};
use crate::support::{Run, Scratch, Server, random, s3pipe};

fn store(server: &Server, name: &str, data: &[u8]) {
    let run = s3pipe(server).args(["upload", "-s", name, "--blocksize", "64K"]);
    run.stdin(data).run().ok();
}

fn list(server: &Server) -> Run {
    s3pipe(server).arg("list")
}

/// The lines of `list -l`, split at tabs.
fn long(text: &str) -> Vec<Vec<&str>> {
    let lines = text.lines();
    lines.map(|line| line.split('\t').collect()).collect()
}

/// RFC 3339 in UTC to the second, as in `2026-11-22T03:15:00Z`.
fn is_time(text: &str) -> bool {
    let form = text
        .bytes()
        .map(|b| if b.is_ascii_digit() { b'9' } else { b });
    form.eq("9999-99-99T99:99:99Z".bytes())
}

#[test]
fn lists_what_is_committed() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    assert_eq!(list(&server).run().ok().text(), "");
    assert_eq!(list(&server).arg("-l").run().ok().text(), "");
    store(&server, "b\n", &random(1, 3 * 65536));
    store(&server, "ä", &random(2, 3 * 65536 + 1));
    store(&server, "a", b"1");
    // An upload that failed, and what is no stream's manifest.
    s3pipe(&server)
        .args(["upload", "-s", "c", "--size", "9"])
        .stdin("1")
        .run();
    fs::write(server.object("s3pipe/manifest/_zz"), "").expect("an object");
    assert_eq!(list(&server).run().ok().text(), "a\nb\\x0a\nä\n");
    let out = list(&server).arg("-l").run().ok();
    let lines = long(out.text());
    let rest: Vec<_> = lines.iter().map(|line| &line[1..]).collect();
    let expected = [
        ["1", "1", "a"],
        ["196608", "3", "b\\x0a"],
        ["196609", "4", "ä"],
    ];
    assert_eq!(rest, expected);
    assert!(lines.iter().all(|line| is_time(line[0])), "{lines:?}");
}

#[test]
fn lists_more_streams_than_a_page_holds() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let proxy = Proxy::start(server.addr());
    store(&server, "s0000", b"1");
    let seed = fs::read_to_string(server.object("s3pipe/manifest/s0000")).expect("a manifest");
    let names: Vec<String> = (0..2345).map(|n| format!("s{n:04}")).collect();
    for name in &names {
        let text = seed.replace("stream s0000", &format!("stream {name}"));
        let key = format!("s3pipe/manifest/{name}");
        fs::write(server.object(&key), text).expect("an object");
    }
    let run = list(&server).option("--endpoint", &proxy.url());
    let lines = names.join("\n") + "\n";
    assert!(run.run().ok().text() == lines);
    // One request for each thousand, and one for streams of version 1.
    assert_eq!(proxy.seen().len(), 4);
    let out = list(&server).arg("-l").run().ok();
    let found: Vec<_> = long(out.text()).iter().map(|line| line[3]).collect();
    assert!(found == names);
}

#[test]
fn info_tells_what_is_stored() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    store(&server, "a/b\t", &random(1, 200_000));
    let info = || s3pipe(&server).args(["info", "-s", "a/b\t"]);
    let out = info().run().ok();
    let mut values = out.text().lines().map(|line| line[12..].to_string());
    let mut next = || values.next().expect("a line");
    assert_eq!(next(), "a/b\\x09");
    let upload = next();
    assert!(server.objects()[0].contains(&upload), "{upload}");
    assert!(is_time(&next()));
    let rest: Vec<_> = values.collect();
    let expected = ["200000 (195.3 KiB)", "4", "65536 (64.0 KiB)", "1", "none"];
    assert_eq!(rest, expected);

    let raw = info().arg("--raw").run().ok();
    let object = fs::read(server.object("s3pipe/manifest/a_2Fb_09")).expect("an object");
    assert_eq!(raw.stdout, object);
    let none = s3pipe(&server).args(["info", "-s", "a/b"]).run();
    none.fails(66, "test/s3pipe/manifest/a_2Fb: no such stream");
}

#[test]
fn delete_removes_one_stream_and_all_of_it() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    // Whose names begin alike.
    for name in ["x", "x.1", "x/"] {
        store(&server, name, &random(1, 200_000));
    }
    let others = |key: &String| !key.contains("/x/") && !key.ends_with("/x");
    let kept: Vec<_> = server.objects().into_iter().filter(others).collect();
    let delete = || s3pipe(&server).args(["delete", "-s", "x"]);
    delete().run().ok();
    assert_eq!(server.objects(), kept);
    delete().run().fails(66, "no such stream");
    delete().arg("-f").run().ok();
    assert_eq!(server.objects(), kept);
}

#[test]
fn delete_of_a_stream_with_many_blocks() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    store(&server, "long", &vec![0; 2500 * 65536]);
    let out = list(&server).arg("-l").run().ok();
    assert_eq!(long(out.text())[0][1..], ["163840000", "2500", "long"]);
    s3pipe(&server).args(["delete", "-s", "long"]).run().ok();
    assert_eq!(server.objects(), Vec::<String>::new());
}

#[test]
fn destruction_is_aimed_from_the_command_line_only() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    store(&server, "x", b"1");
    let key = format!(
        "aws.id={}\naws.key={}\nstream=x\nbucket=test\n",
        server.id, server.key
    );
    let keyfile = scratch.file("key", key);
    let keyfile = keyfile.to_str().expect("a path");
    let aimed = |word: &str| {
        let run = s3pipe(&server).arg(word).without("-b").arg("-q");
        let run = run.option("-k", keyfile);
        run.env("S3PIPE_BUCKET", "test").env("S3PIPE_STREAM", "x")
    };
    // Elsewhere the settings hold.
    assert_eq!(aimed("download").run().ok().text(), "1");
    aimed("delete").run().fails(64, "--stream: missing");
    aimed("delete")
        .arg("-f")
        .run()
        .fails(64, "--stream: missing");
    aimed("deletebucket").run().fails(64, "--bucket: missing");
    assert_eq!(aimed("list").run().ok().text(), "x\n");
    aimed("delete").args(["-s", "x"]).run().ok();
    assert_eq!(server.objects(), Vec::<String>::new());
}

#[test]
fn buckets_come_and_go() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let run = |word| s3pipe(&server).option("-b", "another-1").arg(word);
    run("list").run().fails(66, "list: another-1");
    run("deletebucket")
        .run()
        .fails(66, "deletebucket: another-1");
    run("createbucket").run().ok();
    run("createbucket")
        .run()
        .fails(73, "createbucket: another-1");
    assert_eq!(run("list").run().ok().text(), "");
    run("deletebucket").run().ok();
    run("list").run().fails(66, "list: another-1");
    for bad in ["", "a/b", "..", "a b", "-a"] {
        let run = s3pipe(&server).option("-b", bad).arg("createbucket");
        run.run().fails(64, "bucket");
    }
    // The embedded server deletes whatever a bucket holds; S3 does not.
    let proxy = Proxy::start(server.addr());
    let message = "The bucket you tried to delete is not empty";
    let full = Answer::s3(409, "Conflict", "BucketNotEmpty", message, "");
    proxy.always(Match::method("DELETE"), Fault::Status(full));
    let run = s3pipe(&server).option("--endpoint", &proxy.url());
    let run = run.arg("deletebucket").run();
    run.fails(69, "deletebucket: test: 409 BucketNotEmpty: The bucket");
}

#[test]
fn prefixes_do_not_see_each_other() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let prefixes = ["", "a", "a/", "a/b/", "Größe x/"];
    let run = |prefix, word: &str| {
        let run = s3pipe(&server).option("--prefix", prefix).arg(word);
        if word == "list" {
            run
        } else {
            run.args(["-s", "x"])
        }
    };
    for prefix in prefixes {
        run(prefix, "download").run().fails(66, "no such stream");
        run(prefix, "upload")
            .stdin(format!("<{prefix}>"))
            .run()
            .ok();
        let key = format!("{prefix}manifest/x");
        assert!(server.objects().contains(&key), "{key}");
    }
    run("s3pipe/", "download").run().fails(66, "no such stream");
    for prefix in prefixes {
        let text = format!("<{prefix}>");
        assert_eq!(run(prefix, "download").run().ok().text(), text);
        assert_eq!(run(prefix, "list").run().ok().text(), "x\n");
    }
    for (n, prefix) in prefixes.iter().enumerate() {
        run(prefix, "delete").run().ok();
        assert_eq!(run(prefix, "list").run().ok().text(), "");
        // Manifest, index, block.
        assert_eq!(server.objects().len(), 3 * (prefixes.len() - n - 1));
    }
}

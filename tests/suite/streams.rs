//! Streams up and down on the embedded server: every length and name, what is
//! refused and when, and odd ends of stdin and stdout.
//!
//! What comes back must be what was sent, bit for bit; what is refused must
//! leave nothing that looks like a stream.

use std::fs::File;
use std::io::{PipeReader, Read, Write, pipe};

use crate::proxy::Proxy;
use crate::support::{Run, Scratch, Server, assert_same, random, s3pipe};

const K: usize = 1 << 10;
const M: usize = 1 << 20;

fn upload(server: &Server, name: &str) -> Run {
    s3pipe(server).args(["upload", "-s", name])
}

fn download(server: &Server, name: &str) -> Run {
    s3pipe(server).args(["download", "-s", name])
}

/// How many objects of this stream there are whose keys begin so.
fn count(server: &Server, kind: &str, name: &str) -> usize {
    let prefix = format!("s3pipe/{kind}/{name}/");
    let objects = server.objects();
    objects.iter().filter(|k| k.starts_with(&prefix)).count()
}

/// Sends streams of these lengths through blocks of this size.
fn there_and_back(size: &str, blocksize: usize, lengths: &[usize]) {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for &length in lengths {
        let data = random(length as u64, length);
        let name = format!("n{length}");
        let run = upload(&server, &name).option("--blocksize", size);
        run.stdin(data.clone()).run().ok();
        let out = download(&server, &name).run().ok();
        assert_same(&out.stdout, &data);
        let blocks = length.div_ceil(blocksize);
        assert_eq!(count(&server, "block", &name), blocks, "{size}, {length}");
    }
}

#[test]
fn blocks_of_64k() {
    let b = 64 * K;
    there_and_back("64K", b, &[1, b - 1, b, b + 1, 5 * b, 5 * b + 17]);
}

#[test]
fn blocks_of_1m() {
    // A bare number is kilobytes.
    there_and_back("1024", M, &[1, M - 1, M, M + 1, 3 * M + 1]);
}

#[test]
fn blocks_of_16m() {
    let b = 16 * M;
    there_and_back("16M", b, &[1, b - 1, b, b + 1, 2 * b + 3]);
}

#[test]
fn blocks_of_1g() {
    there_and_back("1G", K * M, &[1, 3 * M + 1]);
}

#[test]
fn any_number_of_indexes() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for (blocks, rest, per_index, indexes) in [
        (2, 0, "3", 1),
        (3, 0, "3", 1),
        (3, 1, "3", 2),
        (6, 0, "3", 2),
        (7, 5, "3", 3),
        (3, 0, "1", 3),
    ] {
        let data = random(blocks as u64, blocks * 64 * K + rest);
        let run = upload(&server, "many").arg("-f").stdin(data.clone());
        let run = run.option("--blocksize", "64K");
        run.env("S3PIPE_INDEX_BLOCKS", per_index).run().ok();
        // Whoever reads need not know how it was written.
        let out = download(&server, "many").run().ok();
        assert_same(&out.stdout, &data);
        assert_eq!(count(&server, "index", "many"), indexes, "{blocks}");
    }
}

#[test]
fn names_of_every_kind() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    // Sorted, as list has them.
    let names = [
        (" ", " "),
        ("%", "%"),
        ("-dash", "-dash"),
        (".", "."),
        ("..", ".."),
        ("../../etc/passwd", "../../etc/passwd"),
        ("/leading/", "/leading/"),
        ("A", "A"),
        ("\u{1b}[31m", "\\x1b[31m"),
        ("_2F", "_2F"),
        ("a", "a"),
        ("a b", "a b"),
        ("a%2Fb", "a%2Fb"),
        ("a+b", "a+b"),
        ("a//b", "a//b"),
        ("a?b#c&d=e", "a?b#c&d=e"),
        ("back\\slash", "back\\\\slash"),
        ("bacula-/export", "bacula-/export"),
        ("new\nline", "new\\x0aline"),
        ("tab\there", "tab\\x09here"),
        ("Größe", "Größe"),
        ("日本/∞", "日本/∞"),
    ];
    let mut names = names.map(|(name, shown)| (name, format!("{shown}\n")));
    names.sort();
    for (name, _) in &names {
        let run = s3pipe(&server).arg(format!("--stream={name}"));
        run.arg("upload").stdin(*name).run().ok();
    }
    for (name, _) in &names {
        let run = s3pipe(&server).arg(format!("--stream={name}"));
        let out = run.arg("download").run().ok();
        assert_eq!(out.text(), *name);
    }
    let listing = s3pipe(&server).arg("list").run().ok();
    let shown: String = names.iter().map(|(_, shown)| shown.as_str()).collect();
    assert_eq!(listing.text(), shown);
    for (name, _) in &names {
        let run = s3pipe(&server).arg(format!("--stream={name}"));
        run.arg("delete").run().ok();
    }
    assert_eq!(server.objects(), Vec::<String>::new());
}

/// A pipe that holds this and stays open, and a look at what is left in it.
fn untouched() -> (PipeReader, impl FnOnce()) {
    let (stdin, mut producer) = pipe().expect("a pipe");
    producer.write_all(b"untouched").expect("room in it");
    let mut left = stdin.try_clone().expect("a descriptor");
    let check = move || {
        drop(producer);
        let mut text = String::new();
        left.read_to_string(&mut text).expect("its rest");
        assert_eq!(text, "untouched");
    };
    (stdin, check)
}

#[test]
fn what_cannot_be_is_refused_before_anything() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let proxy = Proxy::start(server.addr());
    let (letters, umlauts) = ("a".repeat(201), "ü".repeat(34));
    for (args, status, why) in [
        (vec!["-s", &letters], 64, "201 bytes as a key, at most 200"),
        (vec!["-s", &umlauts], 64, "204 bytes as a key, at most 200"),
        (vec!["-s", ""], 64, "--stream: is empty"),
        (vec![], 64, "--stream: missing"),
        (vec!["-s", "s3://test"], 64, "s3://BUCKET/NAME"),
        (vec!["-s", "s3://other/x"], 64, "another bucket"),
        (vec!["-s", "x", "-s", "x"], 64, "given twice"),
        (vec!["-s", "x", "--raw"], 64, "--raw: not for upload"),
        (vec!["-s", "x", "--blocksize", "63K"], 64, "64K to 1G"),
        (
            vec!["-s", "x", "--size", "1", "--min-size", "2"],
            64,
            "less",
        ),
        (vec!["-s", "x", "--prefix", "../"], 64, "--prefix"),
        (vec!["-s", "x", "download"], 64, "one command"),
    ] {
        let (stdin, check) = untouched();
        let run = s3pipe(&server).option("--endpoint", &proxy.url());
        let run = run.arg("upload").args(&args).stdin_from(stdin);
        run.run().fails(status, why);
        check();
    }
    assert_eq!(proxy.seen(), []);
}

#[test]
fn the_longest_names_are_sent() {
    // This server's own files cannot have such names: servers.rs stores them.
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for (name, key) in [
        ("a".repeat(200), "a".repeat(200)),
        ("ü".repeat(33) + "aa", "_C3_BC".repeat(33) + "aa"),
    ] {
        let proxy = Proxy::start(server.addr());
        let run = download(&server, &name).option("--endpoint", &proxy.url());
        run.run().fails(66, "no such stream");
        let first = proxy.seen().swap_remove(0);
        assert_eq!(first.target, format!("/test/s3pipe/manifest/{key}"));
    }
}

#[test]
fn options_stand_anywhere() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for (n, args) in [
        vec!["upload", "-s", "0", "--blocksize", "64K"],
        vec!["-s", "1", "upload", "--blocksize=64K"],
        vec!["--blocksize", "64K", "-s2", "upload"],
        vec!["--stream=s3://test/3", "upload"],
        vec!["upload", "-qf", "--stream", "4"],
    ]
    .iter()
    .enumerate()
    {
        let mut run = s3pipe(&server).args(args);
        if n == 3 {
            run = run.without("-b");
        }
        run.stdin("x").run().ok();
    }
    let listing = s3pipe(&server).without("-b").args(["list", "-b", "test"]);
    assert_eq!(listing.run().ok().text(), "0\n1\n2\n3\n4\n");
}

#[test]
fn a_stream_that_exists_stays() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    upload(&server, "x").stdin("first").run().ok();
    let before = server.objects();
    let (stdin, check) = untouched();
    let run = upload(&server, "x").stdin_from(stdin);
    run.run().fails(73, "test/s3pipe/manifest/x");
    check();
    assert_eq!(server.objects(), before);
    assert_eq!(download(&server, "x").run().ok().text(), "first");
}

#[test]
fn force_replaces_a_stream_and_all_of_it() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let many = |data: &[u8]| {
        let run = upload(&server, "x").arg("-f").stdin(data);
        let run = run.option("--blocksize", "64K");
        run.env("S3PIPE_INDEX_BLOCKS", "2").run().ok();
        server.objects()
    };
    let (old, new) = (random(1, 300 * K), random(2, 400 * K));
    let before = many(&old);
    let after = many(&new);
    assert_same(&download(&server, "x").run().ok().stdout, &new);
    let kept: Vec<_> = after.iter().filter(|key| before.contains(key)).collect();
    assert_eq!(kept, ["s3pipe/manifest/x"]);
    // 7 blocks, 4 indexes, 1 manifest, and no record.
    assert_eq!(after.len(), 12, "{after:#?}");
}

#[test]
fn a_later_volume_does_not_replace_an_earlier_one() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let volume = |name, n| upload(&server, name).env("DUMP_VOLUME", n).stdin(n);
    volume("export", "1").run().ok();
    volume("export", "1").arg("-f").run().ok();
    volume("export", "2")
        .arg("-f")
        .run()
        .fails(64, "DUMP_VOLUME");
    volume("export", "2").run().fails(73, "exists");
    for _ in 0..2 {
        volume("export.2", "2").arg("-f").run().ok();
    }
    volume("export.2", "12")
        .arg("-f")
        .run()
        .fails(64, "DUMP_VOLUME");
    assert_eq!(download(&server, "export").run().ok().text(), "1");
    assert_eq!(download(&server, "export.2").run().ok().text(), "2");
}

#[test]
fn streams_of_the_wrong_size_are_not_committed() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    for (args, length, status) in [
        (vec![], 0, 65),
        (vec!["--min-size", "0"], 0, 0),
        (vec!["--size", "0"], 0, 0),
        (vec!["--size", "0"], 1, 65),
        (vec!["--min-size", "64K"], 64 * K - 1, 65),
        (vec!["--min-size", "64K"], 64 * K, 0),
        (vec!["--size", "65537"], 64 * K, 65),
        (vec!["--size", "65537"], 64 * K + 1, 0),
        (vec!["--size", "65537"], 64 * K + 2, 65),
    ] {
        let data = random(3, length);
        let run = upload(&server, "x").args(&args).stdin(data.clone());
        let outcome = run.option("--blocksize", "64K").run();
        if status == 0 {
            outcome.ok();
            assert_same(&download(&server, "x").run().ok().stdout, &data);
            s3pipe(&server).args(["delete", "-s", "x"]).run().ok();
        } else {
            outcome.fails(status, "not committed");
            download(&server, "x").run().fails(66, "no such stream");
        }
    }
}

#[test]
fn stdin_of_every_kind() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let folder = File::open(scratch.path()).expect("a folder");
    let run = upload(&server, "folder").stdin_from(folder).run();
    run.fails(74, "stdin: Is a directory");
    assert_eq!(server.objects(), Vec::<String>::new());

    let data = random(4, 100 * K);
    let file = File::open(scratch.file("data", &data)).expect("a file");
    upload(&server, "file").stdin_from(file).run().ok();
    assert_same(&download(&server, "file").run().ok().stdout, &data);

    // Byte by byte, across the end of a block.
    let run = upload(&server, "slow").option("--blocksize", "64K");
    let mut running = run.stdin_open().spawn();
    data.iter().for_each(|byte| running.feed(&[*byte]));
    running.wait().ok();
    assert_same(&download(&server, "slow").run().ok().stdout, &data);
}

#[test]
fn stdout_of_every_kind() {
    let scratch = Scratch::new();
    let server = Server::embedded(&scratch);
    let run = upload(&server, "x").option("--blocksize", "64K");
    run.stdin(random(5, 4 * M)).run().ok();
    for args in [vec!["download", "-s", "x"], vec!["list"], vec!["-h"]] {
        let full = File::create("/dev/full").expect("/dev/full");
        let run = s3pipe(&server).args(&args).stdout_to(full);
        run.run().fails(74, "stdout: No space left on device");
        let (reader, writer) = pipe().expect("a pipe");
        drop(reader);
        let run = s3pipe(&server).args(&args).stdout_to(writer);
        run.run().fails(74, "stdout: Broken pipe");
    }
    // As head -c 1 does it.
    let (mut reader, writer) = pipe().expect("a pipe");
    let running = download(&server, "x").stdout_to(writer).spawn();
    reader.read_exact(&mut [0]).expect("a byte");
    drop(reader);
    running.wait().fails(74, "stdout: Broken pipe");
}

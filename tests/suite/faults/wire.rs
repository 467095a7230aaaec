//! Connections that are refused, reset, closed, or stand still.

use super::site::{BLOCK, STREAM, Site, blocks, download_survives, on, upload_survives};
use crate::proxy::{Answer, Fault, Match};
use crate::support::{assert_same, random};

#[test]
fn a_service_that_is_down_is_waited_for() {
    let (site, data) = (Site::new(), random(1, 2 * BLOCK));
    let plain = site.proxy.plain_url();
    site.proxy.down();
    let run = site.run("upload").option("--endpoint", &plain);
    let mut run = run.arg("-v").stdin_open().spawn();
    run.wait_for_stderr("refused");
    site.proxy.up();
    run.feed(&data[..BLOCK]);
    // It has read the answer to the first block.
    run.wait_for_stderr(": 200 (65536 bytes sent");
    site.proxy.down();
    run.feed(&data[BLOCK..]);
    run.feed_end();
    // The second block was tried, and there was nobody.
    run.wait_for_stderr("/0000000001.");
    site.proxy.up();
    run.wait().ok_saying("refused");
    site.assert_holds(STREAM, &data);

    site.proxy.down();
    let run = site.download().option("--endpoint", &plain);
    let run = run.arg("-v").spawn();
    run.wait_for_stderr("refused");
    site.proxy.up();
    let end = run.wait().ok_saying("refused");
    assert_same(&end.stdout, &data);
}

#[test]
fn broken_connections_are_opened_again() {
    let drop_request = |after| Fault::DropRequest { after };
    let faults = [
        Fault::RefuseFor(0),
        Fault::RefuseFor(2),
        drop_request(0),
        drop_request(30_000),
        drop_request(BLOCK as u64),
        Fault::LoseAnswer,
        Fault::WrongLength { delta: 5 },
    ];
    upload_survives(&faults, "20s", true);
    let drop_response = |after| Fault::DropResponse { after };
    let faults = [
        Fault::RefuseFor(0),
        Fault::RefuseFor(2),
        drop_request(0),
        drop_response(0),
        drop_response(1),
        drop_response(BLOCK as u64 - 1),
        Fault::LoseAnswer,
    ];
    download_survives(&faults, "20s", true);
}

#[test]
fn harmless_oddities_cost_nothing() {
    let close = Answer::new(200, "OK").header("Connection", "close");
    let faults = [
        Fault::Replace(close.header("ETag", "\"\"")),
        Fault::Date { seconds: 3600 },
        Fault::Chunked,
    ];
    upload_survives(&faults, "20s", false);
    let faults = [
        Fault::DropResponse {
            after: BLOCK as u64,
        },
        Fault::Date { seconds: 3600 },
        Fault::Chunked,
    ];
    download_survives(&faults, "20s", false);
}

/// The answer to every class of request is lost after it was carried out.
#[test]
fn a_lost_answer_does_no_harm() {
    for (method, part) in [
        ("PUT", "/upload/"),
        ("PUT", "/block/"),
        ("PUT", "/index/"),
        ("PUT", "/manifest/"),
        ("DELETE", "/upload/"),
    ] {
        let (site, data) = (Site::new(), blocks(1));
        site.proxy.once(on(method, part), Fault::LoseAnswer);
        site.upload(&data).alone().run().ok();
        let seen = site.seen(method, part);
        // A manifest or a record is looked for before anything is sent again.
        let found = method == "PUT" && !part.contains("block") && !part.contains("index");
        assert_eq!(seen.len(), if found { 1 } else { seen.len().max(2) });
        assert!(seen[0].faulted && seen.iter().take(2).all(|s| s.target == seen[0].target));
        site.assert_holds(STREAM, &data);
        let counts = ["/manifest/", "/index/", "/block/", "/upload/"].map(|p| site.count(p));
        assert_eq!(counts, [1, 1, 2, 0], "{method} {part}");
    }
}

#[test]
fn a_lost_answer_to_a_removal_does_no_harm() {
    let site = Site::with(&blocks(3));
    for method in ["GET", "DELETE", "POST"] {
        site.proxy.once(Match::method(method), Fault::LoseAnswer);
    }
    site.run("delete").run().ok();
    assert_eq!(site.server.objects(), [""; 0]);
    let lost = site.proxy.seen().iter().filter(|s| s.faulted).count();
    assert_eq!(lost, 3);
}

/// A repeated CreateBucket finds the bucket there, a repeated DeleteBucket
/// finds it gone: both did what was asked.
#[test]
fn a_lost_answer_about_a_bucket_does_no_harm() {
    let site = Site::new();
    for (command, method) in [("createbucket", "PUT"), ("deletebucket", "DELETE")] {
        site.proxy.clear();
        site.proxy.once(Match::method(method), Fault::LoseAnswer);
        let run = site.run(command).without("-s");
        run.option("-b", "another").run().ok();
        assert!(site.seen(method, "/another").len() > 1);
    }
}

#[test]
fn a_broken_download_goes_on_where_it_was() {
    let data = blocks(2);
    let site = Site::with(&data);
    let second = || on("GET", "/block/").target("/0000000001.");
    let faults = [
        Fault::DropResponse { after: 20_000 },
        Fault::Stall { after: 10_000 },
        Fault::DropResponse { after: 1 },
    ];
    for fault in faults {
        site.proxy.once(second(), fault);
    }
    let end = site.download().option("--timeout", "1s").run().ok();
    assert_same(&end.stdout, &data);
    let seen = site.seen("GET", "/0000000001.");
    let ranges: Vec<_> = seen.iter().map(|s| s.header("range")).collect();
    let range = |from| format!("bytes={from}-65535");
    let expected = [range(20_000), range(30_000), range(30_001)];
    let expected = expected.iter().map(|r| Some(r.as_str()));
    let expected: Vec<_> = [None].into_iter().chain(expected).collect();
    assert_eq!(ranges, expected);
}

/// Servers that take a Range otherwise than they should.
#[test]
fn odd_answers_to_a_range_are_understood_or_refused() {
    let data = random(3, BLOCK);
    let rest = &data[20_000..];
    let answer = |code, range: &str, body: &[u8]| {
        let answer = Answer::new(code, "Odd").body(body);
        match range {
            "" => answer,
            range => answer.header("Content-Range", range),
        }
    };
    let good = "bytes 20000-65535/65536";
    for (odd, requests) in [
        (answer(200, "", &data), 2),
        (answer(200, good, rest), 2),
        (answer(206, "bytes 20000-65535/*", rest), 2),
        (answer(206, "", rest), 3),
        (answer(206, "", &data), 3),
        (answer(206, "bytes 0-65535/65536", &data), 3),
        (answer(206, "bytes 20000-65535/70000", rest), 3),
        (answer(206, good, &rest[1..]), 3),
        (answer(206, "lines 1-2/3", rest), 3),
        (answer(206, good, &data[..rest.len()]), 3),
    ] {
        let site = Site::with(&data);
        let broken = Fault::DropResponse { after: 20_000 };
        site.proxy.once(on("GET", "/block/"), broken);
        site.proxy
            .once(on("GET", "/block/"), Fault::Replace(odd.clone()));
        let end = site.download().run().ok();
        assert_same(&end.stdout, &data);
        assert_eq!(site.seen("GET", "/block/").len(), requests, "{odd:?}");
    }
}

#[test]
fn a_stall_is_noticed() {
    upload_survives(&[Fault::StallRequest], "1s", true);
    let faults = [
        Fault::StallRequest,
        Fault::Stall { after: 0 },
        Fault::Stall { after: 40_000 },
    ];
    download_survives(&faults, "1s", true);
    let (site, data) = (Site::new(), blocks(1));
    for (method, part) in [("GET", "/manifest/"), ("PUT", "/manifest/")] {
        site.proxy.once(on(method, part), Fault::StallRequest);
    }
    site.upload(&data).option("--timeout", "1s").run().ok();
    site.assert_holds(STREAM, &data);
}

#[test]
fn a_request_body_that_stalls_is_sent_again() {
    let (site, data) = (Site::new(), random(4, 16 << 20));
    let stall = Fault::StallBody { after: 1 << 20 };
    site.proxy.once(on("PUT", "/block/"), stall);
    let run = site.upload(&data).option("--blocksize", "16M");
    run.option("--timeout", "1s").run().ok();
    let seen = site.seen("PUT", "/block/");
    assert!(seen[0].faulted && seen[0].body_len == 1 << 20);
    site.assert_holds(STREAM, &data);
}

/// A close that has arrived is seen before the next request goes out.
#[test]
fn a_closed_idle_connection_costs_no_retry() {
    let (site, data) = (Site::new(), random(5, 3 * BLOCK));
    let run = site.run("upload").option("--retry", "0").arg("-v");
    let mut run = run.stdin_open().spawn();
    for (n, block) in data.chunks(BLOCK).enumerate() {
        run.feed(block);
        // s3pipe says this once it has read the whole answer.
        site.wait_for("PUT", "/block/", n + 1);
        let key = format!("/{n:010}.");
        let put = site.seen("PUT", &key).pop().expect("a block");
        let object = put.target.trim_start_matches('/').to_string();
        run.wait_for_stderr(&format!("PUT {object}: 200"));
        site.proxy.hang_up();
    }
    run.feed_end();
    run.wait().ok_saying("200");
    assert_eq!(site.seen("PUT", "/block/").len(), 3);
    site.assert_holds(STREAM, &data);
}

/// Closed just when the next request is on its way, time and again: one retry
/// for each request must do.
#[test]
fn connections_that_never_last_are_bearable() {
    for fault in [Fault::CloseNext, Fault::CloseIdle] {
        let (site, data) = (Site::new(), blocks(4));
        site.proxy.always(Match::any(), fault);
        site.upload(&data).option("--retry", "1").run().ok();
        let end = site.download().option("--retry", "1").run().ok();
        assert_same(&end.stdout, &data);
    }
}

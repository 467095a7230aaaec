//! Downloads of a part: just those bytes, and no block fetched for nothing.

use std::fs;

use crate::faults::site::{BLOCK, STREAM, Site, blocks};
use crate::support::{assert_same, s3pipe};

/// Five blocks and a short one, in indexes of two.
fn stored() -> (Site, Vec<u8>) {
    let (site, data) = (Site::new(), blocks(5));
    let run = s3pipe(&site.server).args(["upload", "-s", STREAM, "--blocksize", "64K"]);
    let run = run.env("S3PIPE_INDEX_BLOCKS", "2").stdin(data.clone());
    run.run().ok();
    (site, data)
}

/// The numbers of the objects of this kind that were asked for since then.
fn fetched(site: &Site, kind: &str, start: usize) -> Vec<usize> {
    let seen = site.seen("GET", &format!("/{kind}/{STREAM}/"));
    let seen = seen.iter().filter(|seen| seen.n >= start);
    let numbers = seen.map(|seen| {
        let name = seen.target.rsplit('/').next().expect("a segment");
        name[..10].parse().expect("a number")
    });
    // Workers ask for them in any order.
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

#[test]
fn any_part_of_a_stream() {
    let (site, data) = stored();
    let (b, all) = (BLOCK, data.len());
    for (offset, length) in [
        (0, 0),
        (0, 1),
        (0, b - 1),
        (0, b),
        (0, b + 1),
        (0, all),
        (1, b - 1),
        (1, b),
        (1, all - 1),
        (b - 1, 1),
        (b - 1, 2),
        (b, 0),
        (b, 1),
        (b, b),
        (b + 1, 3 * b),
        (2 * b - 1, 2),
        (2 * b, 2 * b),
        (3 * b + 7, 1),
        (4 * b - 1, b + 2),
        (5 * b - 1, 1),
        (5 * b - 1, 4322),
        (5 * b, 4321),
        (all - 1, 1),
        (all, 0),
    ] {
        let start = site.proxy.seen().len();
        let run = site.download().option("--offset", &offset.to_string());
        let run = run.option("--length", &length.to_string());
        assert_same(&run.run().ok().stdout, &data[offset..offset + length]);
        let touched = match length {
            0 => 0..0,
            _ => offset / b..(offset + length - 1) / b + 1,
        };
        let expected: Vec<_> = touched.clone().collect();
        assert_eq!(
            fetched(&site, "block", start),
            expected,
            "{offset}, {length}"
        );
        let mut indexes: Vec<_> = touched.map(|block| block / 2).collect();
        indexes.dedup();
        if length > 0 {
            assert_eq!(
                fetched(&site, "index", start),
                indexes,
                "{offset}, {length}"
            );
        }
    }
}

#[test]
fn with_one_of_the_two_options() {
    let (site, data) = stored();
    for offset in [0, 1, BLOCK, 3 * BLOCK + 5, data.len()] {
        let run = site.download().option("--offset", &offset.to_string());
        assert_same(&run.run().ok().stdout, &data[offset..]);
    }
    for length in [0, 1, BLOCK, 2 * BLOCK + 1, data.len()] {
        let run = site.download().option("--length", &length.to_string());
        assert_same(&run.run().ok().stdout, &data[..length]);
    }
    let run = site.download().args(["--offset", "64K", "--length", "1K"]);
    assert_same(&run.run().ok().stdout, &data[BLOCK..BLOCK + 1024]);
}

#[test]
fn what_the_stream_does_not_have() {
    let (site, data) = stored();
    let all = data.len() as u64;
    let why = format!("the stream has {all} bytes only");
    let most = u64::MAX;
    for (offset, length) in [
        (0, all + 1),
        (all - 1, 2),
        (all, 1),
        (all + 1, 0),
        (most, most),
        (1, most),
    ] {
        let run = site.download().option("--offset", &offset.to_string());
        let run = run.option("--length", &length.to_string());
        assert_eq!(run.run().fails(65, &why).stdout, b"");
    }
    for args in [["--offset", &(all + 1).to_string()], ["--length", "1G"]] {
        site.download().args(args).run().fails(65, &why);
    }
    assert_eq!(fetched(&site, "block", 0), []);
    for bad in [
        "-1",
        "1.5",
        "x",
        "",
        "1 ",
        "18446744073709551616",
        "99999999T",
    ] {
        let run = site.download().arg(format!("--offset={bad}"));
        run.run().fails(64, "--offset");
    }
    site.run("verify")
        .args(["--length", "1"])
        .run()
        .fails(64, "not for verify");
}

/// What lies outside need not be whole.
#[test]
fn damage_elsewhere_does_not_matter() {
    let (site, data) = stored();
    for key in site.server.objects() {
        let block = key.contains("/block/") && !key.contains("/0000000003.");
        let index = key.contains("/index/") && !key.contains("/0000000001.");
        if block || index {
            fs::write(site.server.object(&key), "rot").expect("an object");
        }
    }
    let range = ["--offset", "196608", "--length", "64K"];
    let out = site.download().args(range).run().ok();
    assert_same(&out.stdout, &data[3 * BLOCK..4 * BLOCK]);
    let range = ["--offset", "196608", "--length", "65537"];
    let out = site.hasty("download").args(range).run();
    let why = "(65536 bytes from offset 196608 were written and verified)";
    assert_same(&out.fails(65, why).stdout, &data[3 * BLOCK..4 * BLOCK]);
}

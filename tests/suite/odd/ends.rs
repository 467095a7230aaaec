//! Blocks whose bytes come and whose end does not: they are what their hash
//! says; and blocks that break off before, which go on from there.

use super::{BLOCK, Odd, always, blocks, first, is, without};
use crate::support::assert_same;
use crate::support::store::{Reply, Request, Say};

/// The block in chunks, and then so instead of their end.
fn endless(then: fn() -> Vec<Say>) -> Reply {
    Reply::truth().say(move |answer| {
        let mut chunked = without(answer, "content-length").header("Transfer-Encoding", "chunked");
        let body = std::mem::take(&mut chunked.body);
        let size = format!("{:x}\r\n", body.len()).into_bytes();
        let chunk = [&size[..], &body, b"\r\n"].concat();
        let said = vec![Say::Bytes(chunked.head()), Say::Bytes(chunk)];
        [said, then()].concat()
    })
}

#[test]
fn a_block_whose_end_does_not_come_is_taken_by_its_hash() {
    let ends: [fn() -> Vec<Say>; 4] = [
        || vec![Say::Close],
        || vec![Say::Reset],
        || vec![Say::Silence],
        || vec![Say::Bytes(b"no size of a chunk\r\n".to_vec()), Say::Close],
    ];
    for then in ends {
        for jobs in ["1", "3"] {
            let data = blocks(2);
            let odd = Odd::holding(&data);
            let part = |r: &Request| is(r, "GET", "/block/");
            odd.store.hook(always(part, move |_| endless(then)));
            let run = odd.run("download").option("-j", jobs);
            let outcome = run.option("--timeout", "1s").run().ok();
            assert_same(&outcome.stdout, &data);
            assert_eq!(odd.count("GET", "/block/"), 3, "{:?}", then());
        }
    }
}

/// What is more than the block is not the block, whatever its beginning is.
#[test]
fn a_block_with_more_behind_it_is_another() {
    let data = blocks(2);
    let odd = Odd::holding(&data);
    let more = || vec![Say::Bytes(b"1\r\n!\r\n0\r\n\r\n".to_vec())];
    let part = |r: &Request| is(r, "GET", "/0000000001.");
    odd.store.hook(first(2, part, move |_| endless(more)));
    let outcome = odd.run("download").alone().run().ok();
    assert_same(&outcome.stdout, &data);
    assert_eq!(odd.count("GET", "/0000000001."), 3);
}

#[test]
fn a_block_that_breaks_off_goes_on_from_there() {
    for kept in [1, 1000, BLOCK - 1] {
        // A reset may take with it what was not read yet.
        for (end, least) in [(Say::Close, 1), (Say::Reset, 0)] {
            let data = blocks(1);
            let odd = Odd::holding(&data);
            let part = |r: &Request| is(r, "GET", "/block/");
            let cut = move |_: &Request| {
                let end = end.clone();
                Reply::truth().say(move |answer| {
                    let said = [answer.head(), answer.body[..kept].to_vec()].concat();
                    vec![Say::Bytes(said), end.clone()]
                })
            };
            odd.store.hook(first(1, part, cut));
            let outcome = odd.run("download").alone().run().ok();
            assert_same(&outcome.stdout, &data);
            let requests = odd.store.requests();
            let ranges: Vec<_> = requests.iter().filter_map(|r| r.header("range")).collect();
            assert!(ranges.len() >= least, "{kept}");
            let end = format!("-{}", BLOCK - 1);
            assert!(ranges.iter().all(|r| r.ends_with(&end)), "{ranges:?}");
        }
    }
}

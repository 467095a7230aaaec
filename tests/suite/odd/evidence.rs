//! A block or an index that the store itself has other than it was stored: that
//! is believed after a while, which is not the day for which the faults of the
//! way are waited out.

use super::{BLOCK, Odd, always, blocks, is, undone, without};
use crate::proxy::Answer;
use crate::support::store::{Reply, Request, Say};
use crate::support::{Outcome, Run};

/// What every run here has patience for; by default it would be a minute.
const PATIENCE: &str = "2s";

/// A change of contents, and what it is.
type Damage = (&'static str, fn(&mut Vec<u8>));

const DAMAGES: [Damage; 5] = [
    ("changed", |body| body[100] ^= 1),
    ("cut", |body| body.truncate(100)),
    ("empty", Vec::clear),
    ("longer", |body| body.push(0)),
    ("much longer", |body| body.extend([7; 300_000])),
];

fn patient(run: Run) -> Outcome {
    run.option("--patience", PATIENCE).run()
}

/// It ended because of what the store has, and not because of what is on the
/// way to it.
#[track_caller]
fn blames_store(outcome: Outcome) -> Outcome {
    let outcome = outcome.fails(65, " (read ");
    assert!(!outcome.stderr.contains("gave up"), "{outcome}");
    outcome
}

#[test]
fn a_damaged_block_ends_a_download() {
    for (name, damage) in DAMAGES {
        for jobs in ["1", "3"] {
            println!("{name}, -j {jobs}");
            let data = blocks(2);
            let odd = Odd::holding(&data);
            odd.change(&odd.key("/0000000001."), damage);
            let outcome = patient(odd.run("download").option("-j", jobs));
            let outcome = blames_store(outcome);
            assert_eq!(outcome.stdout, data[..BLOCK], "{name}");
            assert!(outcome.stderr.contains("/0000000001."), "{outcome}");
        }
    }
}

#[test]
fn a_damaged_index_ends_a_download() {
    for (name, damage) in DAMAGES {
        println!("{name}");
        let odd = Odd::holding(&blocks(2));
        odd.change(&odd.key("/index/"), damage);
        let outcome = blames_store(patient(odd.run("download").alone()));
        assert!(outcome.stdout.is_empty(), "{outcome}");
        assert!(outcome.stderr.contains("/index/"), "{outcome}");
    }
}

/// As services do that do not know the length before they send the last of it.
fn unannounced() -> Reply {
    Reply::truth().say(|answer| {
        let mut chunked = without(answer, "content-length").header("Transfer-Encoding", "chunked");
        let body = std::mem::take(&mut chunked.body);
        let head = Say::whole(&chunked);
        let size = format!("{:x}\r\n", body.len()).into_bytes();
        let end = match body.is_empty() {
            true => &b"0\r\n\r\n"[..],
            false => b"\r\n0\r\n\r\n",
        };
        let chunk = if body.is_empty() { Vec::new() } else { size };
        vec![head, Say::Bytes([&chunk, &body[..], end].concat())]
    })
}

#[test]
fn lengths_need_not_be_announced() {
    for part in ["/index/", "/0000000001."] {
        for (name, damage) in DAMAGES {
            println!("{part} {name}");
            let odd = Odd::holding(&blocks(2));
            let keys = odd.keys(part);
            odd.change(keys.last().unwrap(), damage);
            odd.store
                .hook(always(move |r| is(r, "GET", part), |_| unannounced()));
            blames_store(patient(odd.run("download").alone()));
        }
    }
    let data = blocks(2);
    let odd = Odd::holding(&data);
    odd.store
        .hook(always(|r| r.method == "GET", |_| unannounced()));
    let outcome = odd.run("download").run().ok();
    crate::support::assert_same(&outcome.stdout, &data);
}

/// Once one object was found so, three readings of each further one are enough.
#[test]
fn the_next_ones_are_believed_at_once() {
    for part in ["/block/", "/index/"] {
        let odd = Odd::holding(&blocks(4));
        for key in odd.keys(part) {
            odd.change(&key, |body| body[100] ^= 1);
        }
        let keys = odd.keys(part);
        let before = odd.store.requests().len();
        let outcome = patient(odd.run("verify").alone());
        assert_eq!(outcome.status, 65, "{outcome}");
        let reads = |key: &String| {
            let asked = odd.store.requests();
            let gets = asked[before..].iter().filter(|r| is(r, "GET", key));
            gets.count()
        };
        for key in &keys[1..] {
            assert_eq!(reads(key), 3, "{key}: {outcome}");
        }
        assert!(reads(&keys[0]) >= 3, "{outcome}");
        for key in &keys {
            assert!(outcome.stderr.contains(key), "{outcome}");
        }
    }
}

/// HEAD tells whose fault another length is: where the store has the right one,
/// it is the way's.
#[test]
fn what_head_shows_whole_was_cut_on_the_way() {
    for part in ["/index/", "/0000000001."] {
        let odd = Odd::holding(&blocks(2));
        let cut = |mut answer: Answer| {
            answer.body.truncate(70);
            without(answer, "content-length")
        };
        let when = move |r: &Request| is(r, "GET", part);
        odd.store
            .hook(always(when, move |_| Reply::truth().edit(cut)));
        let outcome = patient(odd.run("download").alone());
        outcome.fails(69, "(gave up after ");
    }
}

/// Where HEAD is not allowed, nothing else is known than what came.
#[test]
fn where_head_is_refused_what_came_counts() {
    for status in [403, 405, 501] {
        let odd = Odd::holding(&blocks(1));
        odd.change(&odd.key("/0000000001."), |body| body.truncate(100));
        let refused = move |r: &Request| match r.method.as_str() {
            "HEAD" => undone(move |answer| Answer {
                code: status,
                body: Vec::new(),
                ..answer
            }),
            _ => Reply::truth(),
        };
        odd.store.hook(refused);
        blames_store(patient(odd.run("download").alone()));
    }
}

/// A manifest that claims less than its blocks hold is none, whoever reads it.
#[test]
fn a_manifest_that_claims_less_is_refused() {
    for bytes in ["0", "1", "65536", "132071", "132073"] {
        let odd = Odd::holding(&blocks(2));
        let key = odd.key("/manifest/");
        let claim = |body: &mut Vec<u8>| {
            let text = String::from_utf8(body.clone()).unwrap();
            *body = text.replace(" 132072", &format!(" {bytes}")).into_bytes();
        };
        odd.change(&key, claim);
        let said = match bytes {
            // It fits the manifest, and not the index.
            "132071" | "132073" => "/index/",
            _ => "bad manifest: ",
        };
        for command in ["download", "verify"] {
            let outcome = patient(odd.run(command).alone());
            assert_eq!(outcome.status, 65, "{bytes}: {outcome}");
            assert!(outcome.stderr.contains(said), "{bytes}: {outcome}");
            assert!(outcome.stdout.is_empty(), "{outcome}");
        }
    }
}

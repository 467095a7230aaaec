//! A page that does not go away: the run ends within its patience, and says
//! what is in the way.

use super::{Odd, always, blocks, first, is, page};
use crate::support::store::Request;
use crate::support::{Outcome, Run};

/// What every run here has patience for.
const PATIENCE: &str = "1s";

fn ends(odd: &Odd, run: Run, method: &'static str, part: &'static str, status: u16) -> Outcome {
    let when = move |r: &Request| {
        let heads = method == "GET" && is(r, "HEAD", part);
        is(r, method, part) || heads
    };
    odd.store.hook(always(when, move |r| page(r, status)));
    let outcome = run.option("--patience", PATIENCE).run();
    println!("{method} {part} {status}: {outcome}");
    outcome
}

/// What is said of a page with this status, where something was asked for that
/// is no block.
const SAID: [(u16, i32, &str); 4] = [
    (200, 65, "does not begin with 's3pipe-"),
    (302, 78, ": 302 (gave up after "),
    (403, 77, ": 403 (gave up after "),
    (404, 69, ": 404 (gave up after "),
];

#[test]
fn instead_of_a_manifest() {
    for (status, exit, said) in SAID {
        let data = blocks(1);
        let odd = Odd::holding(&data);
        for command in ["download", "verify", "info"] {
            let outcome = ends(&odd, odd.run(command), "GET", "/manifest/", status);
            let outcome = outcome.fails(exit, said);
            assert!(outcome.stdout.is_empty(), "{outcome}");
        }
        for options in [&[][..], &["-f"], &["--resume"]] {
            let run = odd.upload(b"new").args(options);
            let outcome = ends(&odd, run, "GET", "/manifest/", status);
            // It is none of the store's, so nothing is offered to be replaced.
            let outcome = outcome.fails(exit, said);
            assert!(!outcome.stderr.contains("-f replaces"), "{outcome}");
        }
        odd.holds(&data);
    }
}

#[test]
fn instead_of_a_record() {
    for (status, exit, said) in SAID {
        let odd = Odd::new();
        let outcome = ends(&odd, odd.upload(b"new"), "GET", "/upload/", status);
        let outcome = outcome.fails(exit, said);
        assert!(!outcome.stderr.contains("another process"), "{outcome}");
        odd.holds_none();
    }
}

/// Reading goes on for as long as patience has it, whatever the page says.
#[test]
fn instead_of_a_block_or_an_index() {
    for part in ["/index/", "/block/"] {
        for (status, exit, said) in SAID {
            let odd = Odd::holding(&blocks(1));
            let outcome = ends(&odd, odd.run("download"), "GET", part, status);
            let (exit, said) = match (status, part) {
                (200, "/block/") => (69, "67 bytes came, not 65536 (gave up after "),
                (200, _) => (69, "bytes long (gave up after "),
                _ => (exit, said),
            };
            outcome.fails(exit, said);
        }
    }
}

/// In the midst of a run it is no other: the first block is written by then.
#[test]
fn in_the_midst_of_a_download() {
    for (status, exit, said) in SAID {
        let odd = Odd::holding(&blocks(3));
        let run = odd.run("download").alone();
        let outcome = ends(&odd, run, "GET", "/0000000002.", status);
        let (exit, said) = match status {
            200 => (69, "67 bytes came, not 65536 (gave up after "),
            _ => (exit, said),
        };
        let outcome = outcome.fails(exit, said);
        assert_eq!(outcome.stdout.len(), 2 * super::BLOCK, "{outcome}");
    }
}

/// A PUT that is answered by a page for good ends the run with that.
#[test]
fn instead_of_the_answer_to_a_put() {
    let proves = "the answer does not prove that it was stored: ";
    for part in ["/block/", "/index/", "/upload/"] {
        for (status, exit, said) in SAID {
            let odd = Odd::new();
            let outcome = ends(&odd, odd.upload(b"new"), "PUT", part, status);
            let (exit, said) = match status {
                200 => (69, proves),
                _ => (exit, said),
            };
            outcome.fails(exit, said);
            odd.holds_none();
        }
    }
}

/// Of the commit nobody knows then whether it was carried out.
#[test]
fn instead_of_the_answer_to_the_commit() {
    for (status, exit, said) in [
        (200, 69, "commit unknown"),
        (302, 78, "commit unknown"),
        (403, 77, "commit unknown"),
        (404, 69, "commit unknown"),
    ] {
        let odd = Odd::new();
        let outcome = ends(&odd, odd.upload(b"new"), "PUT", "/manifest/", status);
        outcome.fails(exit, said);
        odd.holds_none();
    }
}

/// Two seconds of a page, with 503s and cut connections before and after it, are
/// nothing to a run that is underway.
#[test]
fn among_other_faults() {
    let data = blocks(3);
    let odd = Odd::holding(&data);
    let pages = first(4, |r| is(r, "GET", "/0000000001."), |r| page(r, 200));
    odd.store.hook(pages);
    let outcome = odd.run("download").alone().run().ok();
    crate::support::assert_same(&outcome.stdout, &data);
}

//! A model of the protocol of s3pipe(5), and all that can happen in it.
//!
//! A few actors (uploads, a delete, a clean, a reader) take the steps of the
//! protocol in every order, over a store that may lose answers, carry requests out
//! late, ignore conditions, and list what was there before. Every state that can be
//! reached is looked at, and must keep the promises of the manual (`promises`); each
//! step of the protocol that is left out must break one (`left_out`); and the
//! requests of the program itself must be paths of the model (`trace`, which the
//! tests of the program include). What that proves, and what it does not, is in
//! s3pipe(5), PROOF.
//!
//! It never runs the program, and knows nothing of bytes, hashes and HTTP. A change
//! of the protocol is made here first.

mod cases;
mod clean;
mod explore;
mod left_out;
mod promises;
mod read;
mod remove;
mod resume;
mod state;
mod store;
mod threads;
mod tidy;
mod trace;
mod upload;
mod world;

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::Mutex;

use cases::{Case, cases, far, limits, more};
use explore::explore;
use threads::each;
use trace::{Step, is_path};

/// Explore a case to its end. Its line, or which promise it broke and how.
fn keeps(case: &Case, edges: &Mutex<BTreeSet<(Step, Step)>>) -> Result<String, String> {
    let found = explore(case);
    if let Some((promise, how)) = found.broken {
        return Err(format!("{}: {promise:?} is broken:\n{how}", case.name));
    }
    if found.states < case.states {
        let (now, then) = (found.states, case.states);
        return Err(format!(
            "{}: {now} states, fewer than the {then} there were",
            case.name
        ));
    }
    edges.lock().unwrap().extend(&found.edges);
    Ok(format!("{:9} states: {}", found.states, case.name))
}

#[test]
fn promises_are_kept_whatever_happens() {
    let edges = Mutex::new(BTreeSet::new());
    let states: usize = cases().iter().map(|case| case.states).sum();
    each(cases(), |case| keeps(&case, &edges));
    // Past the test harness, which hides what passing tests print.
    let line = format!("model: {states} states and no promise broken\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    let edges = edges.into_inner().unwrap();
    // The model goes the ways of the table, and all of them.
    for (from, to) in &edges {
        assert!(
            from.row().next.contains(to),
            "{from:?} to {to:?} is not in the table"
        );
    }
    for from in Step::ALL.iter().filter(|step| !step.is_beyond()) {
        for to in from.row().next.iter().filter(|step| !step.is_beyond()) {
            assert!(
                edges.contains(&(*from, *to)),
                "{from:?} to {to:?} is never gone"
            );
        }
    }
}

#[test]
#[ignore = "takes minutes and a gigabyte, in a release build"]
fn promises_are_kept_by_more_at_a_time() {
    let edges = Mutex::new(BTreeSet::new());
    each(more(), |case| keeps(&case, &edges));
    // Where four meet, and two of them stand still in the middle of something.
    assert!(explore(&far(false)).broken.is_some());
}

/// What s3pipe(5) does not promise is not kept: these are no promises left out for
/// nothing.
#[test]
fn what_is_not_promised_is_not_kept() {
    each(limits(), |case| match explore(&case).broken {
        Some((promise, how)) => {
            let steps = how.lines().count();
            Ok(format!(
                "{promise:?} is not kept, {steps} steps: {}",
                case.name
            ))
        }
        None => Err(format!("{}: promised by now?", case.name)),
    });
}

fn lines(text: &str) -> Vec<String> {
    text.split(", ").map(str::to_string).collect()
}

#[test]
fn requests_of_a_run_are_a_path() {
    let upload = "GET manifest, HEAD v1-info, PUT record, GET record, PUT block, PUT block, \
        PUT index, GET manifest, GET record, PUT manifest, GET manifest, GET record, DELETE record";
    assert_eq!(is_path("upload", 0, &lines(upload)), Ok(()));
    let delete = "GET manifest, DELETE record, DELETE manifest, GET manifest, GET list-block, \
        GET manifest, POST bulk-delete, GET list-block, GET list-index, GET manifest, \
        POST bulk-delete, GET list-index, GET manifest";
    assert_eq!(is_path("delete", 0, &lines(delete)), Ok(()));
    assert_eq!(
        is_path("verify", 65, &lines("GET manifest, GET block")),
        Ok(())
    );
    // One request left out, or two in another order.
    let wrong = [
        (
            "upload",
            upload.replace("GET record, PUT manifest", "PUT manifest"),
        ),
        (
            "upload",
            upload.replace(
                "GET manifest, GET record, PUT",
                "GET record, GET manifest, PUT",
            ),
        ),
        (
            "upload",
            upload.replace(", GET record, DELETE record", ", DELETE record"),
        ),
        ("upload", upload.replace(", DELETE record", "")),
        (
            "delete",
            delete.replace(
                "DELETE record, DELETE manifest",
                "DELETE manifest, DELETE record",
            ),
        ),
        (
            "delete",
            delete.replace("DELETE manifest, GET manifest", "DELETE manifest"),
        ),
        ("list", "GET list-manifest, DELETE manifest".to_string()),
    ];
    for (command, trace) in wrong {
        assert!(is_path(command, 0, &lines(&trace)).is_err(), "{trace}");
    }
}

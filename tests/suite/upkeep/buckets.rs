//! createbucket and deletebucket, where the service says one thing and does
//! another.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::shelf::{Shelf, page};
use crate::proxy::Answer;
use crate::support::store::{Act, Reply, Request, Say};

fn asks(request: &Request, method: &str) -> bool {
    request.method == method && request.key.is_none() && request.query.is_empty()
}

/// Says this to the first requests of this method, which are not carried out.
fn lie(shelf: &Shelf, method: &'static str, times: usize, said: Answer) {
    let turn = AtomicUsize::new(0);
    shelf.store.hook(move |request| {
        match asks(request, method) && turn.fetch_add(1, Ordering::Relaxed) < times {
            true => Reply::instead(said.clone()),
            false => Reply::truth(),
        }
    });
}

#[test]
fn a_bucket_is_made_when_it_is_seen() {
    for said in [page(), Answer::new(200, "OK"), Answer::new(202, "Accepted")] {
        let shelf = Shelf::new();
        shelf.store.set_bucket(false);
        lie(&shelf, "PUT", 1, said.clone());
        shelf.run("createbucket").run().ok();
        assert!(shelf.store.has_bucket());

        shelf.store.set_bucket(false);
        lie(&shelf, "PUT", usize::MAX, said);
        let out = shelf.run("createbucket").run();
        assert_eq!(out.status, 69, "{out}");
        assert!(
            out.stderr.starts_with("s3pipe: createbucket: test: "),
            "{out}"
        );
        assert!(!shelf.store.has_bucket());
    }
}

#[test]
fn a_bucket_is_removed_when_it_is_gone() {
    for said in [
        page(),
        Answer::new(204, "No Content"),
        Answer::new(202, "Accepted"),
    ] {
        let shelf = Shelf::new();
        lie(&shelf, "DELETE", 1, said.clone());
        shelf.run("deletebucket").run().ok();
        assert!(!shelf.store.has_bucket());

        shelf.store.set_bucket(true);
        lie(&shelf, "DELETE", usize::MAX, said);
        let out = shelf.run("deletebucket").run();
        assert_eq!(out.status, 69, "{out}");
        assert!(shelf.store.has_bucket());
    }
}

/// Where HEAD is not allowed, the answer is all that there is.
#[test]
fn a_bucket_that_may_not_be_looked_at_is_believed_in() {
    for status in [403, 405, 501] {
        let shelf = Shelf::new();
        shelf.store.set_bucket(false);
        lie(&shelf, "HEAD", usize::MAX, Answer::new(status, "No"));
        shelf.run("createbucket").run().ok();
        assert!(shelf.store.has_bucket());
        shelf.run("deletebucket").run().ok();
        assert!(!shelf.store.has_bucket());
    }
}

/// It was made or removed, and nobody heard of it.
#[test]
fn a_lost_answer_about_a_bucket() {
    for (command, method) in [("createbucket", "PUT"), ("deletebucket", "DELETE")] {
        let shelf = Shelf::new();
        shelf.store.set_bucket(command == "deletebucket");
        let turn = AtomicUsize::new(0);
        shelf.store.hook(move |request| {
            match asks(request, method) && turn.fetch_add(1, Ordering::Relaxed) == 0 {
                true => Reply::truth().say(|_| vec![Say::Close]),
                false => Reply::truth(),
            }
        });
        shelf.run(command).run().ok();
        assert_eq!(shelf.store.has_bucket(), command == "createbucket");
    }
}

/// It is removed only after HEAD has shown it once more, or is only said to be
/// there: then it is gone when it is to be removed again, and that is no error.
#[test]
fn a_bucket_that_is_gone_late_is_gone() {
    let shelf = Shelf::new();
    let turn = AtomicUsize::new(0);
    shelf.store.hook(move |request| {
        match asks(request, "DELETE") && turn.fetch_add(1, Ordering::Relaxed) == 0 {
            true => Reply::truth().act(Act::Late(2)),
            false => Reply::truth(),
        }
    });
    shelf.run("deletebucket").run().ok();
    assert!(!shelf.store.has_bucket());
    shelf.store.set_bucket(true);
    lie(&shelf, "HEAD", 1, Answer::new(200, "OK"));
    shelf.run("deletebucket").run().ok();
    assert!(!shelf.store.has_bucket());
    // An answer to HEAD that is none.
    shelf.store.set_bucket(true);
    lie(&shelf, "HEAD", 1, Answer::new(204, "No Content"));
    shelf.run("deletebucket").run().ok();
    let seen = shelf.store.requests();
    let looks = seen.iter().rev().take_while(|r| asks(r, "HEAD")).count();
    assert_eq!(looks, 2);
}

#[test]
fn somebody_elses_bucket_is_not_ours() {
    let shelf = Shelf::new();
    let run = shelf.run("createbucket").run();
    run.fails(73, "BucketAlreadyOwnedByYou");
}

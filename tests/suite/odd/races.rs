//! Others that are at the same stream in the middle of a commit: what they
//! delete must not come back, and must not end what goes on beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Odd, Once, blocks, first, is, page};
use crate::proxy::Answer;
use crate::support::store::{Act, Reply, Request, Say, Store};

/// As another process deletes the stream, or an upload: all that there is.
fn delete_all(store: &Store) {
    for key in store.objects().into_keys() {
        store.remove(&key);
    }
}

/// As the same deletes what was committed under this name, before it.
fn delete_old(store: &Store, old: &[String]) {
    for key in old {
        store.remove(key);
    }
}

/// Runs a test with a store that its hook can change.
fn shared(odd: Odd) -> Arc<Odd> {
    Arc::new(odd)
}

/// The manifest goes just before the PUT that names its ETag: there is nothing
/// to be replaced any more.
#[test]
fn a_replacement_beside_a_delete_is_a_new_stream() {
    for code in ["NoSuchKey", "PreconditionFailed"] {
        let (odd, data) = (shared(Odd::holding(&blocks(3))), blocks(2));
        let old = odd.keys("");
        let (seen, once) = (odd.clone(), Once::default());
        odd.store.hook(move |request: &Request| {
            if request.header("if-match").is_none() || !once.take() {
                return Reply::truth();
            }
            delete_old(&seen.store, &old);
            Reply::instead(match code {
                "NoSuchKey" => Answer::not_found(code),
                _ => Answer::s3(412, "Precondition Failed", code, "No.", ""),
            })
        });
        odd.upload(&data).arg("-f").run().ok();
        let requests = odd.store.requests();
        let mut commits = requests.iter().filter(|r| is(r, "PUT", "/manifest/"));
        let last = commits.next_back().unwrap();
        assert_eq!(last.header("if-none-match"), Some("*"));
        odd.holds(&data);
        assert_eq!(odd.store.objects().len(), 5);
    }
}

/// The commit was carried out, and its answer lost; then the stream is deleted.
#[test]
fn a_deleted_stream_does_not_come_back_with_a_repeated_commit() {
    let answers: [fn(&Request) -> Reply; 4] = [
        |_| Reply::truth().say(|_| vec![Say::Close]),
        |_| Reply::truth().say(|_| vec![Say::Reset]),
        |_| Reply::truth().edit(|_| Answer::internal_error()),
        |r| page(r, 200).act(Act::Now),
    ];
    for answer in answers {
        for replaced in [false, true] {
            let odd = Odd::new();
            if replaced {
                odd.upload(b"older").run().ok();
            }
            let before = odd.count("PUT", "/manifest/");
            let odd = shared(odd);
            let (seen, sent, once) = (odd.clone(), AtomicBool::new(false), Once::default());
            odd.store.hook(move |request: &Request| {
                if is(request, "PUT", "/manifest/") && !sent.swap(true, Ordering::Relaxed) {
                    return answer(request);
                }
                if sent.load(Ordering::Relaxed) && once.take() {
                    delete_all(&seen.store);
                }
                Reply::truth()
            });
            let mut run = odd.upload(&blocks(1));
            if replaced {
                run = run.arg("-f");
            }
            run.run().fails(75, "was cleaned away under us");
            assert_eq!(odd.count("PUT", "/manifest/") - before, 1);
            assert_eq!(odd.keys("/manifest/"), Vec::<String>::new());
        }
    }
}

/// The last thing before the commit is the look at the record: who removes an
/// upload removes that first, so that no manifest means no record.
#[test]
fn what_is_removed_at_the_last_look_is_not_committed() {
    let odd = shared(Odd::new());
    let (seen, stored) = (odd.clone(), AtomicBool::new(false));
    odd.store.hook(move |request: &Request| {
        if is(request, "PUT", "/index/") {
            stored.store(true, Ordering::Relaxed);
        }
        if is(request, "GET", "/manifest/") && stored.load(Ordering::Relaxed) {
            delete_all(&seen.store);
        }
        Reply::truth()
    });
    let outcome = odd.upload(&blocks(1)).run();
    outcome.fails(75, "was cleaned away under us: nothing was committed");
    assert_eq!(odd.count("PUT", "/manifest/"), 0);
}

/// Somebody else commits between the last look and the PUT.
#[test]
fn who_comes_second_is_told_so() {
    let other = Odd::holding(&blocks(3));
    let theirs = other.store.objects();
    for force in [false, true] {
        let odd = shared(Odd::new());
        if force {
            odd.upload(b"older").run().ok();
        }
        let (seen, theirs, once) = (odd.clone(), theirs.clone(), Once::default());
        odd.store.hook(move |request: &Request| {
            if is(request, "PUT", "/manifest/") && once.take() {
                for (key, object) in &theirs {
                    seen.store.put(key, object.clone());
                }
            }
            Reply::truth()
        });
        let run = odd.upload(&blocks(1));
        let run = if force { run.arg("-f") } else { run };
        run.run()
            .fails(75, "another upload was committed meanwhile");
        odd.holds(&blocks(3));
    }
}

/// What is to be resumed turns out to be committed, by its owner: that is found
/// out before anything is sent.
#[test]
fn who_resumes_what_was_just_committed_is_told_at_once() {
    let (odd, data) = (shared(Odd::new()), blocks(2));
    let lost = |r: &Request| is(r, "PUT", "/manifest/");
    odd.store.hook(first(1, lost, |_| {
        let late = Reply::truth().act(Act::Late(usize::MAX >> 1));
        late.say(|_| vec![Say::Close])
    }));
    let owner = odd.upload(&data).option("--retry", "0").run();
    owner.fails(69, "commit unknown");
    let sent = odd.count("PUT", "/block/");
    let seen = odd.clone();
    odd.store.hook(move |request: &Request| {
        if is(request, "PUT", "/upload/") {
            seen.store.settle();
        }
        Reply::truth()
    });
    let run = odd.upload(&blocks(3)).arg("--resume");
    run.run()
        .fails(75, "another upload was committed meanwhile");
    assert_eq!(odd.count("PUT", "/block/"), sent);
    odd.holds(&data);
}

/// What was broken off before the stream was committed that is there now may be
/// removed at any moment: it is not taken up.
#[test]
fn what_is_older_than_the_stream_is_not_resumed() {
    let (odd, data) = (Odd::new(), blocks(2));
    odd.broken_off_earlier();
    let old = odd.key("/upload/");
    odd.upload(b"newer").run().ok();
    odd.upload(&data).args(["-f", "--resume"]).run().ok();
    let id = old.rsplit_once('/').unwrap().1;
    let taken: Vec<_> = odd
        .keys("/block/")
        .into_iter()
        .filter(|key| key.contains(id))
        .collect();
    assert_eq!(taken.len(), 1, "what was left of it: {taken:?}");
    odd.holds(&data);
}

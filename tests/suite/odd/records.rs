//! The record of an upload is sent once for each id: what is removed of it stays
//! so, and is noticed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Odd, Once, blocks, first, is, page, succeeds};
use crate::proxy::Answer;
use crate::support::store::{Act, Reply, Request, Say};

/// All records that were sent have different keys.
#[track_caller]
fn each_once(odd: &Odd) -> usize {
    let requests = odd.store.requests();
    let sent = requests.iter().filter(|r| is(r, "PUT", "/upload/"));
    let keys: Vec<_> = sent.filter_map(|r| r.key.clone()).collect();
    let different: BTreeSet<_> = keys.iter().collect();
    assert_eq!(keys.len(), different.len(), "{keys:?}");
    keys.len()
}

#[test]
fn another_attempt_has_another_id() {
    let answers: [fn(&Request) -> Reply; 6] = [
        |_| Reply::truth().act(Act::Never).say(|_| vec![Say::Close]),
        |_| Reply::truth().act(Act::Never).say(|_| vec![Say::Reset]),
        |_| Reply::instead(Answer::internal_error()),
        |_| Reply::instead(Answer::slow_down()),
        |r| page(r, 200),
        |r| page(r, 404),
    ];
    for answer in answers {
        let (odd, data) = (Odd::new(), blocks(1));
        odd.store
            .hook(first(2, |r| is(r, "PUT", "/upload/"), answer));
        odd.upload(&data).run().ok();
        assert_eq!(each_once(&odd), 3);
        odd.holds(&data);
        assert_eq!(odd.store.objects().len(), 4);
    }
}

#[test]
fn what_was_carried_out_is_gone_on_with() {
    let answers: [fn(&Request) -> Reply; 3] = [
        |_| Reply::truth().say(|_| vec![Say::Close]),
        |_| Reply::truth().edit(|_| Answer::internal_error()),
        |r| page(r, 200).act(Act::Now),
    ];
    for answer in answers {
        let (odd, data) = (Odd::new(), blocks(1));
        odd.store
            .hook(first(1, |r| is(r, "PUT", "/upload/"), answer));
        odd.upload(&data).run().ok();
        assert_eq!(each_once(&odd), 1);
        odd.holds(&data);
        assert_eq!(odd.store.objects().len(), 4);
    }
}

/// A record that comes late is one without blocks, for clean to find.
#[test]
fn what_comes_late_is_another_upload() {
    for late in [1, 2, 5] {
        let (odd, data) = (Odd::new(), blocks(1));
        let lost = move |_: &Request| {
            let late = Reply::truth().act(Act::Late(late));
            late.say(|_| vec![Say::Close])
        };
        odd.store.hook(first(1, |r| is(r, "PUT", "/upload/"), lost));
        odd.upload(&data).run().ok();
        odd.store.settle();
        let sent = each_once(&odd);
        assert_eq!(odd.keys("/upload/").len(), sent - 1);
        odd.holds(&data);
    }
}

/// It was carried out, its answer lost, and somebody has removed it.
#[test]
fn what_was_removed_does_not_come_back() {
    let (odd, data) = (Arc::new(Odd::new()), blocks(1));
    let (seen, sent, once) = (odd.clone(), AtomicBool::new(false), Once::default());
    odd.store.hook(move |request: &Request| {
        if is(request, "PUT", "/upload/") && !sent.swap(true, Ordering::Relaxed) {
            return Reply::truth().say(|_| vec![Say::Close]);
        }
        if sent.load(Ordering::Relaxed) && once.take() {
            seen.store.remove(&seen.key("/upload/"));
        }
        Reply::truth()
    });
    odd.upload(&data).run().ok();
    assert_eq!(each_once(&odd), 2);
    odd.holds(&data);
}

/// What somebody else has taken over meanwhile is not what was stored, but the
/// record that is read back is what counts: theirs ends ours.
#[test]
fn a_record_that_changed_ends_the_upload() {
    let odd = Arc::new(Odd::new());
    let (seen, once) = (odd.clone(), Once::default());
    odd.store.hook(move |request: &Request| {
        if is(request, "PUT", "/index/") && once.take() {
            let key = seen.key("/upload/");
            seen.change(&key, |body| {
                let at = body.len() - 2;
                body[at] = if body[at] == b'0' { b'1' } else { b'0' };
            });
        }
        Reply::truth()
    });
    let outcome = odd.upload(&blocks(1)).run();
    outcome.fails(75, "another process has taken this upload over");
    assert_eq!(odd.count("PUT", "/manifest/"), 0);
}

/// A moment of the object of before, or of none, is no such thing.
#[test]
fn a_moment_of_another_record_is_waited_out() {
    for stale in [true, false] {
        let (odd, data) = (Odd::new(), blocks(1));
        let reply = move |_: &Request| match stale {
            true => Reply::truth().view(crate::support::store::View::Before),
            false => Reply::instead(Answer::not_found("NoSuchKey")),
        };
        odd.store
            .hook(first(2, |r| is(r, "GET", "/upload/"), reply));
        succeeds(&odd.upload(&data).run());
        odd.holds(&data);
    }
}
